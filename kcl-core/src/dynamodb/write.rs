//! From values to attributes, spelled as the KCL spells them.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::fields::Item;
use crate::row_names as a;
use crate::types::{Checkpoint, Lease, PendingCheckpoint, Throughput};

pub(super) fn text(value: impl AsRef<str>) -> AttributeValue {
    AttributeValue::S(value.as_ref().to_owned())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A set of texts. It must not be empty: DynamoDB has no empty sets.
pub(super) fn text_set<T: ToString>(values: impl IntoIterator<Item = T>) -> AttributeValue {
    AttributeValue::Ss(values.into_iter().map(|value| value.to_string()).collect())
}

pub(super) fn empty_map() -> AttributeValue {
    AttributeValue::M(Default::default())
}

/// Six decimals, as the KCL writes it. What is no number in DynamoDB's sense becomes one: this is a hint for the planner,
/// and the renewal on which it rides must not fail for its sake.
pub(super) fn throughput(Throughput(kib_per_second): Throughput) -> AttributeValue {
    let sane = if kib_per_second.is_nan() { 0.0 } else { kib_per_second.clamp(0.0, 1e15) };
    AttributeValue::N(format!("{sane:.6}"))
}

/// The text of a checkpoint and its sub-sequence number.
pub(super) fn checkpoint(checkpoint: &Checkpoint) -> (AttributeValue, AttributeValue) {
    match checkpoint {
        Checkpoint::At(position) => (text(position.sequence.as_str()), number(position.sub)),
        sentinel => (text(sentinel.to_string()), number(0)),
    }
}

/// The attributes of a prepared checkpoint. The state's is left out if there is none.
pub(super) fn pending(pending: &PendingCheckpoint) -> (AttributeValue, AttributeValue, Option<AttributeValue>) {
    let (position, sub) = checkpoint(&pending.checkpoint);
    (position, sub, pending.state.as_ref().map(|state| AttributeValue::B(Blob::new(state.to_vec()))))
}

/// A whole lease row, for creating it.
pub(super) fn lease(lease: &Lease) -> Item {
    let (position, sub) = checkpoint(&lease.checkpoint);
    let mut item = Item::from([
        (a::KEY.to_owned(), text(lease.key.as_str())),
        (a::COUNTER.to_owned(), number(lease.counter)),
        (a::OWNER_SWITCHES.to_owned(), number(lease.owner_switches)),
        (a::CHECKPOINT.to_owned(), position),
        (a::CHECKPOINT_SUB.to_owned(), sub),
    ]);
    let mut put = |name: &str, value: Option<AttributeValue>| {
        if let Some(value) = value {
            item.insert(name.to_owned(), value);
        }
    };
    put(a::ENTITY_TYPE, lease.typed.then(|| text(a::TYPE_LEASE)));
    put(a::OWNER, lease.owner.as_ref().map(|owner| text(owner.as_str())));
    put(a::CHECKPOINT_OWNER, lease.checkpoint_owner.as_ref().map(|owner| text(owner.as_str())));
    if let Some((position, sub, state)) = lease.pending.as_deref().map(pending) {
        put(a::PENDING, Some(position));
        put(a::PENDING_SUB, Some(sub));
        put(a::PENDING_STATE, state);
    }
    put(a::PARENTS, (!lease.parents.is_empty()).then(|| text_set(&lease.parents)));
    put(a::CHILDREN, (!lease.children.is_empty()).then(|| text_set(&lease.children)));
    put(a::HASH_START, lease.hash_range.map(|range| text(range.start().to_string())));
    put(a::HASH_END, lease.hash_range.map(|range| text(range.end().to_string())));
    put(a::THROUGHPUT, lease.throughput.map(throughput));
    put(a::STREAM, lease.multi_stream.as_ref().map(|stream| text(&stream.stream)));
    put(a::SHARD, lease.multi_stream.as_ref().map(|stream| text(stream.shard.as_str())));
    put(a::EPOCH, lease.epoch.map(number));
    put(a::OWN_COUNTER, lease.own_counter.map(number));
    put(a::START, lease.start.map(|start| number(start.as_millis())));
    put(a::LAST_OWNER, lease.last_owner.as_ref().map(|worker| text(worker.as_str())));
    put(a::STREAM_CREATED, lease.stream_created.map(|created| number(created.as_seconds())));
    put(a::TIP, lease.tip.map(|tip| number(tip.as_millis())));
    item
}
