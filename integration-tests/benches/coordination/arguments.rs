//! The command line.

use std::ops::RangeInclusive;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use integration_tests::budgets::{BESIDES, BUDGETS};

/// Measures in virtual time how long coordination takes and what it costs, and says whether the budgets hold.
///
/// Exit code: 0 if all that were measured hold, 1 if not.
#[derive(Debug, Parser)]
#[command(name = "coordination")]
pub(crate) struct Arguments {
    /// How many fleets of each row; rows with large fleets take a fraction of them.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Only these rows.
    #[arg(long = "row", value_name = "NAME", value_parser = names())]
    rows: Vec<String>,
    /// Few seeds and small fleets: seconds instead of minutes.
    #[arg(long)]
    quick: bool,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn names() -> PossibleValuesParser {
    BUDGETS.iter().chain(BESIDES).map(|budget| budget.name).chain(["cost"]).collect::<Vec<_>>().into()
}

impl Arguments {
    /// Whether this row is measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.rows.is_empty() || self.rows.iter().any(|name| name == row)
    }

    /// The seeds of a row. Each row needs some, so that every size of its fleets is among them.
    pub(crate) fn seeds_of(&self, effort: u64) -> RangeInclusive<u64> {
        let seeds = if self.quick { self.seeds.min(14) } else { self.seeds };
        1..=seeds.div_ceil(effort).max(4)
    }

    /// Leases and workers of the table of costs.
    pub(crate) fn sizes(&self) -> Vec<(usize, usize)> {
        let (leases, workers): (&[usize], &[usize]) =
            if self.quick { (&[1, 100], &[1, 10]) } else { (&[1, 100, 1_000], &[1, 10, 50]) };
        leases.iter().flat_map(|leases| workers.iter().map(|workers| (*leases, *workers))).collect()
    }
}
