//! Cases as text: a listing and rows in, the leases to create out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::types::{HashRange, RecordPosition};

fn id(name: &str) -> ShardId {
    ShardId::new(name).unwrap()
}

/// `0`, `3 < 1 2`, `1 closed`.
pub(super) fn shards(listing: &str) -> Vec<Shard> {
    listing
        .split(',')
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let mut shard = Shard::open(id(words[0]), None);
            if words.contains(&"closed") {
                shard.ending_sequence = Some("9".parse().unwrap());
            }
            if let Some(at) = words.iter().position(|w| *w == "<") {
                shard.parent = words.get(at + 1).map(|p| id(p));
                shard.adjacent_parent = words.get(at + 2).filter(|w| **w != "closed").map(|p| id(p));
            }
            shard
        })
        .collect()
}

/// `1` is open, `1 begun` was read in part, `1 end` is ended, `1 latest` began at its pinned instant 5.
pub(super) fn rows(fixture: &str) -> Vec<Lease> {
    fixture
        .split(',')
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let checkpoint = match words.get(1) {
                Some(&"end") => Checkpoint::ShardEnd,
                Some(&"latest") => Checkpoint::Latest,
                Some(&"begun") => Checkpoint::At(RecordPosition { sequence: "5".parse().unwrap(), sub: 0 }),
                _ => Checkpoint::TrimHorizon,
            };
            let mut lease = Lease::unowned(LeaseKey::of_shard(None, &id(words[0])), checkpoint.clone(), 0);
            lease.start = (checkpoint == Checkpoint::Latest).then(|| Timestamp::from_millis(5));
            lease
        })
        .collect()
}

pub(super) fn creation(start: InitialPosition) -> Creation {
    let (listed_at, creator) = (Timestamp::from_millis(7), WorkerId::new("w").unwrap());
    let stream_created = Some(Timestamp::from_seconds(3));
    Creation { start, listed_at, creator, counter: 1_000, stream_created, stream: None }
}

#[test]
fn shards_of_several_streams_with_the_same_ids_do_not_mix() {
    let of = |stream: Option<&str>, fixture: &str| {
        let of_stream = |mut row: Lease| {
            let shard = row.shard_id().unwrap();
            row.key = LeaseKey::of_shard(stream, &shard);
            row.multi_stream = stream.map(|stream| Box::new(MultiStream::new(stream, shard)));
            row
        };
        rows(fixture).into_iter().map(of_stream).collect::<Vec<_>>()
    };
    let (orders, clicks) = (Some("1:orders:7"), Some("1:clicks:7"));
    let table = [of(orders, "0 end, 1 begun"), of(clicks, "0, 2 begun"), of(None, "3 begun")].concat();
    let listing = shards("0 closed, 1 < 0, 2 < 0, 3 < 0");
    for (stream, expected) in
        [(orders, ["1:orders:7:2", "1:orders:7:3"].as_slice()), (clicks, &[]), (None, &["1", "2"])]
    {
        let creation = Creation { stream: stream.map(str::to_owned), ..creation(TRIM) };
        let missing = missing_leases([], &listing, &rows_of(stream, &table), &creation);
        assert_eq!(missing.iter().map(|lease| lease.key.as_str()).collect::<Vec<_>>(), expected);
        assert!(missing.iter().all(|lease| lease.stream() == stream && lease.shard_id().is_ok()));
    }
}

fn missing(listing: &str, fixture: &str, start: InitialPosition) -> String {
    let rows = rows(fixture);
    let rows = rows_of(None, &rows);
    let leases = missing_leases([], &shards(listing), &rows, &creation(start));
    leases.iter().map(|lease| format!("{} {}", lease.key, lease.checkpoint)).collect::<Vec<_>>().join(", ")
}

const TRIM: InitialPosition = InitialPosition::TrimHorizon;
const LATEST: InitialPosition = InitialPosition::Latest;

#[test]
fn an_empty_table_begins_with_the_oldest_listed_shards_or_only_the_open_ones() {
    let listing = "0 closed, 1 closed, 2 < 0 1";
    assert_eq!(missing(listing, "", TRIM), "0 TRIM_HORIZON, 1 TRIM_HORIZON");
    assert_eq!(missing(listing, "", LATEST), "2 LATEST");
    let instant = InitialPosition::AtTimestamp(Timestamp::from_millis(3));
    assert_eq!(missing(listing, "", instant), "0 AT_TIMESTAMP, 1 AT_TIMESTAMP");
}

#[test]
fn children_wait_for_open_parents_and_are_due_after_ended_ones() {
    let listing = "0 closed, 1 < 0, 2 < 0";
    assert_eq!(missing(listing, "0", TRIM), "");
    assert_eq!(missing(listing, "0 end", TRIM), "1 TRIM_HORIZON, 2 TRIM_HORIZON");
    assert_eq!(missing(listing, "0 end, 1", LATEST), "2 TRIM_HORIZON");
    assert_eq!(missing("1 < 0, 2 < 0", "0 end, 1", TRIM), "2 TRIM_HORIZON", "the parent is no longer listed");
}

#[test]
fn the_child_of_a_merge_waits_for_every_lineage() {
    // G splits into P2 and Q; P1 and P2 merge into C. P1 has ended while G is still read.
    let listing = "G closed, P1 closed, P2 < G closed, Q < G, C < P1 P2";
    assert_eq!(missing(listing, "G, P1 end", TRIM), "");
    assert_eq!(missing(listing, "G end, P1 end", TRIM), "P2 TRIM_HORIZON, Q TRIM_HORIZON");
    assert_eq!(missing(listing, "G end, P1 end, P2 end, Q", TRIM), "C TRIM_HORIZON");
    assert_eq!(missing("C < P1 P2", "P1 end", TRIM), "C TRIM_HORIZON", "P2 was trimmed long ago");
}

#[test]
fn a_shard_is_not_due_again_once_something_that_came_from_it_has_begun() {
    let listing = "0 closed, 1 < 0 closed, 2 < 0, 3 < 1";
    assert_eq!(missing(listing, "2, 3 begun", TRIM), "", "0 and 1 were cleaned away");
    assert_eq!(missing(listing, "2 begun, 3", TRIM), "1 TRIM_HORIZON", "only of 0 it is certain");
    assert_eq!(missing(listing, "3 begun", LATEST), "2 TRIM_HORIZON", "a child of what is over begins with its oldest");
}

#[test]
fn a_row_that_vanished_proves_still_what_it_proved() {
    let beside = |gone: &str, listing: &str, left: &str| {
        let (gone, rows) = (rows(gone), rows(left));
        let rows = rows_of(None, &rows);
        let leases = missing_leases(&gone, &shards(listing), &rows, &creation(TRIM));
        leases.iter().map(|lease| lease.key.to_string()).collect::<Vec<_>>().join(", ")
    };
    let listing = "0 closed, 1 < 0, 2 < 0";
    assert_eq!(missing(listing, "2", TRIM), "0 TRIM_HORIZON", "as if nobody had ever read it");
    assert_eq!(beside("1 begun", listing, "2"), "1", "0 is over, although no row says so");
    assert_eq!(beside("1", "0 closed, 1 < 0 closed, 2 < 1", "2 begun"), "", "1 ended, and was cleaned away unseen");
    assert_eq!(beside("1 end", listing, "2"), "");
    assert_eq!(beside("1 begun", listing, "0 end, 2"), "1");
    assert_eq!(beside("0", listing, ""), "0", "what comes after it waits for it");
    assert_eq!(beside("0", "1 < 0, 2 < 0", ""), "", "also when it is not listed");
    assert_eq!(beside("", listing, "0 end"), "1, 2");
}

#[test]
fn a_hole_is_what_no_lease_leads_to() {
    let half = u128::MAX / 2;
    let mut listing = shards("0 closed, 1 < 0, 2 < 0");
    listing[0].hash_range = Some(HashRange::ALL);
    listing[1].hash_range = HashRange::new(0, half);
    listing[2].hash_range = HashRange::new(half + 1, u128::MAX);
    let found = |listing: &[Shard], fixture: &str| {
        let rows = rows(fixture);
        let rows = rows_of(None, &rows);
        holes(listing, &rows, &creation(TRIM))
    };
    assert_eq!(found(&listing, "0"), [], "the children follow");
    assert_eq!(found(&listing, "0 end, 1"), [], "2 is due");
    let hole = Hole { first: half + 1, last: u128::MAX };
    assert_eq!(found(&listing, "0 end, 1, 2 end"), [hole], "it takes records and is said to have ended");
    assert_eq!(found(&listing[..2], "0 end, 1"), [hole], "the listing lacks a shard");
}

#[test]
fn new_rows_carry_who_made_them_and_where_they_begin() {
    let leases = missing_leases([], &shards("0"), &BTreeMap::new(), &creation(LATEST));
    let lease = &leases[0];
    assert_eq!((lease.start, lease.counter, lease.own_counter), (Some(Timestamp::from_millis(7)), 1_000, Some(1_000)));
    assert_eq!(lease.stream_created, Some(Timestamp::from_seconds(3)));
    assert_eq!(lease.last_owner.as_ref().map(WorkerId::as_str), Some("w"));
}

#[test]
fn children_named_at_an_end_begin_at_their_oldest_record_or_where_the_parent_was_pinned() {
    let children = [ChildShard::new(id("1"), vec![id("0")], None), ChildShard::new(id("2"), vec![id("0")], None)];
    let Children { due, there: _, waiting } = children_of(&rows("0")[0], &children, &BTreeMap::new(), &creation(TRIM));
    assert_eq!((due.len(), waiting.len()), (2, 0));
    assert!(due.iter().all(|lease| lease.checkpoint == Checkpoint::TrimHorizon && lease.start.is_none()));
    let Children { due, .. } = children_of(&rows("0 latest")[0], &children, &BTreeMap::new(), &creation(LATEST));
    assert!(due.iter().all(|l| l.checkpoint == Checkpoint::AtTimestamp && l.start == Some(Timestamp::from_millis(5))));
}

#[test]
fn a_child_that_another_parent_named_at_its_end_is_not_made_again() {
    let children = [ChildShard::new(id("2"), vec![id("0"), id("1")], None)];
    let mut other = rows("1 end")[0].clone();
    other.children.insert(id("2"));
    let others = BTreeMap::from([(other.key.clone(), other)]);
    let Children { due, there, waiting } = children_of(&rows("0")[0], &children, &others, &creation(TRIM));
    assert_eq!((due.len(), there, waiting.len()), (0, vec![LeaseKey::of_shard(None, &id("2"))], 0));
}

#[test]
fn the_child_of_a_merge_is_left_to_the_last_finisher() {
    let children = [ChildShard::new(id("2"), vec![id("0"), id("1")], None)];
    let parent = &rows("0")[0];
    let Children { due, there: _, waiting } = children_of(parent, &children, &BTreeMap::new(), &creation(TRIM));
    assert_eq!((due.len(), waiting), (0, vec![id("2")]));
    let other = rows("1")[0].clone();
    let others = BTreeMap::from([(other.key.clone(), other)]);
    let Children { due, there, waiting } = children_of(parent, &children, &others, &creation(TRIM));
    assert_eq!(there, []);
    assert_eq!((due.len(), waiting.len()), (1, 0));
}

proptest! {
    /// Random lineages, random rows: nothing that has a row is created again, and nothing whose parent is open or due.
    #[test]
    fn creation_keeps_parents_before_children(
        parents in prop::collection::vec((any::<u8>(), any::<u8>(), any::<bool>()), 1..24),
        states in prop::collection::vec(0u8..3, 24),
        latest in any::<bool>(),
    ) {
        let listing: Vec<String> = parents.iter().enumerate().map(|(n, (a, b, root))| {
            let lineage = if n == 0 || *root { String::new() } else { format!("< {} {}", *a as usize % n, *b as usize % n) };
            format!("{n} {lineage}")
        }).collect();
        let fixture: Vec<String> = (0..parents.len()).filter_map(|n| match states[n] {
            0 => None, 1 => Some(n.to_string()), _ => Some(format!("{n} end")),
        }).collect();
        let shards = shards(&listing.join(","));
        let rows = rows(&fixture.join(","));
        let rows = rows_of(None, &rows);
        let created = missing_leases([], &shards, &rows, &creation(if latest { LATEST } else { TRIM }));
        for lease in &created {
            prop_assert!(!rows.contains_key(&lease.shard_id().unwrap()));
            for parent in &lease.parents {
                let key = lease.sibling_key(parent);
                prop_assert!(rows.get(parent).is_none_or(|row| row.is_ended()), "{} before {}", lease.key, key);
                prop_assert!(created.iter().all(|other| other.key != key), "{} together with {}", lease.key, key);
            }
        }
    }
}
