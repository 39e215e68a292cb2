//! The one function that spawns.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::ports::Spawner;

/// What a task does, and so what its panic means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskKind {
    /// Ends the worker.
    Supervisor,
    /// Ends the worker: without it no lease is renewed.
    LeaseKeeper,
    /// Ends the worker: without it others take it for dead.
    Heartbeat,
    /// Ends the worker: without it no lease is taken.
    Assigner,
    /// Ends the worker: without it nobody would take the lead here.
    Leader,
    /// Ends the worker: without it a shard task that is stuck would keep its lease.
    Watchdog,
    /// Ends the worker: without it a stream that is added would never be read.
    Streams,
    /// Gives up the lease of that shard.
    Shard,
}

impl TaskKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            TaskKind::Supervisor => "supervisor",
            TaskKind::LeaseKeeper => "lease keeper",
            TaskKind::Heartbeat => "heartbeat",
            TaskKind::Assigner => "assigner",
            TaskKind::Leader => "leader",
            TaskKind::Watchdog => "watchdog",
            TaskKind::Streams => "stream task",
            TaskKind::Shard => "shard task",
        }
    }
}

/// Spawns through what was given at start, and knows when all are gone.
#[derive(Debug, Clone)]
pub(crate) struct Tasks {
    spawner: Arc<dyn Spawner>,
    tracker: TaskTracker,
}

impl Tasks {
    pub(crate) fn new(spawner: Arc<dyn Spawner>) -> Self {
        Tasks { spawner, tracker: TaskTracker::new() }
    }

    pub(crate) fn spawner(&self) -> &Arc<dyn Spawner> {
        &self.spawner
    }

    /// Starts a task; the receiver yields its result, `Err(message)` if it panicked, and closes if it was dropped.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        kind: TaskKind,
        task: impl Future<Output = T> + Send + 'static,
    ) -> oneshot::Receiver<Result<T, String>> {
        let (done, result) = oneshot::channel();
        self.spawn_and_tell(kind, task, move |outcome| drop(done.send(outcome)));
        result
    }

    /// Starts a task and calls `done` with its result, `Err(message)` if it panicked. If the task is dropped, so is `done`.
    pub(crate) fn spawn_and_tell<T: Send + 'static>(
        &self,
        kind: TaskKind,
        task: impl Future<Output = T> + Send + 'static,
        done: impl FnOnce(Result<T, String>) + Send + 'static,
    ) {
        // On the heap first: every future around another one has room for it twice.
        let task = AssertUnwindSafe(task.boxed());
        let task = self.tracker.track_future(async move {
            done(task.catch_unwind().await.map_err(|panic| panic_message(&*panic)));
        });
        self.spawner.spawn(kind.name(), task.boxed());
    }

    /// Waits until every task is gone.
    pub(crate) async fn join(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The words of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
