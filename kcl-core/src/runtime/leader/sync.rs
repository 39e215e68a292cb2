//! The leader's second half: leases for new shards, and none for those that are gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::future::join_all;

use super::Leader;
use super::cycle::AT_A_TIME;
use crate::error::WorkerError;
use crate::plan::departed::departed;
use crate::plan::fleet_view::FleetView;
use crate::plan::shard_sync::absence::{Absence, Absences};
use crate::plan::shard_sync::coverage::Hole;
use crate::plan::shard_sync::recreated::{Recreated, recreated};
use crate::plan::shard_sync::{self, cleaning, rows_of};
use crate::plan::transition;
use crate::ports::{ListedShards, SourceError};
use crate::runtime::context::Context;
use crate::runtime::shard_sync::{create, creation};
use crate::types::{Backoff, Lease, LeaseKey, Moment, Row, Shard, StoreError, Timestamp, WorkerRow, WriteOutcome};

type Answer = (Timestamp, Result<ListedShards, SourceError>);

/// What is known of the shards of the stream, and when to ask again.
#[derive(Default)]
pub(super) struct Listing {
    asked: Option<BoxFuture<'static, Answer>>,
    due: Moment,
    failures: u32,
    /// The last answer, until everything it asks for is done.
    fresh: Option<Listed>,
    /// Children without a row that are not missing.
    settled: BTreeSet<LeaseKey>,
}

#[derive(Clone)]
struct Listed {
    shards: Arc<Vec<Shard>>,
    /// The instant to which LATEST is pinned.
    at: Timestamp,
    stream_created: Option<Timestamp>,
}

impl Listing {
    /// Asks the stream, if it is time, without waiting for the answer.
    pub(super) fn ask_if_due(&mut self, context: &Arc<Context>, absences: &Absences, fleet: &FleetView) {
        let now = context.clock.now();
        let vanished = absences.next(None, context.settings.timings.expiry).is_some_and(|at| at <= now);
        let left_over = || shard_sync::without_row(None, fleet).any(|key| !self.settled.contains(&key));
        if self.asked.is_some() || self.fresh.is_some() || !(now >= self.due || vanished || left_over()) {
            return;
        }
        let context = Arc::clone(context);
        self.asked = Some(Box::pin(async move {
            let asked = context.wall();
            let limit = context.clock.now() + LISTING_AT_MOST;
            let result = tokio::select! {
                biased;
                result = context.source.list_shards(&context.settings.stream) => result,
                () = context.clock.sleep_until(limit) => {
                    Err(SourceError::Unavailable(format!("no answer within {LISTING_AT_MOST:?}")))
                }
            };
            (asked, result)
        }));
    }

    /// Waits for the answer. Cancel safe.
    pub(super) async fn answer(&mut self) -> Answer {
        match &mut self.asked {
            Some(asked) => {
                let answer = asked.await;
                self.asked = None;
                answer
            }
            None => std::future::pending().await,
        }
    }

    /// Takes in an answer; `due`: when to ask again, if nothing calls for it before.
    pub(super) fn take_in(&mut self, listed: ListedShards, asked: Timestamp, due: Moment) {
        if self.failures > 0 {
            tracing::info!("the shards of the stream can be listed again");
        }
        self.failures = 0;
        self.due = due;
        // LATEST is pinned to the service's clock; without one, to ours from before it was asked, so that nothing is missed.
        let at = listed.service_time.unwrap_or(asked);
        let ListedShards { shards, stream_created, .. } = listed;
        self.fresh = Some(Listed { shards: Arc::new(shards), at, stream_created });
    }

    pub(super) fn failed(&mut self, now: Moment, context: &Context, error: &SourceError) {
        if self.failures == 0 {
            tracing::warn!(%error, "the shards of the stream cannot be listed; it is tried again");
        }
        self.failures = self.failures.saturating_add(1);
        self.due = now + RETRY.delay(self.failures, context.random());
    }
}

impl Leader {
    /// Creates the leases that are missing, as far as that may be done already, and looks for what nobody would ever read.
    pub(super) async fn create_missing(&mut self) -> Result<(), StoreError> {
        let Some(listed) = self.listing.fresh.clone() else { return Ok(()) };
        let now = self.context.clock.now();
        if self.belongs_to_another_stream(listed.stream_created) {
            return Ok(());
        }
        let creation = creation(&self.context, listed.at, None, listed.stream_created);
        let (wanted, holes) = {
            let rows = rows_of(None, self.fleet.leases.values().map(|seen| &seen.lease));
            let vanished = self.absences.vanished(None);
            let missing = shard_sync::missing_beside(vanished, &listed.shards, &rows, &creation);
            (missing, shard_sync::holes(&listed.shards, &rows, &creation))
        };
        self.report_holes(holes);
        let (due, wait) = self.judge(wanted, now);
        let created = self.create_all(&due).await?;
        if created > 0 {
            tracing::info!(shards = listed.shards.len(), created, "leases created");
        }
        if created < due.len() {
            // Not this worker's business any more.
            return Ok(());
        }
        self.absences.forget_unlisted(None, &listed.shards);
        self.listing.settled = shard_sync::without_row(None, &self.fleet).collect();
        self.find_removable(&listed.shards);
        self.listing.fresh = None;
        if let Some(at) = wait {
            self.listing.due = self.listing.due.min(at);
        }
        Ok(())
    }

    /// Whether the table is of a stream of the same name that exists no more. Its positions mean nothing in the new one:
    /// nobody can read on, and beginning anew is not for a worker to decide.
    fn belongs_to_another_stream(&self, created: Option<Timestamp>) -> bool {
        let leases = self.fleet.leases.values().map(|seen| &seen.lease);
        let Some(Recreated { lease, then, now }) = recreated(leases, created) else { return false };
        let (stream, lease) = (self.context.settings.stream.to_string(), lease.to_string());
        self.context.fail(WorkerError::StreamRecreated { stream, lease, then, now });
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

    fn report_holes(&mut self, holes: Vec<Hole>) {
        if holes != self.told.holes {
            for hole in &holes {
                tracing::error!(%hole, "no lease leads to these hash keys; the shards are listed again");
            }
            if holes.is_empty() {
                tracing::info!("every hash key has a lease again");
            }
        }
        if !holes.is_empty() {
            self.listing.due = self.context.clock.now() + self.context.settings.timings.expiry;
        }
        self.told.holes = holes;
    }

    /// Notes which rows nobody needs any more.
    fn find_removable(&mut self, shards: &[Shard]) {
        let rows = rows_of(None, self.fleet.leases.values().map(|seen| &seen.lease));
        self.removable = cleaning::removable(shards, &rows);
    }

    /// Removes rows of shards that are over and of workers that are gone, some in each cycle.
    pub(super) async fn clean(&mut self) {
        if !self.may_act() {
            return;
        }
        self.remove_ended().await;
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
    /// must find its row.
    async fn remove_ended(&mut self) {
        let now = self.context.clock.now();
        let rest = self.context.settings.timings.leaderless;
        let mut seen = Vec::new();
        self.removable.retain(|key| match self.fleet.leases.get(key) {
            Some(lease) if lease.silent_for(now) <= rest => true,
            Some(lease) if seen.len() < AT_A_TIME => {
                seen.push(lease.lease.clone());
                false
            }
            Some(_) => true,
            None => false,
        });
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

/// A listing that takes longer is given up.
const LISTING_AT_MOST: Duration = Duration::from_secs(10);

const RETRY: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(30) };
