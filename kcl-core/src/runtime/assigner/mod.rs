//! Owns the shard tasks: starts one for every tenure that begins, and ends them in order.

mod desk;
mod drain;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::context::Context;
use super::errands::Errands;
use super::lease_keeper::{Grant, LeaseKeeper, Parted};
use super::shard_task::{ShardTask, StopRequest, TaskEnd};
use super::tasks::TaskKind;
use super::tenure::SharedTenure;
use crate::plan::fleet_view::FleetView;
use crate::plan::holding::Farewell;
use crate::shard::machine::Finish;
use crate::types::{LeaseKey, ShardRef};
use desk::Desk;

/// What was left undone when the worker stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(crate) released: usize,
    pub(crate) ended: usize,
    pub(crate) lost: Vec<LeaseKey>,
}

struct Running {
    stop: StopRequest,
    shared: Arc<SharedTenure>,
}

type Finished = (LeaseKey, Option<TaskEnd>);

pub(crate) struct Assigner {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    errands: Arc<Errands>,
    desk: Desk,
    running: BTreeMap<LeaseKey, Running>,
    finished: FuturesUnordered<BoxFuture<'static, Finished>>,
}

impl Assigner {
    pub(crate) fn new(context: Arc<Context>, keeper: LeaseKeeper, errands: Arc<Errands>) -> Self {
        Assigner {
            desk: Desk::new(Arc::clone(&context), keeper.clone(), Arc::clone(&errands)),
            context,
            keeper,
            errands,
            running: BTreeMap::new(),
            finished: FuturesUnordered::new(),
        }
    }

    /// Works until the worker is told to stop, then drains. `last_look` yields the fleet as it is at the stop, if it can be
    /// seen: who goes on with what is held here.
    pub(crate) async fn run(mut self, last_look: oneshot::Receiver<FleetView>) -> Drained {
        let context = Arc::clone(&self.context);
        loop {
            tokio::select! {
                // What has finished first: a lease is not begun again while its last task is still there.
                biased;
                () = context.stop.cancelled() => break,
                Some((key, end)) = self.finished.next(), if !self.finished.is_empty() => {
                    if let Some(parted) = self.note_finished(&key, end).await {
                        self.start_children(&key, parted.grants);
                    }
                }
                (grant, reason) = self.desk.granted(|key| self.running.contains_key(key)) => self.start(grant, reason),
            }
        }
        // Nothing is taken in any more; what was just begun goes back to where it came from.
        self.desk.abandon();
        self.drain(last_look).await
    }

    fn start(&mut self, grant: Grant, reason: String) {
        let key = grant.row.key.clone();
        let id = match grant.row.shard_id() {
            Ok(id) => id,
            Err(error) => {
                // Rows whose key is no shard id are sifted out before anything is done about them.
                debug_assert!(false, "{error}");
                return;
            }
        };
        let shard = ShardRef::new(self.context.settings.stream.clone(), id);
        let stop = StopRequest::default();
        let shared = Arc::clone(&grant.shared);
        self.running.insert(key.clone(), Running { stop: stop.clone(), shared });
        let task = ShardTask::new(Arc::clone(&self.context), self.keeper.clone(), grant, shard, stop);
        let done = self.context.tasks.spawn(TaskKind::Shard, task.run(reason));
        self.finished.push(Box::pin(async move {
            match done.await {
                Ok(Ok(end)) => (key, Some(end)),
                Ok(Err(panic)) => {
                    tracing::error!(lease_key = %key, panic, "the task of a shard ended in a defect");
                    (key, None)
                }
                Err(_dropped) => (key, None),
            }
        }));
    }

    /// The end of a shard began the tenures of its children.
    fn start_children(&mut self, parent: &LeaseKey, children: Vec<Grant>) {
        for grant in children {
            let reason = format!("child of {parent}, which ended here");
            self.start(grant, reason);
        }
    }

    async fn note_finished(&mut self, key: &LeaseKey, end: Option<TaskEnd>) -> Option<Parted> {
        let running = self.running.remove(key);
        let Some(TaskEnd { finish, parted }) = end else {
            if let Some(running) = running {
                // The task is gone without having given the lease back: nobody reads the shard here any more.
                let _lost_or_given_back = self.keeper.farewell(&running.shared, Farewell::Release).await;
            }
            return None;
        };
        if finish == Finish::Lost {
            // It may have expired although nobody took it; then the row still names us.
            self.errands.look_at([key.clone()]);
        }
        self.errands.look_at(parted.look_at.iter().cloned());
        Some(parted)
    }
}
