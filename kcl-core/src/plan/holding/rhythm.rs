//! How renewals and the checkpoints that user code asks for share their writes.

use std::time::Duration;

use crate::types::Moment;

/// How often user code asks for its position to be stored.
///
/// Such a checkpoint is written at once and is a renewal as well. Asked for a little more seldom than the lease is renewed,
/// each would come just after a renewal, and the lease cost two writes a period. So the renewal waits for the next request
/// where one is to be expected.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rhythm {
    asked: Option<Moment>,
    interval: Option<Duration>,
}

impl Rhythm {
    /// User code asks.
    pub(super) fn asked(&mut self, now: Moment) {
        self.interval = self.asked.replace(now).map(|before| now.since(before));
    }

    /// How long after a write the next renewal is due, at latest 2F/3: what is left is as long as the usual time between two
    /// renewals, enough for several attempts. `renewal`: F/3.
    pub(super) fn period(&self, renewal: Duration, now: Moment) -> Duration {
        let (Some(asked), Some(interval)) = (self.asked, self.interval) else { return renewal };
        if interval < renewal || now.since(asked) > 2 * interval {
            return renewal;
        }
        // As many writes as there are whole periods between two requests, the last of them the request itself, with a tenth
        // to spare for requests that come late.
        let writes = (interval.as_secs_f64() / renewal.as_secs_f64()).floor();
        interval.div_f64(writes).mul_f64(1.1).clamp(renewal, 2 * renewal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENEWAL: Duration = Duration::from_secs(3);

    fn at(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    fn period(interval: u64) -> u128 {
        let mut rhythm = Rhythm::default();
        rhythm.asked(at(1_000));
        rhythm.asked(at(1_000 + interval));
        rhythm.period(RENEWAL, at(1_000 + interval)).as_millis()
    }

    #[test]
    fn the_renewal_waits_for_a_request_that_is_to_be_expected() {
        assert_eq!(period(4_000), 4_400, "just after the next request");
        assert_eq!(period(5_900), 6_000, "but two thirds of the failover time at most");
        assert_eq!(period(7_000), 3_850, "one renewal between two requests");
        assert_eq!(period(60_000), 3_300);
    }

    #[test]
    fn without_a_rhythm_renewals_come_as_always() {
        let mut rhythm = Rhythm::default();
        assert_eq!(rhythm.period(RENEWAL, at(0)), RENEWAL);
        rhythm.asked(at(0));
        assert_eq!(rhythm.period(RENEWAL, at(0)), RENEWAL, "once is no rhythm");
        rhythm.asked(at(4_000));
        assert_eq!(rhythm.period(RENEWAL, at(12_001)), RENEWAL, "the requests have stopped");
        assert_eq!(period(100), 3_000, "who asks often renews with each request");
    }
}
