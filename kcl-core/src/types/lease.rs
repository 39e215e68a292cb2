//! A lease exactly as the table stores it.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Checkpoint, Epoch, HashRange, InvalidId, LeaseKey, ShardId, Timestamp, WorkerId};

/// A row of the lease table that says who reads a shard and how far it is.
///
/// Field by field what KCL 3.5 stores, and the `k_` attributes that this library adds. Attributes that neither knows
/// stay in the table: writes name only what they change. A worker keeps some rows of every lease in memory, so what most of
/// them lack is on the heap where it is there.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Lease {
    /// `leaseKey`.
    pub key: LeaseKey,
    /// `leaseOwner`: who holds the lease, or in a hand-off who will. Absent: nobody.
    pub owner: Option<WorkerId>,
    /// `checkpointOwner`: in a hand-off the one who still reads and checkpoints.
    pub checkpoint_owner: Option<WorkerId>,
    /// `leaseCounter`: moves with every write of the holder; its movement is the sign of life.
    pub counter: u64,
    /// `ownerSwitchesSinceCheckpoint`.
    pub owner_switches: u64,
    /// `checkpoint` and `checkpointSubSequenceNumber`.
    pub checkpoint: Checkpoint,
    /// `pendingCheckpoint` with its sub-sequence number and application state.
    pub pending: Option<Box<PendingCheckpoint>>,
    /// `parentShardId`: the one or two shards this one came from.
    pub parents: BTreeSet<ShardId>,
    /// `childShardIds`: known once the shard has ended.
    pub children: BTreeSet<ShardId>,
    /// `startingHashKey` and `endingHashKey`.
    pub hash_range: Option<HashRange>,
    /// `throughputKBps`.
    pub throughput: Option<Throughput>,
    /// `streamName` and `shardId` of a table that serves several streams.
    pub multi_stream: Option<Box<MultiStream>>,
    /// `entityType` is stored (KCL 3.5 and later; earlier rows lack it).
    pub typed: bool,
    /// `k_epoch`: absent reads as 0.
    pub epoch: Option<Epoch>,
    /// `k_c`: the counter that the last write of this library produced.
    pub own_counter: Option<u64>,
    /// `k_start`: the instant to which LATEST was pinned, or that AT_TIMESTAMP means.
    pub start: Option<Timestamp>,
    /// `k_by`: the last owner, for stickiness.
    pub last_owner: Option<WorkerId>,
    /// `k_stream`: when the stream that the checkpoint belongs to was created, in whole seconds. A stream that was deleted
    /// and created again under the same name has another time.
    pub stream_created: Option<Timestamp>,
    /// `k_tip`: at this time the shard had nothing beyond the checkpoint. It stays true while the checkpoint advances.
    pub tip: Option<Timestamp>,
}

/// A checkpoint that was prepared but not committed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingCheckpoint {
    /// The position that was prepared.
    pub checkpoint: Checkpoint,
    /// What the application wants back with it.
    pub state: Option<Bytes>,
}

impl PendingCheckpoint {
    /// A prepared position with the application's state.
    pub fn new(checkpoint: Checkpoint, state: Option<Bytes>) -> Self {
        PendingCheckpoint { checkpoint, state }
    }
}

/// Where a lease belongs in a table of several streams.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MultiStream {
    /// The stream as KCL serialises it, `ACCOUNT:NAME:CREATION_EPOCH`.
    pub stream: String,
    /// The bare shard id.
    pub shard: ShardId,
}

impl MultiStream {
    /// A stream identifier as serialised, and the shard.
    pub fn new(stream: impl Into<String>, shard: ShardId) -> Self {
        MultiStream { stream: stream.into(), shard }
    }
}

/// What a lease carries, in KiB/s: an average that its holder keeps.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Throughput(pub f64);

impl Lease {
    /// A lease nobody holds yet.
    ///
    /// `counter` should be the time in Unix seconds: then fencing tokens keep growing if a row is deleted and made anew.
    pub fn unowned(key: LeaseKey, checkpoint: Checkpoint, counter: u64) -> Self {
        Lease {
            key,
            owner: None,
            checkpoint_owner: None,
            counter,
            owner_switches: 0,
            checkpoint,
            pending: None,
            parents: BTreeSet::new(),
            children: BTreeSet::new(),
            hash_range: None,
            throughput: None,
            multi_stream: None,
            typed: true,
            epoch: Some(Epoch(0)),
            own_counter: Some(counter),
            start: None,
            last_owner: None,
            stream_created: None,
            tip: None,
        }
    }

    /// The worker that reads and checkpoints now: in a hand-off the old owner, else the owner.
    pub fn holder(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// The fencing epoch; a row that this library never wrote has epoch 0.
    pub fn epoch(&self) -> Epoch {
        self.epoch.unwrap_or_default()
    }

    /// The id of the shard that the lease is for.
    ///
    /// # Errors
    /// If the key of a single-stream lease is not spelled like a shard id.
    pub fn shard_id(&self) -> Result<ShardId, InvalidId> {
        match &self.multi_stream {
            Some(multi) => Ok(multi.shard.clone()),
            None => ShardId::new(self.key.as_str()),
        }
    }

    /// The stream as KCL serialises it, in a table that serves several.
    pub fn stream(&self) -> Option<&str> {
        self.multi_stream.as_ref().map(|multi| multi.stream.as_str())
    }

    /// The key of the lease of another shard of the same stream.
    pub fn sibling_key(&self, shard: &ShardId) -> LeaseKey {
        LeaseKey::of_shard(self.stream(), shard)
    }

    /// Whether the shard is processed to its end.
    pub fn is_ended(&self) -> bool {
        self.checkpoint.is_shard_end()
    }

    /// Whether the last write to this row was ours: nobody foreign moved the counter since.
    pub fn last_written_by_us(&self) -> bool {
        self.own_counter == Some(self.counter)
    }
}
