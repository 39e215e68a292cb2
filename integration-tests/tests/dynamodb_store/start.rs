//! Starting on a table that is missing, half made, not ours, or in use by an old fleet.

use std::sync::Arc;

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, TableDescription};
use kcl_core::dynamodb::DynamoDbStore;
use kcl_core::ports::{Clock, LeaseStore, StoreStartError};
use kcl_core::types::{Checkpoint, CreateOutcome, Lease, LeaseKey, Moment, StoreError};

use crate::backend::{Backend, FAILOVER};
use crate::clock::{DrivenClock, Renewer};
use crate::items::{item_of, java_rows, java_table};

async fn describe(backend: &Backend) -> TableDescription {
    backend.raw().describe_table().table_name(&backend.application).send().await.unwrap().table.unwrap()
}

fn assert_complete(table: &TableDescription) {
    assert_eq!(table.table_status().unwrap().as_str(), "ACTIVE");
    let [key] = table.key_schema() else { panic!("{:?}", table.key_schema()) };
    assert_eq!((key.attribute_name(), key.key_type().as_str()), ("leaseKey", "HASH"));
    let [index] = table.global_secondary_indexes() else { panic!("{:?}", table.global_secondary_indexes()) };
    assert_eq!(index.index_name(), Some("LeaseOwnerToLeaseKeyIndex"));
    assert_eq!(index.index_status().unwrap().as_str(), "ACTIVE");
    let keys: Vec<_> = index.key_schema().iter().map(|key| (key.attribute_name(), key.key_type().as_str())).collect();
    assert_eq!(keys, [("leaseOwner", "HASH"), ("leaseKey", "RANGE")]);
    assert_eq!(index.projection().unwrap().projection_type().unwrap().as_str(), "KEYS_ONLY");
    let billing = table.billing_mode_summary().unwrap().billing_mode();
    assert_eq!(billing, Some(&BillingMode::PayPerRequest));
}

async fn refused(store: &DynamoDbStore) -> (String, String) {
    match store.start().await {
        Err(StoreStartError::Unsuitable { reason, cure }) => (reason, cure),
        other => panic!("expected Unsuitable, got {other:?}"),
    }
}

#[tokio::test]
async fn a_missing_table_is_created_with_its_index_and_starting_again_changes_nothing() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    assert_complete(&describe(&backend).await);
    let lease = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 1);
    assert_eq!(store.create(&lease).await, CreateOutcome::Created);
    store.start().await.unwrap();
    assert_eq!(store.get(&lease.key).await, Ok(Some(Ok(lease))));
    assert!(!backend.table_exists(&backend.settings().coordinator_table).await);
}

#[tokio::test]
async fn workers_that_start_at_once_make_one_table() {
    let backend = Backend::new().await;
    let stores: Vec<_> = (0..4).map(|_| backend.store()).collect();
    for outcome in futures_util::future::join_all(stores.iter().map(|store| store.start())).await {
        outcome.unwrap();
    }
    assert_complete(&describe(&backend).await);
}

#[tokio::test]
async fn workers_that_start_at_once_on_a_table_without_index_add_it_once() {
    let backend = Backend::new().await;
    backend.create_table(&backend.application, "leaseKey").await;
    for item in java_table() {
        backend.put(&item).await;
    }
    let stores: Vec<_> = (0..4).map(|_| backend.store()).collect();
    for outcome in futures_util::future::join_all(stores.iter().map(|store| store.start())).await {
        outcome.unwrap();
    }
    assert_complete(&describe(&backend).await);
    let owned = stores[0].owned_by(&"worker-a".parse().unwrap(), None).await.unwrap();
    assert!(!owned.keys.is_empty(), "the index holds the rows that were there before it");
}

#[tokio::test]
async fn a_table_with_another_key_is_refused() {
    let backend = Backend::new().await;
    backend.create_table(&backend.application, "id").await;
    let (reason, cure) = refused(&backend.store()).await;
    assert!(reason.contains("(id S HASH)") && reason.contains(&backend.application), "{reason}");
    assert!(cure.contains("another application name"), "{cure}");
    assert!(describe(&backend).await.global_secondary_indexes().is_empty(), "nothing was added to it");
}

#[tokio::test]
async fn a_fleet_with_three_tables_is_refused_until_its_migration_is_complete() {
    let backend = Backend::new().await;
    let coordinator = backend.settings().coordinator_table;
    backend.create_table(&coordinator, "key").await;
    let (reason, cure) = refused(&backend.store()).await;
    assert!(reason.contains(&coordinator) && reason.contains("no status"), "{reason}");
    assert!(cure.contains("complete the table migration"), "{cure}");
    assert!(!backend.table_exists(&backend.application).await, "nothing was created");
    for (status, suitable) in [("INIT", false), ("DEPLOYED", false), ("PENDING", false), ("COMPLETE", true)] {
        let status = format!("TABLE_MIGRATION_STATUS_{status}");
        let item = [("key", "TableMigration3.5"), ("tm", &status)];
        let item = item.map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        backend.raw().put_item().table_name(&coordinator).set_item(Some(item.into())).send().await.unwrap();
        if suitable {
            backend.store().start().await.unwrap();
        } else {
            let (reason, _) = refused(&backend.store()).await;
            assert!(reason.contains(&status), "{reason}");
        }
    }
}

/// A table of KCL 2.x with two leases.
async fn old_table(backend: &Backend) {
    backend.create_table(&backend.application, "leaseKey").await;
    old_leases(backend).await;
}

async fn old_leases(backend: &Backend) {
    for shard in ["shardId-000000000000", "shardId-000000000001"] {
        let item = format!(
            r#"{{"leaseKey": {{"S": "{shard}"}}, "leaseCounter": {{"N": "5"}}, "ownerSwitchesSinceCheckpoint": {{"N": "0"}},
                "leaseOwner": {{"S": "old"}}, "checkpoint": {{"S": "TRIM_HORIZON"}}, "checkpointSubSequenceNumber": {{"N": "0"}}}}"#
        );
        backend.put(&item_of(&item)).await;
    }
}

#[tokio::test]
async fn a_table_that_a_fleet_of_kcl_2_renews_is_refused() {
    let backend = Backend::new().await;
    old_table(&backend).await;
    let key = "shardId-000000000001".to_owned();
    let renewer = Renewer { client: backend.raw(), table: backend.application.clone(), key };
    let clock = Arc::new(DrivenClock::with_renewer(renewer));
    let (reason, cure) = refused(&backend.store_with_clock(clock.clone())).await;
    assert!(reason.contains("\"shardId-000000000001\" moved from 5 to 6"), "{reason}");
    assert!(cure.contains("stop that fleet"), "{cure}");
    assert!(clock.now().since(Moment::default()) < FAILOVER, "it is seen at the first movement");
    assert!(describe(&backend).await.global_secondary_indexes().is_empty(), "nothing was added to it");
}

#[tokio::test]
async fn a_table_that_kcl_2_left_behind_is_taken_over_after_watching_it() {
    let backend = Backend::new().await;
    old_table(&backend).await;
    let clock = Arc::new(DrivenClock::default());
    let store = backend.store_with_clock(clock.clone());
    store.start().await.unwrap();
    assert!(clock.now().since(Moment::default()) >= FAILOVER.mul_f64(1.1));
    assert_complete(&describe(&backend).await);
    let lease = store.get(&LeaseKey::new("shardId-000000000000").unwrap()).await.unwrap().unwrap().unwrap();
    assert!(!lease.typed && lease.counter == 5);
}

#[tokio::test]
async fn a_table_of_kcl_3_5_or_of_ours_is_not_watched() {
    let ours = item_of(r#"{"leaseKey": {"S": "w-1"}, "entityType": {"S": "WORKER_METRIC_STATS"}}"#);
    let java = java_rows().into_iter().map(|(_, item)| item);
    let leader = java.clone().find(|item| item["leaseKey"].as_s().unwrap() == "Leader").unwrap();
    let version = java.clone().find(|item| item["leaseKey"].as_s().unwrap() == "Migration3.0").unwrap();
    let written = item_of(
        r#"{"leaseKey": {"S": "shardId-000000000001"}, "leaseCounter": {"N": "6"}, "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "checkpoint": {"S": "TRIM_HORIZON"}, "k_c": {"N": "6"}}"#,
    );
    for proof in [ours, leader, version, written] {
        let backend = Backend::new().await;
        backend.store().start().await.unwrap();
        old_leases(&backend).await;
        backend.put(&proof).await;
        let clock = Arc::new(DrivenClock::default());
        backend.store_with_clock(clock.clone()).start().await.unwrap();
        assert_eq!(clock.now(), Moment::default(), "{proof:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_no_reason_to_give_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let backend = Backend::at(endpoint);
    let outcome = backend.store().start().await;
    let Err(StoreStartError::Store(error @ StoreError::Unavailable(_))) = outcome else { panic!("{outcome:?}") };
    assert!(error.is_retryable());
    let lease = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 1);
    let outcome = backend.store().create(&lease).await;
    assert!(matches!(outcome, CreateOutcome::Refused(StoreError::Unavailable(_))), "not Unknown: {outcome:?}");
}
