//! A running worker, from outside.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::error::WorkerError;
use crate::runtime::{Context, EventStream, WorkerReport};
use crate::types::WorkerId;

type Outcome = Result<WorkerReport, WorkerError>;

/// A running worker. Dropping it asks the worker to stop, as [`stop`](WorkerHandle::stop) does.
#[derive(Debug)]
pub struct WorkerHandle {
    context: Arc<Context>,
    done: oneshot::Receiver<Result<Outcome, String>>,
    outcome: Option<Outcome>,
}

impl WorkerHandle {
    pub(super) fn new(context: Arc<Context>, done: oneshot::Receiver<Result<Outcome, String>>) -> Self {
        WorkerHandle { context, done, outcome: None }
    }

    /// The id of the worker.
    pub fn worker_id(&self) -> &WorkerId {
        &self.context.worker
    }

    /// Events from now on. At most 1,024 wait for a subscriber; a slower one is told how many it missed.
    pub fn events(&self) -> EventStream {
        self.context.events.subscribe()
    }

    /// Asks the worker to stop in order, and does not wait. Asking again changes nothing.
    pub fn stop(&self) {
        self.context.stop.cancel();
    }

    /// Ends the worker at once: nothing more is written, handlers are dropped, leases are not given back. Others take them
    /// after the failover time. Still no checkpoint is wrong.
    pub fn abort(&self) {
        self.context.abort();
    }

    /// Waits for the end of the worker; it does not ask for it.
    ///
    /// # Errors
    /// Why it ended without being asked to; [`WorkerError::Aborted`] after [`abort`](WorkerHandle::abort).
    ///
    /// # Cancel safety
    /// Cancel safe: a later call gives the same answer.
    pub async fn wait(&mut self) -> Outcome {
        if let Some(outcome) = &self.outcome {
            return outcome.clone();
        }
        let outcome = match (&mut self.done).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(message)) => Err(WorkerError::Internal { task: "supervisor", message }),
            // The runtime was shut down under the worker.
            Err(_dropped) => Err(WorkerError::Aborted),
        };
        self.outcome.insert(outcome).clone()
    }
}

impl Drop for WorkerHandle {
    fn drop(&mut self) {
        self.context.stop.cancel();
    }
}
