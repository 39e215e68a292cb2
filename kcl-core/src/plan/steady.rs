//! An average over the last minutes, as an observer keeps it.

use std::time::Duration;

use crate::types::{Moment, Throughput};

/// What a lease carries over time. What its holder writes follows every burst within seconds; a spread that followed it, too,
/// would never come to rest.
///
/// Each figure weighs half as much for each minute of its age. The first ones, before a minute is over, weigh the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SteadyThroughput {
    sum: f64,
    weight: f64,
    last: Moment,
}

/// After this time a figure weighs half.
const HALF: Duration = Duration::from_secs(60);

impl SteadyThroughput {
    /// Begins with what was read now.
    fn new(value: f64, now: Moment) -> Self {
        SteadyThroughput { sum: value, weight: 1.0, last: now }
    }

    /// Takes in what a row says now. Figures that make no sense count as none.
    pub(crate) fn observe(before: Option<Self>, read: Option<Throughput>, now: Moment) -> Option<Self> {
        let read = read.map(|Throughput(value)| value).filter(|value| (0.0..MOST).contains(value));
        match (before, read) {
            (Some(before), Some(value)) => Some(before.with(value, now)),
            (None, Some(value)) => Some(SteadyThroughput::new(value, now)),
            (before, None) => before,
        }
    }

    fn with(self, value: f64, now: Moment) -> Self {
        let passed = now.since(self.last).as_secs_f64();
        let kept = 0.5_f64.powf(passed / HALF.as_secs_f64());
        SteadyThroughput { sum: self.sum * kept + value * passed, weight: self.weight * kept + passed, last: now }
    }

    /// The average.
    pub(crate) fn value(self) -> Throughput {
        Throughput(self.sum / self.weight)
    }
}

/// No shard carries as much, in KiB/s; an average with such a figure in it would be worthless.
const MOST: f64 = 1e9;

#[cfg(test)]
mod tests {
    use super::*;

    fn average(figures: impl IntoIterator<Item = (u64, f64)>) -> Option<f64> {
        let steady = figures.into_iter().fold(None, |before, (second, value)| {
            let now = Moment::from_origin(Duration::from_secs(second));
            SteadyThroughput::observe(before, Some(Throughput(value)), now)
        });
        steady.map(|steady| steady.value().0)
    }

    #[test]
    fn a_steady_figure_is_its_own_average() {
        let value = average((0..100).map(|second| (2 * second, 7.0))).unwrap();
        assert!((value - 7.0).abs() < 1e-9, "{value}");
    }

    #[test]
    fn a_burst_of_seconds_hardly_shows_and_a_change_does_after_minutes() {
        let burst = average((0..200).map(|n| (2 * n, if (150..155).contains(&n) { 1000.0 } else { 100.0 }))).unwrap();
        assert!(burst < 200.0, "{burst}");
        let change =
            |minutes: u64| average((0..300 + 30 * minutes).map(|n| (2 * n, if n < 300 { 100.0 } else { 200.0 })));
        assert!((change(1).unwrap() - 150.0).abs() < 2.0 && change(5).unwrap() > 195.0, "{:?}", change(1));
    }

    #[test]
    fn the_first_figure_does_not_count_for_long() {
        assert!(average([(0, 1000.0), (2, 10.0), (4, 10.0), (6, 10.0), (8, 10.0)]).unwrap() < 125.0);
    }

    #[test]
    fn figures_that_make_no_sense_are_passed_over() {
        assert_eq!(average([(0, f64::NAN), (2, -1.0), (4, f64::INFINITY), (6, 1e300)]), None);
        assert_eq!(average([(0, 5.0), (2, f64::NAN)]), Some(5.0));
        let nothing = SteadyThroughput::observe(None, None, Moment::default());
        assert_eq!(nothing, None);
    }
}
