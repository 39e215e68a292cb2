//! Calls that had their effect although no answer came.

use kcl_core::dynamodb::DynamoDbStore;
use kcl_core::ports::{FleetStore, LeaseStore};
use kcl_core::types::{
    Change, Checkpoint, Condition, CreateOutcome, Heartbeat, Incarnation, Lease, LeaseChange, LeaseKey, StepResult,
    StoreError, Timestamp, TransactionOutcome, TransactionStep, WriteOutcome,
};

use crate::backend::Backend;
use crate::faults::{Fault, Transport};

fn lease() -> Lease {
    Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 10)
}

/// A store that suffers faults in the calls of one operation, over a table with one lease.
async fn suffering(operation: &'static str, faults: &[Fault]) -> (Backend, DynamoDbStore) {
    let backend = Backend::new().await;
    backend.store().start().await.unwrap();
    assert_eq!(backend.store().create(&lease()).await, CreateOutcome::Created);
    let store = backend.store_over(backend.client(Transport::with_faults(operation, faults.iter().copied())));
    (backend, store)
}

fn take() -> (Condition, LeaseChange) {
    let (mut condition, mut change) = (Condition::default(), LeaseChange::default());
    condition.counter = Some(10);
    change.counter = Some(11);
    change.raise_epoch = true;
    change.owner = Change::Set("w-1".parse().unwrap());
    (condition, change)
}

#[tokio::test]
async fn an_update_whose_answer_is_lost_is_unknown_and_its_repetition_finds_its_own_row() {
    for fault in [Fault::AnswerLost, Fault::AnsweredWithHtml] {
        let (_backend, store) = suffering("UpdateItem", &[fault]).await;
        let (condition, change) = take();
        let outcome = store.update(&lease().key, &condition, &change).await;
        assert!(matches!(outcome, WriteOutcome::Unknown(StoreError::Unavailable(_))), "{outcome:?}");
        let WriteOutcome::Conflict(row) = store.update(&lease().key, &condition, &change).await else { panic!() };
        assert_eq!(row, change.apply(&lease()));
        assert!(row.last_written_by_us());
    }
}

#[tokio::test]
async fn an_update_that_never_arrived_is_unknown_too_and_its_repetition_applies() {
    let (_backend, store) = suffering("UpdateItem", &[Fault::RequestLost]).await;
    let (condition, change) = take();
    assert!(matches!(store.update(&lease().key, &condition, &change).await, WriteOutcome::Unknown(_)));
    assert_eq!(store.update(&lease().key, &condition, &change).await, WriteOutcome::Applied(change.apply(&lease())));
}

#[tokio::test]
async fn lost_answers_to_creating_and_deleting_are_settled_by_repeating() {
    let (_backend, store) = suffering("PutItem", &[Fault::AnswerLost]).await;
    let other = Lease::unowned(LeaseKey::new("shardId-1").unwrap(), Checkpoint::TrimHorizon, 10);
    assert!(matches!(store.create(&other).await, CreateOutcome::Unknown(_)));
    assert_eq!(store.create(&other).await, CreateOutcome::Exists);
    let (_backend, store) = suffering("DeleteItem", &[Fault::AnswerLost]).await;
    assert!(matches!(store.delete(&lease().key, &take().0).await, WriteOutcome::Unknown(_)));
    assert_eq!(store.delete(&lease().key, &take().0).await, WriteOutcome::Missing);
}

#[tokio::test]
async fn a_transaction_whose_answer_is_lost_is_unknown_and_its_repetition_is_cancelled() {
    let (_backend, store) = suffering("TransactWriteItems", &[Fault::AnswerLost]).await;
    let (condition, change) = take();
    let other = Lease::unowned(LeaseKey::new("shardId-1").unwrap(), Checkpoint::TrimHorizon, 10);
    let steps = [
        TransactionStep::Update { key: lease().key, condition, change },
        TransactionStep::Create(Box::new(other.clone())),
    ];
    assert!(matches!(store.transact(&steps).await, TransactionOutcome::Unknown(_)));
    assert_eq!(store.get(&other.key).await, Ok(Some(Ok(other))));
    // Each call is a transaction of its own to the service, so it answers as to any stranger.
    assert_eq!(store.transact(&steps).await, TransactionOutcome::Cancelled(vec![StepResult::Failed; 2]));
}

#[tokio::test]
async fn a_heartbeat_whose_answer_is_lost_may_simply_be_repeated() {
    let (_backend, store) = suffering("UpdateItem", &[Fault::AnswerLost, Fault::AnswerLost]).await;
    let now = Timestamp::from_millis(1_000);
    let mut beat = Heartbeat::new("w-1".parse().unwrap(), Incarnation::new("i").unwrap(), "kcl-core/1", 1, now);
    assert!(matches!(store.join(&beat, None).await, WriteOutcome::Unknown(_)));
    beat.count = 2;
    assert!(matches!(store.heartbeat(&beat).await, WriteOutcome::Unknown(_)));
    let WriteOutcome::Applied(row) = store.heartbeat(&beat).await else { panic!() };
    assert_eq!(row.heartbeat, Some(2));
}

#[tokio::test]
async fn a_table_whose_creation_was_not_answered_is_there_at_the_next_start() {
    let backend = Backend::new().await;
    let faults = [Fault::AnswerLost];
    let store = backend.store_over(backend.client(Transport::with_faults("CreateTable", faults)));
    assert!(store.start().await.is_err());
    store.start().await.unwrap();
    assert_eq!(store.create(&lease()).await, CreateOutcome::Created);
}
