//! A stream to which things happen, for properties.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kcl_local::{
    HashKey, LocalKinesis, ManualClock, NewRecord, Record, SequenceNumber, ShardDescription, ShardFilter, ShardId,
    StartingPosition, Timestamp,
};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Something that can happen to a stream. Numbers choose among what is there.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Put { key: u8 },
    PutExplicit { hash_key: u128 },
    Split { shard: usize },
    SplitAt { shard: usize, at: u128 },
    Merge { shard: usize },
    Scale { percent: u8 },
    Advance { millis: u64 },
    ClockBack { millis: u64 },
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => any::<u8>().prop_map(|key| Step::Put { key }),
        2 => any::<u128>().prop_map(|hash_key| Step::PutExplicit { hash_key }),
        2 => any::<usize>().prop_map(|shard| Step::Split { shard }),
        1 => (any::<usize>(), any::<u128>()).prop_map(|(shard, at)| Step::SplitAt { shard, at }),
        2 => any::<usize>().prop_map(|shard| Step::Merge { shard }),
        1 => (50..200_u8).prop_map(|percent| Step::Scale { percent }),
        1 => (0..5_000_u64).prop_map(|millis| Step::Advance { millis }),
        1 => (0..5_000_u64).prop_map(|millis| Step::ClockBack { millis }),
    ]
}

/// A service with its stream, and what was written to it by hash key.
pub(crate) struct World {
    pub(crate) kinesis: LocalKinesis,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) written: Vec<(u32, SequenceNumber)>,
}

impl World {
    pub(crate) fn new(shards: u32, transition: Duration) -> Self {
        let settings = kcl_local::Settings { transition, ..Default::default() };
        let world = Self::with(shards, |clock| LocalKinesis::with_settings(settings, clock));
        world.clock.advance(transition);
        world
    }

    /// A service of the caller's own, on this clock.
    pub(crate) fn with(shards: u32, service: impl FnOnce(Arc<ManualClock>) -> LocalKinesis) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
        let kinesis = service(clock.clone());
        kinesis.create_stream("s", shards).unwrap();
        Self { kinesis, clock, written: Vec::new() }
    }

    pub(crate) fn open(&self) -> Vec<ShardDescription> {
        let mut open = self.kinesis.list_shards("s", ShardFilter::AtLatest).unwrap();
        open.sort_by_key(|shard| shard.hash_range.start);
        open
    }

    pub(crate) fn put(&mut self, record: impl FnOnce(&str) -> NewRecord) {
        let number = u32::try_from(self.written.len()).unwrap();
        let placed = self.kinesis.put("s", record(&number.to_string())).unwrap();
        self.written.push((number, placed.sequence_number));
    }

    /// Does it if it can be done; what cannot is refused and changes nothing.
    pub(crate) fn take(&mut self, step: &Step) {
        let open = self.open();
        match *step {
            Step::Put { key } => self.put(|data| NewRecord::new(&format!("key-{key}"), data)),
            Step::PutExplicit { hash_key } => {
                self.put(|data| NewRecord::new("k", data).with_explicit_hash_key(HashKey(hash_key)));
            }
            Step::Split { shard } if open.len() < 40 => {
                let _ = self.kinesis.split_shard_evenly("s", open[shard % open.len()].id);
            }
            Step::SplitAt { shard, at } if open.len() < 40 => {
                let _ = self.kinesis.split_shard("s", open[shard % open.len()].id, HashKey(at));
            }
            Step::Merge { shard } if open.len() > 1 => {
                let shard = shard % (open.len() - 1);
                let _ = self.kinesis.merge_shards("s", open[shard].id, open[shard + 1].id);
            }
            Step::Scale { percent } => {
                let target = (open.len() as u32 * u32::from(percent) / 100).clamp(1, 40);
                let _ = self.kinesis.update_shard_count("s", target);
            }
            Step::Advance { millis } => self.clock.advance(Duration::from_millis(millis)),
            Step::ClockBack { millis } => self.clock.set(self.kinesis.now().minus(Duration::from_millis(millis))),
            Step::Split { .. } | Step::SplitAt { .. } | Step::Merge { .. } => {}
        }
    }

    /// Every record in the order of a consumer that reads all parents to their end before their child, and the shards
    /// it could not begin. There are none unless others write and reshard meanwhile: an open shard is read as far as
    /// it goes, and may be closed and merged while the consumer is elsewhere.
    pub(crate) fn consume(&self, limit: usize) -> (Vec<(ShardId, Record)>, Vec<ShardDescription>) {
        let mut ended = BTreeSet::new();
        let mut waiting = self.kinesis.list_shards("s", ShardFilter::AtTrimHorizon).unwrap();
        let mut consumed = Vec::new();
        while let Some(at) = waiting.iter().position(|shard| shard.parents().all(|parent| ended.contains(&parent))) {
            let shard = waiting.remove(at);
            // Each of two merged parents names their child.
            waiting.retain(|other| other.id != shard.id);
            let mut next = Some(self.kinesis.shard_iterator("s", shard.id, StartingPosition::TrimHorizon).unwrap());
            while let Some(iterator) = next {
                let batch = self.kinesis.get_records(&iterator, limit).unwrap();
                let tip = batch.records.is_empty();
                consumed.extend(batch.records.into_iter().map(|record| (shard.id, record)));
                if let Some(children) = batch.child_shards {
                    ended.insert(shard.id);
                    waiting.extend(children);
                }
                next = batch.next_iterator.filter(|_| !tip);
            }
        }
        (consumed, waiting)
    }

    pub(crate) fn consume_all(&self, limit: usize) -> Vec<(ShardId, Record)> {
        let (consumed, unreachable) = self.consume(limit);
        assert!(unreachable.is_empty(), "{unreachable:?}");
        consumed
    }
}

pub(crate) fn assert_tiles(open: &[ShardDescription]) {
    assert_eq!(open[0].hash_range.start, HashKey(0));
    assert_eq!(open.last().unwrap().hash_range.end, HashKey(u128::MAX));
    for pair in open.windows(2) {
        assert_eq!(pair[0].hash_range.end.0 + 1, pair[1].hash_range.start.0);
    }
}

pub(crate) fn assert_lineage(kinesis: &LocalKinesis) {
    let all = kinesis.list_shards("s", ShardFilter::FromTrimHorizon).unwrap();
    for shard in &all {
        for parent in shard.parents() {
            let parent = &all[parent.0 as usize];
            let end = parent.ending_sequence_number.expect("a parent is closed");
            assert!(end < shard.starting_sequence_number, "{shard:?} after {parent:?}");
        }
        let parents: Vec<_> = shard.parents().map(|parent| all[parent.0 as usize].hash_range).collect();
        match parents[..] {
            [] => {}
            [parent] => assert!(parent.contains(shard.hash_range.start) && parent.contains(shard.hash_range.end)),
            [a, b] => assert_eq!(a.joined_with(&b), Some(shard.hash_range)),
            _ => unreachable!("at most two parents"),
        }
    }
}

/// Every record once; numbers increase within a shard; what was written one after the other to the same key is read in
/// that order.
pub(crate) fn assert_order(written: &[(u32, SequenceNumber)], consumed: &[(ShardId, Record)]) {
    let mut seen = BTreeMap::new();
    let mut last_of_shard = BTreeMap::new();
    let mut last_of_key: BTreeMap<String, (u32, SequenceNumber)> = BTreeMap::new();
    for (shard, record) in consumed {
        let number: u32 = std::str::from_utf8(&record.data()).unwrap().parse().unwrap();
        assert_eq!(seen.insert(number, record.sequence_number), None, "record {number} came twice");
        let before = last_of_shard.insert(*shard, (record.sequence_number, record.arrival));
        assert!(
            before.is_none_or(|(sequence, arrival)| sequence < record.sequence_number && arrival <= record.arrival)
        );
        if record.partition_key() != "k" {
            let before = last_of_key.insert(record.partition_key().to_owned(), (number, record.sequence_number));
            assert!(before.is_none_or(|before| before < (number, record.sequence_number)));
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), written, "gaps or changed numbers");
}

/// Failing cases are kept beside the tests, and tried first from then on.
pub(crate) fn config(cases: u32, regressions: &'static str) -> ProptestConfig {
    let file = FileFailurePersistence::Direct(regressions);
    ProptestConfig { cases, failure_persistence: Some(Box::new(file)), ..ProptestConfig::default() }
}
