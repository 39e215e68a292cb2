//! What a worker tells those who subscribe.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use crate::ports::{DataLoss, LeaseLostReason};
use crate::shard::watchdog::RestartReason;
use crate::types::{Epoch, FencingToken, LeaseKey, ShardRef, StreamId, StreamIdentity, WorkerId};

/// A shard in one tenure of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardTenure {
    /// The stream and the shard.
    pub shard: ShardRef,
    /// The lease of the shard.
    pub lease: LeaseKey,
    /// The worker that holds, or held, it.
    pub worker: WorkerId,
    /// The epoch of the tenure.
    pub epoch: Epoch,
    /// The fencing token of the tenure.
    pub fencing_token: FencingToken,
}

/// Something that happened in a worker. State changes only: nothing per record or batch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// A tenure began; `reason` is the plan's.
    LeaseGained {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// Why it was taken, in words.
        reason: String,
    },
    /// A tenure ended against the worker's will.
    LeaseLost {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// Why.
        reason: LeaseLostReason,
    },
    /// The worker gave a lease back, with everything that was completed stored.
    LeaseReleased {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// Why.
        reason: LeaseReleasedReason,
    },
    /// A shard does not advance; it is tried again and again.
    ShardStalled {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// What fails.
        what: &'static str,
        /// How often it failed in a row.
        attempts: u32,
        /// The last error.
        error: String,
    },
    /// A stalled shard advances again.
    ShardRecovered {
        /// The tenure.
        tenure: Arc<ShardTenure>,
    },
    /// The record of the checkpoint is no longer kept, and the shard was not seen at its tip within a day: it was not read for
    /// longer than the stream's retention. Reading goes on with what is there.
    DataLoss {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// What is missing.
        loss: DataLoss,
    },
    /// An aggregate that cannot be opened was delivered as one record, as the setting `corrupt_aggregates` asks.
    CorruptAggregate {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// Where it stands and what is wrong with it.
        error: String,
    },
    /// A shard waits for something longer than is healthy, and that is all: a slow handler, memory that slow handlers hold.
    /// Told once per wait.
    ShardSlow {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// What it waits for.
        what: &'static str,
        /// For how long so far.
        waited: Duration,
    },
    /// The task of a shard did not get on and is started anew, in the same tenure: with a processor of its own, where
    /// everything is completed.
    ShardRestarted {
        /// The tenure.
        tenure: Arc<ShardTenure>,
        /// Why.
        reason: RestartReason,
        /// How many times in a row, without progress in between. After three the lease is given to another worker.
        in_a_row: u32,
    },
    /// The set of streams that this worker reads changed.
    StreamsChanged {
        /// Read from now on.
        added: Vec<StreamId>,
        /// Handed back and read no more.
        removed: Vec<StreamId>,
    },
    /// The provider of streams did not say which are wanted. The last ones are kept, and it is asked again.
    StreamSetUnknown {
        /// What it said.
        error: String,
    },
    /// A stream of a set was deleted and created again under its name: it is read anew from its start position, and the
    /// leases of the one before are parked.
    StreamRecreated {
        /// The stream.
        stream: StreamId,
        /// Who it was before.
        before: StreamIdentity,
    },
    /// The worker was asked to stop and drains.
    Stopping,
    /// Everything is given back.
    Stopped,
}

/// Why a worker gave a lease back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseReleasedReason {
    /// The worker stops.
    Shutdown,
    /// A leader asked to hand it over.
    HandOver,
    /// The shard is processed to its end.
    ShardEnd,
    /// Its stream is not wanted any more.
    Unwanted,
    /// The shard did not get on here, and starting its task anew did not help.
    Stuck,
}

impl LeaseReleasedReason {
    /// A short name for logs and events.
    pub fn as_str(self) -> &'static str {
        match self {
            LeaseReleasedReason::Shutdown => "shutdown",
            LeaseReleasedReason::HandOver => "hand_over",
            LeaseReleasedReason::ShardEnd => "shard_end",
            LeaseReleasedReason::Unwanted => "unwanted",
            LeaseReleasedReason::Stuck => "stuck",
        }
    }
}

/// The most events that wait for a subscriber; a slower one misses the oldest and is told how many.
const CAPACITY: usize = 1024;

/// The sending side, owned by the worker.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    sender: broadcast::Sender<WorkerEvent>,
}

impl Events {
    pub(crate) fn new() -> Self {
        Events { sender: broadcast::Sender::new(CAPACITY) }
    }

    /// Tells all subscribers; having none is fine.
    pub(crate) fn send(&self, event: WorkerEvent) {
        let _nobody_listens = self.sender.send(event);
    }

    pub(crate) fn subscribe(&self) -> EventStream {
        EventStream { receiver: self.sender.subscribe() }
    }
}

/// Events of a worker from the moment of subscription, at most 1,024 waiting.
#[derive(Debug)]
pub struct EventStream {
    receiver: broadcast::Receiver<WorkerEvent>,
}

/// A subscriber was too slow and missed this many events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct EventsMissed(pub u64);

impl EventStream {
    /// The next event; `None` once the worker is gone. Cancel safe.
    ///
    /// # Errors
    /// [`EventsMissed`] if this subscriber was too slow; the next call goes on with the oldest event still there.
    pub async fn next(&mut self) -> Option<Result<WorkerEvent, EventsMissed>> {
        match self.receiver.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(Err(EventsMissed(missed))),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
