//! What a lease carries: an average that its holder keeps from the bytes that were completed.

use std::time::Duration;

use crate::types::{Moment, Throughput};

/// An average in KiB/s of which half is renewed with each renewal period, as the KCL has it: an idle minute takes a lease to
/// nothing, and a burst does not move it for ever.
#[derive(Debug, Clone)]
pub(super) struct Average {
    value: f64,
    /// Completed since the last sample.
    bytes: u64,
    sampled: Moment,
    /// There was something to say: a lease that never carried anything says nothing.
    known: bool,
}

impl Average {
    /// Goes on with what the row said when the tenure began.
    pub(super) fn new(stored: Option<Throughput>, now: Moment) -> Self {
        let stored = stored.map(|Throughput(value)| value).filter(|value| value.is_finite() && *value >= 0.0);
        Average { value: stored.unwrap_or(0.0), bytes: 0, sampled: now, known: stored.is_some() }
    }

    pub(super) fn add(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.known |= bytes > 0;
    }

    /// The average now. Samples that follow each other closely weigh less.
    pub(super) fn sample(&mut self, now: Moment, period: Duration) -> Option<Throughput> {
        let time = now.since(self.sampled);
        if !time.is_zero() && !period.is_zero() {
            let rate = self.bytes as f64 / 1024.0 / time.as_secs_f64();
            let kept = 0.5_f64.powf(time.as_secs_f64() / period.as_secs_f64());
            self.value = self.value * kept + rate * (1.0 - kept);
            (self.bytes, self.sampled) = (0, now);
        }
        if self.value < LEAST {
            self.value = 0.0;
        }
        self.known.then_some(Throughput(self.value))
    }
}

/// Less than a byte a second is nothing.
const LEAST: f64 = 0.001;

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(3);

    fn seconds(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn half_of_the_average_is_renewed_with_each_period_however_often_it_is_sampled() {
        let (mut once, mut often) = (Average::new(None, seconds(0)), Average::new(None, seconds(0)));
        once.add(3 * 1024);
        assert_eq!(once.sample(seconds(3), PERIOD), Some(Throughput(0.5)));
        for second in 1..=3 {
            often.add(1024);
            let _ = often.sample(seconds(second), PERIOD);
        }
        let Some(Throughput(value)) = often.sample(seconds(3), PERIOD) else { panic!("it carried something") };
        assert!((value - 0.5).abs() < 1e-9, "{value}");
        assert_eq!(once.sample(seconds(6), PERIOD), Some(Throughput(0.25)));
        assert_eq!(once.sample(seconds(100), PERIOD), Some(Throughput(0.0)));
    }

    #[test]
    fn a_lease_that_never_carried_anything_says_nothing_and_one_that_did_goes_on() {
        assert_eq!(Average::new(None, seconds(0)).sample(seconds(3), PERIOD), None);
        let mut stored = Average::new(Some(Throughput(8.0)), seconds(0));
        assert_eq!(stored.sample(seconds(3), PERIOD), Some(Throughput(4.0)));
        assert_eq!(Average::new(Some(Throughput(f64::NAN)), seconds(0)).sample(seconds(3), PERIOD), None);
    }
}
