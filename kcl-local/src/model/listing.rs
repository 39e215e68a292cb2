//! Which shards a listing shows.

use super::shard::{Shard, ShardId};
use super::shards::Shards;
use super::time::Timestamp;

/// The filters of `ListShards`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardFilter {
    /// Every shard with an id above this one.
    AfterShardId(ShardId),
    /// The shards that were open when the oldest record that is still kept arrived.
    AtTrimHorizon,
    /// Every shard that has not expired. Also what a listing without a filter shows.
    FromTrimHorizon,
    /// The shards that are open.
    AtLatest,
    /// The shards that were open at this time: opened at or before it, and not closed before it.
    AtTimestamp(Timestamp),
    /// The shards that are open, or were closed at this time or later.
    FromTimestamp(Timestamp),
}

impl ShardFilter {
    /// Whether a listing shows the shard, seen from after `generation` steps of resharding.
    ///
    /// A listing that takes several pages keeps the generation of its first page. Otherwise a split between two pages
    /// could hide a parent that the first page has passed by, and show its children as well, or neither.
    pub(crate) fn shows(self, shard: &Shard, shards: &Shards, generation: u32) -> bool {
        let existed = shard.opened.generation <= generation;
        let closed = shard.closed.filter(|closed| closed.generation <= generation);
        existed
            && match self {
                Self::AfterShardId(id) => shard.id > id,
                Self::FromTrimHorizon => true,
                Self::AtLatest => closed.is_none(),
                Self::AtTrimHorizon => is_root(shard, shards),
                // A time before the oldest shard means the trim horizon, as it does for iterators.
                Self::AtTimestamp(time) => {
                    let opened = shard.opened.at <= time || is_root(shard, shards);
                    opened && closed.is_none_or(|closed| closed.at >= time)
                }
                Self::FromTimestamp(time) => closed.is_none_or(|closed| closed.at >= time),
            }
    }
}

/// Whether none of the shard's parents is left. A shard expires together with the last record it can hold, so these
/// are the shards that hold the oldest records; unlike a comparison of times this is exact also when a stream was
/// created and split within one millisecond.
fn is_root(shard: &Shard, shards: &Shards) -> bool {
    [shard.parent, shard.adjacent_parent].into_iter().flatten().all(|parent| shards.find(parent).is_none())
}
