//! Restarts by properties: at any moment of any history the folder holds all that was acknowledged, and a service that is opened
//! from it goes on where the other one was, whatever the clock does.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::path::Path;
use std::time::Duration;

use common::world::{self, World, assert_lineage, assert_order, config};
use kcl_local::{
    DataFolder, Encryption, LocalKinesis, NewRecord, Retention, Settings, ShardFilter, ShardId, StartingPosition,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Stream(world::Step),
    Batch {
        count: usize,
    },
    Consumer {
        name: u8,
    },
    Settings {
        hours: u32,
        kib: u32,
        encrypted: bool,
    },
    OtherStream,
    /// The process ends, and another one begins with what is in the folder; its clock may be behind.
    Restart {
        behind_millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => world::step().prop_map(Step::Stream),
        3 => (1..20_usize).prop_map(|count| Step::Batch { count }),
        1 => (0..3_u8).prop_map(|name| Step::Consumer { name }),
        1 => (24..100_u32, 1_024..10_240_u32, any::<bool>())
            .prop_map(|(hours, kib, encrypted)| Step::Settings { hours, kib, encrypted }),
        1 => Just(Step::OtherStream),
        2 => prop_oneof![Just(0), 0..100_000_u64].prop_map(|behind_millis| Step::Restart { behind_millis }),
    ]
}

/// All that can be seen, as text.
fn seen(kinesis: &LocalKinesis) -> String {
    let of_stream = |summary: &kcl_local::StreamSummary| {
        let name = &summary.name;
        let shards = kinesis.list_shards(name, ShardFilter::FromTrimHorizon).unwrap();
        let oldest = kinesis.list_shards(name, ShardFilter::AtTrimHorizon).unwrap();
        let records = kinesis.all_records(name).unwrap();
        let consumers = kinesis.consumers(name).unwrap();
        format!("{summary:?} {shards:?} {oldest:?} {records:?} {consumers:?} {:?}\n", kinesis.tags(name).unwrap())
    };
    kinesis.stream_summaries().iter().map(of_stream).collect()
}

fn open(path: &Path, clock: std::sync::Arc<kcl_local::ManualClock>) -> LocalKinesis {
    LocalKinesis::open(&DataFolder::open(path).unwrap(), Settings::default(), clock).unwrap()
}

/// What kill -9 leaves: the files as they are, while the process still has them open.
fn copy(from: &Path, to: &Path) {
    for file in ["kinesis.sqlite3", "kinesis.sqlite3-wal"] {
        if from.join(file).exists() {
            std::fs::copy(from.join(file), to.join(file)).unwrap();
        }
    }
}

fn take(world: &mut World, step: &Step) {
    let kinesis = &world.kinesis;
    match *step {
        Step::Stream(ref step) => world.take(step),
        Step::Batch { count } => {
            let first = world.written.len();
            let record = |i: usize| NewRecord::new(&format!("key-{}", i % 3), (first + i).to_string());
            let results = kinesis.put_records("s", (0..count).map(record).collect()).unwrap();
            let placed = results.into_iter().map(|result| result.unwrap().sequence_number);
            world.written.extend((first as u32..).zip(placed));
        }
        Step::Consumer { name } => {
            let name = format!("consumer-{name}");
            if kinesis.register_consumer("s", &name).is_err() {
                kinesis.deregister_consumer("s", &name).unwrap();
            }
        }
        Step::Settings { hours, kib, encrypted } => {
            let longer = hours >= kinesis.stream_summary("s").unwrap().retention_hours;
            let change = if longer { Retention::Increase(hours) } else { Retention::Decrease(hours) };
            kinesis.change_retention("s", change).unwrap();
            kinesis.change_max_record("s", kib).unwrap();
            let key = Encryption::Kms { key_id: "alias/k".to_owned() };
            kinesis.change_encryption("s", if encrypted { key } else { Encryption::None }).unwrap();
        }
        Step::OtherStream => {
            // Deleted and created again in turns; each has to be another one.
            if kinesis.delete_stream("other").is_err() {
                kinesis.create_stream("other", 1).unwrap();
                kinesis.put_record("other", "k", "x").unwrap();
            }
        }
        Step::Restart { .. } => {}
    }
}

proptest! {
    #![proptest_config(config(60, "tests/restarts.regressions"))]

    #[test]
    fn at_any_moment_the_folder_holds_what_was_acknowledged(
        steps in prop::collection::vec(step(), 1..80),
        limit in 1..7_usize,
    ) {
        let mut folder = tempfile::tempdir().unwrap();
        let mut world = World::with(2, |clock| open(folder.path(), clock));
        let mut other = None;
        for step in &steps {
            take(&mut world, step);
            let Step::Restart { behind_millis } = *step else { continue };
            let before = seen(&world.kinesis);
            let iterator = world.kinesis.shard_iterator("s", ShardId(0), StartingPosition::TrimHorizon);
            let next = tempfile::tempdir().unwrap();
            copy(folder.path(), next.path());
            world.kinesis = open(next.path(), world.clock.clone());
            prop_assert_eq!(seen(&world.kinesis), before);
            // An iterator from before is good, too.
            if let Ok(iterator) = iterator {
                prop_assert!(world.kinesis.get_records(&iterator, 1).is_ok());
            }
            world.clock.set(world.kinesis.now().minus(Duration::from_millis(behind_millis)));
            // The one before ends only now, and with it its folder.
            other = Some(std::mem::replace(&mut folder, next));
        }
        assert_lineage(&world.kinesis);
        assert_order(&world.written, &world.consume_all(limit));
        drop(other);
    }
}
