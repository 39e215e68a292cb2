//! Which rows of shards that are processed to the end may be removed.

use std::collections::{BTreeMap, BTreeSet};

use super::Rows;
use super::lineage::{Over, has_begun};
use crate::types::{Condition, Lease, LeaseKey, Shard, ShardId};

/// The rows that nobody needs any more, as keys.
///
/// A row of a shard that has ended may go when everything that came from the shard has begun: from then on these rows prove
/// that it is over, and it is never made again however long the stream lists it. A shard that nothing came from proves itself
/// only: its row stays until the stream has forgotten the shard, so that a table of ended shards alone keeps its last
/// generation. A child that the stream has forgotten, as well as its parent, and that has no row, will never be read.
///
/// A listing without shards proves nothing: no row is removed.
pub(crate) fn removable(shards: &[Shard], rows: &Rows<'_>) -> Vec<LeaseKey> {
    if shards.is_empty() {
        return Vec::new();
    }
    let listed: BTreeSet<&ShardId> = shards.iter().map(|shard| &shard.id).collect();
    let mut children: BTreeMap<&ShardId, BTreeSet<&ShardId>> = BTreeMap::new();
    for shard in shards {
        for parent in shard.parents() {
            children.entry(parent).or_default().insert(&shard.id);
        }
    }
    let over = Over::of(shards, rows);
    let mut removable = Vec::new();
    for (id, row) in rows.iter().filter(|(_, row)| row.is_ended()) {
        let is_listed = listed.contains(id);
        let children: BTreeSet<&ShardId> =
            row.children.iter().chain(children.get(id).into_iter().flatten().copied()).collect();
        let is_done = |child: &ShardId| match rows.get(child) {
            Some(child) => has_begun(child),
            None => over.contains(child) || (!is_listed && !listed.contains(child)),
        };
        let done = if children.is_empty() { !is_listed } else { children.into_iter().all(is_done) };
        if done {
            removable.push(row.key.clone());
        }
    }
    removable
}

/// What must hold of a row for its removal: it has ended, and nobody has written it since.
pub(crate) fn removal(seen: &Lease) -> Condition {
    Condition { counter: Some(seen.counter), ended: Some(true), ..Condition::default() }
}

#[cfg(test)]
#[path = "cleaning_tests.rs"]
mod tests;
