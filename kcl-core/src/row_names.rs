//! Every name that a lease table knows: attributes, values of `entityType`, reserved keys, the index. No other file spells
//! one, so what this library shares with the KCL can be read here. All stores use the same spelling, so that rows can be
//! carried from one to the other.

// Every row.
pub(crate) const KEY: &str = "leaseKey";
pub(crate) const ENTITY_TYPE: &str = "entityType";

// Lease rows, written by the KCL too.
pub(crate) const OWNER: &str = "leaseOwner";
pub(crate) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(crate) const COUNTER: &str = "leaseCounter";
pub(crate) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(crate) const PENDING: &str = "pendingCheckpoint";
pub(crate) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(crate) const PENDING_STATE: &str = "pendingCheckpointState";
/// A set, in spite of its name.
pub(crate) const PARENTS: &str = "parentShardId";
pub(crate) const CHILDREN: &str = "childShardIds";
pub(crate) const HASH_START: &str = "startingHashKey";
pub(crate) const HASH_END: &str = "endingHashKey";
pub(crate) const THROUGHPUT: &str = "throughputKBps";
/// A serialised stream identifier, not a stream's name.
pub(crate) const STREAM: &str = "streamName";
pub(crate) const SHARD: &str = "shardId";

// Lease rows, ours.
pub(crate) const EPOCH: &str = "k_epoch";
pub(crate) const OWN_COUNTER: &str = "k_c";
pub(crate) const START: &str = "k_start";
pub(crate) const LAST_OWNER: &str = "k_by";
pub(crate) const STREAM_CREATED: &str = "k_stream";
pub(crate) const TIP: &str = "k_tip";

// Worker rows, written by the KCL too. Its `sup` and `slu` are never written: they announce features that Java leaders
// wait for.
pub(crate) const UPDATED: &str = "lut";
pub(crate) const SAMPLES: &str = "sts";
pub(crate) const OPERATING_RANGE: &str = "opr";

// Worker rows, ours.
pub(crate) const IMPLEMENTATION: &str = "k_impl";
pub(crate) const HEARTBEAT: &str = "k_hb";
pub(crate) const INCARNATION: &str = "k_inc";
pub(crate) const INBOX: &str = "k_inbox";
pub(crate) const CAPACITY: &str = "k_cap";
pub(crate) const MAX_LEASES: &str = "k_max";
pub(crate) const ZONE: &str = "k_zone";

// The leader row. All of the KCL's values are texts, the milliseconds too.
pub(crate) const LEADER_OWNER: &str = "ownerName";
pub(crate) const LEADER_DURATION: &str = "leaseDuration";
pub(crate) const LEADER_VERSION: &str = "recordVersionNumber";
pub(crate) const LEADER_RELEASED: &str = "isReleased";
/// The only value of [`LEADER_RELEASED`]; a lock that is held does not have the attribute.
pub(crate) const RELEASED: &str = "1";
pub(crate) const LEADER_CYCLE: &str = "k_cycle";
pub(crate) const LEADER_STANDBY: &str = "k_standby";

// Values of `entityType`. No new ones may be invented: the KCL takes rows of a type it does not know for leases.
pub(crate) const TYPE_LEASE: &str = "LEASE";
pub(crate) const TYPE_WORKER: &str = "WORKER_METRIC_STATS";
pub(crate) const TYPE_LEADER: &str = "LEADER";
pub(crate) const TYPE_CLIENT_VERSION: &str = "CLIENT_VERSION_MIGRATION";
pub(crate) const TYPE_TABLE_MIGRATION: &str = "TABLE_MIGRATION";

// Keys of rows that are no leases.
pub(crate) const KEY_LEADER: &str = "Leader";
pub(crate) const KEY_CLIENT_VERSION: &str = "Migration3.0";
pub(crate) const KEY_TABLE_MIGRATION: &str = "TableMigration3.5";

/// The index from owners to leases.
pub(crate) const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

// The coordinator table of KCL 3.0 to 3.4.
pub(crate) const COORDINATOR_SUFFIX: &str = "-CoordinatorState";
pub(crate) const COORDINATOR_KEY: &str = "key";
pub(crate) const MIGRATION_STATUS: &str = "tm";
pub(crate) const MIGRATION_COMPLETE: &str = "TABLE_MIGRATION_STATUS_COMPLETE";

/// What `Projection::Planning` brings.
pub(crate) const PLANNING: &[&str] = &[
    KEY,
    ENTITY_TYPE,
    OWNER,
    CHECKPOINT_OWNER,
    COUNTER,
    OWNER_SWITCHES,
    CHECKPOINT,
    CHECKPOINT_SUB,
    PARENTS,
    CHILDREN,
    STREAM,
    SHARD,
    THROUGHPUT,
    EPOCH,
    OWN_COUNTER,
    START,
    LAST_OWNER,
    STREAM_CREATED,
    UPDATED,
    IMPLEMENTATION,
    HEARTBEAT,
    INCARNATION,
    INBOX,
    CAPACITY,
    MAX_LEASES,
    ZONE,
    LEADER_OWNER,
    LEADER_DURATION,
    LEADER_VERSION,
    LEADER_RELEASED,
    LEADER_CYCLE,
    LEADER_STANDBY,
];

/// What `Projection::Planning` leaves out.
#[cfg(feature = "sqlite")]
pub(crate) const NOT_FOR_PLANNING: &[&str] = &[PENDING, PENDING_SUB, PENDING_STATE, HASH_START, HASH_END, TIP];
