//! What befalls a fleet, and how long it takes until all is well: the samples of one seed, in seconds.

use std::time::Duration;

use super::fleet::{Fleet, Shape, Stuck};
use crate::sim::executor::ProcessId;
use crate::sim::timeline::At;

/// What has not happened after this time never will.
const NEVER: Duration = Duration::from_secs(180);

/// A fleet of 4 to 10 workers with 10 leases each.
fn some_fleet(seed: u64) -> Result<Fleet, Stuck> {
    let workers = 4 + (seed % 7) as usize;
    Fleet::settled(seed, Shape::new(workers, workers * 10))
}

/// From one instant to another; infinite if that never came.
fn seconds(from: At, to: Option<At>) -> f64 {
    to.map_or(f64::INFINITY, |to| to.saturating_sub(from).as_secs_f64())
}

pub(super) fn crash_of_a_worker(seed: u64) -> Result<Vec<f64>, Stuck> {
    let mut fleet = some_fleet(seed)?;
    let (leader, _) = fleet.leaders();
    let others: Vec<ProcessId> = fleet.processes().into_iter().filter(|process| Some(*process) != leader).collect();
    let gone = others[fleet.random.usize(..others.len())];
    crash(&mut fleet, &[gone])
}

pub(super) fn crash_of_the_leader(seed: u64) -> Result<Vec<f64>, Stuck> {
    let mut fleet = some_fleet(seed)?;
    let (leader, _) = fleet.leaders();
    crash(&mut fleet, &[leader.ok_or_else(|| Stuck::new("nobody leads"))?])
}

pub(super) fn crash_of_leader_and_standby(seed: u64) -> Result<Vec<f64>, Stuck> {
    let mut fleet = some_fleet(seed)?;
    let (leader, standby) = fleet.leaders();
    let both = leader.zip(standby).ok_or_else(|| Stuck::new("there is no leader with a standby"))?;
    crash(&mut fleet, &[both.0, both.1])
}

/// For each lease of those who crash, the time to its first record elsewhere.
fn crash(fleet: &mut Fleet, gone: &[ProcessId]) -> Result<Vec<f64>, Stuck> {
    let at = fleet.now();
    let lost = fleet.journal.read_by(gone);
    for process in gone {
        fleet.crash(*process);
    }
    fleet.wait(NEVER, |fleet| lost.iter().all(|shard| fleet.journal.first_since(*shard, at).is_some()))?;
    Ok(lost.iter().map(|shard| seconds(at, fleet.journal.first_since(*shard, at))).collect())
}

/// From the end of user code at A to the first record at B.
pub(super) fn planned_move(seed: u64) -> Result<Vec<f64>, Stuck> {
    let moved = moves(seed)?;
    Ok(moved.into_iter().map(|moved| seconds(moved.drained, moved.first)).collect())
}

/// From the last record at A to the first one at B.
pub(super) fn planned_move_between_records(seed: u64) -> Result<Vec<f64>, Stuck> {
    let moved = moves(seed)?;
    Ok(moved.into_iter().map(|moved| seconds(moved.last, moved.first)).collect())
}

struct Moved {
    last: At,
    drained: At,
    first: Option<At>,
}

/// The moves that a worker brings about which joins.
fn moves(seed: u64) -> Result<Vec<Moved>, Stuck> {
    let mut fleet = some_fleet(seed)?;
    let at = fleet.now();
    fleet.join();
    fleet.wait(NEVER, Fleet::is_even)?;
    let shards = fleet.journal.shards();
    let moved = shards.iter().filter_map(|tenures| {
        let (from, to) = (tenures.iter().rfind(|tenure| tenure.drained.is_some_and(|end| end > at))?, tenures.last()?);
        Some(Moved { last: from.last?, drained: from.drained?, first: to.first })
    });
    Ok(moved.collect())
}

/// From the end of the last user code at who stops to the first record of the last of its leases elsewhere.
pub(super) fn stop_of_a_worker(seed: u64) -> Result<Vec<f64>, Stuck> {
    let mut fleet = some_fleet(seed)?;
    let (at, all) = (fleet.now(), fleet.processes());
    let gone = all[fleet.random.usize(..all.len())];
    let left = fleet.journal.read_by(&[gone]);
    fleet.stop(gone);
    fleet.wait(NEVER, |fleet| left.iter().all(|shard| fleet.journal.first_since(*shard, at).is_some()))?;
    let drained = {
        let shards = fleet.journal.shards();
        let of_gone = left.iter().flat_map(|shard| &shards[*shard]).filter(|tenure| tenure.process == gone);
        of_gone.filter_map(|tenure| tenure.drained).max().unwrap_or(at)
    };
    let in_use = left.iter().map(|shard| fleet.journal.first_since(*shard, at));
    Ok(vec![in_use.map(|first| seconds(drained, first)).fold(0.0, f64::max)])
}

/// From the start of a worker to the first record of the last lease of its share.
pub(super) fn join(seed: u64) -> Result<Vec<f64>, Stuck> {
    let (workers, leases) = ([1, 4, 9, 49][seed as usize % 4], 1_000);
    let mut fleet = Fleet::settled(seed, Shape::new(workers, leases))?;
    let (at, share) = (fleet.now(), leases / (workers + 1));
    let new = fleet.join();
    fleet.wait(NEVER, |fleet| fleet.journal.read_by(&[new]).len() >= share)?;
    let mut firsts: Vec<At> = {
        let shards = fleet.journal.shards();
        shards.iter().flatten().filter(|tenure| tenure.process == new).filter_map(|tenure| tenure.first).collect()
    };
    firsts.sort_unstable();
    Ok(vec![seconds(at, firsts.get(share - 1).copied())])
}

/// From the start of one worker, or of several at once, to the first record.
pub(super) fn cold_start(seed: u64) -> Result<Vec<f64>, Stuck> {
    let firsts = start_together(seed)?;
    Ok(vec![firsts.iter().map(|first| seconds(At::ZERO, *first)).fold(f64::INFINITY, f64::min)])
}

/// The same to the first record of the last shard.
pub(super) fn cold_start_of_all(seed: u64) -> Result<Vec<f64>, Stuck> {
    let firsts = start_together(seed)?;
    Ok(vec![firsts.iter().map(|first| seconds(At::ZERO, *first)).fold(0.0, f64::max)])
}

fn start_together(seed: u64) -> Result<Vec<Option<At>>, Stuck> {
    let (workers, leases) = ([1, 2, 10, 50][seed as usize % 4], 1_000);
    let mut fleet = Fleet::new(seed, Shape::new(workers, leases));
    for _ in 0..workers {
        fleet.join();
    }
    let first = |fleet: &Fleet| -> Vec<Option<At>> {
        (0..leases).map(|shard| fleet.journal.first_since(shard, At::ZERO)).collect()
    };
    fleet.wait(NEVER, |fleet| first(fleet).iter().all(Option::is_some))?;
    Ok(first(&fleet))
}

/// From the start of several workers at once to the last change of an even spread that stays so.
pub(super) fn even_spread(seed: u64) -> Result<Vec<f64>, Stuck> {
    let workers = 2 + (seed % 9) as usize;
    let mut fleet = Fleet::new(seed, Shape::new(workers, workers * 10));
    for _ in 0..workers {
        fleet.join();
    }
    let even = fleet.wait(NEVER, Fleet::is_even)?;
    fleet.run_for(Duration::from_secs(60))?;
    let last = {
        let shards = fleet.journal.shards();
        shards.iter().flatten().filter_map(|tenure| tenure.first).max()
    };
    Ok(vec![seconds(At::ZERO, last.filter(|_| even && fleet.is_even()))])
}
