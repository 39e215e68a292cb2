//! Ends of shards on servers that have no transactions.

use std::sync::{Arc, Mutex};

use super::transport::{Answer, scripted};
use crate::ports::LeaseStore;
use crate::types::{
    Checkpoint, Condition, Lease, LeaseChange, LeaseKey, StepResult, StoreError, TransactionOutcome, TransactionStep,
};

const ROW: &str = r#"{"leaseKey": {"S": "a"}, "leaseCounter": {"N": "4"}, "ownerSwitchesSinceCheckpoint": {"N": "0"}, "checkpoint": {"S": "LATEST"}}"#;

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

/// The end of `a`, which merged with `b`, and its children `c` and `d`.
fn end() -> [TransactionStep; 4] {
    let child = |id: &str| TransactionStep::Create(Box::new(Lease::unowned(key(id), Checkpoint::TrimHorizon, 0)));
    let change = LeaseChange { checkpoint: Some(Checkpoint::ShardEnd), ..LeaseChange::default() };
    let end = TransactionStep::Update { key: key("a"), condition: Condition::default(), change };
    [end, child("c"), child("d"), TransactionStep::Exists(key("b"))]
}

fn failed(code: &str) -> Answer {
    Answer::Is(400, format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "no"}}"#))
}

/// What comes of it where the server does all but transactions, except for what `script` says; and what was called.
async fn ended(mut script: impl FnMut(&str) -> Option<Answer> + Send + 'static) -> (TransactionOutcome, String) {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    let (store, _) = scripted(move |operation, _| {
        noted.lock().unwrap().push(operation.to_owned());
        script(operation).unwrap_or_else(|| match operation {
            "TransactWriteItems" => failed("UnknownOperationException"),
            "GetItem" => Answer::Is(200, format!(r#"{{"Item": {ROW}}}"#)),
            "UpdateItem" => Answer::Is(200, format!(r#"{{"Attributes": {ROW}}}"#)),
            _ => Answer::Is(200, "{}".to_owned()),
        })
    });
    let outcome = store.transact(&end()).await;
    let calls = calls.lock().unwrap().join(" ");
    (outcome, calls)
}

#[tokio::test]
async fn the_end_is_written_after_all_else() {
    let (outcome, calls) = ended(|_| None).await;
    assert_eq!(outcome, TransactionOutcome::Applied);
    assert_eq!(calls, "TransactWriteItems GetItem PutItem PutItem UpdateItem");
}

#[tokio::test]
async fn a_step_that_is_in_the_way_is_told_and_nothing_follows() {
    use StepResult::{Failed, Held};
    let missing = |operation: &str| (operation == "GetItem").then(|| Answer::Is(200, "{}".to_owned()));
    let (outcome, calls) = ended(missing).await;
    assert_eq!(outcome, TransactionOutcome::Cancelled(vec![Held, Held, Held, Failed]));
    assert_eq!(calls, "TransactWriteItems GetItem");

    let mut first = true;
    let there = move |operation: &str| {
        let exists = operation == "PutItem" && std::mem::take(&mut first);
        exists.then(|| failed("ConditionalCheckFailedException"))
    };
    let (outcome, calls) = ended(there).await;
    assert_eq!(outcome, TransactionOutcome::Cancelled(vec![Held, Failed, Held, Held]));
    assert_eq!(calls, "TransactWriteItems GetItem PutItem PutItem", "one look at all that is there");

    let lost = |operation: &str| (operation == "UpdateItem").then(|| failed("ConditionalCheckFailedException"));
    let (outcome, calls) = ended(lost).await;
    assert_eq!(outcome, TransactionOutcome::Cancelled(vec![Failed, Held, Held, Held]));
    assert_eq!(calls, "TransactWriteItems GetItem PutItem PutItem UpdateItem GetItem");
}

#[tokio::test]
async fn a_step_that_fails_leaves_the_rest_undone() {
    for (at, refused) in [("GetItem", true), ("PutItem", true), ("PutItem", false), ("UpdateItem", false)] {
        let fails = move |operation: &str| {
            let answer = if refused { failed("ThrottlingException") } else { Answer::Is(500, "{}".to_owned()) };
            (operation == at).then_some(answer)
        };
        let (outcome, calls) = ended(fails).await;
        assert!(calls.ends_with(at), "{calls}");
        match outcome {
            TransactionOutcome::Refused(StoreError::Throttled(_)) => assert!(refused, "{at}"),
            TransactionOutcome::Unknown(StoreError::Unavailable(_)) => assert!(!refused, "{at}"),
            other => panic!("{at}: {other:?}"),
        }
    }
}
