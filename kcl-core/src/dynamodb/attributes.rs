//! Every name that the table knows: attributes, values of `entityType`, reserved keys, the index. No other file spells
//! one, so what this library shares with the KCL can be read here.

// Every row.
pub(super) const KEY: &str = "leaseKey";
pub(super) const ENTITY_TYPE: &str = "entityType";

// Lease rows, written by the KCL too.
pub(super) const OWNER: &str = "leaseOwner";
pub(super) const CHECKPOINT_OWNER: &str = "checkpointOwner";
pub(super) const COUNTER: &str = "leaseCounter";
pub(super) const OWNER_SWITCHES: &str = "ownerSwitchesSinceCheckpoint";
pub(super) const CHECKPOINT: &str = "checkpoint";
pub(super) const CHECKPOINT_SUB: &str = "checkpointSubSequenceNumber";
pub(super) const PENDING: &str = "pendingCheckpoint";
pub(super) const PENDING_SUB: &str = "pendingCheckpointSubSequenceNumber";
pub(super) const PENDING_STATE: &str = "pendingCheckpointState";
/// A set, in spite of its name.
pub(super) const PARENTS: &str = "parentShardId";
pub(super) const CHILDREN: &str = "childShardIds";
pub(super) const HASH_START: &str = "startingHashKey";
pub(super) const HASH_END: &str = "endingHashKey";
pub(super) const THROUGHPUT: &str = "throughputKBps";
/// A serialised stream identifier, not a stream's name.
pub(super) const STREAM: &str = "streamName";
pub(super) const SHARD: &str = "shardId";

// Lease rows, ours.
pub(super) const EPOCH: &str = "k_epoch";
pub(super) const OWN_COUNTER: &str = "k_c";
pub(super) const START: &str = "k_start";
pub(super) const LAST_OWNER: &str = "k_by";

// Worker rows, written by the KCL too. Its `sup` and `slu` are never written: they announce features that Java leaders
// wait for.
pub(super) const UPDATED: &str = "lut";
pub(super) const SAMPLES: &str = "sts";
pub(super) const OPERATING_RANGE: &str = "opr";

// Worker rows, ours.
pub(super) const IMPLEMENTATION: &str = "k_impl";
pub(super) const HEARTBEAT: &str = "k_hb";
pub(super) const INCARNATION: &str = "k_inc";
pub(super) const INBOX: &str = "k_inbox";
pub(super) const CAPACITY: &str = "k_cap";
pub(super) const ZONE: &str = "k_zone";

// The leader row. All of the KCL's values are texts, the milliseconds too.
pub(super) const LEADER_OWNER: &str = "ownerName";
pub(super) const LEADER_DURATION: &str = "leaseDuration";
pub(super) const LEADER_VERSION: &str = "recordVersionNumber";
pub(super) const LEADER_RELEASED: &str = "isReleased";
pub(super) const LEADER_CYCLE: &str = "k_cycle";
pub(super) const LEADER_STANDBY: &str = "k_standby";

// Values of `entityType`. No new ones may be invented: the KCL takes rows of a type it does not know for leases.
pub(super) const TYPE_LEASE: &str = "LEASE";
pub(super) const TYPE_WORKER: &str = "WORKER_METRIC_STATS";
pub(super) const TYPE_LEADER: &str = "LEADER";
pub(super) const TYPE_CLIENT_VERSION: &str = "CLIENT_VERSION_MIGRATION";
pub(super) const TYPE_TABLE_MIGRATION: &str = "TABLE_MIGRATION";

// Keys of rows that are no leases.
pub(super) const KEY_LEADER: &str = "Leader";
pub(super) const KEY_CLIENT_VERSION: &str = "Migration3.0";
pub(super) const KEY_TABLE_MIGRATION: &str = "TableMigration3.5";

/// The index from owners to leases.
pub(super) const OWNER_INDEX: &str = "LeaseOwnerToLeaseKeyIndex";

// The coordinator table of KCL 3.0 to 3.4.
pub(super) const COORDINATOR_SUFFIX: &str = "-CoordinatorState";
pub(super) const COORDINATOR_KEY: &str = "key";
pub(super) const MIGRATION_STATUS: &str = "tm";
pub(super) const MIGRATION_COMPLETE: &str = "TABLE_MIGRATION_STATUS_COMPLETE";

/// What `Projection::Planning` brings.
pub(super) const PLANNING: &[&str] = &[
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
    THROUGHPUT,
    EPOCH,
    OWN_COUNTER,
    START,
    LAST_OWNER,
    UPDATED,
    IMPLEMENTATION,
    HEARTBEAT,
    INCARNATION,
    INBOX,
    CAPACITY,
    ZONE,
    LEADER_OWNER,
    LEADER_DURATION,
    LEADER_VERSION,
    LEADER_RELEASED,
    LEADER_CYCLE,
    LEADER_STANDBY,
];
