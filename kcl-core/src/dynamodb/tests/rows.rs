//! Rows that can be read.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use super::fixtures::{item_of, java_history, java_row, java_rows, normal};
use crate::dynamodb::fields::Item;
use crate::dynamodb::{read, write};
use crate::types::{
    Checkpoint, Epoch, HashRange, Lease, LeaseKey, MultiStream, PendingCheckpoint, RecordPosition, Row, Throughput,
    Timestamp,
};

fn java_lease(name: &str) -> Lease {
    read::lease(&java_row(name)).unwrap()
}

fn at(sequence: &str) -> Checkpoint {
    Checkpoint::At(RecordPosition { sequence: sequence.parse().unwrap(), sub: 0 })
}

#[test]
fn every_row_of_a_java_fleet_is_read_and_no_lease_loses_anything() {
    let (mut leases, mut workers, mut leaders, mut others) = (0, 0, 0, 0);
    for item in java_rows().into_iter().map(|(_, item)| item).chain(java_history()) {
        match read::row(&item).unwrap() {
            Row::Lease(lease) => {
                assert_eq!(normal(&write::lease(&lease)), normal(&item));
                leases += 1;
            }
            Row::Worker(worker) => {
                let lut = AttributeValue::N((worker.updated.unwrap().as_millis() / 1000).to_string());
                assert_eq!(item["lut"], lut);
                assert_eq!(item["leaseKey"], AttributeValue::S(worker.worker.as_str().to_owned()));
                assert!(!worker.is_ours() && worker.takes_leases());
                workers += 1;
            }
            Row::Leader(leader) => {
                let text = |name: &str| item[name].as_s().unwrap().as_str();
                assert_eq!(text("ownerName"), leader.owner.as_str());
                assert_eq!(text("leaseDuration"), leader.lease_duration.as_millis().to_string());
                assert_eq!(text("recordVersionNumber"), leader.version);
                assert_eq!(item.contains_key("isReleased"), leader.released);
                leaders += 1;
            }
            Row::Other { key, entity_type } => {
                assert_eq!((key.as_str(), entity_type.as_str()), ("Migration3.0", "CLIENT_VERSION_MIGRATION"));
                others += 1;
            }
        }
    }
    assert_eq!(leases + workers + leaders + others, 19 + 918);
    assert!(leases > 850 && workers > 10 && leaders > 10 && others > 1, "{leases} {workers} {leaders} {others}");
}

#[test]
fn a_running_lease_is_read_field_by_field() {
    let lease = java_lease("lease, running");
    assert_eq!(lease.key.as_str(), "shardId-000000000003");
    assert_eq!(lease.owner.as_ref().unwrap().as_str(), "worker-b");
    assert_eq!((lease.counter, lease.owner_switches), (10, 0));
    assert_eq!(lease.checkpoint, at("49680426505810185045732782624359729971594443279388639282"));
    let end = 340282366920938463463374607431768211455;
    assert_eq!(lease.hash_range, HashRange::new(255211775190703847597530955573826158589, end));
    assert_eq!(lease.throughput, Some(Throughput(311.212874)));
    assert!(lease.typed && lease.epoch.is_none() && lease.own_counter.is_none() && lease.pending.is_none());
}

#[test]
fn hand_offs_families_and_ends_are_read() {
    let handed = java_lease("lease, hand-off pending: next owner named, old owner still reads");
    assert_eq!(handed.holder().unwrap().as_str(), "worker-b");
    assert_eq!(handed.owner.unwrap().as_str(), "worker-a");
    let merged = java_lease("lease, child of a merge (two parents), assigned");
    let parents: Vec<_> = merged.parents.iter().map(|parent| parent.as_str()).collect();
    assert_eq!(parents, ["shardId-000000000002", "shardId-000000000003"]);
    let ended = java_lease("lease, shard ended by a split, still owned and renewed");
    assert!(ended.is_ended());
    assert_eq!(ended.children.len(), 2);
}

#[test]
fn prepared_checkpoints_and_several_streams_are_read() {
    let prepared = java_lease("lease, checkpoint prepared with application state");
    let state = Bytes::from_static(b"state of shardId-000000000001");
    let position = at("49680426505765583555335721393455403886366884282549403666");
    assert_eq!(prepared.pending, Some(Box::new(PendingCheckpoint::new(position, Some(state)))));
    let clicks = java_lease("lease, multi-stream, assigned");
    assert_eq!(clicks.key.as_str(), "000000000000:clicks:1:shardId-000000000000");
    let stream = MultiStream::new("000000000000:clicks:1", "shardId-000000000000".parse().unwrap());
    assert_eq!(clicks.multi_stream, Some(Box::new(stream)));
}

#[test]
fn our_own_attributes_and_the_remaining_sentinels_survive_the_way_there_and_back() {
    for checkpoint in [Checkpoint::Latest, Checkpoint::AtTimestamp, Checkpoint::TrimHorizon, Checkpoint::ShardEnd] {
        let mut lease = Lease::unowned(LeaseKey::new("shardId-1").unwrap(), checkpoint, 1_795_257_281);
        lease.owner = Some("w-1".parse().unwrap());
        lease.checkpoint_owner = Some("w-2".parse().unwrap());
        lease.last_owner = Some("w-3".parse().unwrap());
        lease.epoch = Some(Epoch(7));
        lease.own_counter = Some(3);
        lease.start = Some(Timestamp::from_millis(-5));
        lease.stream_created = Some(Timestamp::from_millis(1_795_257_280_000));
        lease.tip = Some(Timestamp::from_millis(1_795_257_281_123));
        lease.owner_switches = 2;
        lease.pending = Some(Box::new(PendingCheckpoint::new(Checkpoint::ShardEnd, None)));
        lease.throughput = Some(Throughput(0.000001));
        lease.children = ["shardId-2".parse().unwrap()].into();
        assert_eq!(read::lease(&write::lease(&lease)).unwrap(), lease);
        lease.checkpoint = Checkpoint::At(RecordPosition { sequence: "12".parse().unwrap(), sub: 41 });
        lease.typed = false;
        assert_eq!(read::lease(&write::lease(&lease)).unwrap(), lease);
    }
}

#[test]
fn a_row_of_kcl_1_needs_no_more_than_four_attributes() {
    let lease = read::lease(&item_of(
        r#"{"leaseKey": {"S": "shardId-0"}, "leaseCounter": {"N": "4"}, "ownerSwitchesSinceCheckpoint": {"N": "1"}, "checkpoint": {"S": "LATEST"}}"#,
    ))
    .unwrap();
    assert_eq!((lease.counter, lease.owner_switches, lease.checkpoint), (4, 1, Checkpoint::Latest));
    assert!(!lease.typed && lease.owner.is_none() && lease.hash_range.is_none());
}

#[test]
fn our_own_worker_and_leader_rows_are_read() {
    let Row::Worker(worker) = read::row(&item_of(
        r#"{"leaseKey": {"S": "w-1"}, "entityType": {"S": "WORKER_METRIC_STATS"}, "lut": {"N": "12"}, "sts": {"M": {}}, "opr": {"M": {}},
            "k_impl": {"S": "kcl-core/0.1"}, "k_hb": {"N": "9"}, "k_inc": {"S": "i"}, "k_inbox": {"SS": ["a", "b"]}, "k_cap": {"N": "0"},
            "k_zone": {"S": "euw1-az1"}, "k_max": {"N": "7"}}"#,
    ))
    .unwrap() else {
        panic!("no worker")
    };
    assert!(worker.is_ours() && !worker.takes_leases());
    assert_eq!(worker.sign_of_life(), (Some(9), Some(Timestamp::from_millis(12_000))));
    assert_eq!((worker.inbox.len(), worker.zone.as_deref(), worker.max_leases), (2, Some("euw1-az1"), Some(7)));
    let mut item = java_row("leader lock");
    item.extend(item_of(r#"{"k_cycle": {"N": "3"}, "k_standby": {"S": "w-2"}, "isReleased": {"S": "1"}}"#));
    let leader = read::leader(&item).unwrap();
    assert_eq!((leader.cycle, leader.released, leader.lease_duration), (Some(3), true, Duration::from_secs(120)));
    assert_eq!(leader.standby.unwrap().as_str(), "w-2");
}

#[test]
fn rows_without_a_type_are_known_by_their_key_and_unknown_types_are_reported() {
    let other = |key: &str, entity_type: &str| Row::Other { key: key.to_owned(), entity_type: entity_type.to_owned() };
    let typed = |key: &str, entity_type: &str| -> Item {
        item_of(&format!(r#"{{"leaseKey": {{"S": "{key}"}}, "entityType": {{"S": "{entity_type}"}}}}"#))
    };
    let untyped = |key: &str| item_of(&format!(r#"{{"leaseKey": {{"S": "{key}"}}}}"#));
    for (item, expected) in [
        (untyped("Migration3.0"), other("Migration3.0", "CLIENT_VERSION_MIGRATION")),
        (untyped("TableMigration3.5"), other("TableMigration3.5", "TABLE_MIGRATION")),
        (typed("TableMigration3.5", "TABLE_MIGRATION"), other("TableMigration3.5", "TABLE_MIGRATION")),
        (typed("1:orders:2", "STREAM"), other("1:orders:2", "STREAM")),
        (typed("x", "NEW_IN_KCL_9"), other("x", "NEW_IN_KCL_9")),
        (typed("x", "LEADER"), other("x", "LEADER")),
    ] {
        assert_eq!(read::row(&item).unwrap(), expected);
    }
    let mut leader = java_row("leader lock");
    leader.remove("entityType");
    assert!(matches!(read::row(&leader), Ok(Row::Leader(_))));
}

#[test]
fn a_throughput_that_is_no_number_of_dynamodb_does_not_spoil_the_write() {
    for (value, written) in [
        (f64::NAN, "0.000000"),
        (f64::INFINITY, "1000000000000000.000000"),
        (-1.0, "0.000000"),
        (83.2045109, "83.204511"),
    ] {
        assert_eq!(write::throughput(Throughput(value)), AttributeValue::N(written.to_owned()));
    }
}
