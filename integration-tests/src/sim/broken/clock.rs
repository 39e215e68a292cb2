//! A clock without monotonic time.

use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::Clock;
use kcl_core::types::{Moment, Timestamp};

use crate::sim::clock::{BEGINNING, Machine};

/// Its monotonic time follows the wall clock, jumps included.
#[derive(Debug)]
pub(super) struct WallClock(pub(super) Machine);

/// So long before the run it began, that it does not jump behind its origin.
const BEFORE: i64 = 1_000 * 3600 * 24;

/// Whoever waits looks at the clock this often: it may have jumped.
const SLICE: Duration = Duration::from_secs(1);

/// The clock has no finer steps.
const TICK: Duration = Duration::from_millis(1);

#[async_trait]
impl Clock for WallClock {
    fn now(&self) -> Moment {
        let millis = self.0.wall().as_millis() - BEGINNING + BEFORE;
        Moment::from_origin(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
    }

    fn wall(&self) -> Timestamp {
        self.0.wall()
    }

    async fn sleep_until(&self, deadline: Moment) {
        loop {
            let left = deadline.since(self.now());
            if left.is_zero() {
                return;
            }
            self.0.sleep_until(self.0.now() + left.clamp(TICK, SLICE)).await;
        }
    }
}
