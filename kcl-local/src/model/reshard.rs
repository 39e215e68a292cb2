//! Split, merge and uniform scaling.

use super::hash::{HashKey, HashRange};
use super::shard::{Event, Shard, ShardId};
use super::shards::Shards;
use super::time::Timestamp;

/// A change of shards that was accepted. It is carried out when the stream has been `UPDATING` for its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reshard {
    /// One shard becomes two.
    Split {
        /// The shard to close.
        shard: ShardId,
        /// The first hash key of the second child.
        at: HashKey,
    },
    /// Two neighbours become one.
    Merge {
        /// The shard that the child names as its parent.
        shard: ShardId,
        /// The shard that the child names as its adjacent parent.
        adjacent: ShardId,
    },
    /// As many shards of equal width.
    Scale {
        /// How many.
        target: u32,
    },
}

impl Reshard {
    /// Carries the change out. What it refers to was checked when it was accepted, and nothing else can reshard a
    /// stream that is `UPDATING`.
    pub(crate) fn apply(self, shards: &mut Shards, now: Timestamp) {
        match self {
            Self::Split { shard, at } => split(shards, shard, at, now),
            Self::Merge { shard, adjacent } => merge(shards, shard, adjacent, now),
            Self::Scale { target } => scale(shards, target, now),
        }
    }
}

fn split(shards: &mut Shards, id: ShardId, at: HashKey, now: Timestamp) {
    let event = shards.begin_step(now);
    let parent = shards.find(id).expect("the shard to split was checked");
    let (low, high) = parent.hash_range.split_at(at).expect("the place to split was checked");
    shards.close(id, event);
    for range in [low, high] {
        open_child(shards, range, event, id, None);
    }
}

fn merge(shards: &mut Shards, id: ShardId, adjacent: ShardId, now: Timestamp) {
    let event = shards.begin_step(now);
    let range_of = |id| shards.find(id).expect("the shards to merge were checked").hash_range;
    let range = range_of(id).joined_with(&range_of(adjacent)).expect("the shards to merge were checked");
    shards.close(id, event);
    shards.close(adjacent, event);
    open_child(shards, range, event, id, Some(adjacent));
}

fn open_child(shards: &mut Shards, range: HashRange, event: Event, parent: ShardId, adjacent: Option<ShardId>) {
    let id = shards.new_id();
    let find = |id| shards.find(id).expect("parents outlive the step that closes them");
    let child = Shard::new(id, range, event).with_parents(find(parent), adjacent.map(find));
    shards.insert(child);
}

/// Reaches uniform ranges by splits and merges alone, as the service does: first every missing boundary is cut, then
/// the pieces between two boundaries are merged. Shards that live only within this change stay behind, closed and
/// empty, and lineage stays complete.
fn scale(shards: &mut Shards, target: u32, now: Timestamp) {
    let ranges = HashRange::uniform(target);
    for range in &ranges {
        let covering = shards.open().find(|shard| shard.hash_range.contains(range.start));
        let (id, start) = covering.map(|shard| (shard.id, shard.hash_range.start)).expect("open shards tile the space");
        if start != range.start {
            split(shards, id, range.start, now);
        }
    }
    for range in &ranges {
        merge_pieces(shards, range, now);
    }
}

fn merge_pieces(shards: &mut Shards, range: &HashRange, now: Timestamp) {
    loop {
        let mut pieces = shards.open().filter(|shard| range.contains(shard.hash_range.start)).map(|shard| shard.id);
        let (Some(first), Some(second)) = (pieces.next(), pieces.next()) else { return };
        drop(pieces);
        merge(shards, first, second, now);
    }
}
