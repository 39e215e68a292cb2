//! Tables that a fleet of the Java library left behind: a worker takes over what is open, and nothing else.

use bytes::Bytes;
use kcl_core::streams::{StreamConfig, StreamSet};
use kcl_core::testing::ManualClock;
use kcl_core::types::{RecordEntry, ShardRef};
use kcl_core::{Settings, Worker};

use crate::items::{Item, item_of, java_rows, java_table, key_of, same};
use crate::virtual_time::{STREAM, Scene, TABLE, shard};

/// What a worker that takes over, reads, checkpoints and releases writes in a lease. Everything else stays.
const OURS: [&str; 12] = [
    "leaseOwner",
    "checkpointOwner",
    "leaseCounter",
    "ownerSwitchesSinceCheckpoint",
    "checkpoint",
    "checkpointSubSequenceNumber",
    "k_epoch",
    "k_c",
    "k_by",
    "k_start",
    "k_tip",
    "throughputKBps",
];
/// What a checkpoint replaces that was prepared before.
const PREPARED: [&str; 3] = ["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"];

fn text<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).map(|value| value.as_s().unwrap().as_str())
}

fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

/// The sequence number that lies so far behind another.
fn beyond(sequence: &str, by: i64) -> String {
    let (head, tail) = sequence.split_at(sequence.len() - 9);
    format!("{head}{:09}", tail.parse::<i64>().unwrap() + by)
}

/// Appends two records that the fleet has done, and two that it has not; yields the numbers of what is left to do.
fn append_around(scene: &Scene, name: &str, checkpoint: &str) -> Vec<String> {
    let first = "49680426500000000000000000000000000000000000000000000000";
    let (base, left) = if checkpoint == "TRIM_HORIZON" { (first, 0) } else { (checkpoint, 2) };
    let numbers: Vec<String> = [-1, 0, 1, 2].map(|by| beyond(base, by + i64::from(left == 0))).into();
    for sequence in &numbers {
        let entry = RecordEntry::new(sequence.parse().unwrap(), "key", Bytes::from_static(b"data"));
        scene.source.append_entry(&shard(name), entry);
    }
    numbers[left..].to_vec()
}

/// Every attribute but those that a take-over writes.
fn assert_kept(before: &Item, after: &Item, written: &[&str]) {
    let names = before.keys().chain(after.keys()).filter(|name| !written.contains(&name.as_str()));
    for name in names {
        assert!(same(before.get(name), after.get(name)), "{name} went from {before:?} to {after:?}");
    }
}

/// All that a stopped fleet leaves: its leases, one with a prepared checkpoint, the lease of another stream, worker rows,
/// the leader lock, the version state.
fn left_behind() -> Vec<Item> {
    let wanted = ["lease, prepared, running", "lease, multi-stream, assigned"];
    let more = java_rows().into_iter().filter(|(name, _)| wanted.contains(&name.as_str())).map(|(_, item)| item);
    let mut rows = java_table();
    rows.extend(more);
    rows.push(item_of(r#"{"leaseKey": {"S": "x"}, "entityType": {"S": "NEW_IN_KCL_9"}, "a": {"L": [{"N": "1.50"}]}}"#));
    rows
}

#[test]
fn a_worker_takes_over_what_a_java_fleet_left_open_and_touches_nothing_else() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock);
        scene.table(TABLE, "leaseKey", &left_behind()).await;
        for index in 0..4 {
            scene.source.add_shard(&shard(&id(index)), None);
        }
        let named = |indices: &[usize]| indices.iter().map(|i| (id(*i).parse().unwrap(), None)).collect::<Vec<_>>();
        let parents = |indices: &[usize]| indices.iter().map(|i| id(*i).parse().unwrap()).collect::<Vec<_>>();
        scene.source.reshard(&STREAM.parse().unwrap(), &parents(&[0]), &named(&[4, 5]));
        scene.source.reshard(&STREAM.parse().unwrap(), &parents(&[2, 3]), &named(&[6]));
        let before = scene.rows().await;
        let open = [1, 4, 6].map(id);
        let left = open.each_ref().map(|name| append_around(&scene, name, text(&before[name], "checkpoint").unwrap()));

        let mut worker = scene.worker("ours").build().unwrap().start().await.unwrap();
        scene.pass(10).await;
        let early = scene.rows().await;
        for name in &open {
            assert_eq!(early[name], before[name], "{name}: its owner may still live");
            assert!(scene.log.numbers(name).is_empty());
        }
        scene.pass(5).await;
        for (name, left) in open.iter().zip(&left) {
            let row = &scene.rows().await[name];
            assert_eq!(text(row, "leaseOwner"), Some("ours"), "{name}");
            assert_eq!(&scene.log.numbers(name), left, "{name}: it goes on where the fleet stood");
        }
        assert_eq!(early["Leader"], scene.rows().await["Leader"], "a lock is not taken before its time is over");
        // Longer than the leader's lock lasts, and than ended rows rest.
        scene.pass(300).await;
        worker.stop();
        worker.wait().await.unwrap();

        let after = scene.rows().await;
        let over = [2, 3].map(id);
        for (key, row) in &before {
            match open.iter().zip(&left).find(|(name, _)| *name == key) {
                None if key == "Leader" => assert_eq!(text(&after[key], "ownerName"), Some("ours"), "it ran out"),
                None if over.contains(key) => assert_eq!(after.get(key), None, "all that came from {key} has begun"),
                None => assert_eq!(after.get(key), Some(row), "{key} is none of ours, or is still needed"),
                Some((_, left)) => {
                    assert_kept(row, &after[key], &[&OURS[..], &PREPARED[..]].concat());
                    assert_eq!(text(&after[key], "checkpoint"), left.last().map(String::as_str), "{key}");
                    assert!(number(&after[key], "leaseCounter") > number(row, "leaseCounter"));
                    assert!(PREPARED.iter().all(|name| !after[key].contains_key(*name)), "replaced: {key}");
                    assert_eq!((text(&after[key], "leaseOwner"), text(&after[key], "k_by")), (None, Some("ours")));
                }
            }
        }
        let new: Vec<&String> = after.keys().filter(|key| !before.contains_key(*key)).collect();
        assert_eq!(new, [&id(5)], "only the child whose row the fleet did not live to write");
    });
}

#[test]
fn every_state_of_an_open_lease_is_taken_over_once_its_holder_is_silent() {
    let states: Vec<(String, Item)> = java_rows()
        .into_iter()
        .filter(|(_, item)| text(item, "entityType") == Some("LEASE") && text(item, "streamName").is_none())
        .filter(|(_, item)| text(item, "checkpoint") != Some("SHARD_END"))
        .collect();
    assert_eq!(states.len(), 10, "the states that the recordings have");
    for (state, before) in states {
        let clock = ManualClock::new();
        clock.run(async {
            let scene = Scene::new(&clock);
            let leader = java_rows().into_iter().find(|(_, item)| key_of(item) == "Leader").unwrap().1;
            scene.table(TABLE, "leaseKey", &[before.clone(), leader.clone()]).await;
            let key = key_of(&before);
            scene.source.add_shard(&shard(&key), None);
            let left = append_around(&scene, &key, text(&before, "checkpoint").unwrap());
            let mut worker = scene.worker("ours").build().unwrap().start().await.unwrap();
            scene.pass(10).await;
            assert!(scene.log.numbers(&key).is_empty(), "{state}: its holder or its leader may still live");
            scene.pass(5).await;
            assert_eq!(scene.log.numbers(&key), left, "{state}");
            worker.stop();
            worker.wait().await.unwrap();
            let rows = scene.rows().await;
            assert_eq!((rows.len(), &rows["Leader"]), (2, &leader), "{state}");
            assert_kept(&before, &rows[&key], &[&OURS[..], &PREPARED[..]].concat());
            assert_eq!(text(&rows[&key], "checkpoint"), left.last().map(String::as_str), "{state}");
            assert_eq!(text(&rows[&key], "checkpointOwner"), None, "{state}");
        });
    }
}

#[test]
fn a_worker_of_several_streams_takes_over_what_a_java_fleet_of_several_streams_left() {
    const CLICKS: &str = "000000000000:clicks:1";
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock);
        let left: Vec<Item> = java_rows()
            .into_iter()
            .filter(|(name, _)| name == "lease, multi-stream, assigned")
            .map(|(_, item)| item)
            .collect();
        scene.table(TABLE, "leaseKey", &left).await;
        let clicks = |index: usize| ShardRef::new("clicks".parse().unwrap(), id(index).parse().unwrap());
        for index in 0..2 {
            scene.source.add_shard(&clicks(index), None);
            scene.source.append(&clicks(index), "data");
        }
        let before = scene.rows().await;
        let key = |index: usize| format!("{CLICKS}:{}", id(index));
        let stream = StreamConfig::new("clicks".parse().unwrap()).identity(CLICKS.parse().unwrap());
        let worker = Worker::builder(Settings::default().application(TABLE).worker_id("ours"))
            .streams(StreamSet::fixed([stream]))
            .dynamodb_client(scene.client.clone())
            .source(scene.source.clone())
            .clock(scene.clock.clone())
            .seed(7)
            .processor(scene.log.processors());
        let mut worker = worker.build().unwrap().start().await.unwrap();
        scene.pass(10).await;
        assert_eq!(scene.rows().await[&key(0)], before[&key(0)], "its owner may still live");
        scene.pass(60).await;
        assert_eq!([0, 1].map(|index| scene.log.numbers(&id(index))), [["1"], ["1"]]);
        worker.stop();
        worker.wait().await.unwrap();
        let after = scene.rows().await;
        assert_kept(&before[&key(0)], &after[&key(0)], &OURS);
        // The other one has the form that the KCL gives it.
        for (name, value) in [("streamName", CLICKS), ("shardId", &id(1)), ("entityType", "LEASE"), ("checkpoint", "1")]
        {
            assert_eq!(text(&after[&key(1)], name), Some(value));
        }
    });
}

fn id(index: usize) -> String {
    format!("shardId-{index:012}")
}
