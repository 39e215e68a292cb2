//! A shard's life by subscription: positions, renewals, ends, demand.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::ports::{Clock, ShardReader, StreamSource};
use kcl_core::types::{ByteAccount, BytePermit, Position, RecordPosition, Timestamp};
use kcl_local::ShardId;

use crate::reading::{Reading, of_shard, sequence};
use crate::scene::{on_a_stream, shard};

#[test]
fn every_position_begins_where_it_says() {
    on_a_stream(1, async |scene| {
        scene.put_every_second(5).await;
        let put = of_shard(&scene, 0);
        let source = scene.source();
        let instant = Timestamp::from_millis(scene.clock.wall().as_millis() - 2_000);
        let at = |sub| Position::At(RecordPosition { sequence: sequence(&put[2]), sub });
        for (position, first) in [
            (Position::TrimHorizon, 0),
            (Position::AtTime(instant), 3),
            (at(0), 2),
            (at(7), 2),
            (Position::After(sequence(&put[2])), 3),
        ] {
            let mut reading = Reading::from(&source, 0, position.clone());
            scene.within(Duration::from_secs(20), reading.until(&scene, 5 - first)).await;
            assert_eq!(reading.numbers, put[first..], "{position:?}");
            assert_eq!(reading.errors, []);
        }
    });
}

#[test]
fn an_hour_is_twelve_subscriptions_and_every_record_comes_once() {
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        // A record every second, so some fall into every renewal; then half an hour without any.
        tokio::join!(scene.put_every_second(1_800), reading.during(&scene, Duration::from_secs(3_600)));
        scene.put("last");
        scene.within(Duration::from_secs(10), reading.until(&scene, 1_801)).await;
        reading.assert_all(&scene);
        assert_eq!((reading.errors.len(), reading.nothing), (0, 0), "a renewal is nothing to speak of");
        assert!(reading.empty > 300, "an idle shard shows signs of life, with its lag: {}", reading.empty);
        assert!((12..=14).contains(&scene.calls("SubscribeToShard")), "{}", scene.calls("SubscribeToShard"));
        assert_eq!(scene.calls("GetRecords"), 0);
    });
}

#[test]
fn an_idle_shard_is_read_on_for_longer_than_its_records_are_kept() {
    on_a_stream(1, async |scene| {
        scene.put("early");
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        scene.within(Duration::from_secs(10), reading.until(&scene, 1)).await;
        // The record is kept for a day.
        reading.during(&scene, Duration::from_secs(30 * 3_600)).await;
        scene.put("late");
        scene.within(Duration::from_secs(10), reading.until(&scene, 2)).await;
        assert_eq!(reading.errors, []);
    });
}

#[test]
fn a_shard_ends_with_its_children_and_may_be_asked_again() {
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        scene.put("first");
        scene.within(Duration::from_secs(10), reading.until(&scene, 1)).await;
        scene.put("last");
        scene.kinesis.split_shard_evenly("orders", ShardId(0)).unwrap();
        scene.within(Duration::from_secs(10), reading.until_end(&scene)).await;
        reading.assert_all(&scene);
        let children = reading.children.clone().unwrap();
        let named: Vec<_> = children.iter().map(|child| (child.id.to_string(), child.parents.len())).collect();
        assert_eq!(named, [("shardId-000000000001".to_owned(), 1), ("shardId-000000000002".to_owned(), 1)]);

        // The runtime asks again if a listing shows the shard open.
        reading.children = None;
        scene.within(Duration::from_secs(30), reading.until_end(&scene)).await;
        assert_eq!((reading.children.as_ref().unwrap(), reading.errors.len()), (&children, 0));
        reading.assert_all(&scene);

        for index in [1, 2] {
            scene.put("of the children");
            let mut child = Reading::of(&source, index);
            scene.within(Duration::from_secs(10), child.until(&scene, 1)).await;
        }
        let late = Position::After(sequence(reading.numbers.last().unwrap()));
        let mut late = Reading::from(&source, 0, late);
        scene.within(Duration::from_secs(10), late.until_end(&scene)).await;
        assert_eq!((late.numbers.len(), late.children.unwrap().len()), (0, 2), "nothing is left but the end");
    });
}

#[test]
fn a_merge_names_both_parents() {
    on_a_stream(2, async |scene| {
        scene.put("data");
        scene.kinesis.merge_shards("orders", ShardId(0), ShardId(1)).unwrap();
        let source = scene.source();
        for index in [0, 1] {
            let mut reading = Reading::of(&source, index);
            scene.within(Duration::from_secs(10), reading.until_end(&scene)).await;
            reading.assert_all(&scene);
            let children = reading.children.unwrap();
            let parents: Vec<_> = children[0].parents.iter().map(|parent| parent.to_string()).collect();
            assert_eq!(parents, ["shardId-000000000000", "shardId-000000000001"]);
        }
    });
}

#[test]
fn a_future_that_is_dropped_takes_nothing_with_it() {
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        for round in 0..40 {
            scene.put(&format!("{round}"));
            // Given up after anything from a few microseconds to longer than an idle event takes.
            let patience = Duration::from_micros(1 << (round % 24));
            tokio::select! {
                biased;
                () = reading.fetch(&scene) => {}
                () = scene.pass(patience) => {}
            }
        }
        scene.within(Duration::from_secs(20), reading.until(&scene, 40)).await;
        reading.assert_all(&scene);
        let calls = scene.calls("SubscribeToShard");
        assert!(calls <= 3, "the subscription outlives the futures: {calls}");
    });
}

#[test]
fn an_event_belongs_to_the_permit_and_overdraws_it_if_it_must() {
    #[derive(Default)]
    struct Counted(std::sync::atomic::AtomicUsize);
    impl ByteAccount for Counted {
        fn give_back(&self, bytes: usize) {
            self.0.fetch_sub(bytes, std::sync::atomic::Ordering::SeqCst);
        }
        fn overdraw(&self, bytes: usize) {
            self.0.fetch_add(bytes, std::sync::atomic::Ordering::SeqCst);
        }
    }
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reader = source.open(&shard(0), Position::TrimHorizon);
        for _ in 0..100 {
            scene.put(&"x".repeat(10_000));
        }
        let account = Arc::new(Counted(1_000.into()));
        let held = || account.0.load(std::sync::atomic::Ordering::SeqCst);
        assert_eq!(reader.demand(), 4 << 20, "nothing is known yet; an event takes more while it is received");
        let fetched = reader.next(BytePermit::new(1_000, account.clone())).await.unwrap();
        assert_eq!(fetched.batch.len(), 100);
        assert!(held() > 1_000_000, "{}", held());
        assert!(reader.demand() > 4 << 20, "the next event may be as large");
        drop(fetched);
        assert_eq!(held(), 0);
    });
}

#[test]
fn a_subscription_that_nobody_wants_is_closed_after_two_seconds_and_resumed_where_it_stood() {
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        scene.put("first");
        scene.within(Duration::from_secs(10), reading.until(&scene, 1)).await;
        assert_eq!(scene.calls("SubscribeToShard"), 1);
        // A short rest is none.
        rest(&scene, &mut *reading.reader, 1_900).await;
        scene.put("second");
        scene.within(Duration::from_secs(1), reading.until(&scene, 2)).await;
        assert_eq!(scene.calls("SubscribeToShard"), 1);
        // What comes in a long one is read afterwards, by another subscription.
        tokio::join!(scene.put_every_second(60), rest(&scene, &mut *reading.reader, 60_000));
        assert_eq!(scene.calls("SubscribeToShard"), 1, "and not before somebody wants it");
        scene.within(Duration::from_secs(1), reading.until(&scene, 62)).await;
        assert_eq!(scene.calls("SubscribeToShard"), 2);
        reading.assert_all(&scene);
        assert_eq!(reading.errors, []);
    });
}

async fn rest(scene: &crate::scene::Scene, reader: &mut dyn ShardReader, millis: u64) {
    tokio::select! {
        biased;
        never = reader.rest() => match never {},
        () = scene.pass(Duration::from_millis(millis)) => {}
    }
}

#[test]
fn openings_of_many_shards_are_spread() {
    on_a_stream(100, async |scene| {
        let source = scene.source();
        scene.put("data");
        let begun = scene.clock.now();
        let mut opened = Vec::new();
        let readings = (0..100).map(async |index| {
            let mut reading = Reading::of(&source, index);
            reading.until(&scene, 1).await;
            scene.clock.now().since(begun)
        });
        opened.extend(scene.within(Duration::from_secs(5), futures_util::future::join_all(readings)).await);
        opened.sort();
        assert!(opened[0] < Duration::from_millis(1), "the first waits for nothing: {:?}", opened[0]);
        assert!((250..1_000).contains(&opened[99].as_millis()), "{:?}", opened[99]);
        assert!(opened.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(2)), "{opened:?}");
        assert_eq!(scene.calls("DescribeStreamConsumer"), 2, "one search for all: not there, and there");
    });
}
