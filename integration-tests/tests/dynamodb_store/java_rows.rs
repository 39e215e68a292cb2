//! Working on rows that the Java library wrote: what a change does not name stays as it was.

use std::collections::BTreeSet;

use bytes::Bytes;
use kcl_core::ports::{FleetStore, LeaseStore};
use kcl_core::types::{
    Change, Checkpoint, Condition, Epoch, Expect, Heartbeat, Incarnation, Lease, LeaseChange, LeaseKey, OwnerSwitches,
    PageToken, PendingCheckpoint, Projection, RecordPosition, Row, RowProblem, StoreError, Throughput, Timestamp,
    WriteOutcome,
};

use crate::backend::Backend;
use crate::items::{Item, item_of, java_rows, java_table, key_of, same};

/// A change, and the attributes that it may touch.
struct Named {
    change: LeaseChange,
    attributes: &'static [&'static str],
}

fn named(attributes: &'static [&'static str], change: impl FnOnce(&mut LeaseChange)) -> Named {
    let mut named = Named { change: LeaseChange::default(), attributes };
    change(&mut named.change);
    named
}

/// What a worker does to a lease in its life.
fn changes(lease: &Lease) -> Vec<Named> {
    let counter = lease.counter + 1;
    let position = RecordPosition {
        sequence: "49680426505743282810137190756390669503592516737738735618".parse().unwrap(),
        sub: 7,
    };
    let prepared = PendingCheckpoint::new(Checkpoint::At(position.clone()), Some(Bytes::from_static(b"new state")));
    vec![
        named(&["leaseCounter", "k_c", "throughputKBps"], |renew| {
            renew.counter = Some(counter);
            renew.throughput = Some(Throughput(12.345678));
        }),
        named(
            &[
                "leaseOwner",
                "checkpointOwner",
                "leaseCounter",
                "k_c",
                "k_epoch",
                "ownerSwitchesSinceCheckpoint",
                "k_by",
            ],
            |take| {
                take.owner = Change::Set("w-new".parse().unwrap());
                take.checkpoint_owner = Change::Remove;
                take.counter = Some(counter);
                take.raise_epoch = true;
                take.owner_switches = Some(OwnerSwitches::Increment);
                take.last_owner = lease.owner.clone();
            },
        ),
        named(&["leaseOwner", "checkpointOwner"], |hand_over| {
            hand_over.owner = Change::Set("w-new".parse().unwrap());
            hand_over.checkpoint_owner = Change::Set("w-old".parse().unwrap());
        }),
        named(
            &["checkpoint", "checkpointSubSequenceNumber", "ownerSwitchesSinceCheckpoint", "leaseCounter", "k_c"],
            |checkpoint| {
                checkpoint.counter = Some(counter);
                checkpoint.checkpoint = Some(Checkpoint::At(position));
                checkpoint.owner_switches = Some(OwnerSwitches::Reset);
            },
        ),
        named(&["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"], |prepare| {
            prepare.pending = Change::Set(prepared);
        }),
        named(&["pendingCheckpoint", "pendingCheckpointSubSequenceNumber", "pendingCheckpointState"], |commit| {
            commit.pending = Change::Remove;
        }),
        named(&["checkpoint", "checkpointSubSequenceNumber", "childShardIds", "k_start"], |end| {
            end.checkpoint = Some(Checkpoint::ShardEnd);
            end.children = Some(BTreeSet::from(["shardId-000000000017".parse().unwrap()]));
            end.start = Some(Timestamp::from_millis(1_795_257_281_123));
        }),
        named(&["leaseOwner", "leaseCounter", "k_c", "k_epoch"], |release| {
            release.owner = Change::Remove;
            release.counter = Some(counter);
            release.raise_epoch = true;
        }),
        named(&[], |_| {}),
    ]
}

fn as_seen(lease: &Lease) -> Condition {
    let mut condition = Condition::default();
    condition.owner = Some(Expect::as_seen(lease.owner.as_ref()));
    condition.checkpoint_owner = Some(Expect::as_seen(lease.checkpoint_owner.as_ref()));
    condition.counter = Some(lease.counter);
    condition.epoch = Some(lease.epoch());
    condition.ended = Some(lease.is_ended());
    condition
}

/// Conditions that each differ in one part from what the row is.
fn outdated(lease: &Lease) -> Vec<Condition> {
    let with = |change: &dyn Fn(&mut Condition)| {
        let mut condition = as_seen(lease);
        change(&mut condition);
        condition
    };
    vec![
        with(&|condition| condition.owner = Some(Expect::Is("w-x".parse().unwrap()))),
        with(&|condition| condition.checkpoint_owner = Some(Expect::Is("w-x".parse().unwrap()))),
        with(&|condition| condition.counter = Some(lease.counter + 1)),
        with(&|condition| condition.epoch = Some(Epoch(lease.epoch().0 + 1))),
        with(&|condition| condition.ended = Some(!lease.is_ended())),
    ]
}

/// The Java library's lease states, with attributes of a future version on top.
fn java_leases() -> impl Iterator<Item = Item> {
    let future = r#"{"future": {"L": [{"N": "1.5"}, {"S": ""}]}, "properties": {"M": {"a": {"SS": ["x", "y"]}}}}"#;
    java_rows().into_iter().map(|(_, item)| item).filter(|item| item["entityType"].as_s().unwrap() == "LEASE").map(
        move |mut item| {
            item.extend(item_of(future));
            item
        },
    )
}

#[tokio::test]
async fn a_change_leaves_what_it_does_not_name_as_the_java_library_wrote_it() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    for before in java_leases() {
        backend.put(&before).await;
        let key = LeaseKey::new(key_of(&before)).unwrap();
        let lease = store.get(&key).await.unwrap().unwrap().unwrap();
        for Named { change, attributes } in changes(&lease) {
            backend.put(&before).await;
            for condition in outdated(&lease) {
                let outcome = store.update(&key, &condition, &change).await;
                assert_eq!(outcome, WriteOutcome::Conflict(lease.clone()), "{condition:?}");
            }
            let expected = change.apply(&lease);
            assert_eq!(store.update(&key, &as_seen(&lease), &change).await, WriteOutcome::Applied(expected.clone()));
            assert_eq!(store.get(&key).await, Ok(Some(Ok(expected))));
            let after = backend.item(key.as_str()).await.unwrap();
            for name in before.keys().chain(after.keys()).filter(|name| !attributes.contains(&name.as_str())) {
                assert!(same(before.get(name), after.get(name)), "{name} of {key} changed by {change:?}");
            }
        }
    }
}

async fn scan_all(backend: &Backend, projection: Projection) -> (Vec<Row>, Vec<RowProblem>) {
    let store = backend.store();
    let (mut rows, mut unreadable, mut next) = (Vec::new(), Vec::new(), None::<PageToken>);
    loop {
        let page = store.scan(projection, next).await.unwrap();
        rows.extend(page.rows);
        unreadable.extend(page.unreadable);
        next = page.next;
        if next.is_none() {
            return (rows, unreadable);
        }
    }
}

#[tokio::test]
async fn the_table_of_a_java_fleet_is_started_on_and_scanned() {
    let backend = Backend::new().await;
    backend.create_table(&backend.application, "leaseKey").await;
    let table = java_table();
    for item in &table {
        backend.put(item).await;
    }
    backend.put(&item_of(r#"{"leaseKey": {"S": "x"}, "entityType": {"S": "NEW_IN_KCL_9"}}"#)).await;
    let broken = r#"{"leaseKey": {"S": "broken"}, "leaseCounter": {"N": "-7"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
                     "checkpoint": {"S": "LATEST"}}"#;
    backend.put(&item_of(broken)).await;
    let store = backend.store();
    store.start().await.unwrap();
    for projection in [Projection::All, Projection::Planning] {
        let (rows, unreadable) = scan_all(&backend, projection).await;
        assert_eq!(rows.len(), table.len() + 1);
        let count = |is: fn(&Row) -> bool| rows.iter().filter(|row| is(row)).count();
        assert_eq!(count(|row| matches!(row, Row::Worker(_))), 2);
        assert_eq!(count(|row| matches!(row, Row::Leader(_))), 1);
        assert_eq!(count(|row| matches!(row, Row::Other { .. })), 2);
        let [problem] = unreadable.as_slice() else { panic!("{unreadable:?}") };
        assert_eq!((problem.key.as_str(), problem.attribute.as_str()), ("broken", "leaseCounter"));
        assert!(problem.problem.contains("-7"));
        let ranges = rows.iter().filter_map(|row| match row {
            Row::Lease(lease) => Some(lease.hash_range),
            _ => None,
        });
        let projected = projection == Projection::Planning;
        assert!(ranges.into_iter().all(|range| range.is_none() == projected), "planning needs no hash ranges");
    }
    assert_eq!(store.leader().await.unwrap().unwrap().unwrap().owner.as_str(), "worker-a");
    let owned = store.owned_by(&"worker-a".parse().unwrap(), None).await.unwrap();
    assert!(owned.next.is_none() && !owned.keys.is_empty());
}

#[tokio::test]
async fn rows_that_are_no_leases_or_cannot_be_read_stay_as_they_are() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let mut others: Vec<Item> = java_table().into_iter().filter(|item| !item.contains_key("leaseCounter")).collect();
    // The same rows as earlier versions wrote them, and rows of which nobody knows what they are.
    for mut item in others.clone() {
        if matches!(key_of(&item).as_str(), "Leader" | "Migration3.0") {
            item.remove("entityType");
            others.push(item);
        }
    }
    others.push(item_of(r#"{"leaseKey": {"S": "x"}, "leaseCounter": {"S": "5"}}"#));
    others.push(item_of(r#"{"leaseKey": {"S": "y"}, "leaseCounter": {"N": "5"}, "checkpoint": {"S": "LATEST"}}"#));
    others.push(item_of(r#"{"leaseKey": {"S": "z"}, "entityType": {"S": "NEW"}, "leaseCounter": {"N": "5"}}"#));
    let mut change = LeaseChange::default();
    change.counter = Some(6);
    for item in others {
        backend.put(&item).await;
        let key = LeaseKey::new(key_of(&item)).unwrap();
        assert!(
            matches!(store.update(&key, &Condition::default(), &change).await, WriteOutcome::Unreadable(_)),
            "{key}"
        );
        assert!(matches!(store.delete(&key, &Condition::default()).await, WriteOutcome::Unreadable(_)), "{key}");
        assert!(matches!(store.get(&key).await, Ok(Some(Err(_)))), "{key}");
        assert_eq!(backend.item(key.as_str()).await.as_ref(), Some(&item));
    }
}

#[tokio::test]
async fn a_worker_with_the_id_of_a_java_worker_takes_its_row_over_and_keeps_what_it_does_not_know() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let (_, mut before) = java_rows().into_iter().find(|(name, _)| name.starts_with("worker metrics")).unwrap();
    before.extend(item_of(r#"{"properties": {"M": {"a": {"S": "b"}}}, "sts": {"M": {"C": {"L": [{"N": "12.5"}]}}}}"#));
    backend.put(&before).await;
    let worker = key_of(&before).parse().unwrap();
    let now = Timestamp::from_millis(1_800_000_000_999);
    let mut beat = Heartbeat::new(worker, Incarnation::new("i-1").unwrap(), "kcl-core/1", 1, now);
    beat.zone = Some("use1-az4".to_owned());
    let seen = store.worker(&beat.worker).await.unwrap().unwrap().unwrap();
    let WriteOutcome::Applied(row) = store.join(&beat, Some(&seen)).await else { panic!("not joined") };
    assert!(row.is_ours() && row.updated == Some(Timestamp::from_millis(1_800_000_000_000)));
    let after = backend.item(row.worker.as_str()).await.unwrap();
    for name in ["entityType", "properties", "sup", "slu", "leaseKey"] {
        assert_eq!(before.get(name), after.get(name), "{name}");
    }
    let none = item_of(r#"{"sts": {"M": {}}, "opr": {"M": {}}}"#);
    assert_eq!((after.get("sts"), after.get("opr")), (none.get("sts"), none.get("opr")), "nothing is measured here");
}

#[tokio::test]
async fn a_new_worker_row_says_nothing_of_features_that_java_leaders_wait_for() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let now = Timestamp::from_millis(1_800_000_000_999);
    let beat = Heartbeat::new("w-1".parse().unwrap(), Incarnation::new("i-1").unwrap(), "kcl-core/1", 1, now);
    assert!(matches!(store.join(&beat, None).await, WriteOutcome::Applied(_)));
    let row = item_of(
        r#"{"leaseKey": {"S": "w-1"}, "entityType": {"S": "WORKER_METRIC_STATS"}, "lut": {"N": "1800000000"}, "sts": {"M": {}},
            "opr": {"M": {}}, "k_impl": {"S": "kcl-core/1"}, "k_hb": {"N": "1"}, "k_inc": {"S": "i-1"}, "k_cap": {"N": "1"}}"#,
    );
    assert_eq!(backend.item("w-1").await, Some(row));
    let lease = Lease::unowned(LeaseKey::new("w-1").unwrap(), Checkpoint::TrimHorizon, 0);
    assert_eq!(store.create(&lease).await, kcl_core::types::CreateOutcome::Exists);
    let taken = Heartbeat::new("w-2".parse().unwrap(), Incarnation::new("i-1").unwrap(), "kcl-core/1", 1, now);
    backend.put(&item_of(r#"{"leaseKey": {"S": "w-2"}, "leaseCounter": {"N": "1"}}"#)).await;
    assert!(matches!(store.join(&taken, None).await, WriteOutcome::Refused(StoreError::Invalid(_))));
}
