//! Owns the shard tasks: starts one for every tenure that begins, and ends them in order.

mod desk;
mod drain;
mod finished;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::context::Context;
use super::errands::Errands;
use super::lease_keeper::{LeaseKeeper, Parted};
use super::shard_task::{ShardTask, TaskEnd};
use super::streams::Stream;
use super::tasks::TaskKind;
use super::tenure::SharedTenure;
use crate::plan::fleet_view::FleetView;
use crate::plan::holding::Farewell;
use crate::shard::machine::{Finish, StopReason};
use crate::types::LeaseKey;
use desk::{Begun, Desk};
use finished::{FinishedTasks, TellFinished};

/// What was left undone when the worker stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(crate) released: usize,
    pub(crate) ended: usize,
    pub(crate) lost: Vec<LeaseKey>,
}

struct Running {
    shared: Arc<SharedTenure>,
    stream: Arc<Stream>,
}

pub(crate) struct Assigner {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    errands: Arc<Errands>,
    desk: Desk,
    running: BTreeMap<LeaseKey, Running>,
    finished: Arc<FinishedTasks>,
}

impl Assigner {
    pub(crate) fn new(context: Arc<Context>, keeper: LeaseKeeper, errands: Arc<Errands>) -> Self {
        Assigner {
            desk: Desk::new(Arc::clone(&context), keeper.clone(), Arc::clone(&errands)),
            context,
            keeper,
            errands,
            running: BTreeMap::new(),
            finished: Arc::default(),
        }
    }

    /// Works until the worker is told to stop, then drains. `last_look` yields the fleet as it is at the stop, if it can be
    /// seen: who goes on with what is held here.
    pub(crate) async fn run(mut self, last_look: oneshot::Receiver<FleetView>) -> Drained {
        let context = Arc::clone(&self.context);
        let mut changes = context.streams.changes();
        loop {
            tokio::select! {
                // What has finished first: a lease is not begun again while its last task is still there.
                biased;
                () = context.stop.cancelled() => break,
                (key, end) = self.finished.next() => {
                    let stream = self.running.get(&key).map(|running| Arc::clone(&running.stream));
                    if let (Some(parted), Some(stream)) = (self.note_finished(&key, end).await, stream) {
                        self.start_children(&key, &stream, parted.begun);
                    }
                }
                Ok(()) = changes.changed() => self.hand_back_unwanted(),
                begun = self.desk.granted(|key| self.running.contains_key(key)) => self.start(begun),
            }
        }
        // Nothing is taken in any more; what was just begun goes back to where it came from.
        self.desk.abandon();
        self.drain(last_look).await
    }

    fn start(&mut self, begun: Begun) {
        let Begun { shared, stream, reason } = begun;
        let key = shared.tenure.lease.clone();
        let id = match shared.row().shard_id() {
            Ok(id) => id,
            Err(error) => {
                // Rows whose key is no shard id are sifted out before anything is done about them.
                debug_assert!(false, "{error}");
                return;
            }
        };
        self.ask_back_if_unwanted(&shared);
        self.running.insert(key.clone(), Running { shared: Arc::clone(&shared), stream: Arc::clone(&stream) });
        let task = ShardTask::new(Arc::clone(&self.context), self.keeper.clone(), shared, stream, id);
        let finished = TellFinished::new(&self.finished, key);
        self.context.tasks.spawn_and_tell(TaskKind::Shard, task.run(reason), |outcome| finished.tell(outcome));
    }

    /// The end of a shard began the tenures of its children.
    fn start_children(&mut self, parent: &LeaseKey, stream: &Arc<Stream>, children: Vec<Arc<SharedTenure>>) {
        for shared in children {
            let reason = format!("child of {parent}, which ended here");
            self.start(Begun { shared, stream: Arc::clone(stream), reason });
        }
    }

    /// What is wanted changed.
    fn hand_back_unwanted(&self) {
        for running in self.running.values() {
            self.ask_back_if_unwanted(&running.shared);
        }
    }

    fn ask_back_if_unwanted(&self, shared: &SharedTenure) {
        if !self.context.streams.wanted().may_go_on(shared.row().stream()) {
            let deadline = self.context.clock.now() + self.context.settings.drain_timeout;
            shared.orders.stop(StopReason::Unwanted, deadline, None);
        }
    }

    async fn note_finished(&mut self, key: &LeaseKey, end: Option<TaskEnd>) -> Option<Parted> {
        let running = self.running.remove(key);
        let Some(TaskEnd { finish, parted }) = end else {
            if let Some(Running { shared, .. }) = running {
                // The task is gone without having given the lease back: nobody reads the shard here any more.
                let _lost_or_given_back = self.keeper.farewell(&shared, Farewell::Release).await;
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
