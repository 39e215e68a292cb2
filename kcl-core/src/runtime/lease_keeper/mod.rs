//! The single writer of the leases this worker holds.
//!
//! One task owns all tenures: renewals, checkpoints and releases of one lease cannot race with each other, and between
//! workers the condition of each write decides. What to write when is decided by [`Holding`](crate::plan::holding::Holding); `keeper` sends it.

mod answers;
mod keeper;
mod send;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::tenure::SharedTenure;
use crate::plan::holding::Farewell;
use crate::plan::transition::LeaseWrite;
use crate::ports::{CheckpointError, LeaseLostReason};
use crate::types::{Lease, LeaseKey, RecordPosition, Tenure};
use keeper::Keeper;

/// What a tenure that ended as we wished leaves to be done.
#[derive(Debug, Default)]
pub(crate) struct Parted {
    /// Tenures of children that began with it.
    pub(crate) begun: Vec<Arc<SharedTenure>>,
    /// Rows of children that perhaps name this worker.
    pub(crate) look_at: Vec<LeaseKey>,
}

type BeginReply = oneshot::Sender<Result<Arc<SharedTenure>, String>>;
type FarewellReply = oneshot::Sender<Result<Parted, LeaseLostReason>>;
type FlushReply = oneshot::Sender<Result<Option<RecordPosition>, CheckpointError>>;

enum Command {
    Begin { key: LeaseKey, write: Box<LeaseWrite>, reply: BeginReply },
    Flush { tenure: Tenure, reply: Option<FlushReply> },
    Farewell { tenure: Tenure, farewell: Farewell, reply: FarewellReply },
    Learn { row: Box<Lease> },
    MayHold { key: LeaseKey, reply: oneshot::Sender<bool> },
}

/// A cheap handle on the lease keeper.
#[derive(Clone)]
pub(crate) struct LeaseKeeper {
    commands: mpsc::Sender<Command>,
}

/// The most commands that wait; those who ask wait with them.
const COMMANDS: usize = 256;

impl LeaseKeeper {
    /// The keeper and its task, which ends once the worker has `drained` and nothing is held or under way. Handles may
    /// outlive it: user code can keep a checkpointer for ever.
    pub(crate) fn new(
        context: Arc<Context>,
        drained: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(COMMANDS);
        (LeaseKeeper { commands: sender }, Keeper::new(context).run(receiver, drained))
    }

    /// Begins a tenure with this write. The error says in words why it did not begin.
    pub(crate) async fn begin(&self, key: LeaseKey, write: LeaseWrite) -> Result<Arc<SharedTenure>, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the worker ends".to_owned();
        self.commands.send(Command::Begin { key, write: Box::new(write), reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Stores what is completed without waiting for the renewal, and returns once it is stored.
    pub(crate) async fn flush(&self, shared: &SharedTenure) -> Result<Option<RecordPosition>, CheckpointError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Flush { tenure: shared.tenure.clone(), reply: Some(reply) };
        if self.commands.send(command).await.is_err() {
            return Err(CheckpointError::LeaseLost(shared.orders.end_reason()));
        }
        answer.await.unwrap_or(Err(CheckpointError::LeaseLost(shared.orders.end_reason())))
    }

    /// Asks for an early write and does not wait. If the keeper is busy the renewal stores it.
    pub(crate) fn flush_soon(&self, tenure: &Tenure) {
        let _the_renewal_will_do = self.commands.try_send(Command::Flush { tenure: tenure.clone(), reply: None });
    }

    /// Passes on a row that was read and that names this worker as the one who should hand over: its shard task hears of it
    /// before a renewal fails on it. A row that says nothing new is ignored.
    pub(crate) async fn learn(&self, row: Lease) {
        let _the_worker_ends = self.commands.send(Command::Learn { row: Box::new(row) }).await;
    }

    /// Whether this worker holds the lease or may be about to: by a write of its own, or with the end of its parent. Whoever
    /// finds the worker named as a holder without a tenure asks before acting in its place.
    pub(crate) async fn may_hold(&self, key: &LeaseKey) -> bool {
        let (reply, answer) = oneshot::channel();
        let asked = self.commands.send(Command::MayHold { key: key.clone(), reply }).await;
        asked.is_ok() && answer.await.unwrap_or(false)
    }

    /// Ends a tenure, with everything that is completed stored in the same write.
    pub(crate) async fn farewell(&self, shared: &SharedTenure, farewell: Farewell) -> Result<Parted, LeaseLostReason> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Farewell { tenure: shared.tenure.clone(), farewell, reply };
        if self.commands.send(command).await.is_err() {
            return Err(shared.orders.end_reason());
        }
        answer.await.unwrap_or_else(|_| Err(shared.orders.end_reason()))
    }
}
