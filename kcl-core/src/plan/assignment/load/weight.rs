//! What leases weigh.

use crate::plan::assignment::snapshot::{LeaseState, Snapshot};
use crate::types::Throughput;

/// The weight that every lease has, as a part of the mean throughput.
const BASE: f64 = 0.25;
/// And at least, in KiB/s.
const LEAST_BASE: f64 = 1.0;
/// A figure of a row may be anything; a mean with one beyond this would be worthless.
const MOST: f64 = 1e9;

/// What makes a weight of a throughput.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    mean: f64,
    base: f64,
}

impl Scale {
    pub(super) fn of(snapshot: &Snapshot<'_>) -> Self {
        let readable = snapshot.leases().iter().filter(|lease| lease.readable);
        let (sum, count) = readable.filter_map(measured).fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
        let mean = if count > 0.0 { sum / count } else { 0.0 };
        Scale { mean, base: (mean * BASE).max(LEAST_BASE) }
    }

    pub(super) fn weigh(self, lease: &LeaseState<'_>) -> f64 {
        measured(lease).unwrap_or(self.mean) + self.base
    }
}

fn measured(lease: &LeaseState<'_>) -> Option<f64> {
    let Throughput(measured) = lease.throughput?;
    (0.0..MOST).contains(&measured).then_some(measured)
}

/// A load as a number that sorts: loads are never negative, so their bits are in the order of their values.
pub(super) fn ordered(load: f64) -> u64 {
    load.max(0.0).to_bits()
}
