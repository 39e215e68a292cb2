//! Starts that an emulator cannot play, since its tables and indexes are ready at once.

use std::time::Duration;

use super::transport::{Answer, scripted};
use crate::ports::{LeaseStore, StoreStartError};
use crate::types::StoreError;

const KEYS: &str = r#""TableName": "orders", "KeySchema": [{"AttributeName": "leaseKey", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "leaseKey", "AttributeType": "S"}, {"AttributeName": "leaseOwner", "AttributeType": "S"}]"#;
const NOT_FOUND: &str = r#"{"__type": "x#ResourceNotFoundException", "message": "no such table"}"#;

fn ok(body: &str) -> Answer {
    Answer::Is(200, body.to_owned())
}

fn error(body: &str) -> Answer {
    Answer::Is(400, body.to_owned())
}

fn table(status: &str, index: Option<&str>, more: &str) -> String {
    let index = index.map(|status| {
        format!(
            r#", "GlobalSecondaryIndexes": [{{"IndexName": "LeaseOwnerToLeaseKeyIndex", "IndexStatus": "{status}", "KeySchema":
               [{{"AttributeName": "leaseOwner", "KeyType": "HASH"}}, {{"AttributeName": "leaseKey", "KeyType": "RANGE"}}]}}]"#
        )
    });
    format!(r#"{{"Table": {{{KEYS}, "TableStatus": "{status}"{}{more}}}}}"#, index.unwrap_or_default())
}

/// Answers DescribeTable from a list (the last one over and over) and all else by operation; a GetItem finds the leader
/// row in the lease table and no coordinator table.
fn play(
    describes: Vec<Answer>,
    mut rest: impl FnMut(&str, &str) -> Answer + Send + 'static,
) -> impl FnMut(&str, &str) -> Answer + Send + 'static {
    let mut describes = describes.into_iter();
    let mut last = String::new();
    move |operation, body| match operation {
        "DescribeTable" => {
            let next = describes.next();
            if let Some(Answer::Is(200, body)) = &next {
                last = body.clone();
            }
            next.unwrap_or_else(|| ok(&last))
        }
        "GetItem" if body.contains("CoordinatorState") => error(NOT_FOUND),
        "GetItem" => ok(r#"{"Item": {"leaseKey": {"S": "Leader"}}}"#),
        operation => rest(operation, body),
    }
}

fn millis(waits: &[Duration]) -> Vec<u128> {
    waits.iter().map(Duration::as_millis).collect()
}

#[tokio::test]
async fn a_new_table_is_awaited_with_growing_patience() {
    let created = r#"{"TableDescription": {"TableName": "orders"}}"#;
    let describes = vec![
        error(NOT_FOUND),
        // Just created, and this server has not heard of it yet.
        error(NOT_FOUND),
        ok(&table("CREATING", Some("CREATING"), "")),
        ok(&table("CREATING", Some("CREATING"), "")),
        ok(&table("ACTIVE", Some("CREATING"), "")),
        ok(&table("UPDATING", Some("CREATING"), "")),
        ok(&table("ACTIVE", Some("ACTIVE"), "")),
    ];
    let (store, clock) = scripted(play(describes, move |operation, body| {
        assert_eq!(operation, "CreateTable");
        assert!(body.contains("PAY_PER_REQUEST") && body.contains("LeaseOwnerToLeaseKeyIndex"), "{body}");
        ok(created)
    }));
    store.start().await.unwrap();
    assert_eq!(millis(&clock.waits()), [50, 100, 200, 400, 800]);
}

#[tokio::test]
async fn a_table_that_disappears_while_it_is_awaited_is_missing() {
    let mut calls = 0;
    let (store, clock) = scripted(move |operation, body| {
        calls += 1;
        assert!(calls < 1000, "it waits for ever");
        match operation {
            "CreateTable" => ok("{}"),
            "GetItem" => {
                assert!(body.contains("CoordinatorState"));
                error(NOT_FOUND)
            }
            _ => error(NOT_FOUND),
        }
    });
    let outcome = store.start().await;
    assert!(matches!(outcome, Err(StoreStartError::Store(StoreError::TableMissing(_)))), "{outcome:?}");
    assert_eq!(clock.waits().iter().max(), Some(&Duration::from_secs(2)));
}

#[tokio::test]
async fn a_look_that_fails_while_waiting_is_no_news_unless_it_fails_for_good() {
    let failed = || Answer::Is(500, r#"{"__type": "x#InternalFailure"}"#.to_owned());
    let denied = || error(r#"{"__type": "x#AccessDeniedException"}"#);
    let creating = || ok(&table("ACTIVE", Some("CREATING"), ""));
    let start = async |failures: Vec<Answer>| {
        let describes = [creating(), creating()].into_iter().chain(failures);
        let describes = describes.chain([creating(), ok(&table("ACTIVE", Some("ACTIVE"), ""))]).collect();
        scripted(play(describes, |operation, _| panic!("{operation} must not be sent"))).0.start().await
    };
    assert_eq!(start((0..5).map(|_| failed()).collect()).await, Ok(()));
    let outcome = start((0..6).map(|_| failed()).collect()).await;
    assert!(matches!(outcome, Err(StoreStartError::Store(StoreError::Unavailable(_)))), "{outcome:?}");
    let outcome = start(vec![denied()]).await;
    assert!(matches!(outcome, Err(StoreStartError::Store(StoreError::Denied(_)))), "{outcome:?}");
}

#[tokio::test]
async fn the_race_for_the_index_is_lost_without_harm() {
    let in_use =
        r#"{"__type": "x#ResourceInUseException", "message": "Attempt to change a resource which is still in use"}"#;
    let exists =
        r#"{"__type": "x#ValidationException", "message": "Attempting to create an index which already exists"}"#;
    for refusal in [in_use, exists] {
        let describes = vec![
            ok(&table("ACTIVE", None, "")),
            ok(&table("ACTIVE", None, "")),
            ok(&table("UPDATING", Some("CREATING"), "")),
            ok(&table("ACTIVE", Some("ACTIVE"), "")),
        ];
        let (store, _) = scripted(play(describes, move |operation, _| {
            assert_eq!(operation, "UpdateTable");
            error(refusal)
        }));
        store.start().await.unwrap();
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_made_is_an_error() {
    let refusal = r#"{"__type": "x#AccessDeniedException", "message": "dynamodb:UpdateTable"}"#;
    let (store, _) = scripted(play(vec![ok(&table("ACTIVE", None, ""))], move |_, _| error(refusal)));
    let outcome = store.start().await;
    assert!(matches!(outcome, Err(StoreStartError::Store(StoreError::Denied(_)))), "{outcome:?}");
}

#[tokio::test]
async fn the_index_of_a_provisioned_table_gets_the_tables_capacity() {
    let provisioned = r#", "ProvisionedThroughput": {"ReadCapacityUnits": 11, "WriteCapacityUnits": 12}"#;
    let on_demand = r#", "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
                       "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}"#;
    for (more, capacity) in [(provisioned, true), (on_demand, false)] {
        let describes = vec![
            ok(&table("ACTIVE", None, more)),
            ok(&table("ACTIVE", None, more)),
            ok(&table("ACTIVE", Some("ACTIVE"), more)),
        ];
        let (store, _) = scripted(play(describes, move |operation, body| {
            assert_eq!(operation, "UpdateTable");
            assert_eq!(
                body.contains("\"ReadCapacityUnits\":11") && body.contains("\"WriteCapacityUnits\":12"),
                capacity
            );
            ok("{}")
        }));
        store.start().await.unwrap();
    }
}

#[tokio::test]
async fn a_table_or_index_of_another_shape_is_left_alone() {
    let deleting = table("DELETING", None, "");
    let other_key = table("ACTIVE", None, "").replace("\"leaseKey\"", "\"id\"");
    let number = table("ACTIVE", None, "").replacen("\"AttributeType\": \"S\"", "\"AttributeType\": \"N\"", 1);
    let range = table("ACTIVE", None, "").replacen(
        "\"KeyType\": \"HASH\"}",
        "\"KeyType\": \"HASH\"}, {\"AttributeName\": \"leaseOwner\", \"KeyType\": \"RANGE\"}",
        1,
    );
    let index = table("ACTIVE", Some("ACTIVE"), "").replace(
        "{\"AttributeName\": \"leaseOwner\", \"KeyType\": \"HASH\"}, {\"AttributeName\": \"leaseKey\", \"KeyType\": \"RANGE\"}",
        "{\"AttributeName\": \"leaseOwner\", \"KeyType\": \"HASH\"}",
    );
    for (description, part) in [
        (deleting, "DELETING"),
        (other_key, "(id S HASH)"),
        (number, "(leaseKey N HASH)"),
        (range, "(leaseKey S HASH, leaseOwner S RANGE)"),
        (index, "(leaseOwner S HASH)"),
    ] {
        let (store, _) = scripted(play(vec![ok(&description)], |operation, _| panic!("{operation} must not be sent")));
        let Err(StoreStartError::Unsuitable { reason, cure }) = store.start().await else { panic!("{part}: started") };
        assert!(reason.contains(part) && !cure.is_empty(), "{reason}; {cure}");
    }
}

#[tokio::test]
async fn a_coordinator_table_that_must_not_be_read_is_named_with_the_cure() {
    let (store, _) = scripted(|operation, _| match operation {
        "DescribeTable" => ok(&table("ACTIVE", Some("ACTIVE"), "")),
        _ => error(r#"{"__type": "x#AccessDeniedException", "message": "no"}"#),
    });
    let Err(StoreStartError::Store(StoreError::Denied(message))) = store.start().await else { panic!("started") };
    assert!(message.contains("orders-CoordinatorState") && message.contains("dynamodb:GetItem"), "{message}");
}
