//! A clock that moves when a test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::oneshot;

use crate::ports::Clock;
use crate::types::{Moment, Timestamp};

/// A clock that stands still until it is moved. Clones share it.
///
/// There are two ways to drive it:
/// - [`run`](ManualClock::run) runs a future and moves the clock to the next deadline whenever all tasks wait. Hours pass
///   in milliseconds, and every sleeper sees exactly its deadline.
/// - [`advance`](ManualClock::advance) moves it by hand.
///
/// ```
/// use std::time::Duration;
/// use kcl_core::ports::Clock;
/// use kcl_core::testing::ManualClock;
/// use kcl_core::types::Moment;
///
/// let clock = ManualClock::new();
/// clock.run(clock.sleep_until(Moment::from_origin(Duration::from_secs(3600))));
/// assert_eq!(clock.now(), Moment::from_origin(Duration::from_secs(3600)));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    time: Arc<Mutex<Time>>,
}

struct Time {
    now: Moment,
    /// Wall time at the clock's origin.
    origin: Timestamp,
    /// By deadline, then in the order in which they fell asleep: that is the order of waking.
    sleepers: BTreeMap<(Moment, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
}

impl ManualClock {
    /// A clock at its origin, at which the wall clock shows 2026-01-01.
    pub fn new() -> Self {
        ManualClock::at(Timestamp::from_millis(1_767_225_600_000))
    }

    /// A clock at its origin, at which the wall clock shows `wall`.
    pub fn at(wall: Timestamp) -> Self {
        let time = Time { now: Moment::default(), origin: wall, sleepers: BTreeMap::new(), next_sleeper: 0 };
        ManualClock { time: Arc::new(Mutex::new(time)) }
    }

    /// Moves the clock on and wakes those whose deadline passes, in the order of their deadlines. They run when the
    /// caller awaits, and then all see the same, final time; with steps or [`run`](ManualClock::run) each sees its own.
    pub fn advance(&self, by: Duration) {
        let target = self.now() + by;
        self.advance_to(target);
    }

    /// Moves the clock to a moment; does nothing if it lies in the past, since this time never goes back.
    pub fn advance_to(&self, target: Moment) {
        let due = {
            let mut time = self.lock();
            time.now = time.now.max(target);
            let now = time.now;
            // Sleepers that lie behind, including those at `now` exactly, whatever their number.
            let later = time.sleepers.split_off(&(now, u64::MAX));
            std::mem::replace(&mut time.sleepers, later)
        };
        // Woken outside the lock: a waker may run code that asks the clock.
        for sleeper in due.into_values() {
            // One that gave up waiting is no matter.
            let _ = sleeper.send(());
        }
    }

    /// Moves the clock to the next deadline anybody waits for; `false` if nobody waits.
    pub fn advance_to_next_deadline(&self) -> bool {
        let next = {
            let mut time = self.lock();
            time.sleepers.retain(|_, sleeper| !sleeper.is_closed());
            time.sleepers.keys().next().map(|(deadline, _)| *deadline)
        };
        if let Some(deadline) = next {
            self.advance_to(deadline);
        }
        next.is_some()
    }

    /// Lets the wall clock jump, as NTP or an operator does; the monotonic time stays.
    pub fn set_wall(&self, wall: Timestamp) {
        let mut time = self.lock();
        let since = i64::try_from(time.now.since_origin().as_millis()).unwrap_or(i64::MAX);
        time.origin = Timestamp::from_millis(wall.as_millis().saturating_sub(since));
    }

    /// How many tasks wait for a deadline.
    pub fn sleepers(&self) -> usize {
        let mut time = self.lock();
        time.sleepers.retain(|_, sleeper| !sleeper.is_closed());
        time.sleepers.len()
    }

    /// Runs a future on a runtime of its own with one thread, and whenever all its tasks wait, moves the clock to the next
    /// deadline. Nothing in it may wait for anything outside of that runtime (a socket, another thread): the clock would
    /// run away meanwhile.
    ///
    /// # Panics
    /// If the runtime cannot be started, or if it is called inside another runtime.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let clock = self.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .on_thread_park(move || {
                clock.advance_to_next_deadline();
            })
            .build()
            .expect("a runtime without IO needs nothing that could be missing");
        runtime.block_on(future)
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        ManualClock::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManualClock({:?})", self.now())
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.lock().now
    }

    fn wall(&self) -> Timestamp {
        let time = self.lock();
        let since = i64::try_from(time.now.since_origin().as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(time.origin.as_millis().saturating_add(since))
    }

    async fn sleep_until(&self, deadline: Moment) {
        let woken = {
            let mut time = self.lock();
            if deadline <= time.now {
                return;
            }
            let (sleeper, woken) = oneshot::channel();
            let number = time.next_sleeper;
            time.next_sleeper += 1;
            time.sleepers.insert((deadline, number), sleeper);
            woken
        };
        // The sender is dropped only after it was used, since the clock lives as long as `self`.
        let _ = woken.await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, select};

    use super::*;

    const fn second(n: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(n))
    }

    #[test]
    fn sleepers_wake_in_the_order_of_their_deadlines_and_see_them() {
        let clock = ManualClock::new();
        let log = Mutex::new(Vec::new());
        let sleeper = async |name: &'static str, deadlines: &[u64]| {
            for deadline in deadlines {
                clock.sleep_until(second(*deadline)).await;
                log.lock().unwrap().push((name, clock.now()));
            }
        };
        clock.run(join(sleeper("a", &[5, 6, 30]), sleeper("b", &[1, 5, 7])));
        let expected =
            [("b", 1), ("a", 5), ("b", 5), ("a", 6), ("b", 7), ("a", 30)].map(|(name, at)| (name, second(at)));
        assert_eq!(*log.lock().unwrap(), expected);
    }

    #[test]
    fn spawned_tasks_are_idle_only_when_all_of_them_wait() {
        let clock = ManualClock::new();
        let spawner = crate::ports::TokioSpawner::new();
        let reached = clock.run(async {
            let (done, waits) = oneshot::channel();
            let task = clock.clone();
            crate::ports::Spawner::spawn(
                &spawner,
                "sleeper",
                Box::pin(async move {
                    for n in 1..=100 {
                        task.sleep_until(second(n)).await;
                        tokio::task::yield_now().await;
                    }
                    done.send(task.now()).unwrap();
                }),
            );
            waits.await.unwrap()
        });
        assert_eq!(reached, second(100));
    }

    #[tokio::test]
    async fn by_hand_it_stands_still_until_moved_and_forgets_who_gave_up() {
        let clock = ManualClock::new();
        let mut sleep = clock.sleep_until(second(10));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        clock.advance(Duration::from_millis(9_999));
        assert!(futures_util::poll!(&mut sleep).is_pending());
        assert_eq!(clock.sleepers(), 1);
        drop(sleep);
        assert_eq!((clock.sleepers(), clock.advance_to_next_deadline()), (0, false));
        clock.advance_to(second(3));
        assert_eq!(clock.now(), Moment::from_origin(Duration::from_millis(9_999)), "time never goes back");
        let passed = select(clock.sleep_until(second(1)), std::future::pending::<()>()).await;
        assert!(matches!(passed, futures_util::future::Either::Left(_)));
    }

    #[test]
    fn the_wall_clock_may_jump_and_monotonic_time_does_not_notice() {
        let clock = ManualClock::at(Timestamp::from_millis(5_000));
        clock.advance(Duration::from_secs(2));
        assert_eq!(clock.wall(), Timestamp::from_millis(7_000));
        clock.set_wall(Timestamp::from_millis(1));
        clock.advance(Duration::from_secs(1));
        assert_eq!((clock.now(), clock.wall()), (second(3), Timestamp::from_millis(1_001)));
    }
}
