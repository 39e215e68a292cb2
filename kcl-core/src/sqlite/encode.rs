//! From values to documents, and from two states of a row to the patch that leads from one to the other.

use serde_json::{Map, Value, json};

use crate::row_names as a;
use crate::types::{Checkpoint, LeaderRow, Lease, Timestamp, WorkerRow};

/// The members of a row that this library knows; `null` where the row has nothing.
pub(super) type Members = Map<String, Value>;

/// What `after` has otherwise than `before`: a merge patch (RFC 7396), in which `null` removes. Members that neither names
/// are not in it, so those of other writers stay as they are, byte by byte.
pub(super) fn patch(before: &Members, after: &Members) -> Members {
    let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    changed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

pub(super) fn lease(lease: &Lease) -> Members {
    let (checkpoint, checkpoint_sub) = checkpoint(&lease.checkpoint);
    let pending = lease.pending.as_deref();
    let (pending_at, pending_sub) = pending.map_or((Value::Null, Value::Null), |p| self::checkpoint(&p.checkpoint));
    let state = pending.and_then(|pending| pending.state.as_ref());
    let hash_key = |key: Option<u128>| key.map_or(Value::Null, |key| json!(key.to_string()));
    let multi_stream = lease.multi_stream.as_deref();
    members([
        (a::ENTITY_TYPE, json!(lease.typed.then_some(a::TYPE_LEASE))),
        (a::OWNER, json!(lease.owner)),
        (a::CHECKPOINT_OWNER, json!(lease.checkpoint_owner)),
        (a::COUNTER, json!(lease.counter)),
        (a::OWNER_SWITCHES, json!(lease.owner_switches)),
        (a::CHECKPOINT, checkpoint),
        (a::CHECKPOINT_SUB, checkpoint_sub),
        (a::PENDING, pending_at),
        (a::PENDING_SUB, pending_sub),
        (a::PENDING_STATE, json!(state.map(|state| to_hex(state)))),
        (a::PARENTS, set(&lease.parents)),
        (a::CHILDREN, set(&lease.children)),
        (a::HASH_START, hash_key(lease.hash_range.map(|range| range.start()))),
        (a::HASH_END, hash_key(lease.hash_range.map(|range| range.end()))),
        (a::THROUGHPUT, json!(lease.throughput.map(|throughput| throughput.0))),
        (a::STREAM, json!(multi_stream.map(|multi| &multi.stream))),
        (a::SHARD, json!(multi_stream.map(|multi| &multi.shard))),
        (a::EPOCH, json!(lease.epoch)),
        (a::OWN_COUNTER, json!(lease.own_counter)),
        (a::START, json!(lease.start.map(|start| start.as_millis()))),
        (a::LAST_OWNER, json!(lease.last_owner)),
        (a::STREAM_CREATED, json!(lease.stream_created.map(Timestamp::as_seconds))),
        (a::TIP, json!(lease.tip.map(Timestamp::as_millis))),
    ])
}

pub(super) fn worker(row: &WorkerRow) -> Members {
    members([
        (a::ENTITY_TYPE, json!(a::TYPE_WORKER)),
        (a::UPDATED, json!(row.updated.map(Timestamp::as_seconds))),
        (a::IMPLEMENTATION, json!(row.implementation)),
        (a::HEARTBEAT, json!(row.heartbeat)),
        (a::INCARNATION, json!(row.incarnation)),
        (a::INBOX, set(&row.inbox)),
        (a::CAPACITY, json!(row.capacity)),
        (a::MAX_LEASES, json!(row.max_leases)),
        (a::ZONE, json!(row.zone)),
    ])
}

pub(super) fn leader(row: &LeaderRow) -> Members {
    members([
        (a::ENTITY_TYPE, json!(a::TYPE_LEADER)),
        (a::LEADER_OWNER, json!(row.owner)),
        (a::LEADER_DURATION, json!(row.lease_duration.as_millis().to_string())),
        (a::LEADER_VERSION, json!(row.version)),
        (a::LEADER_RELEASED, json!(row.released.then_some(a::RELEASED))),
        (a::LEADER_CYCLE, json!(row.cycle)),
        (a::LEADER_STANDBY, json!(row.standby)),
    ])
}

fn members<const N: usize>(members: [(&str, Value); N]) -> Members {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn checkpoint(checkpoint: &Checkpoint) -> (Value, Value) {
    match checkpoint {
        Checkpoint::At(position) => (json!(position.sequence.as_str()), json!(position.sub)),
        sentinel => (json!(sentinel.to_string()), json!(0)),
    }
}

/// An empty set is an absent member, as in DynamoDB.
fn set<T: serde::Serialize>(set: &std::collections::BTreeSet<T>) -> Value {
    if set.is_empty() { Value::Null } else { json!(set) }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
