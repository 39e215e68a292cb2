//! Cases as text, and random lives of streams: whatever is cleaned away is never due again.

use proptest::prelude::*;

use super::super::tests::{creation, rows, shards};
use super::super::{missing_leases, rows_of};
use super::*;
use crate::settings::InitialPosition;
use crate::types::{Checkpoint, RecordPosition};

fn removed(listing: &str, fixture: &str) -> String {
    let (shards, rows) = (shards(listing), rows(fixture));
    let rows = rows_of(None, &rows);
    let keys: Vec<String> = removable(&shards, &rows).iter().map(LeaseKey::to_string).collect();
    keys.join(" ")
}

#[test]
fn an_ended_row_goes_when_all_of_its_children_have_begun() {
    let listing = "0 closed, 1 < 0, 2 < 0";
    assert_eq!(removed(listing, "0 end, 1 begun, 2 begun"), "0");
    assert_eq!(removed(listing, "0 end, 1 begun, 2"), "", "one has not begun");
    assert_eq!(removed(listing, "0 end, 1 begun"), "", "one has no row");
    assert_eq!(removed(listing, "0, 1 begun, 2 begun"), "", "it has not ended");
    assert_eq!(removed("", "0 end, 1 begun, 2 begun"), "", "an empty listing proves nothing");
}

#[test]
fn the_last_generation_stays_until_the_stream_has_forgotten_it() {
    assert_eq!(removed("0 closed, 1 closed, 2 < 0 1 closed", "0 end, 1 end, 2 end"), "0 1");
    assert_eq!(removed("3", "2 end, 3"), "2");
}

#[test]
fn what_came_from_a_child_stands_for_it_when_its_row_is_gone() {
    let listing = "0 closed, 1 < 0 closed, 2 < 0, 3 < 1";
    assert_eq!(removed(listing, "0 end, 2 begun, 3 begun"), "0");
    assert_eq!(removed(listing, "0 end, 2 begun, 3"), "");
}

#[test]
fn a_child_that_was_forgotten_unread_holds_nothing_up() {
    let mut table = rows("0 end, 9");
    table[0].children = [ShardId::new("1").unwrap()].into();
    let table = rows_of(None, &table);
    assert_eq!(removable(&shards("9"), &table).len(), 1);
    assert_eq!(removable(&shards("0 closed, 9"), &table).len(), 0, "the parent is still listed, so the child will be");
}

proptest! {
    /// A stream lives: shards split and merge, are read, end, are forgotten. After every step whatever may be removed is
    /// removed. No shard that has ended is ever due again.
    #[test]
    fn nothing_that_was_cleaned_away_is_read_again(steps in prop::collection::vec((0u8..6, any::<prop::sample::Index>(), any::<bool>()), 1..80)) {
        let mut stream: Vec<Shard> = shards("0, 1, 2");
        let mut table: BTreeMap<LeaseKey, Lease> = BTreeMap::new();
        let mut ended = BTreeSet::new();
        let mut next = 3;
        for (step, index, merge) in steps {
            let open: Vec<ShardId> = stream.iter().filter(|shard| !shard.is_closed()).map(|shard| shard.id.clone()).collect();
            match step {
                0 if !open.is_empty() => {
                    let first = index.get(&open).clone();
                    let second = open.iter().find(|id| **id != first).filter(|_| merge).cloned();
                    for parent in stream.iter_mut().filter(|shard| shard.id == first || Some(&shard.id) == second.as_ref()) {
                        parent.ending_sequence = Some("9".parse().unwrap());
                    }
                    for _ in 0..if merge { 1 } else { 2 } {
                        let mut child = Shard::open(ShardId::new(format!("{next}")).unwrap(), None);
                        (child.parent, child.adjacent_parent) = (Some(first.clone()), second.clone());
                        stream.push(child);
                        next += 1;
                    }
                }
                // The oldest shard is forgotten, if it is closed.
                1 if stream.first().is_some_and(Shard::is_closed) => drop(stream.remove(0)),
                2..=5 if !table.is_empty() => {
                    let keys: Vec<LeaseKey> = table.keys().cloned().collect();
                    let key = index.get(&keys).clone();
                    let id = table[&key].shard_id().unwrap();
                    let waits = table[&key].parents.iter().any(|p| table.get(&LeaseKey::of_shard(None, p)).is_some_and(|row| !row.is_ended()));
                    let closed = stream.iter().find(|shard| shard.id == id).is_none_or(Shard::is_closed);
                    let row = table.get_mut(&key).unwrap();
                    if !waits && !row.is_ended() {
                        row.checkpoint = if closed && step < 5 { Checkpoint::ShardEnd } else { Checkpoint::At(RecordPosition { sequence: "5".parse().unwrap(), sub: 0 }) };
                        if row.is_ended() {
                            ended.insert(id.clone());
                            row.children = stream.iter().filter(|shard| shard.parents().any(|p| *p == id)).map(|shard| shard.id.clone()).collect();
                        }
                    }
                }
                _ => {}
            }
            let rows = rows_of(None, table.values());
            let made = missing_leases([], &stream, &rows, &creation(InitialPosition::TrimHorizon));
            let gone = removable(&stream, &rows);
            for lease in made {
                prop_assert!(!ended.contains(&lease.shard_id().unwrap()), "{} is read again", lease.key);
                table.insert(lease.key.clone(), lease);
            }
            for key in gone {
                prop_assert!(table.remove(&key).unwrap().is_ended());
            }
        }
    }
}
