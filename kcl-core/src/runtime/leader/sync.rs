//! The leader's second half: leases for new shards, and none for those that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;

use super::Leader;
use super::cycle::AT_A_TIME;
use crate::error::WorkerError;
use crate::plan::departed::departed;
use crate::plan::shard_sync::absence::Absence;
use crate::plan::shard_sync::coverage::Hole;
use crate::plan::shard_sync::recreated::{Recreated, recreated};
use crate::plan::shard_sync::{self, cleaning, rows_of};
use crate::plan::transition;
use crate::runtime::shard_sync::{create, creation};
use crate::types::{
    Lease, LeaseKey, Moment, Row, StoreError, StreamId, StreamIdentity, Timestamp, WorkerRow, WriteOutcome,
};

impl Leader {
    /// Creates the leases that are missing, as far as that may be done already, and looks for what nobody would ever read.
    pub(super) async fn create_missing(&mut self) -> Result<(), StoreError> {
        let fresh = self.streams.iter().filter(|(_, sync)| sync.listing.fresh.is_some());
        for id in fresh.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
            self.create_missing_of(&id).await?;
        }
        Ok(())
    }

    async fn create_missing_of(&mut self, id: &StreamId) -> Result<(), StoreError> {
        let wanted = self.context.streams.wanted();
        let Some(sync) = self.streams.get_mut(id) else { return Ok(()) };
        let Some(identity) = wanted.in_keys(id) else {
            // It was to have another one than was listed. The next listing tells.
            sync.listing.fresh = None;
            return Ok(());
        };
        let Some(listed) = sync.listing.fresh.clone() else { return Ok(()) };
        let (stream, start) = (identity.map(StreamIdentity::as_str), sync.stream.start);
        let now = self.context.clock.now();
        if self.belongs_to_another_stream(id, stream, listed.stream_created) {
            return Ok(());
        }
        let mut creation = creation(&self.context, (start, listed.at), stream, listed.stream_created);
        // The clock that made a row of which nobody knows any more may have been ahead of ours.
        creation.counter = creation.counter.max(self.fleet.highest_counter().saturating_add(1));
        let (missing, holes) = {
            let rows = rows_of(stream, self.fleet.leases.values().map(|seen| &seen.lease));
            let vanished = self.absences.vanished(stream);
            let missing = shard_sync::missing_leases(vanished, &listed.shards, &rows, &creation);
            (missing, shard_sync::holes(&listed.shards, &rows, &creation))
        };
        self.report_holes(id, holes);
        let (due, wait) = self.judge(missing, now);
        let created = self.create_all(&due).await?;
        if created > 0 {
            tracing::info!(stream = %id, shards = listed.shards.len(), created, "leases created");
        }
        if created < due.len() {
            // Not this worker's business any more.
            return Ok(());
        }
        self.absences.forget_unlisted(stream, &listed.shards);
        let rows = rows_of(stream, self.fleet.leases.values().map(|seen| &seen.lease));
        // Which rows nobody needs any more.
        let removable = cleaning::removable(&listed.shards, &rows);
        // Children without a row that are not over are asked about again soon: a parent of theirs has to end first, whose row
        // was missing, too.
        let settled: BTreeSet<LeaseKey> = shard_sync::without_row(stream, &self.fleet).collect();
        let without = listed.shards.iter().map(|shard| &shard.id);
        let without = without.filter(|shard| settled.contains(&LeaseKey::of_shard(stream, shard)));
        let over = shard_sync::are_over(&without.cloned().collect(), &listed.shards, &rows);
        let soon = (!over).then(|| now + self.context.settings.timings.expiry);
        if let Some(sync) = self.streams.get_mut(id) {
            (sync.listing.settled, sync.removable, sync.listing.fresh) = (settled, removable, None);
            for at in wait.into_iter().chain(soon) {
                sync.listing.due = sync.listing.due.min(at);
            }
        }
        self.recall(id).await;
        Ok(())
    }

    /// Whether the table is of a stream of the same name that exists no more. Its positions mean nothing in the new one:
    /// nobody can read on, and beginning anew is not for a worker to decide.
    fn belongs_to_another_stream(&mut self, id: &StreamId, stream: Option<&str>, created: Option<Timestamp>) -> bool {
        let leases = self.fleet.leases.values().map(|seen| &seen.lease).filter(|lease| lease.stream() == stream);
        let Some(Recreated { lease, then, now }) = recreated(leases, created) else { return false };
        let error = WorkerError::StreamRecreated { stream: id.to_string(), lease: lease.to_string(), then, now };
        let Some(sync) = self.streams.get_mut(id) else { return true };
        sync.listing.fresh = None;
        if stream.is_none() {
            self.context.fail(error);
        } else if !std::mem::replace(&mut sync.mismatch_told, true) {
            // Its identity was given, so this is for whoever gave it. The other streams are read all the same.
            tracing::error!(%error, "the stream has another identity now than the one that was given for it");
        }
        true
    }

    /// Which of the missing rows are made now, and when to ask about the others again.
    fn judge(&self, wanted: Vec<Lease>, now: Moment) -> (Vec<Lease>, Option<Moment>) {
        let (mut due, mut wait) = (Vec::new(), None::<Moment>);
        for lease in wanted {
            match self.absences.judge(&lease, self.context.settings.timings.expiry, now) {
                Absence::Create => due.push(lease),
                Absence::Restore(last) => {
                    tracing::warn!(lease_key = %last.key, checkpoint = %last.checkpoint, "a lease row was deleted and its holder does not make it again");
                    let mut row = transition::restored(&last, self.context.creation_counter());
                    row.hash_range = row.hash_range.or(lease.hash_range);
                    due.push(row);
                }
                Absence::Wait(at) => wait = Some(wait.map_or(at, |wait| wait.min(at))),
                Absence::Over => {}
            }
        }
        (due, wait)
    }

    /// Creates rows, the oldest first; yields how many. The lock is looked at before each few: a leader that was paused
    /// between its listing and this may be about to make rows that others have cleaned away since.
    async fn create_all(&mut self, leases: &[Lease]) -> Result<usize, StoreError> {
        let mut created = 0;
        for some in leases.chunks(AT_A_TIME) {
            if !self.may_act() {
                break;
            }
            let outcomes = join_all(some.iter().map(|lease| create(&self.context, lease))).await;
            let mut rows = Vec::new();
            for (lease, outcome) in some.iter().zip(outcomes) {
                outcome?;
                rows.push(Row::Lease(Box::new(lease.clone())));
            }
            created += rows.len();
            self.fleet.observe_some(rows, self.context.clock.now());
        }
        Ok(created)
    }

    fn report_holes(&mut self, stream: &StreamId, holes: Vec<Hole>) {
        let again = self.context.clock.now() + self.context.settings.timings.expiry;
        let Some(sync) = self.streams.get_mut(stream) else { return };
        if holes != sync.holes {
            for hole in &holes {
                tracing::error!(%stream, %hole, "no lease leads to these hash keys; the shards are listed again");
            }
            if holes.is_empty() {
                tracing::info!(%stream, "every hash key has a lease again");
            }
        }
        if !holes.is_empty() {
            sync.listing.due = again;
        }
        sync.holes = holes;
    }

    /// Removes rows of shards that are over and of workers that are gone, some in each cycle.
    pub(super) async fn clean(&mut self) {
        if !self.may_act() {
            return;
        }
        self.remove_ended().await;
        self.remove_parked().await;
        let now = self.context.clock.now();
        let gone: Vec<WorkerRow> = departed(&self.fleet, &self.context.worker, now, &self.context.settings.timings)
            .into_iter()
            .take(AT_A_TIME)
            .cloned()
            .collect();
        let context = Arc::clone(&self.context);
        let removals = gone.iter().map(|row| context.attempt(context.fleet.remove_worker(row)));
        for (row, outcome) in gone.iter().zip(join_all(removals).await) {
            match outcome {
                WriteOutcome::Applied(_) => {
                    self.fleet.workers.remove(&row.worker);
                    tracing::info!(worker_id = %row.worker, "the row of a worker that is gone was removed");
                }
                outcome => tracing::debug!(worker_id = %row.worker, ?outcome, "the row of a worker was not removed"),
            }
        }
    }

    /// Not before the row has stood still for a while: the worker that ended the shard may not have heard of it yet, and
    /// must find its row; and a creation of that row that was sent before it was there may still be on its way.
    async fn remove_ended(&mut self) {
        let now = self.context.clock.now();
        let rest = 2 * self.context.settings.timings.leaderless;
        let mut seen = Vec::new();
        for sync in self.streams.values_mut() {
            sync.removable.retain(|key| match self.fleet.leases.get(key) {
                Some(lease) if lease.silent_for(now) <= rest => true,
                Some(lease) if seen.len() < AT_A_TIME => {
                    seen.push(lease.lease.clone());
                    false
                }
                Some(_) => true,
                None => false,
            });
        }
        let context = Arc::clone(&self.context);
        let removals = seen.iter().map(|lease| async {
            let condition = cleaning::removal(lease);
            context.attempt(context.leases.delete(&lease.key, &condition)).await
        });
        for (lease, outcome) in seen.iter().zip(join_all(removals).await) {
            match outcome {
                WriteOutcome::Applied(_) | WriteOutcome::Missing => {
                    self.fleet.leases.remove(&lease.key);
                    tracing::info!(lease_key = %lease.key, "the lease of a shard that is over was removed");
                }
                WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) if !error.is_retryable() => {
                    context.fail(WorkerError::store("removing a lease", error));
                }
                outcome => tracing::debug!(lease_key = %lease.key, ?outcome, "lease not removed"),
            }
        }
    }
}
