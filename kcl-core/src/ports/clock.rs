//! Time as a seam.

use std::fmt::Debug;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::types::{Moment, Timestamp};

/// Where all time comes from.
///
/// # Contract
/// - [`now`](Clock::now) never goes back, and it counts the time the machine was suspended: a worker that slept through
///   its lease must know it when it wakes.
/// - [`wall`](Clock::wall) may jump. It is only stored and shown.
/// - [`sleep_until`](Clock::sleep_until) returns at or after the deadline, and at once if it has passed. It is cancel
///   safe: dropping the future forgets the wait.
#[async_trait]
pub trait Clock: Debug + Send + Sync + 'static {
    /// The monotonic time.
    fn now(&self) -> Moment;

    /// The wall time.
    fn wall(&self) -> Timestamp;

    /// Waits until `deadline`.
    async fn sleep_until(&self, deadline: Moment);

    /// Waits until `deadline`, and wakes within a tenth of a second where the machine was suspended meanwhile and the
    /// deadline passed. For the one place that must notice at once that its time is over; it may cost wake-ups.
    ///
    /// A clock whose waits count suspend anyway, or whose machine is never suspended, keeps this.
    async fn sleep_until_even_suspended(&self, deadline: Moment) {
        self.sleep_until(deadline).await;
    }
}

/// The machine's clocks, with tokio's timer for waiting.
///
/// Monotonic time is `CLOCK_BOOTTIME` on Linux, the monotonic clock (which counts suspend there) on Apple systems.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clocks.
    pub fn new() -> Self {
        SystemClock
    }
}

/// How often the clock is looked at while a deadline must not be missed by long: one task of a worker does, and a look costs
/// about a microsecond.
const LOOK_AT_CLOCK: Duration = Duration::from_millis(50);

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Moment {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let id = rustix::time::ClockId::Boottime;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let id = rustix::time::ClockId::Monotonic;
        let spec = rustix::time::clock_gettime(id);
        let seconds = u64::try_from(spec.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(spec.tv_nsec).unwrap_or(0);
        Moment::from_origin(Duration::new(seconds, nanos))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one file that reads the system clock")]
    fn wall(&self) -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits for real")]
    async fn sleep_until(&self, deadline: Moment) {
        // Tokio's timer does not count suspend, so after a wake-up of the machine it may fire late; whoever holds a
        // lease compares `now` before it acts, so lateness here never becomes a lease held too long.
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one file that waits for real")]
    async fn sleep_until_even_suspended(&self, deadline: Moment) {
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(LOOK_AT_CLOCK)).await;
        }
    }
}
