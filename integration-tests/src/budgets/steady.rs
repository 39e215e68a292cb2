//! What a fleet at rest asks of the table.

use std::time::Duration;

use super::fleet::{Fleet, Shape, Stuck};
use super::traffic::{Call, Counts, Traffic};

/// How long a fleet at rest is looked at.
const LOOK: Duration = Duration::from_secs(300);

/// What a holder writes.
const HOLDERS: &[Call] = &[Call::Renewal, Call::Checkpoint, Call::LeaseChange];

/// Everything that is conditional.
const WRITES: &[Call] =
    &[Call::Renewal, Call::Checkpoint, Call::LeaseChange, Call::WorkerRow, Call::Notice, Call::LeaderRow];

const READS: &[Call] = &[Call::GetLease, Call::GetWorker, Call::GetLeader, Call::ScanPage, Call::IndexPage];

/// A fleet that stores positions at any rate up to one per period, each seed at another one.
fn storing_fleet(seed: u64) -> Result<(Fleet, f64), Stuck> {
    let interval = [None, Some(3_334), Some(3_500), Some(4_000), Some(5_000), Some(7_500), Some(20_000)];
    let mut shape = Shape::new(5, 50);
    shape.checkpoint_interval = interval[seed as usize % interval.len()].map(Duration::from_millis);
    Ok((Fleet::settled(seed, shape)?, shape.leases as f64))
}

/// Writes to lease rows per lease and minute.
pub(super) fn writes(seed: u64) -> Result<Vec<f64>, Stuck> {
    let (mut fleet, leases) = storing_fleet(seed)?;
    let traffic = look(&mut fleet)?;
    Ok(vec![traffic.sum(HOLDERS).calls as f64 / leases / minutes()])
}

/// The same where handlers ask for checkpoints themselves.
pub(super) fn writes_on_demand(seed: u64) -> Result<Vec<f64>, Stuck> {
    let every = [4, 5, 7, 10, 20, 60][seed as usize % 6];
    let mut shape = Shape::new(5, 50);
    shape.habits.asks = Some(Duration::from_secs(every));
    let mut fleet = Fleet::settled(seed, shape)?;
    let traffic = look(&mut fleet)?;
    Ok(vec![traffic.sum(HOLDERS).calls as f64 / shape.leases as f64 / minutes()])
}

/// The share of writes whose condition did not hold, in percent, beyond the share of calls that were not answered: half of
/// the seeds with a table that answers every call, half with one that leaves up to 2 % unanswered.
pub(super) fn failed_writes(seed: u64) -> Result<Vec<f64>, Stuck> {
    let (mut fleet, _) = storing_fleet(seed / 2)?;
    fleet.table.leave_unanswered([0.0, 0.001, 0.0, 0.005, 0.0, 0.02][seed as usize % 6]);
    let Counts { calls, failed, unanswered, .. } = look(&mut fleet)?.sum(WRITES);
    Ok(vec![100.0 * (failed as f64 - unanswered as f64).max(0.0) / calls as f64])
}

fn minutes() -> f64 {
    LOOK.as_secs_f64() / 60.0
}

fn look(fleet: &mut Fleet) -> Result<Traffic, Stuck> {
    let before = fleet.table.traffic();
    fleet.run_for(LOOK)?;
    Ok(fleet.table.traffic().since(&before))
}

/// What a fleet at rest asks of the table, per minute.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// How many leases there are.
    pub leases: usize,
    /// How many workers.
    pub workers: usize,
    /// Writes of holders that renew and store nothing.
    pub renewals: f64,
    /// Writes of holders that store a position, and renew by that.
    pub checkpoints: f64,
    /// Leases that changed hands, began or ended.
    pub changes: f64,
    /// Writes of workers' rows, with notices.
    pub worker_rows: f64,
    /// Writes of the leader row.
    pub leader_row: f64,
    /// Writes whose condition did not hold.
    pub failed: f64,
    /// Reads of single rows: a worker's own, the leader's, leases.
    pub gets: f64,
    /// Pages of scans and of the index.
    pub pages: f64,
    /// Capacity units of all writes.
    pub write_units: f64,
    /// Capacity units of all reads.
    pub read_units: f64,
}

/// Looks at a fleet of this size once it is at rest.
///
/// # Errors
/// If it does not come to rest.
pub fn cost(seed: u64, leases: usize, workers: usize) -> Result<Cost, Stuck> {
    let mut fleet = Fleet::settled(seed, Shape::new(workers, leases))?;
    let traffic = look(&mut fleet)?;
    let per_minute = |calls: &[Call]| traffic.sum(calls).calls as f64 / minutes();
    Ok(Cost {
        leases,
        workers,
        renewals: per_minute(&[Call::Renewal]),
        checkpoints: per_minute(&[Call::Checkpoint]),
        changes: per_minute(&[Call::LeaseChange]),
        worker_rows: per_minute(&[Call::WorkerRow, Call::Notice]),
        leader_row: per_minute(&[Call::LeaderRow]),
        failed: traffic.sum(WRITES).failed as f64 / minutes(),
        gets: per_minute(&[Call::GetLease, Call::GetWorker, Call::GetLeader]),
        pages: per_minute(&[Call::ScanPage, Call::IndexPage]),
        write_units: traffic.sum(WRITES).units / minutes(),
        read_units: traffic.sum(READS).units / minutes(),
    })
}
