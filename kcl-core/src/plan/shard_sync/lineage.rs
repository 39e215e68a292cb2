//! Which shards are over, although no row says so any more.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::{Checkpoint, Lease, LeaseKey, Shard, ShardId};

/// Shards that were processed to their end, as their descendants prove: nobody reads a shard before all of its parents have
/// ended, so whatever a shard that has begun came from is over.
#[derive(Debug, Default)]
pub(super) struct Over<'a> {
    shards: BTreeSet<&'a ShardId>,
}

impl<'a> Over<'a> {
    /// From the listing and the rows: either may know the parents of a shard.
    pub(super) fn of(shards: &'a [Shard], rows: impl Iterator<Item = &'a Lease>) -> Self {
        let listed: BTreeMap<LeaseKey, &Shard> =
            shards.iter().map(|shard| (LeaseKey::of_shard(None, &shard.id), shard)).collect();
        let rows: BTreeMap<&LeaseKey, &Lease> = rows.map(|row| (&row.key, row)).collect();
        let parents = |key: &LeaseKey| {
            let by_row = rows.get(key).into_iter().flat_map(|row| &row.parents);
            by_row.chain(listed.get(key).into_iter().flat_map(|shard| shard.parents()))
        };
        let mut over = BTreeSet::new();
        let mut stack: Vec<&ShardId> =
            rows.values().filter(|row| has_begun(row)).flat_map(|row| parents(&row.key)).collect();
        while let Some(shard) = stack.pop() {
            if over.insert(shard) {
                stack.extend(parents(&LeaseKey::of_shard(None, shard)));
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
