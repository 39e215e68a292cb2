//! Spawning as a seam.

use std::fmt::Debug;

use futures_util::future::BoxFuture;

/// Starts tasks. A simulation passes one of its own and so decides the order of tasks, pauses a worker by not polling its
/// tasks, and crashes it by dropping them.
///
/// # Contract
/// A task is polled until it completes or the spawner is dropped or shut down. Dropping a task's future without polling
/// it further must be the only way to end it from outside; the runtime wraps each future so that panics do not escape.
pub trait Spawner: Debug + Send + Sync + 'static {
    /// Starts `task`. `name` says what it does, for tools that show tasks.
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>);
}

/// Spawns on the tokio runtime in whose context the worker was started, of either flavour.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct TokioSpawner;

impl TokioSpawner {
    /// Uses the runtime that is current when a task is spawned.
    pub fn new() -> Self {
        TokioSpawner
    }
}

impl Spawner for TokioSpawner {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that spawns")]
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        drop(tokio::spawn(task));
    }
}
