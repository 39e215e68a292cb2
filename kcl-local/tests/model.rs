//! The model by properties: whatever happens to a stream, in whatever order, these hold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::world::{World, assert_lineage, assert_order, assert_tiles, config, step};
use kcl_local::{LocalKinesis, NewRecord, Record, ShardFilter, ShardId, StartingPosition};
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(200, "tests/model.regressions"))]

    #[test]
    fn whatever_happens_nothing_is_lost_repeated_or_reordered(
        shards in 1..6_u32,
        steps in prop::collection::vec(step(), 1..120),
        limit in 1..7_usize,
        transition in prop_oneof![Just(0_u64), Just(1500)],
    ) {
        let mut world = World::new(shards, Duration::from_millis(transition));
        for step in &steps {
            world.take(step);
            assert_tiles(&world.open());
        }
        assert_lineage(&world.kinesis);
        assert_order(&world.written, &world.consume_all(limit));
    }

    #[test]
    fn after_any_record_the_next_one_is_read(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(2, Duration::ZERO);
        steps.iter().for_each(|step| world.take(step));
        let all = world.kinesis.all_records("s").unwrap();
        for (i, (shard, record)) in all.iter().enumerate() {
            let read = |position| {
                let iterator = world.kinesis.shard_iterator("s", *shard, position).unwrap();
                world.kinesis.get_records(&iterator, 1).unwrap().records.pop()
            };
            prop_assert_eq!(read(StartingPosition::At(record.sequence_number)), Some(record.clone()));
            let next = all.get(i + 1).filter(|(other, _)| other == shard).map(|(_, next)| next);
            prop_assert_eq!(read(StartingPosition::After(record.sequence_number)), next.cloned());
        }
    }

    #[test]
    fn the_open_and_the_oldest_shards_tile_the_hash_space(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(2, Duration::ZERO);
        steps.iter().for_each(|step| world.take(step));
        for filter in [ShardFilter::AtLatest, ShardFilter::AtTrimHorizon] {
            let mut shards = world.kinesis.list_shards("s", filter).unwrap();
            shards.sort_by_key(|shard| shard.hash_range.start);
            assert_tiles(&shards);
        }
    }

    #[test]
    fn threads_that_write_read_and_reshard_agree(
        seeds in prop::collection::vec(any::<u64>(), 6),
    ) {
        let world = World::new(2, Duration::ZERO);
        let written = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for (writer, seed) in seeds[..3].iter().enumerate() {
                let (kinesis, written) = (&world.kinesis, &written);
                scope.spawn(move || write_some(kinesis, writer, *seed, written));
            }
            let (kinesis, written, seed) = (&world.kinesis, &written, seeds[3]);
            scope.spawn(move || reshard_some(kinesis, seed, written));
            for _ in 4..6 {
                let world = &world;
                scope.spawn(move || while written.load(Ordering::SeqCst) < 3 * PER_WRITER {
                    // A prefix at any time, each writer's records in order and without a gap.
                    assert_prefixes(&world.consume(5).0);
                });
            }
        });
        let consumed = world.consume_all(7);
        prop_assert_eq!(consumed.len(), 3 * PER_WRITER);
        assert_prefixes(&consumed);
        assert_lineage(&world.kinesis);
    }
}

const PER_WRITER: usize = 60;

fn write_some(kinesis: &LocalKinesis, writer: usize, seed: u64, written: &AtomicUsize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut next = 0;
    while next < PER_WRITER {
        let end = (next + random.usize(1..10)).min(PER_WRITER);
        let records = (next..end).map(|i| NewRecord::new(&format!("writer-{writer}"), i.to_string())).collect();
        assert!(kinesis.put_records("s", records).unwrap().iter().all(Result::is_ok));
        written.fetch_add(end - next, Ordering::SeqCst);
        next = end;
    }
}

fn reshard_some(kinesis: &LocalKinesis, seed: u64, written: &AtomicUsize) {
    let mut random = fastrand::Rng::with_seed(seed);
    while written.load(Ordering::SeqCst) < 3 * PER_WRITER {
        let open = kinesis.list_shards("s", ShardFilter::AtLatest).unwrap();
        let outcome = if open.len() < 8 && random.bool() {
            kinesis.split_shard_evenly("s", open[random.usize(..open.len())].id)
        } else {
            kinesis.update_shard_count("s", random.u32(1..8)).map(drop)
        };
        // Out of bounds at times, which is refused.
        drop(outcome);
        if kinesis.list_shards("s", ShardFilter::FromTrimHorizon).unwrap().len() > 200 {
            return;
        }
    }
}

fn assert_prefixes(consumed: &[(ShardId, Record)]) {
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, record) in consumed {
        let next = next.entry(record.partition_key()).or_default();
        assert_eq!(record.data(), next.to_string(), "{}", record.partition_key());
        *next += 1;
    }
}
