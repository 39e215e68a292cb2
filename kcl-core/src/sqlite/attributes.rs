//! The names of the attributes, spelled as in the KCL's table, so that rows can be carried from one store to the other.
//! No other file of this store spells one.

// Every row. The key is a column of its own.
pub(super) const ENTITY_TYPE: &str = "entityType";

// Leases.
pub(super) const OWNER: &str = "leaseOwner";
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(super) const COUNTER: &str = "leaseCounter";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(super) const PENDING: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
/// Bytes, in hexadecimal digits.
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
pub(super) const HASH_START: &str = "startingHashKey";
pub(super) const HASH_END: &str = "endingHashKey";
pub(super) const THROUGHPUT: &str = "throughputKBps";
pub(super) const STREAM: &str = "streamName";
pub(super) const SHARD: &str = "shardId";
pub(super) const EPOCH: &str = "k_epoch";
pub(super) const OWN_COUNTER: &str = "k_c";
/// Milliseconds since 1970.
pub(super) const START: &str = "k_start";
pub(super) const LAST_OWNER: &str = "k_by";

// Workers.
/// Whole seconds since 1970, as the KCL has it.
pub(super) const UPDATED: &str = "lut";
pub(super) const IMPLEMENTATION: &str = "k_impl";
pub(super) const HEARTBEAT: &str = "k_hb";
pub(super) const INCARNATION: &str = "k_inc";
pub(super) const INBOX: &str = "k_inbox";
pub(super) const CAPACITY: &str = "k_cap";
pub(super) const ZONE: &str = "k_zone";

// The leader lock.
pub(super) const LEADER_OWNER: &str = "ownerName";
/// A text of whole milliseconds, as the KCL has it.
pub(super) const LEADER_DURATION: &str = "leaseDuration";
pub(super) const LEADER_VERSION: &str = "recordVersionNumber";
/// `"1"` or absent, as the KCL has it.
pub(super) const LEADER_RELEASED: &str = "isReleased";
pub(super) const LEADER_CYCLE: &str = "k_cycle";
pub(super) const LEADER_STANDBY: &str = "k_standby";

// Values of `entityType`; a row without one is a lease.
pub(super) const TYPE_LEASE: &str = "LEASE";
pub(super) const TYPE_WORKER: &str = "WORKER_METRIC_STATS";
pub(super) const TYPE_LEADER: &str = "LEADER";

/// The key of the leader lock.
pub(super) const KEY_LEADER: &str = "Leader";

/// What `Projection::Planning` leaves out.
pub(super) const NOT_FOR_PLANNING: &[&str] =
    &[PENDING, PENDING_SUB, PENDING_STATE, HASH_START, HASH_END, STREAM, SHARD];
