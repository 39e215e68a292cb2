//! The worker's own row: joins, shows life, hears of its inbox, leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::errands::Errands;
use crate::error::WorkerError;
use crate::types::{Backoff, Heartbeat, LeaseKey, Moment, StoreError, WorkerRow, WriteOutcome};

/// `k_impl`, by which workers of this library recognise each other.
const IMPLEMENTATION: &str = concat!("kcl-core/", env!("CARGO_PKG_VERSION"));

/// Writes the worker's row, and reads its inbox in between.
pub(crate) struct HeartbeatTask {
    context: Arc<Context>,
    errands: Arc<Errands>,
    count: u64,
    /// The row that this process takes over: its join has to find this one, or none, whenever it lands.
    over: Option<WorkerRow>,
    /// Inbox entries that were passed on; the next heartbeat removes them.
    handled: BTreeSet<LeaseKey>,
    failures: u32,
}

impl HeartbeatTask {
    pub(crate) fn new(context: Arc<Context>, errands: Arc<Errands>) -> Self {
        HeartbeatTask { context, errands, count: 0, over: None, handled: BTreeSet::new(), failures: 0 }
    }

    fn next(&mut self) -> Heartbeat {
        self.count += 1;
        let context = &self.context;
        let (worker, incarnation) = (context.worker.clone(), context.incarnation.clone());
        let mut heartbeat = Heartbeat::new(worker, incarnation, IMPLEMENTATION, self.count, context.wall());
        heartbeat.zone = context.settings.zone.clone();
        // A worker that stops wants no leases: plans are made without it from now on.
        heartbeat.capacity = if context.stop.is_cancelled() { 0.0 } else { context.settings.capacity };
        heartbeat.max_leases = context.settings.max_leases.map(|most| u64::try_from(most).unwrap_or(u64::MAX));
        heartbeat.handled = self.handled.clone();
        heartbeat
    }

    /// The first heartbeat, before anything is taken: others must be able to count on this worker. The newest process has
    /// the id, whoever had it before.
    pub(crate) async fn join(&mut self) -> Result<(), StoreError> {
        self.over = self.predecessor().await?;
        // Whoever joins in between does so once.
        while let Some(newer) = self.join_over().await? {
            self.over = Some(newer);
        }
        Ok(())
    }

    /// The row that stands under this worker's id before it joins.
    async fn predecessor(&self) -> Result<Option<WorkerRow>, StoreError> {
        let context = &self.context;
        let answer = context.within_attempt(context.fleet.worker(&context.worker)).await;
        let Some(answer) = answer else { return Err(context.no_answer()) };
        // One that cannot be read is not taken over, and the join says what is wrong with it.
        Ok(answer?.and_then(Result::ok))
    }

    /// Writes the worker's row over that of its predecessor. `Some` is the row of another process that was faster.
    async fn join_over(&mut self) -> Result<Option<WorkerRow>, StoreError> {
        let heartbeat = self.next();
        match self.context.attempt(self.context.fleet.join(&heartbeat, self.over.as_ref())).await {
            WriteOutcome::Applied(row) => {
                self.hear(&row);
                Ok(None)
            }
            WriteOutcome::Conflict(row) => Ok(Some(row)),
            WriteOutcome::Missing => {
                Err(StoreError::Unavailable("the worker row vanished while it was written".into()))
            }
            WriteOutcome::Unreadable(problem) => Err(StoreError::Invalid(problem.to_string())),
            WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => Err(error),
        }
    }

    /// Shows life until the worker has drained (`drained`), and once at the moment it is told to stop.
    pub(crate) async fn run(mut self, drained: CancellationToken) {
        let context = Arc::clone(&self.context);
        let mut stop_told = false;
        let mut beat_at = context.clock.now() + context.settings.timings.heartbeat;
        let mut look_at = context.clock.now() + context.settings.timings.inbox;
        while !drained.is_cancelled() && !context.abort.is_cancelled() {
            tokio::select! {
                biased;
                () = drained.cancelled() => break,
                () = context.abort.cancelled() => return,
                () = context.stop.cancelled(), if !stop_told => {
                    stop_told = true;
                    beat_at = context.clock.now();
                }
                () = context.clock.sleep_until(beat_at.min(look_at)) => {}
            }
            if context.clock.now() >= beat_at {
                self.failures = if self.beat().await { 0 } else { self.failures + 1 };
                beat_at = self.next_beat();
            } else if !self.look().await {
                beat_at = context.clock.now();
            }
            look_at = context.clock.now() + context.settings.timings.inbox;
        }
        self.leave().await;
    }

    fn next_beat(&self) -> Moment {
        let context = &self.context;
        let delay = if self.failures == 0 {
            context.settings.timings.heartbeat
        } else {
            let attempt = context.settings.timings.attempt;
            Backoff { first: attempt / 5, most: attempt }.delay(self.failures, context.random())
        };
        context.clock.now() + delay
    }

    /// Writes one heartbeat; false if it must be repeated soon.
    async fn beat(&mut self) -> bool {
        let heartbeat = self.next();
        let context = Arc::clone(&self.context);
        match context.attempt(context.fleet.heartbeat(&heartbeat)).await {
            WriteOutcome::Applied(row) => {
                // Once more, now that their removal is confirmed: a change that was noted between the first look and the
                // removal would be missed otherwise.
                self.errands.look_at(heartbeat.handled);
                self.handled.clear();
                self.hear(&row);
                true
            }
            WriteOutcome::Conflict(row) => {
                self.lose_id(&row);
                true
            }
            // Somebody cleaned the row away, taking us for dead: we are not. What stood in the inbox is gone with it.
            WriteOutcome::Missing => {
                self.errands.look_at_all();
                self.rejoin().await
            }
            WriteOutcome::Unreadable(problem) => {
                tracing::warn!(%problem, "this worker's own row cannot be read");
                false
            }
            WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => {
                tracing::debug!(%error, "heartbeat not confirmed");
                if !error.is_retryable() {
                    context.fail(WorkerError::store("writing the worker row", error));
                }
                false
            }
        }
    }

    /// Makes the row again; false if that must be repeated soon. The condition is that of the first time: a row of the
    /// predecessor is a late copy of its join, and any other one is that of a newer process.
    async fn rejoin(&mut self) -> bool {
        match self.join_over().await {
            Ok(None) => true,
            Ok(Some(row)) => {
                self.lose_id(&row);
                true
            }
            Err(error) => {
                tracing::debug!(%error, "heartbeat not confirmed");
                false
            }
        }
    }

    /// Reads the inbox; false if the row is not there and must be written.
    async fn look(&mut self) -> bool {
        let context = Arc::clone(&self.context);
        let Some(answer) = context.within_attempt(context.fleet.worker(&context.worker)).await else { return true };
        match answer {
            Ok(Some(Ok(row))) if row.incarnation.as_ref() == Some(&context.incarnation) => self.hear(&row),
            // The next heartbeat finds out who has the row, or what is wrong with it.
            Ok(Some(_) | None) => return false,
            Err(error) => tracing::debug!(%error, "the inbox could not be read"),
        }
        true
    }

    /// Passes on the keys in the inbox that are new.
    fn hear(&mut self, row: &WorkerRow) {
        self.errands.look_at(row.inbox.difference(&self.handled).cloned());
        self.handled.extend(row.inbox.iter().cloned());
    }

    fn lose_id(&self, row: &WorkerRow) {
        tracing::error!(worker_id = %row.worker, "another process took over this worker id");
        self.context.fail(WorkerError::WorkerIdTaken { worker: row.worker.to_string() });
    }

    /// Removes the worker's row.
    pub(crate) async fn leave(&self) {
        let context = &self.context;
        match context.attempt(context.fleet.leave(&context.worker, &context.incarnation)).await {
            WriteOutcome::Applied(_) | WriteOutcome::Missing | WriteOutcome::Conflict(_) => {}
            outcome => tracing::info!(?outcome, "the worker row was not removed; others forget it in time"),
        }
    }
}
