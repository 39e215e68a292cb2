//! True time: one queue of what happens when. No machine of a simulation sees it; each has a clock of its own.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// True time since the beginning of a run.
pub(crate) type At = Duration;

/// The queue. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Timeline {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    now: At,
    /// Numbers the entries: what is due at one instant happens in the order in which it was asked for.
    next: u64,
    queue: BTreeMap<(At, u64), Due>,
    /// How often somebody asked for the time since it last moved on.
    asked: u64,
    spun: bool,
}

/// Whoever asks for the time so often at one instant waits for it to move on without letting it.
const SPINNING: u64 = 300_000;

enum Due {
    Wake(Waker),
    Act(Box<dyn FnOnce() + Send>),
}

impl Timeline {
    /// The time. A task that spins, asking for it again and again, is ended by a panic: nothing else would.
    pub(crate) fn now(&self) -> At {
        let mut state = self.lock();
        state.asked += 1;
        if state.asked > SPINNING {
            (state.asked, state.spun) = (0, true);
            drop(state);
            // Unlike `panic!` this does not call the hook that prints.
            std::panic::resume_unwind(Box::new("spins while no time passes"));
        }
        state.now
    }

    /// Whether a task has spun.
    pub(crate) fn has_spun(&self) -> bool {
        self.lock().spun
    }

    /// Does something later, whatever becomes of those who asked for it: a message on its way.
    pub(crate) fn after(&self, delay: Duration, act: impl FnOnce() + Send + 'static) {
        let mut state = self.lock();
        let at = state.now + delay;
        state.push(at, Due::Act(Box::new(act)));
    }

    /// Waits. Dropping the future forgets the wait.
    pub(crate) fn sleep(&self, delay: Duration) -> Sleep {
        self.sleep_until(self.now() + delay)
    }

    /// Waits until `at`.
    pub(crate) fn sleep_until(&self, at: At) -> Sleep {
        Sleep { timeline: self.clone(), at, waiting: None }
    }

    /// When the next thing happens.
    pub(crate) fn next_due(&self) -> Option<At> {
        self.lock().queue.keys().next().map(|(at, _)| *at)
    }

    /// Lets the next thing happen. Does nothing if there is none.
    pub(crate) fn fire_next(&self) {
        let due = {
            let mut state = self.lock();
            let Some(((at, _), due)) = state.queue.pop_first() else { return };
            state.advance_to(at);
            due
        };
        // Outside the lock: both may ask for the time.
        match due {
            Due::Wake(waker) => waker.wake(),
            Due::Act(act) => act(),
        }
    }

    /// Moves on to `at`, before which nothing is due.
    pub(crate) fn advance_to(&self, at: At) {
        let mut state = self.lock();
        debug_assert!(state.queue.keys().next().is_none_or(|(due, _)| *due >= at), "something would be skipped");
        state.advance_to(at);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn advance_to(&mut self, at: At) {
        if at > self.now {
            (self.now, self.asked) = (at, 0);
        }
    }

    fn push(&mut self, at: At, due: Due) -> (At, u64) {
        let key = (at, self.next);
        self.next += 1;
        self.queue.insert(key, due);
        key
    }
}

/// A wait on the timeline.
pub(crate) struct Sleep {
    timeline: Timeline,
    at: At,
    waiting: Option<(At, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = this.timeline.lock();
        if state.now >= this.at {
            return Poll::Ready(());
        }
        match this.waiting.and_then(|key| state.queue.get_mut(&key)) {
            Some(Due::Wake(waker)) => waker.clone_from(context.waker()),
            _ => this.waiting = Some(state.push(this.at, Due::Wake(context.waker().clone()))),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(key) = self.waiting else { return };
        let forgotten = self.timeline.lock().queue.remove(&key);
        // Outside the lock: the waker may be the last one of its task.
        drop(forgotten);
    }
}
