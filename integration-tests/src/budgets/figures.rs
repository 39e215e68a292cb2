//! Samples, what they come to, and whether that is within the budget.

use std::fmt;

use super::fleet::Stuck;

/// What may at most become of an event.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The name on the command line.
    pub name: &'static str,
    /// What is measured.
    pub event: &'static str,
    /// All of these must hold.
    pub limits: &'static [Limit],
    /// What the figures are.
    pub unit: Unit,
    /// How many seeds of cheap rows one of this takes as long as: so many times fewer are run.
    pub effort: u64,
    pub(super) sample: fn(u64) -> Result<Vec<f64>, Stuck>,
}

impl Budget {
    /// The samples of these seeds.
    ///
    /// # Errors
    /// If a fleet did not come to rest, so that there was nothing to measure.
    pub fn measure(&self, seeds: impl IntoIterator<Item = u64>) -> Result<Figures, Stuck> {
        let mut samples = Vec::new();
        for seed in seeds {
            samples.extend((self.sample)(seed)?);
        }
        Ok(Figures::of(samples))
    }
}

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    /// Of the mean.
    Mean(f64),
    /// Of the 99th percentile.
    P99(f64),
    /// Of every sample.
    Max(f64),
}

impl Limit {
    /// Whether the figures are within it.
    pub fn holds(self, figures: &Figures) -> bool {
        match self {
            Limit::Mean(most) => figures.mean <= most,
            Limit::P99(most) => figures.p99 <= most,
            Limit::Max(most) => figures.max <= most,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Mean(most) => write!(f, "mean {most}"),
            Limit::P99(most) => write!(f, "p99 {most}"),
            Limit::Max(most) => write!(f, "max {most}"),
        }
    }
}

/// What a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Seconds of virtual time.
    Seconds,
    /// A number of calls.
    Count,
    /// A share of calls.
    Percent,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Seconds => "s",
            Unit::Count => "",
            Unit::Percent => "%",
        })
    }
}

/// What samples come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// How many there are.
    pub samples: usize,
    /// The arithmetic mean.
    pub mean: f64,
    /// Half of the samples are not above it.
    pub p50: f64,
    /// 99 % of the samples are not above it.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

impl Figures {
    /// Of any number of samples. Without any, all figures are infinite: what was never measured holds no budget.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let share = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1);
            samples.get(rank - 1).copied().unwrap_or(f64::INFINITY)
        };
        let sum: f64 = samples.iter().sum();
        let mean = if samples.is_empty() { f64::INFINITY } else { sum / samples.len() as f64 };
        Figures { samples: samples.len(), mean, p50: share(50), p99: share(99), max: share(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_rank() {
        let figures = Figures::of((1..=200).rev().map(f64::from).collect());
        assert_eq!((figures.p50, figures.p99, figures.max), (100.0, 198.0, 200.0));
        assert!((figures.mean - 100.5).abs() < 1e-9);
        assert_eq!(Figures::of(vec![7.0]).p99, 7.0);
    }

    #[test]
    fn a_budget_is_not_kept_by_what_was_never_measured() {
        assert!(!Limit::Max(1.0).holds(&Figures::of(Vec::new())));
        assert!(!Limit::Mean(1e9).holds(&Figures::of(vec![1.0, f64::INFINITY])));
        assert!(Limit::P99(1.0).holds(&Figures::of(vec![1.0])));
    }
}
