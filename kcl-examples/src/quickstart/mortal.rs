//! How a worker inside a process dies as if by SIGKILL.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kcl_core::ports::{Spawner, TokioSpawner};
use tokio_util::sync::CancellationToken;

/// Spawns tasks that are all dropped, wherever they stand, once the worker is to die. Nothing is released or checkpointed
/// then, since nothing of the worker runs any more.
#[derive(Debug)]
pub(super) struct MortalSpawner {
    tokio: TokioSpawner,
    death: CancellationToken,
}

impl MortalSpawner {
    /// Tasks live until `death` is cancelled.
    pub(super) fn new(death: CancellationToken) -> Self {
        MortalSpawner { tokio: TokioSpawner::new(), death }
    }
}

impl Spawner for MortalSpawner {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        let death = self.death.clone();
        let until_death = async move {
            tokio::select! {
                // Death first: a task that is ready takes no step more.
                biased;
                () = death.cancelled() => {}
                () = task => {}
            }
        };
        self.tokio.spawn(name, until_death.boxed());
    }
}
