//! Start and stop of a worker, in order.

use std::sync::Arc;

use tokio::sync::{Notify, oneshot};
use tokio_util::sync::CancellationToken;

use super::assigner::{Assigner, Drained};
use super::context::Context;
use super::events::WorkerEvent;
use super::heartbeat::HeartbeatTask;
use super::lease_keeper::LeaseKeeper;
use super::scan::RowReporter;
use super::shard_sync::{self, SyncError};
use super::tasks::TaskKind;
use crate::error::WorkerError;
use crate::ports::{SourceError, StoreStartError};
use crate::types::{Backoff, LeaseKey, Moment};

/// What a worker did before it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Leases that were given back when it stopped, with everything that was completed stored.
    pub released: usize,
    /// Shards that were processed to their end while it stopped.
    pub ended: usize,
    /// Leases that were lost before they could be given back; others take them after the failover time.
    pub undone: Vec<LeaseKey>,
}

impl WorkerReport {
    /// The report of a worker that was stopped before it had started.
    pub(crate) fn nothing_done() -> Self {
        WorkerReport { released: 0, ended: 0, undone: Vec::new() }
    }
}

/// What the start hands to the run.
pub(crate) struct Started {
    heartbeat: HeartbeatTask,
    look: Arc<Notify>,
    rows: RowReporter,
}

/// Makes the worker ready: the table, its own row, the leases. What cannot be reached is tried again until the start
/// time-out is over; what is wrong fails at once.
pub(crate) async fn start(context: &Arc<Context>) -> Result<Started, WorkerError> {
    let begun = context.clock.now();
    let mut retry = StartRetry { context, until: begun + context.settings.start_timeout, failures: 0 };
    loop {
        match context.leases.start().await {
            Ok(()) => break,
            Err(StoreStartError::Store(error)) if error.is_retryable() && retry.pause().await => {
                tracing::warn!(%error, "the lease table is not ready yet; it is tried again");
            }
            Err(StoreStartError::Store(error)) => return Err(WorkerError::store("opening the lease table", error)),
            Err(error) => return Err(WorkerError::LeaseTable(error)),
        }
    }
    let look = Arc::new(Notify::new());
    let mut heartbeat = HeartbeatTask::new(Arc::clone(context), Arc::clone(&look));
    // The stream is looked at first: a worker that names a wrong one leaves no trace in the table.
    let mut rows = RowReporter::default();
    let mut joined = false;
    loop {
        // An endpoint that takes the call and never answers must not stretch the start.
        let result = tokio::select! {
            biased;
            result = create_leases_and_join(context, &mut heartbeat, &mut rows, &mut joined) => result,
            () = context.clock.sleep_until(retry.until + LAST_CALL) => {
                let silent = SourceError::Unavailable("it did not answer before the start time-out".into());
                return Err(WorkerError::stream(LISTING, silent));
            }
        };
        match result {
            Ok(()) => return Ok(Started { heartbeat, look, rows }),
            Err(error) if is_retryable(&error) && retry.pause().await => {
                tracing::warn!(%error, "the worker cannot start yet; it is tried again");
            }
            Err(error) => return Err(error),
        }
    }
}

async fn create_leases_and_join(
    context: &Arc<Context>,
    heartbeat: &mut HeartbeatTask,
    rows: &mut RowReporter,
    joined: &mut bool,
) -> Result<(), WorkerError> {
    let prepared = context.source.prepare(&context.settings.stream).await;
    prepared.map_err(|error| WorkerError::stream("preparing to read the stream", error))?;
    shard_sync::create_missing(context, rows).await.map_err(|error| match error {
        SyncError::Source(error) => WorkerError::stream(LISTING, error),
        SyncError::Store(error) => WorkerError::store("creating leases", error),
    })?;
    if !*joined {
        heartbeat.join().await.map_err(|error| WorkerError::store("writing the worker row", error))?;
        *joined = true;
    }
    Ok(())
}

fn is_retryable(error: &WorkerError) -> bool {
    match error {
        WorkerError::Store { error, .. } => error.is_retryable(),
        WorkerError::Stream { error, .. } => error.is_retryable(),
        WorkerError::LeaseTable(_)
        | WorkerError::WorkerIdTaken { .. }
        | WorkerError::Internal { .. }
        | WorkerError::Signals(_)
        | WorkerError::Aborted => false,
    }
}

struct StartRetry<'a> {
    context: &'a Context,
    until: Moment,
    failures: u32,
}

impl StartRetry<'_> {
    /// Waits before the next attempt; false if the time is over.
    async fn pause(&mut self) -> bool {
        self.failures += 1;
        let delay = START_BACKOFF.delay(self.failures, self.context.random());
        let next = self.context.clock.now() + delay;
        if next >= self.until {
            return false;
        }
        self.context.clock.sleep_until(next).await;
        true
    }
}

const LISTING: &str = "listing the shards of the stream";
/// A call that began before the start time-out may take this much longer.
const LAST_CALL: std::time::Duration = std::time::Duration::from_secs(5);

const START_BACKOFF: Backoff =
    Backoff { first: std::time::Duration::from_millis(100), most: std::time::Duration::from_secs(2) };

/// Runs a started worker to its end. The order of the end matters:
///
/// 1. Nothing new is taken; the heartbeat says at once that this worker wants no leases, so others count without it.
/// 2. Shard tasks stop fetching, let their handler finish, flush, and write the last checkpoint while giving the lease
///    back. The lease keeper still renews meanwhile: a handler that drains must not lose its lease.
/// 3. The heartbeat stops and removes the worker's row: before, others would have taken the worker for dead.
/// 4. The lease keeper ends when nothing is held and nothing is under way. It ends last.
pub(crate) async fn run(context: Arc<Context>, started: Started) -> Result<WorkerReport, WorkerError> {
    let Started { heartbeat, look, rows } = started;
    let drained = CancellationToken::new();
    let (keeper, keep) = LeaseKeeper::new(Arc::clone(&context), drained.clone());
    let mut keeping = context.tasks.spawn(TaskKind::LeaseKeeper, keep);
    let mut beating = context.tasks.spawn(TaskKind::Heartbeat, heartbeat.run(drained.clone()));
    let assigner = Assigner::new(Arc::clone(&context), keeper, look, rows);
    let mut assigning = context.tasks.spawn(TaskKind::Assigner, assigner.run());

    let mut stopping_told = false;
    let report = loop {
        tokio::select! {
            biased;
            () = context.abort.cancelled() => {
                context.stop.cancel();
                return Err(context.failure().cloned().unwrap_or(WorkerError::Aborted));
            }
            result = &mut assigning => break outcome(&context, TaskKind::Assigner, result),
            result = &mut keeping, if !keeping.is_terminated() => {
                // It ends by itself only after the assigner.
                let _reported = outcome(&context, TaskKind::LeaseKeeper, result);
            }
            result = &mut beating, if !beating.is_terminated() => {
                let _reported = outcome(&context, TaskKind::Heartbeat, result);
            }
            () = context.stop.cancelled(), if !stopping_told => {
                stopping_told = true;
                tracing::info!(worker_id = %context.worker, "worker stops");
                context.events.send(WorkerEvent::Stopping);
            }
        }
    };
    drained.cancel();
    context.tasks.join().await;
    context.events.send(WorkerEvent::Stopped);
    match (context.failure(), report) {
        (Some(error), _) => Err(error.clone()),
        (None, Some(Drained { released, ended, lost })) => {
            tracing::info!(worker_id = %context.worker, released, ended, undone = lost.len(), "worker stopped");
            Ok(WorkerReport { released, ended, undone: lost })
        }
        (None, None) => Err(WorkerError::Aborted),
    }
}

/// The result of a task. A panic of one of these ends the worker: others take over after the failover time.
fn outcome<T>(
    context: &Context,
    kind: TaskKind,
    result: Result<Result<T, String>, oneshot::error::RecvError>,
) -> Option<T> {
    match result {
        Ok(Ok(value)) => Some(value),
        Ok(Err(message)) => {
            tracing::error!(task = kind.name(), message, "a task of the worker ended in a defect");
            context.fail(WorkerError::Internal { task: kind.name(), message });
            context.abort.cancel();
            None
        }
        Err(_dropped) => None,
    }
}
