//! Shards, where they come from, and what the library makes of their rows.

use std::ops::Range;
use std::sync::LazyLock;

use kcl_core::testing::protocol::lineage::{Creator, missing_leases, removable};
use kcl_core::types::{ChildShard, Lease, LeaseKey, SequenceNumber, Shard, ShardId};

use crate::protocol::row::{Mark, Row, Who};
use crate::protocol::rule::{Rule, Rules};

/// The most shards of a world.
pub(super) const SHARDS: usize = 4;

/// A set of shards, one bit each.
pub(super) type Set = u8;

/// Shards and where they come from. Those from which others came are closed.
pub(super) struct World {
    pub(super) names: Vec<&'static str>,
    pub(super) keys: Vec<LeaseKey>,
    pub(super) listing: Vec<Shard>,
    pub(super) parents: Vec<Set>,
    pub(super) children: Vec<Set>,
    /// Parents, their parents, and so on.
    pub(super) ancestors: Vec<Set>,
}

/// One shard and the one that follows.
pub(super) static CHAIN: LazyLock<World> = LazyLock::new(|| World::of(&[("0", &[]), ("1", &[0])]));
/// One shard is split into two.
pub(super) static SPLIT: LazyLock<World> = LazyLock::new(|| World::of(&[("0", &[]), ("1", &[0]), ("2", &[0])]));
/// Two shards are merged, one of which came from a third. That one's other child is of no interest.
pub(super) static MERGE: LazyLock<World> =
    LazyLock::new(|| World::of(&[("G", &[]), ("P1", &[]), ("P2", &[0]), ("C", &[1, 2])]));

impl World {
    /// Each shard after its parents.
    fn of(lineage: &[(&'static str, &[usize])]) -> World {
        let id = |shard: usize| ShardId::new(lineage[shard].0).expect("a short name is a shard id");
        let set = |shards: &[usize]| shards.iter().fold(0, |set, shard| set | bit(*shard));
        let parents: Vec<Set> = lineage.iter().map(|(_, parents)| set(parents)).collect();
        let mut ancestors: Vec<Set> = Vec::new();
        for (_, parents) in lineage {
            let all = parents.iter().fold(set(parents), |all, parent| all | ancestors[*parent]);
            ancestors.push(all);
        }
        let shards = 0..lineage.len();
        let children: Vec<Set> = shards
            .clone()
            .map(|shard| {
                shards.clone().filter(|child| has(parents[*child], shard)).fold(0, |set, child| set | bit(child))
            })
            .collect();
        let listing = shards.clone().map(|shard| {
            let mut listed = Shard::open(id(shard), None);
            let mut from = lineage[shard].1.iter().map(|parent| id(*parent));
            (listed.parent, listed.adjacent_parent) = (from.next(), from.next());
            let closed = children[shard] != 0;
            listed.ending_sequence = closed.then(|| "9".parse::<SequenceNumber>().expect("a number is one"));
            listed
        });
        World {
            names: lineage.iter().map(|(name, _)| *name).collect(),
            keys: shards.clone().map(|shard| LeaseKey::of_shard(None, &id(shard))).collect(),
            listing: listing.collect(),
            parents,
            children,
            ancestors,
        }
    }

    pub(super) fn shards(&self) -> Range<usize> {
        0..self.names.len()
    }

    pub(super) fn is_leaf(&self, shard: usize) -> bool {
        self.children[shard] == 0
    }

    /// A row as the library knows it.
    pub(super) fn lease(&self, shard: usize, row: &Row) -> Lease {
        let mut lease = row.lease_of(&self.keys[shard]);
        let ids = |set: Set| members(set).map(|shard| self.listing[shard].id.clone()).collect();
        lease.parents = ids(self.parents[shard]);
        if row.ended() {
            lease.children = ids(self.children[shard]);
        }
        lease
    }

    /// Some shards as children that the stream names.
    pub(super) fn named(&self, children: Set) -> Vec<ChildShard> {
        let child = |shard: usize| {
            let shard = &self.listing[shard];
            ChildShard::new(shard.id.clone(), shard.parents().cloned().collect(), None)
        };
        members(children).map(child).collect()
    }

    pub(super) fn shard_of(&self, key: &LeaseKey) -> usize {
        self.keys.iter().position(|known| known == key).expect("nobody speaks of other shards")
    }
}

pub(super) fn bit(shard: usize) -> Set {
    1 << shard
}

pub(super) fn has(set: Set, shard: usize) -> bool {
    set & bit(shard) != 0
}

pub(super) fn members(set: Set) -> impl Iterator<Item = usize> {
    (0..SHARDS).filter(move |shard| has(set, *shard))
}

/// What a leader finds missing and what it may remove, for every table there can be: it depends only on which rows there
/// are, and whether something of their shards, or all, is read.
pub(super) struct Duties {
    of: Vec<(Set, Set)>,
}

impl Duties {
    pub(super) fn new(world: &World, rules: Rules) -> Duties {
        let tables = 1usize << (2 * world.names.len());
        Duties { of: (0..tables).map(|table| duties(world, rules, table)).collect() }
    }

    pub(super) fn missing(&self, rows: &[Option<Row>; SHARDS]) -> Set {
        self.of[table(rows)].0
    }

    pub(super) fn removable(&self, rows: &[Option<Row>; SHARDS]) -> Set {
        self.of[table(rows)].1
    }
}

/// A number for all tables that a leader's duties do not tell apart.
fn table(rows: &[Option<Row>; SHARDS]) -> usize {
    let standing = |row: &Option<Row>| match row {
        None => 0,
        Some(row) if row.ended() => 3,
        Some(Row { checkpoint: Mark(0), .. }) => 1,
        Some(_) => 2,
    };
    rows.iter().rev().fold(0, |table, row| table << 2 | standing(row))
}

fn duties(world: &World, rules: Rules, table: usize) -> (Set, Set) {
    let standing = |shard: usize| table >> (2 * shard) & 3;
    let mark = |shard: usize| [Mark(0), Mark(0), Mark(1), crate::protocol::row::END][standing(shard)];
    let there = |shard: &usize| standing(*shard) != 0;
    let row = |shard: usize| world.lease(shard, &Row { checkpoint: mark(shard), ..Row::made(None, 1) });
    let rows: Vec<Lease> = world.shards().filter(there).map(row).collect();
    let set = |keys: Vec<LeaseKey>| keys.iter().fold(0, |set, key| set | bit(world.shard_of(key)));
    let mut listing = world.listing.clone();
    if !rules.has(Rule::AncestorsDecide) {
        // A parent without a row holds nothing back, as if the stream had forgotten it.
        listing.retain(|shard| {
            let shard = world.shards().find(|at| world.listing[*at].id == shard.id);
            shard.is_none_or(|shard| there(&shard) || world.is_leaf(shard))
        });
    }
    let missing = missing_leases(&listing, &rows, &Creator::new(Who(0).id().clone(), 1));
    let missing = set(missing.into_iter().map(|lease| lease.key).collect());
    let mut gone = set(removable(&world.listing, &rows));
    for shard in world.shards().filter(there) {
        let ended = standing(shard) == 3;
        let children_first = ended && !rules.has(Rule::DeleteAfterChildren) && !world.is_leaf(shard);
        if children_first || standing(shard) == 2 && !rules.has(Rule::DeleteEnded) {
            gone |= bit(shard);
        }
    }
    (missing, gone)
}
