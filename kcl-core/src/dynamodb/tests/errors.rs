//! What failed calls mean, by canned answers.

use aws_smithy_runtime_api::client::result::ConnectorError;

use super::transport::{Answer, scripted, without_credentials};
use crate::dynamodb::DynamoDbStore;
use crate::ports::{FleetStore, LeaseStore};
use crate::types::{
    Checkpoint, Condition, CreateOutcome, Heartbeat, Incarnation, Lease, LeaseChange, LeaseKey, RowProblem, StepResult,
    StoreError, Timestamp, TransactionOutcome, TransactionStep, WriteOutcome,
};

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

async fn update(store: &DynamoDbStore) -> WriteOutcome {
    store.update(&key("shardId-0"), &Condition::default(), &LeaseChange::default()).await
}

async fn update_answered(status: u16, body: &str) -> WriteOutcome {
    let body = body.to_owned();
    let (store, _) = scripted(move |_, _| Answer::Is(status, body.clone()));
    update(&store).await
}

fn error_body(code: &str) -> String {
    format!(r#"{{"__type": "com.amazonaws.dynamodb.v20120810#{code}", "message": "the words"}}"#)
}

#[tokio::test]
async fn codes_of_the_service_are_refusals() {
    type Make = fn(String) -> StoreError;
    let throttled: Make = StoreError::Throttled;
    for (code, make) in [
        ("ProvisionedThroughputExceededException", throttled),
        ("ThrottlingException", throttled),
        ("RequestLimitExceeded", throttled),
        ("LimitExceededException", throttled),
        ("TransactionConflictException", throttled),
        ("ReplicatedWriteConflictException", throttled),
        ("ResourceNotFoundException", StoreError::TableMissing as Make),
        ("AccessDeniedException", StoreError::Denied),
        ("UnrecognizedClientException", StoreError::Denied),
        ("ExpiredTokenException", StoreError::Denied),
        ("InvalidSignatureException", StoreError::Denied),
        ("MissingAuthenticationTokenException", StoreError::Denied),
        ("ValidationException", StoreError::Invalid),
        ("SomethingNewException", StoreError::Invalid),
    ] {
        let expected = make(format!("{code}: the words"));
        assert_eq!(update_answered(400, &error_body(code)).await, WriteOutcome::Refused(expected));
    }
}

#[tokio::test]
async fn answers_that_prove_nothing_leave_the_outcome_unknown() {
    for (status, body) in [
        (500, error_body("InternalServerError")),
        (503, error_body("ThrottlingException")),
        (500, String::new()),
        (502, "<html>Bad Gateway</html>".to_owned()),
        (400, "<html>who are you</html>".to_owned()),
        (200, "<html>welcome</html>".to_owned()),
        (200, "{}".to_owned()),
        (400, error_body("TransactionInProgressException")),
    ] {
        let outcome = update_answered(status, &body).await;
        assert!(matches!(outcome, WriteOutcome::Unknown(StoreError::Unavailable(_))), "{status} {body}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_call_that_never_left_is_refused() {
    let refused = || ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
    let (store, _) = scripted(move |_, _| Answer::Fails(refused()));
    assert!(matches!(update(&store).await, WriteOutcome::Refused(StoreError::Unavailable(_))));
    let (store, _) = scripted(|_, _| Answer::Fails(ConnectorError::user("no such header".into())));
    assert!(matches!(update(&store).await, WriteOutcome::Refused(StoreError::Unavailable(_))));
    let (store, _) = without_credentials();
    assert!(matches!(update(&store).await, WriteOutcome::Refused(StoreError::Denied(_))));
}

#[tokio::test]
async fn a_connection_that_broke_leaves_the_outcome_unknown() {
    let reset = || ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
    let (store, _) = scripted(move |_, _| Answer::Fails(reset()));
    assert!(matches!(update(&store).await, WriteOutcome::Unknown(StoreError::Unavailable(_))));
    let (store, _) = scripted(|_, _| Answer::Fails(ConnectorError::timeout("no headers".into())));
    assert!(matches!(update(&store).await, WriteOutcome::Unknown(StoreError::Unavailable(_))));
    let (store, _) = scripted(|_, _| Answer::Fails(ConnectorError::other("who knows".into(), None)));
    assert!(matches!(update(&store).await, WriteOutcome::Unknown(StoreError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_leaves_the_outcome_unknown() {
    let (store, _) = scripted(|_, _| Answer::Never);
    let outcome = update(&store).await;
    assert!(matches!(outcome, WriteOutcome::Unknown(StoreError::Unavailable(_))), "{outcome:?}");
    let lease = Lease::unowned(key("shardId-0"), Checkpoint::TrimHorizon, 0);
    assert!(matches!(store.create(&lease).await, CreateOutcome::Unknown(_)));
    let step = TransactionStep::Exists(key("shardId-0"));
    assert!(matches!(store.transact(&[step]).await, TransactionOutcome::Unknown(_)));
}

const ROW: &str =
    r#""leaseKey": {"S": "shardId-0"}, "leaseCounter": {"N": "4"}, "ownerSwitchesSinceCheckpoint": {"N": "0"}"#;

#[tokio::test]
async fn a_failed_condition_tells_conflict_missing_and_unreadable_apart() {
    let failed = |item: &str| {
        format!(
            r#"{{"__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException", "message": "no"{item}}}"#
        )
    };
    let item = format!(r#", "Item": {{{ROW}, "checkpoint": {{"S": "LATEST"}}}}"#);
    let WriteOutcome::Conflict(row) = update_answered(400, &failed(&item)).await else { panic!("no conflict") };
    assert_eq!((row.counter, row.checkpoint), (4, Checkpoint::Latest));
    let asked = async |status: u16, body: String| {
        let refusal = failed("");
        let (store, _) = scripted(move |operation, _| match operation {
            "GetItem" => Answer::Is(status, body.clone()),
            _ => Answer::Is(400, refusal.clone()),
        });
        update(&store).await
    };
    assert_eq!(asked(200, "{}".to_owned()).await, WriteOutcome::Missing);
    // A server that does not return the row with the refusal is asked for it.
    let item = format!(r#"{{"Item": {{{ROW}, "checkpoint": {{"S": "LATEST"}}}}}}"#);
    assert!(matches!(asked(200, item).await, WriteOutcome::Conflict(row) if row.counter == 4));
    let throttled = asked(400, error_body("ThrottlingException")).await;
    assert!(matches!(throttled, WriteOutcome::Refused(StoreError::Throttled(_))), "{throttled:?}");
    let item = format!(r#", "Item": {{{ROW}, "checkpoint": {{"S": "soon"}}}}"#);
    let WriteOutcome::Unreadable(RowProblem { key, attribute, .. }) = update_answered(400, &failed(&item)).await else {
        panic!("readable")
    };
    assert_eq!((key.as_str(), attribute.as_str()), ("shardId-0", "checkpoint"));
}

#[tokio::test]
async fn a_write_whose_row_cannot_be_read_is_not_denied() {
    let body = format!(r#"{{"Attributes": {{{ROW}, "checkpoint": {{"S": "soon"}}}}}}"#);
    let outcome = update_answered(200, &body).await;
    let WriteOutcome::Unknown(StoreError::Invalid(message)) = outcome else { panic!("{outcome:?}") };
    assert!(message.contains("checkpoint") && message.contains("soon"), "{message}");
}

async fn cancelled(codes: &[&str]) -> TransactionOutcome {
    let reasons: Vec<String> = codes.iter().map(|code| format!(r#"{{"Code": "{code}"}}"#)).collect();
    let body = format!(
        r#"{{"__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException", "CancellationReasons": [{}]}}"#,
        reasons.join(", ")
    );
    let (store, _) = scripted(move |_, _| Answer::Is(400, body.clone()));
    store.transact(&[TransactionStep::Exists(key("a")), TransactionStep::Exists(key("b"))]).await
}

#[tokio::test]
async fn a_cancelled_transaction_tells_which_condition_failed() {
    let expected = TransactionOutcome::Cancelled(vec![StepResult::Held, StepResult::Failed]);
    assert_eq!(cancelled(&["None", "ConditionalCheckFailed"]).await, expected);
    for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
        // Whether the other condition held is not known then, so the transaction is to be repeated.
        let outcome = cancelled(&[code, "ConditionalCheckFailed"]).await;
        assert!(matches!(outcome, TransactionOutcome::Refused(StoreError::Throttled(_))), "{outcome:?}");
    }
    let outcome = cancelled(&["ValidationError", "None"]).await;
    assert!(matches!(outcome, TransactionOutcome::Refused(StoreError::Invalid(_))), "{outcome:?}");
    for codes in [&[][..], &["None", "None"], &["ConditionalCheckFailed"]] {
        let outcome = cancelled(codes).await;
        assert!(matches!(outcome, TransactionOutcome::Refused(StoreError::Unavailable(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn transactions_that_make_no_sense_are_refused_without_a_call() {
    let (store, _) = scripted(|_, _| panic!("nothing may be sent"));
    let exists = |text: &str| TransactionStep::Exists(key(text));
    let leader = Lease::unowned(key("Leader"), Checkpoint::TrimHorizon, 0);
    for steps in [
        vec![],
        vec![exists("a"), exists("b"), exists("c"), exists("d"), exists("e")],
        vec![exists("a"), exists("a")],
        vec![TransactionStep::Create(Box::new(leader.clone()))],
    ] {
        let outcome = store.transact(&steps).await;
        assert!(matches!(outcome, TransactionOutcome::Refused(StoreError::Invalid(_))), "{outcome:?}");
    }
    assert!(matches!(store.create(&leader).await, CreateOutcome::Refused(StoreError::Invalid(_))));
}

#[tokio::test]
async fn joining_under_the_key_of_a_lease_is_refused_with_the_cure() {
    let body = format!(
        r#"{{"__type": "x#ConditionalCheckFailedException", "Item": {{{ROW}, "checkpoint": {{"S": "LATEST"}}}}}}"#
    );
    let (store, _) = scripted(move |_, _| Answer::Is(400, body.clone()));
    let incarnation = Incarnation::new("i").unwrap();
    let beat = Heartbeat::new("w".parse().unwrap(), incarnation, "kcl-core/1", 0, Timestamp::from_millis(0));
    let WriteOutcome::Refused(StoreError::Invalid(message)) = store.join(&beat, None).await else { panic!("joined") };
    assert!(message.contains("choose another id"), "{message}");
}
