//! A clock that moves when somebody waits for it.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;

use crate::ports::Clock;
use crate::types::{Moment, Timestamp};

/// Starts an hour after its origin. Of the time that passes only what somebody waited for counts.
#[derive(Debug)]
pub(super) struct TestClock(Mutex<Moment>);

impl Default for TestClock {
    fn default() -> Self {
        TestClock(Mutex::new(Moment::from_origin(Duration::from_secs(3_600))))
    }
}

impl TestClock {
    pub(super) fn advance(&self, by: Duration) {
        let mut now = self.0.lock().unwrap();
        *now = *now + by;
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Moment {
        *self.0.lock().unwrap()
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    #[expect(clippy::disallowed_methods, reason = "the time of the tests is paused")]
    async fn sleep_until(&self, deadline: Moment) {
        if deadline <= self.now() {
            return;
        }
        // Of a runtime whose time is paused: over as soon as nothing else can happen.
        tokio::time::sleep(deadline.since(self.now())).await;
        let mut now = self.0.lock().unwrap();
        *now = deadline.max(*now);
    }
}
