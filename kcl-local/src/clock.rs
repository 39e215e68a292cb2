//! Where the model's time comes from. The only file that reads a clock.

use std::fmt;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::model::Timestamp;

/// Wall time for the model.
///
/// # Contract
/// Cheap, and callable from any thread. It may go back: sequence numbers and arrival times then stand still until it
/// has caught up.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until the clock shows `deadline`. May end early; whoever waits looks at the clock again.
    ///
    /// Answers that are late by a [fault](crate::Fault) and subscriptions wait like this, nothing else does. Without an
    /// implementation of its own, a clock is waited for in tokio's time, which a test may have paused.
    #[expect(clippy::disallowed_methods, reason = "this file is the seam; tokio's clock is what it adapts")]
    fn sleep_until(&self, deadline: Timestamp) -> Sleep {
        Box::pin(tokio::time::sleep(deadline.since(self.now())))
    }
}

/// A wait for a clock.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam's real implementation")]
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still until a test moves it. Who waits for it waits until a test has moved it far enough.
#[derive(Debug)]
pub struct ManualClock(watch::Sender<Timestamp>);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self(watch::Sender::new(now))
    }

    /// Moves the clock on.
    pub fn advance(&self, duration: Duration) {
        self.0.send_modify(|now| *now = now.plus(duration));
    }

    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        self.0.send_replace(now);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep_until(&self, deadline: Timestamp) -> Sleep {
        let mut clock = self.0.subscribe();
        // An error means that the clock is gone, and with it whoever could move it.
        Box::pin(async move { drop(clock.wait_for(|now| *now >= deadline).await) })
    }
}

/// A clock that follows tokio's: where a test has paused that (`#[tokio::test(start_paused = true)]`), the model lives
/// in the same virtual time as the client under test.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    start: Timestamp,
    origin: tokio::time::Instant,
}

impl TokioClock {
    /// A clock that shows `start` now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this file is the seam; tokio's clock is what it adapts")]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { start, origin: tokio::time::Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.start.plus(self.origin.elapsed())
    }
}
