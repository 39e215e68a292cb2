//! What must be so some time after the last fault.

use std::collections::BTreeMap;

use super::{Checker, Life, ShardState};
use crate::sim::executor::ProcessId;
use crate::sim::observation::Ordinal;
use crate::sim::timeline::At;

impl Checker {
    /// Shards that could be read and were not, by the one who holds them, since the faults ended; with the reason. Where
    /// user code does not come to an end, that takes as long as it is given time for.
    pub(crate) fn unread(&self) -> Option<String> {
        self.unread_where(|state| state.tarrying.is_empty())
    }

    fn unread_where(&self, counts: impl Fn(&ShardState) -> bool) -> Option<String> {
        let since = self.calm_since.unwrap_or_default();
        let due = self.shards.iter().filter(|(_, state)| self.is_due(state) && !state.has_ended());
        let due = due.filter(|(_, state)| counts(state));
        due.filter_map(|(shard, state)| Some(format!("{shard} {}", self.not_read(state, since)?))).next()
    }

    /// What is not yet as it should be for good, `now`: with this many records on their way.
    pub(crate) fn unsettled(&self, now: At) -> Option<String> {
        self.unread_where(|_| true).or_else(|| self.unfinished(now)).or_else(|| self.uneven())
    }

    /// Records that arrived longer ago than this are completed, and what is complete has ended.
    pub(crate) fn unfinished(&self, now: At) -> Option<String> {
        for (shard, state) in &self.shards {
            let old = state.records.partition_point(|record| record.at + LAG <= now) as Ordinal;
            if state.completed < old {
                return Some(format!("{shard} is completed before {}, but {old} records are old", state.completed));
            }
            if state.is_done() && self.is_due(state) && !state.has_ended() {
                return Some(format!("{shard} is done but has not ended"));
            }
            if let Some(row) = state.row.as_ref().filter(|row| row.checkpoint_owner.is_some()) {
                return Some(format!("{shard} is pending: {}", super::row_text(Some(row))));
            }
        }
        None
    }

    /// Each worker that runs holds floor or ceil of the shards that can be read.
    fn uneven(&self) -> Option<String> {
        let mut counts: BTreeMap<&str, usize> = self.running().map(|(_, worker)| (worker, 0)).collect();
        let mut readable = 0;
        for state in self.shards.values().filter(|state| self.is_due(state) && !state.has_ended()) {
            readable += 1;
            let holder = state.row.as_ref().and_then(|row| row.holder());
            if let Some(count) = holder.and_then(|holder| counts.get_mut(holder.as_str())) {
                *count += 1;
            }
        }
        let workers = counts.len().max(1);
        let (least, most) = (readable / workers, readable.div_ceil(workers));
        let even = counts.values().all(|count| (least..=most).contains(count));
        (!even).then(|| format!("the spread is not even: {counts:?}"))
    }

    /// After everybody has stopped: no lease is kept, and each says how far it is. Workers that stop together name each
    /// other as successors, so a row may name one that is gone; it has begun no tenure.
    pub(crate) fn not_handed_back(&self) -> Option<String> {
        if let Some((shard, state)) = self.shards.iter().find(|(_, state)| state.tenure.is_some()) {
            return Some(format!("{shard} is still held: {}", super::row_text(state.row.as_ref())));
        }
        let behind = |state: &ShardState| {
            let stored = state.row.as_ref().map(|row| super::after(&row.checkpoint));
            !state.has_ended() && self.is_due(state) && stored != Some(state.completed)
        };
        let (shard, state) = self.shards.iter().find(|(_, state)| behind(state))?;
        Some(format!(
            "{shard} is completed before {} and stored {}",
            state.completed,
            super::row_text(state.row.as_ref())
        ))
    }

    /// Workers that run, and their names.
    pub(crate) fn running(&self) -> impl Iterator<Item = (ProcessId, &str)> {
        let running = self.processes.iter().filter(|(_, state)| state.life == Life::Running);
        running.map(|(process, state)| (*process, state.worker.as_str()))
    }

    /// All parents have ended, so it can be read.
    fn is_due(&self, state: &ShardState) -> bool {
        state.parents.iter().all(|parent| self.shards.get(parent).is_some_and(ShardState::has_ended))
    }

    fn not_read(&self, state: &ShardState, since: At) -> Option<String> {
        let Some(row) = &state.row else { return Some("has no lease".to_owned()) };
        let Some(tenure) = &state.tenure else {
            return Some(format!("is held by nobody: {}", super::row_text(Some(row))));
        };
        let life = self.processes.get(&tenure.process).map(|process| process.life);
        if life != Some(Life::Running) {
            return Some(format!("is held by {}, which does not run", tenure.process));
        }
        let fetched = state.fetched.get(&tenure.process).is_some_and(|at| *at >= since.max(tenure.sent));
        (!fetched).then(|| format!("is held by {} and not read", tenure.process))
    }
}

/// How long a record may take in a calm fleet: a fetch at the tip, and the handler.
const LAG: std::time::Duration = std::time::Duration::from_secs(8);
