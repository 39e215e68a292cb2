//! Leases over the wire: pages, the index, transactions and races.

use kcl_core::ports::LeaseStore;
use kcl_core::types::{
    Change, Checkpoint, Condition, CreateOutcome, Expect, HashRange, Lease, LeaseChange, LeaseKey, Projection, Row,
    StepResult, TransactionOutcome, TransactionStep, WriteOutcome,
};

use crate::backend::Backend;
use crate::faults::Transport;

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

fn lease(text: &str) -> Lease {
    Lease::unowned(key(text), Checkpoint::TrimHorizon, 10)
}

fn on_counter(counter: u64) -> Condition {
    let mut condition = Condition::default();
    condition.counter = Some(counter);
    condition
}

fn to_counter(counter: u64) -> LeaseChange {
    let mut change = LeaseChange::default();
    change.counter = Some(counter);
    change
}

#[tokio::test]
async fn a_created_row_is_what_the_kcl_expects() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let mut child = lease("shardId-000000000004");
    child.parents = ["shardId-000000000000".parse().unwrap()].into();
    child.hash_range = HashRange::new(0, 42535295865117307932921825928971026430);
    assert_eq!(store.create(&child).await, CreateOutcome::Created);
    assert_eq!(store.create(&lease("shardId-000000000004")).await, CreateOutcome::Exists);
    let expected = crate::items::item_of(
        r#"{"checkpoint": {"S": "TRIM_HORIZON"}, "checkpointSubSequenceNumber": {"N": "0"}, "entityType": {"S": "LEASE"},
            "endingHashKey": {"S": "42535295865117307932921825928971026430"}, "startingHashKey": {"S": "0"},
            "leaseCounter": {"N": "10"}, "leaseKey": {"S": "shardId-000000000004"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "parentShardId": {"SS": ["shardId-000000000000"]}, "k_c": {"N": "10"}, "k_epoch": {"N": "0"}}"#,
    );
    assert_eq!(backend.item("shardId-000000000004").await, Some(expected));
    assert_eq!(store.get(&child.key).await, Ok(Some(Ok(child))));
}

#[tokio::test]
async fn scans_and_queries_go_from_page_to_page() {
    let backend = Backend::new().await;
    let store = backend.store_over(backend.client(Transport::with_small_pages(3)));
    store.start().await.unwrap();
    let worker = "w-1".parse().unwrap();
    for number in 0..10 {
        let mut lease = lease(&format!("shardId-{number:012}"));
        lease.owner = (number % 2 == 0).then(|| Clone::clone(&worker));
        assert_eq!(store.create(&lease).await, CreateOutcome::Created);
    }
    let (mut keys, mut next, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.scan(Projection::Planning, next).await.unwrap();
        keys.extend(page.rows.into_iter().map(|row| match row {
            Row::Lease(lease) => lease.key,
            other => panic!("{other:?}"),
        }));
        (next, pages) = (page.next, pages + 1);
        if next.is_none() {
            break;
        }
    }
    keys.sort();
    assert_eq!(keys, (0..10).map(|number| key(&format!("shardId-{number:012}"))).collect::<Vec<_>>());
    assert!(pages > 3, "{pages}");
    let first = store.owned_by(&worker, None).await.unwrap();
    let second = store.owned_by(&worker, first.next.clone()).await.unwrap();
    let owned: Vec<_> = first.keys.iter().chain(&second.keys).map(|key| key.as_str().to_owned()).collect();
    assert_eq!(owned, [0, 2, 4, 6, 8].map(|number| format!("shardId-{number:012}")));
    assert!(store.owned_by(&"w-2".parse().unwrap(), None).await.unwrap().keys.is_empty());
}

#[tokio::test]
async fn of_many_takers_one_wins() {
    let backend = Backend::new().await;
    let stores: Vec<_> = (0..8).map(|_| backend.store()).collect();
    stores[0].start().await.unwrap();
    for round in 0..10 {
        let lease = lease(&format!("shardId-{round}"));
        assert_eq!(stores[0].create(&lease).await, CreateOutcome::Created);
        let takes = stores.iter().enumerate().map(|(number, store)| {
            let mut take = to_counter(11);
            take.owner = Change::Set(format!("w-{number}").parse().unwrap());
            take.raise_epoch = true;
            let mut free = on_counter(10);
            free.owner = Some(Expect::Absent);
            let key = &lease.key;
            async move { store.update(key, &free, &take).await }
        });
        let outcomes = futures_util::future::join_all(takes).await;
        let won: Vec<_> = outcomes.iter().filter(|outcome| matches!(outcome, WriteOutcome::Applied(_))).collect();
        assert_eq!(won.len(), 1, "{outcomes:?}");
        let lost = outcomes.iter().filter(|outcome| match outcome {
            WriteOutcome::Conflict(row) => row.counter == 11 && row.owner.is_some(),
            _ => false,
        });
        assert_eq!(lost.count(), 7, "{outcomes:?}");
    }
}

#[tokio::test]
async fn a_shard_end_and_its_children_are_written_together_or_not_at_all() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    for name in ["parent", "other-parent"] {
        assert_eq!(store.create(&lease(name)).await, CreateOutcome::Created);
    }
    let mut end = to_counter(11);
    end.checkpoint = Some(Checkpoint::ShardEnd);
    end.children = Some(["child".parse().unwrap()].into());
    let update = |condition: Condition| TransactionStep::Update { key: key("parent"), condition, change: end.clone() };
    let create = |name: &str| TransactionStep::Create(Box::new(lease(name)));
    let exists = |name: &str| TransactionStep::Exists(key(name));
    let outcome = store.transact(&[update(on_counter(10)), create("other-parent"), exists("child")]).await;
    let (held, failed) = (StepResult::Held, StepResult::Failed);
    assert_eq!(outcome, TransactionOutcome::Cancelled(vec![held, failed, failed]));
    assert!(!store.get(&key("parent")).await.unwrap().unwrap().unwrap().is_ended());
    let outcome = store.transact(&[update(on_counter(10)), create("child"), exists("other-parent")]).await;
    assert_eq!(outcome, TransactionOutcome::Applied);
    assert!(store.get(&key("parent")).await.unwrap().unwrap().unwrap().is_ended());
    assert!(store.get(&key("child")).await.unwrap().is_some());
    let nothing =
        TransactionStep::Update { key: key("child"), condition: on_counter(9), change: LeaseChange::default() };
    assert_eq!(store.transact(&[nothing]).await, TransactionOutcome::Cancelled(vec![failed]));
}

#[tokio::test]
async fn a_row_that_is_not_there_is_missing_and_no_write_makes_it() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let absent = key("shardId-0");
    assert_eq!(store.update(&absent, &Condition::default(), &to_counter(1)).await, WriteOutcome::Missing);
    assert_eq!(store.update(&absent, &Condition::default(), &LeaseChange::default()).await, WriteOutcome::Missing);
    assert_eq!(store.delete(&absent, &on_counter(1)).await, WriteOutcome::Missing);
    assert_eq!(backend.item("shardId-0").await, None);
    assert_eq!(store.create(&lease("shardId-0")).await, CreateOutcome::Created);
    assert_eq!(store.delete(&absent, &on_counter(1)).await, WriteOutcome::Conflict(lease("shardId-0")));
    assert_eq!(store.delete(&absent, &on_counter(10)).await, WriteOutcome::Applied(lease("shardId-0")));
    assert_eq!(store.get(&absent).await, Ok(None));
}
