use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::types::{Checkpoint, Epoch};

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

fn store_with(keys: &[&str]) -> MemoryStore {
    let store = MemoryStore::new();
    for text in keys {
        store.put_row(Row::Lease(Box::new(Lease::unowned(key(text), Checkpoint::TrimHorizon, 1))));
    }
    store
}

/// The change of a renewal: the counter moves by one.
fn renew(store: &MemoryStore, row: &str, seen: u64) -> WriteOutcome {
    let condition = Condition { counter: Some(seen), ..Condition::default() };
    let change = LeaseChange { counter: Some(seen + 1), ..LeaseChange::default() };
    store.update(&key(row), &condition, &change).now_or_never().expect("the store in memory never waits")
}

fn counter(store: &MemoryStore, row: &str) -> u64 {
    store.lease(&key(row)).unwrap().counter
}

fn unknown(outcome: &WriteOutcome) -> bool {
    matches!(outcome, WriteOutcome::Unknown(StoreError::Unavailable(_)))
}

#[test]
fn the_third_update_is_applied_but_its_answer_is_lost() {
    let store = store_with(&["a", "b"]);
    store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Update).after(2));
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Applied(_)));
    assert!(matches!(renew(&store, "b", 1), WriteOutcome::Applied(_)));
    assert!(unknown(&renew(&store, "a", 2)));
    assert_eq!(counter(&store, "a"), 3);
    // The repetition carries the same condition; the row in the answer settles what happened.
    assert!(matches!(renew(&store, "a", 2), WriteOutcome::Conflict(row) if row.counter == 3));
}

#[test]
fn the_next_two_calls_are_refused_and_do_nothing() {
    let store = store_with(&["a"]);
    store.script(FaultRule::new(Fault::Refuse(StoreError::Throttled("slow down".into()))).times(2));
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Refused(StoreError::Throttled(_))));
    assert!(store.get(&key("a")).now_or_never().unwrap().is_err());
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Applied(_)));
}

#[test]
fn a_missing_table_is_missing_until_the_script_is_cleared() {
    let store = store_with(&["a"]);
    store.script(FaultRule::new(Fault::Refuse(StoreError::TableMissing("orders".into()))).always());
    for _ in 0..3 {
        assert!(matches!(renew(&store, "a", 1), WriteOutcome::Refused(StoreError::TableMissing(_))));
        assert!(matches!(store.start().now_or_never().unwrap(), Err(StoreStartError::Store(_))));
    }
    store.clear_script();
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Applied(_)));
}

#[test]
fn a_late_request_meets_the_rows_as_they_are_when_it_lands() {
    let store = store_with(&["a"]);
    store.script(FaultRule::new(Fault::Late { before_call: Some(2) }).on(Operation::Update).row("a").times(2));
    assert!(unknown(&renew(&store, "a", 1)));
    assert!(unknown(&renew(&store, "a", 1)), "this one is held back as well");
    assert_eq!(counter(&store, "a"), 1);
    // The first lands before this call; the second, with the same condition, lands before the next one and fails there.
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Conflict(row) if row.counter == 2));
    assert!(matches!(renew(&store, "a", 2), WriteOutcome::Applied(_)));
    assert_eq!(counter(&store, "a"), 3);
}

#[test]
fn late_requests_land_when_told() {
    let store = store_with(&["a"]);
    store.script(FaultRule::new(Fault::Late { before_call: None }).on(Operation::Delete));
    let delete = store.delete(&key("a"), &Condition::default()).now_or_never().unwrap();
    assert!(unknown(&delete));
    assert!(matches!(renew(&store, "a", 1), WriteOutcome::Applied(_)));
    assert_eq!(store.land_late(), 1);
    assert_eq!(store.rows(), []);
    assert_eq!(store.land_late(), 0);
}

#[test]
fn writes_of_the_lock_and_of_dead_workers_land_late_or_are_lost_as_others_are() {
    let store = MemoryStore::new();
    let lock = |version: &str| LeaderRow::new("w-1".parse().unwrap(), Duration::from_secs(12), version);
    let write = |expected: Expect<String>, row| store.write_leader(&expected, &row).now_or_never().unwrap();
    store.script(FaultRule::new(Fault::Late { before_call: Some(1) }).row("Leader"));
    assert!(matches!(write(Expect::Absent, lock("v-1")), WriteOutcome::Unknown(_)));
    // The repetition keeps its condition, and the row in the answer settles what happened.
    assert_eq!(write(Expect::Absent, lock("v-1")), WriteOutcome::Conflict(lock("v-1")));
    store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::WriteLeader));
    assert!(matches!(write(Expect::Is("v-1".into()), lock("v-2")), WriteOutcome::Unknown(_)));
    assert_eq!(store.leader().now_or_never().unwrap(), Ok(Some(Ok(lock("v-2")))));

    let dead = WorkerRow::new("w-2".parse().unwrap());
    store.put_row(Row::Worker(Box::new(dead.clone())));
    store.script(FaultRule::new(Fault::Late { before_call: None }).on(Operation::RemoveWorker).row("w-2"));
    assert!(matches!(store.remove_worker(&dead).now_or_never().unwrap(), WriteOutcome::Unknown(_)));
    assert_eq!((store.rows().len(), store.land_late(), store.rows().len()), (2, 1, 1));
}

#[test]
fn the_log_shows_calls_and_their_faults_and_is_off_unless_asked_for() {
    let store = store_with(&["a"]);
    let _ = renew(&store, "a", 1);
    assert_eq!(store.take_calls(), []);
    store.log_calls();
    store.script(FaultRule::new(Fault::LoseRequest).row("a").on(Operation::Get).on(Operation::Update));
    let _ = store.get(&key("b")).now_or_never();
    let _ = renew(&store, "a", 2);
    let calls = store.take_calls();
    assert_eq!(calls[0], Call { request: Request::Get(key("b")), fault: None });
    assert_eq!((calls[1].request.operation(), &calls[1].fault), (Operation::Update, &Some(Fault::LoseRequest)));
    assert_eq!((calls.len(), store.take_calls().len(), counter(&store, "a")), (2, 0, 2));
}

#[test]
fn unknown_attributes_survive_every_write() {
    let store = store_with(&["a"]);
    assert!(store.set_extra("a", "theirs", "kept"));
    assert!(!store.set_extra("z", "theirs", "no such row"));
    let _ = renew(&store, "a", 1);
    let change = LeaseChange { raise_epoch: true, ..LeaseChange::default() };
    let step = TransactionStep::Update { key: key("a"), condition: Condition::default(), change };
    assert_eq!(store.transact(&[step]).now_or_never().unwrap(), TransactionOutcome::Applied);
    assert_eq!(store.lease(&key("a")).unwrap().epoch(), Epoch(1));
    assert_eq!(store.extra("a"), BTreeMap::from([("theirs".into(), "kept".into())]));
    assert!(store.remove_row("a"));
    assert_eq!(store.extra("a"), BTreeMap::new());
}
