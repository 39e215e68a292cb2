//! Which shards are over, although no row says so any more.

use std::collections::{BTreeMap, BTreeSet};

use super::Rows;
use crate::types::{Checkpoint, Lease, Shard, ShardId};

/// Shards that were processed to their end, as their descendants prove: nobody reads a shard before all of its parents have
/// ended, so whatever a shard that has begun came from is over.
#[derive(Debug, Default)]
pub(super) struct Over<'a> {
    shards: BTreeSet<&'a ShardId>,
}

impl<'a> Over<'a> {
    /// From the listing and the rows: either may know the parents of a shard.
    pub(super) fn of(shards: &'a [Shard], rows: &Rows<'a>) -> Self {
        let listed: BTreeMap<&ShardId, &Shard> = shards.iter().map(|shard| (&shard.id, shard)).collect();
        let parents = |shard: &ShardId| {
            let by_row = rows.get(shard).copied().into_iter().flat_map(|row| &row.parents);
            by_row.chain(listed.get(shard).copied().into_iter().flat_map(|shard| shard.parents()))
        };
        let mut over = BTreeSet::new();
        let mut stack: Vec<&ShardId> =
            rows.iter().filter(|(_, row)| has_begun(row)).flat_map(|(shard, _)| parents(shard)).collect();
        while let Some(shard) = stack.pop() {
            if over.insert(shard) {
                stack.extend(parents(shard));
            }
        }
        Over { shards: over }
    }

    pub(super) fn contains(&self, shard: &ShardId) -> bool {
        self.shards.contains(shard)
    }
}

/// Whether something of the shard was processed, or all of it.
pub(super) fn has_begun(row: &Lease) -> bool {
    match row.checkpoint {
        Checkpoint::At(_) | Checkpoint::ShardEnd => true,
        Checkpoint::TrimHorizon | Checkpoint::Latest | Checkpoint::AtTimestamp => false,
    }
}
