//! The worker's own row: joins, shows life, hears of its inbox, leaves.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::Notify;

use super::context::Context;
use crate::error::WorkerError;
use crate::types::{Backoff, Heartbeat, LeaseKey, StoreError, WorkerRow, WriteOutcome};

/// `k_impl`, by which workers of this library recognise each other.
const IMPLEMENTATION: &str = concat!("kcl-core/", env!("CARGO_PKG_VERSION"));

/// Writes the worker's row.
pub(crate) struct HeartbeatTask {
    context: Arc<Context>,
    /// Wakes the assigner when something is in the inbox.
    look: Arc<Notify>,
    count: u64,
    /// Inbox entries that the assigner was woken for; the next heartbeat removes them.
    handled: BTreeSet<LeaseKey>,
}

impl HeartbeatTask {
    pub(crate) fn new(context: Arc<Context>, look: Arc<Notify>) -> Self {
        HeartbeatTask { context, look, count: 0, handled: BTreeSet::new() }
    }

    fn next(&mut self) -> Heartbeat {
        self.count += 1;
        let context = &self.context;
        let (worker, incarnation) = (context.worker.clone(), context.incarnation.clone());
        let mut heartbeat = Heartbeat::new(worker, incarnation, IMPLEMENTATION, self.count, context.wall());
        heartbeat.zone = context.settings.zone.clone();
        // A worker that stops wants no leases: the others count their shares without it from now on.
        heartbeat.capacity = if context.stop.is_cancelled() { 0.0 } else { context.settings.capacity };
        heartbeat.max_leases = context.settings.max_leases.map(|most| u64::try_from(most).unwrap_or(u64::MAX));
        heartbeat.handled = self.handled.clone();
        heartbeat
    }

    /// The first heartbeat, before anything is taken: others must be able to count on this worker.
    pub(crate) async fn join(&mut self) -> Result<(), StoreError> {
        let heartbeat = self.next();
        match self.context.attempt(self.context.fleet.join(&heartbeat)).await {
            WriteOutcome::Applied(row) | WriteOutcome::Conflict(row) => {
                self.read_inbox(&row);
                Ok(())
            }
            WriteOutcome::Missing => {
                Err(StoreError::Unavailable("the worker row vanished while it was written".into()))
            }
            WriteOutcome::Unreadable(problem) => Err(StoreError::Invalid(problem.to_string())),
            WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => Err(error),
        }
    }

    /// Shows life until the worker has drained (`drained`), and once at the moment it is told to stop.
    pub(crate) async fn run(mut self, drained: tokio_util::sync::CancellationToken) {
        let context = Arc::clone(&self.context);
        let mut stop_told = false;
        let mut failures = 0;
        while !drained.is_cancelled() && !context.abort.is_cancelled() {
            let delay = if failures == 0 {
                context.settings.timings.heartbeat
            } else {
                let attempt = context.settings.timings.attempt;
                Backoff { first: attempt / 5, most: attempt }.delay(failures, context.random())
            };
            tokio::select! {
                biased;
                () = drained.cancelled() => break,
                () = context.abort.cancelled() => return,
                () = context.stop.cancelled(), if !stop_told => stop_told = true,
                () = context.clock.sleep_until(context.clock.now() + delay) => {}
            }
            failures = if self.beat().await { 0 } else { failures + 1 };
        }
        self.leave().await;
    }

    /// Writes one heartbeat; false if it must be repeated soon.
    async fn beat(&mut self) -> bool {
        let heartbeat = self.next();
        let context = Arc::clone(&self.context);
        match context.attempt(context.fleet.heartbeat(&heartbeat)).await {
            WriteOutcome::Applied(row) => {
                self.read_inbox(&row);
                true
            }
            WriteOutcome::Conflict(row) => {
                tracing::error!(worker_id = %row.worker, "another process took over this worker id");
                context.fail(WorkerError::WorkerIdTaken { worker: row.worker.to_string() });
                true
            }
            // Somebody cleaned the row away, taking us for dead: we are not.
            WriteOutcome::Missing => self.join().await.is_ok(),
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

    /// The assigner looks at once when keys come in, and once more after the heartbeat that removed them was confirmed: a
    /// change that was noted between the first look and the removal would be missed otherwise.
    fn read_inbox(&mut self, row: &WorkerRow) {
        if !row.inbox.is_empty() || !self.handled.is_empty() {
            self.look.notify_one();
        }
        self.handled = row.inbox.clone();
    }

    async fn leave(&self) {
        let context = &self.context;
        match context.attempt(context.fleet.leave(&context.worker, &context.incarnation)).await {
            WriteOutcome::Applied(_) | WriteOutcome::Missing | WriteOutcome::Conflict(_) => {}
            outcome => tracing::info!(?outcome, "the worker row was not removed; others forget it in time"),
        }
    }
}
