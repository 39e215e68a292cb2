//! Holding input back to a rate.

use std::num::NonZeroU32;
use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::Moment;

/// Lets so many records a second pass, in portions of 20 ms, evenly over time.
#[derive(Debug)]
pub struct Pace {
    clock: SystemClock,
    rate: Option<NonZeroU32>,
    begun: Option<Moment>,
    passed: u64,
    allowed: u64,
}

impl Pace {
    /// A pace of `rate` records a second; none lets everything pass.
    pub fn new(rate: Option<NonZeroU32>) -> Self {
        Pace { clock: SystemClock::new(), rate, begun: None, passed: 0, allowed: 0 }
    }

    /// Waits until one more record may pass. The rate counts from the first call.
    pub async fn pass(&mut self) {
        let Some(rate) = self.rate else { return };
        while self.passed >= self.allowed {
            let now = self.clock.now();
            let begun = *self.begun.get_or_insert(now);
            self.allowed = due(rate, now.since(begun));
            if self.passed >= self.allowed {
                let next = begun + Duration::from_nanos(self.passed * 1_000_000_000 / u64::from(rate.get()));
                self.clock.sleep_until(next.max(now + PORTION)).await;
            }
        }
        self.passed += 1;
    }
}

/// How many records may have passed after this time. The first one need not wait.
fn due(rate: NonZeroU32, elapsed: Duration) -> u64 {
    1 + u64::try_from(elapsed.as_micros() * u128::from(rate.get()) / 1_000_000).unwrap_or(u64::MAX - 1)
}

/// Timers are no finer than a millisecond, and a call for each record costs more than one for twenty.
const PORTION: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_met_over_time() {
        for (rate, millis, expected) in
            [(1, 0, 1), (1, 999, 1), (1, 1000, 2), (1000, 500, 501), (4_000_000_000, 1000, 4_000_000_001)]
        {
            let rate = NonZeroU32::new(rate).unwrap();
            assert_eq!(due(rate, Duration::from_millis(millis)), expected, "{rate}/s after {millis} ms");
        }
    }
}
