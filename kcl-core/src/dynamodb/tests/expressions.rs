//! Conditions and changes as DynamoDB is told them.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;

use crate::dynamodb::expression::Expression;
use crate::dynamodb::{leader_expression, lease_expression, worker_expression};
use crate::types::{
    Change, Checkpoint, Condition, Epoch, Expect, HashRange, Heartbeat, Incarnation, LeaderRow, LeaseChange, LeaseKey,
    OwnerSwitches, PendingCheckpoint, RecordPosition, Throughput, Timestamp, WorkerRow,
};

const LEASE: &str = "attribute_exists(leaseKey) AND (attribute_not_exists(entityType) OR entityType = LEASE) AND \
                     attribute_type(leaseCounter, N) AND attribute_type(ownerSwitchesSinceCheckpoint, N) AND \
                     attribute_type(checkpoint, S)";

/// The expression with names and values in the places of their placeholders.
fn filled(text: Option<String>, expression: &Expression) -> String {
    let mut text = text.unwrap_or_default();
    let mut values: Vec<_> = expression.values().unwrap_or_default().into_iter().collect();
    values.sort_by_key(|(placeholder, _)| std::cmp::Reverse((placeholder.len(), placeholder.clone())));
    for (placeholder, value) in values {
        let shown = match value {
            AttributeValue::S(text) | AttributeValue::N(text) => text,
            AttributeValue::Ss(texts) => format!("{{{}}}", texts.join(" ")),
            AttributeValue::B(blob) => format!("{} bytes", blob.as_ref().len()),
            AttributeValue::M(map) => format!("map of {}", map.len()),
            other => panic!("{other:?}"),
        };
        text = text.replace(&placeholder, &shown);
    }
    text.replace('#', "")
}

fn condition(expression: &Expression) -> String {
    filled(expression.condition(), expression)
}

fn update(expression: &Expression) -> String {
    filled(expression.update(), expression)
}

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

#[test]
fn a_condition_asks_for_a_lease_row_and_for_what_is_named() {
    let rest = |condition_: &Condition| {
        let text = condition(&lease_expression::on_condition(condition_));
        text.strip_prefix(LEASE).expect("the guard comes first").to_owned()
    };
    assert_eq!(rest(&Condition::default()), "");
    let holder = Condition {
        owner: Some(Expect::Is("w-1".parse().unwrap())),
        checkpoint_owner: Some(Expect::Absent),
        epoch: Some(Epoch(4)),
        counter: Some(17),
        ended: Some(false),
    };
    assert_eq!(
        rest(&holder),
        " AND leaseOwner = w-1 AND attribute_not_exists(checkpointOwner) AND k_epoch = 4 AND leaseCounter = 17 \
         AND checkpoint <> SHARD_END"
    );
    let first =
        Condition { owner: Some(Expect::Absent), epoch: Some(Epoch(0)), ended: Some(true), ..Default::default() };
    assert_eq!(
        rest(&first),
        " AND attribute_not_exists(leaseOwner) AND (attribute_not_exists(k_epoch) OR k_epoch = 0) AND checkpoint = SHARD_END"
    );
}

#[test]
fn taking_renewing_and_checkpointing_name_only_what_they_change() {
    let of = |change: &LeaseChange| update(&lease_expression::update(&Condition::default(), change));
    assert_eq!(of(&LeaseChange::default()), "");
    let take = LeaseChange {
        owner: Change::Set("w-2".parse().unwrap()),
        checkpoint_owner: Change::Remove,
        counter: Some(8),
        raise_epoch: true,
        owner_switches: Some(OwnerSwitches::Increment),
        last_owner: Some("w-1".parse().unwrap()),
        ..Default::default()
    };
    assert_eq!(
        of(&take),
        "SET leaseOwner = w-2, leaseCounter = 8, k_c = 8, k_by = w-1 REMOVE checkpointOwner \
         ADD k_epoch 1, ownerSwitchesSinceCheckpoint 1"
    );
    let tip = Some(Timestamp::from_millis(1_795_257_281_123));
    let renew = LeaseChange { counter: Some(9), throughput: Some(Throughput(1.5)), tip, ..Default::default() };
    assert_eq!(of(&renew), "SET leaseCounter = 9, k_c = 9, throughputKBps = 1.500000, k_tip = 1795257281123");
    let checkpoint = LeaseChange {
        checkpoint: Some(Checkpoint::At(RecordPosition { sequence: "77".parse().unwrap(), sub: 3 })),
        owner_switches: Some(OwnerSwitches::Reset),
        pending: Change::Remove,
        start: Some(Timestamp::from_millis(5)),
        ..Default::default()
    };
    assert_eq!(
        of(&checkpoint),
        "SET ownerSwitchesSinceCheckpoint = 0, checkpoint = 77, checkpointSubSequenceNumber = 3, k_start = 5 \
         REMOVE pendingCheckpoint, pendingCheckpointSubSequenceNumber, pendingCheckpointState"
    );
}

#[test]
fn sets_are_never_empty_and_a_prepared_checkpoint_without_state_removes_an_old_one() {
    let of = |change: &LeaseChange| update(&lease_expression::update(&Condition::default(), change));
    let end = LeaseChange {
        checkpoint: Some(Checkpoint::ShardEnd),
        children: Some(["shardId-1".parse().unwrap(), "shardId-2".parse().unwrap()].into()),
        hash_range: HashRange::new(0, 9),
        ..Default::default()
    };
    assert_eq!(
        of(&end),
        "SET checkpoint = SHARD_END, checkpointSubSequenceNumber = 0, childShardIds = {shardId-1 shardId-2}, \
         startingHashKey = 0, endingHashKey = 9"
    );
    let none = LeaseChange { children: Some([].into()), ..Default::default() };
    assert_eq!(of(&none), "REMOVE childShardIds");
    let mut prepare =
        LeaseChange { pending: Change::Set(PendingCheckpoint::new(Checkpoint::ShardEnd, None)), ..Default::default() };
    assert_eq!(
        of(&prepare),
        "SET pendingCheckpoint = SHARD_END, pendingCheckpointSubSequenceNumber = 0 REMOVE pendingCheckpointState"
    );
    prepare.pending = Change::Set(PendingCheckpoint::new(Checkpoint::ShardEnd, Some(Bytes::from_static(b"abc"))));
    assert_eq!(
        of(&prepare),
        "SET pendingCheckpoint = SHARD_END, pendingCheckpointSubSequenceNumber = 0, pendingCheckpointState = 3 bytes"
    );
}

#[test]
fn worker_rows_look_like_worker_metrics_of_the_kcl() {
    let incarnation = Incarnation::new("i-1").unwrap();
    let now = Timestamp::from_millis(1_999);
    let mut beat = Heartbeat::new("w-1".parse().unwrap(), incarnation, "kcl-core/1", 4, now);
    let (mut before, java) = (beat.row([].into()), WorkerRow::new("w-1".parse().unwrap()));
    before.incarnation = Some(Incarnation::new("i-0").unwrap());
    for (seen, incarnation) in [
        (None, "(attribute_not_exists(leaseKey) OR k_inc = i-1)"),
        (Some(&before), "(attribute_not_exists(leaseKey) OR k_inc = i-0 OR k_inc = i-1)"),
        (Some(&java), "(attribute_not_exists(k_inc) OR k_inc = i-1)"),
    ] {
        assert_eq!(
            condition(&worker_expression::join(&beat, seen)),
            format!("(attribute_not_exists(leaseKey) OR entityType = WORKER_METRIC_STATS) AND {incarnation}")
        );
    }
    let join = worker_expression::join(&beat, None);
    assert_eq!(
        update(&join),
        "SET entityType = WORKER_METRIC_STATS, k_inc = i-1, sts = map of 0, opr = map of 0, lut = 1, k_impl = kcl-core/1, \
         k_hb = 4, k_cap = 1 REMOVE k_max, k_zone"
    );
    (beat.zone, beat.max_leases) = (Some("az-1".to_owned()), Some(7));
    beat.handled = [key("shardId-1"), key("shardId-2")].into();
    let later = worker_expression::heartbeat(&beat);
    assert_eq!(condition(&later), "entityType = WORKER_METRIC_STATS AND k_inc = i-1");
    assert_eq!(
        update(&later),
        "SET lut = 1, k_impl = kcl-core/1, k_hb = 4, k_cap = 1, k_max = 7, k_zone = az-1 DELETE k_inbox {shardId-1 shardId-2}"
    );
    let notice = worker_expression::notify(&key("shardId-3"));
    assert_eq!(condition(&notice), "entityType = WORKER_METRIC_STATS AND attribute_exists(k_impl)");
    assert_eq!(update(&notice), "ADD k_inbox {shardId-3}");
}

#[test]
fn a_dead_worker_is_removed_only_if_nothing_of_it_moved() {
    let incarnation = Incarnation::new("i-1").unwrap();
    let seen = Heartbeat::new("w-1".parse().unwrap(), incarnation, "kcl-core/1", 4, Timestamp::from_millis(1_999));
    let seen = seen.row([].into());
    assert_eq!(
        condition(&worker_expression::as_silent_as(&seen)),
        "entityType = WORKER_METRIC_STATS AND k_inc = i-1 AND k_hb = 4 AND lut = 1"
    );
    assert_eq!(
        condition(&worker_expression::as_silent_as(&WorkerRow::new("w-java".parse().unwrap()))),
        "entityType = WORKER_METRIC_STATS AND attribute_not_exists(k_inc) AND attribute_not_exists(k_hb) \
         AND attribute_not_exists(lut)"
    );
}

#[test]
fn the_lock_looks_like_the_one_of_the_kcl() {
    let mut row = LeaderRow::new("w-1".parse().unwrap(), Duration::from_secs(12), "v-2");
    let first = leader_expression::write(&Expect::Absent, &row);
    assert_eq!(condition(&first), "attribute_not_exists(leaseKey)");
    assert_eq!(
        update(&first),
        "SET entityType = LEADER, ownerName = w-1, leaseDuration = 12000, recordVersionNumber = v-2 \
         REMOVE isReleased, k_cycle, k_standby"
    );
    (row.released, row.cycle, row.standby) = (true, Some(7), Some("w-2".parse().unwrap()));
    let release = leader_expression::write(&Expect::Is("v-1".to_owned()), &row);
    assert_eq!(
        condition(&release),
        "recordVersionNumber = v-1 AND (attribute_not_exists(entityType) OR entityType = LEADER) \
         AND attribute_type(ownerName, S) AND attribute_type(leaseDuration, S) \
         AND (attribute_not_exists(isReleased) OR isReleased = 1)"
    );
    assert_eq!(
        update(&release),
        "SET entityType = LEADER, ownerName = w-1, leaseDuration = 12000, recordVersionNumber = v-2, isReleased = 1, \
         k_cycle = 7, k_standby = w-2"
    );
}

#[test]
fn every_placeholder_is_used_once_and_every_name_is_known() {
    let everything =
        Condition { owner: Some(Expect::Is("w".parse().unwrap())), counter: Some(1), ..Default::default() };
    let change = LeaseChange { counter: Some(2), checkpoint: Some(Checkpoint::Latest), ..Default::default() };
    let expression = lease_expression::update(&everything, &change);
    let text = format!("{} {}", expression.condition().unwrap(), expression.update().unwrap());
    for placeholder in expression.values().unwrap().keys() {
        let uses = text.split([' ', ')', ',']).filter(|word| word == placeholder).count();
        assert_eq!(uses, 1, "{placeholder} in {text}");
    }
    for placeholder in expression.names().unwrap().keys() {
        assert!(text.contains(placeholder.as_str()), "{placeholder} in {text}");
    }
}
