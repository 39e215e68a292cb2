//! What the cases share: names, rows, and shorthands that say what was expected.

use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;

use super::{Skipped, StoreFixture};
use crate::ports::{FleetStore, LeaseStore};
use crate::types::{
    Checkpoint, Condition, CreateOutcome, Epoch, HashRange, Lease, LeaseKey, MultiStream, PendingCheckpoint,
    RecordPosition, Row, ShardId, Throughput, Timestamp, WorkerId, WriteOutcome,
};

/// The lease store of the fixture; a suite that runs has one.
pub(super) fn leases_of(fixture: &dyn StoreFixture) -> Result<Arc<dyn LeaseStore>, Skipped> {
    fixture.leases().ok_or(Skipped("lease store"))
}

pub(super) fn fleet_of(fixture: &dyn StoreFixture) -> Result<Arc<dyn FleetStore>, Skipped> {
    fixture.fleet().ok_or(Skipped("fleet store"))
}

pub(super) async fn insert(fixture: &dyn StoreFixture, row: Row) -> Result<(), Skipped> {
    fixture.insert_row(&row).await.then_some(()).ok_or(Skipped("way to insert rows"))
}

pub(super) fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).expect("the suite's lease keys are valid")
}

pub(super) fn worker(text: &str) -> WorkerId {
    WorkerId::new(text).expect("the suite's worker ids are valid")
}

pub(super) fn shard(text: &str) -> ShardId {
    ShardId::new(text).expect("the suite's shard ids are valid")
}

pub(super) fn at(sequence: &str, sub: u64) -> Checkpoint {
    let sequence = sequence.parse().expect("the suite's sequence numbers are valid");
    Checkpoint::At(RecordPosition { sequence, sub })
}

pub(super) fn hash_range(start: u128, end: u128) -> HashRange {
    HashRange::new(start, end).expect("the suite's hash ranges are valid")
}

/// A lease with nothing but what every lease has.
pub(super) fn bare(name: &str) -> Lease {
    Lease::unowned(key(name), Checkpoint::TrimHorizon, 1)
}

/// A lease as a worker of this library holds it.
pub(super) fn owned(name: &str, owner: &str) -> Lease {
    let mut lease = bare(name);
    lease.owner = Some(worker(owner));
    lease
}

/// A lease in which no attribute is missing. Numbers that a double cannot hold, and every limit of the formats, included.
pub(super) fn full(name: &str) -> Lease {
    let mut lease = bare(name);
    lease.owner = Some(worker("w-1"));
    lease.checkpoint_owner = Some(worker("w-2"));
    lease.counter = (1 << 53) + 1;
    lease.own_counter = Some((1 << 53) + 1);
    lease.owner_switches = 3;
    lease.checkpoint = at(SEQUENCE, 7);
    let pending = PendingCheckpoint::new(at(SEQUENCE, 9), Some(Bytes::from_static(&[0, 255, 128, b'"'])));
    lease.pending = Some(Box::new(pending));
    lease.parents = [shard("shardId-000000000001"), shard("shardId-000000000002")].into();
    lease.children = [shard("shardId-000000000008"), shard("shardId-000000000009")].into();
    lease.hash_range = Some(hash_range(1 << 127, u128::MAX));
    lease.throughput = Some(Throughput(83.25));
    let stream = MultiStream::new("123456789012:orders:1700000000", shard("shardId-000000000003"));
    lease.multi_stream = Some(Box::new(stream));
    lease.epoch = Some(Epoch(12));
    lease.start = Some(Timestamp::from_millis(1_767_225_600_123));
    lease.last_owner = Some(worker("w-0"));
    lease.stream_created = Some(Timestamp::from_millis(1_700_000_000_000));
    lease.tip = Some(Timestamp::from_millis(1_767_225_600_456));
    lease
}

/// A sequence number as the service gives them: more digits than a `u128` has.
pub(super) const SEQUENCE: &str = "49680426505810185045732782624289612274056794581097250866";

pub(super) fn on_counter(counter: u64) -> Condition {
    Condition { counter: Some(counter), ..Condition::default() }
}

pub(super) async fn create(store: &dyn LeaseStore, lease: &Lease) {
    assert_eq!(store.create(lease).await, CreateOutcome::Created, "creating {}", lease.key);
}

/// The row as a consistent read shows it; it must be there and readable.
pub(super) async fn read(store: &dyn LeaseStore, name: &str) -> Lease {
    let row = store.get(&key(name)).await.expect("the read succeeds").expect("the row is there");
    row.expect("the row can be read")
}

#[track_caller]
pub(super) fn applied<R: Debug>(outcome: WriteOutcome<R>) -> R {
    match outcome {
        WriteOutcome::Applied(row) => row,
        other => panic!("expected Applied, got {other:?}"),
    }
}

#[track_caller]
pub(super) fn conflict<R: Debug>(outcome: WriteOutcome<R>) -> R {
    match outcome {
        WriteOutcome::Conflict(row) => row,
        other => panic!("expected Conflict, got {other:?}"),
    }
}
