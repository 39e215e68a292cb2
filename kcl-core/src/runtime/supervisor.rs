//! Runs a worker to its end, in order.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::assigner::{Assigner, Drained};
use super::context::Context;
use super::events::WorkerEvent;
use super::lease_keeper::LeaseKeeper;
use super::start::Started;
use super::tasks::TaskKind;
use super::watchdog::Watchdog;
use crate::error::WorkerError;
use crate::types::LeaseKey;

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

/// Runs a started worker to its end. The order of the end matters:
///
/// 1. The leader lock is given up, if this worker has it, and the fleet is looked at once more: who goes on with what is held
///    here? The heartbeat says at once that this worker wants no leases, so plans are made without it.
/// 2. Nothing new is taken. Shard tasks stop fetching, let their handler finish, flush, and write the last checkpoint while
///    handing the lease to its successor. The lease keeper still renews meanwhile: a handler that drains must not lose its
///    lease.
/// 3. The heartbeat stops and removes the worker's row: before, others would have taken the worker for dead.
/// 4. The lease keeper ends when nothing is held and nothing is under way. It ends last.
pub(crate) async fn run(context: Arc<Context>, started: Started) -> Result<WorkerReport, WorkerError> {
    let Started { errands, heartbeat, leader, streams } = started;
    let drained = CancellationToken::new();
    let (keeper, keep) = LeaseKeeper::new(Arc::clone(&context), drained.clone());
    let mut keeping = context.tasks.spawn(TaskKind::LeaseKeeper, keep);
    let mut beating = context.tasks.spawn(TaskKind::Heartbeat, heartbeat.run(drained.clone()));
    let (tell, last_look) = oneshot::channel();
    let mut leading = context.tasks.spawn(TaskKind::Leader, leader.run(tell));
    let watchdog = Watchdog::new(Arc::clone(&context), keeper.clone());
    let mut watching = context.tasks.spawn(TaskKind::Watchdog, watchdog.run(drained.clone()));
    let mut reading = streams.map(|streams| context.tasks.spawn(TaskKind::Streams, streams.run()));
    let assigner = Assigner::new(Arc::clone(&context), keeper, errands);
    let mut assigning = context.tasks.spawn(TaskKind::Assigner, assigner.run(last_look));

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
            result = &mut leading, if !leading.is_terminated() => {
                let _reported = outcome(&context, TaskKind::Leader, result);
            }
            result = &mut watching, if !watching.is_terminated() => {
                let _reported = outcome(&context, TaskKind::Watchdog, result);
            }
            result = ended(&mut reading), if reading.is_some() => {
                reading = None;
                let _reported = outcome(&context, TaskKind::Streams, result);
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

/// Waits for a task that is not always there.
async fn ended<T>(task: &mut Option<oneshot::Receiver<T>>) -> Result<T, oneshot::error::RecvError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
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
            context.abort();
            None
        }
        Err(_dropped) => None,
    }
}
