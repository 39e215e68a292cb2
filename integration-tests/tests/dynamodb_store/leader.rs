//! The leader lock over the wire, shared with Java's lock client.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::dynamodb::DynamoDbStore;
use kcl_core::ports::{FleetStore, LeaseStore};
use kcl_core::types::{Expect, LeaderRow, WriteOutcome};

use crate::backend::Backend;
use crate::items::{Item, item_of, java_rows, key_of};

async fn started() -> (Backend, DynamoDbStore) {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    (backend, store)
}

fn lock(owner: &str, version: &str) -> LeaderRow {
    let mut row = LeaderRow::new(owner.parse().unwrap(), Duration::from_secs(12), version);
    (row.cycle, row.standby) = (Some(1), Some("w-2".parse().unwrap()));
    row
}

fn is(version: &str) -> Expect<String> {
    Expect::Is(version.to_owned())
}

fn java_lock() -> Item {
    let rows = java_rows().into_iter().map(|(_, item)| item);
    rows.filter(|row| key_of(row) == "Leader").find(|row| !row.contains_key("isReleased")).unwrap()
}

#[tokio::test]
async fn a_held_lock_has_what_the_lock_client_reads_and_nothing_it_stumbles_over() {
    let (backend, store) = started().await;
    let row = LeaderRow::new("w-1".parse().unwrap(), Duration::from_secs(12), "v-1");
    assert_eq!(store.write_leader(&Expect::Absent, &row).await, WriteOutcome::Applied(row));
    let as_java = item_of(
        r#"{"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}, "ownerName": {"S": "w-1"},
            "leaseDuration": {"S": "12000"}, "recordVersionNumber": {"S": "v-1"}}"#,
    );
    assert_eq!(backend.item("Leader").await, Some(as_java));
    assert_eq!(store.write_leader(&is("v-1"), &lock("w-1", "v-2")).await, WriteOutcome::Applied(lock("w-1", "v-2")));
    let java = java_lock();
    let ours = backend.item("Leader").await.unwrap();
    for (name, value) in &java {
        let same_type = std::mem::discriminant(value) == std::mem::discriminant(&ours[name]);
        assert!(same_type, "{name}: {value:?} and {:?}", ours[name]);
    }
    let mut added: Vec<&str> = ours.keys().filter(|name| !java.contains_key(*name)).map(String::as_str).collect();
    added.sort_unstable();
    assert_eq!(added, ["k_cycle", "k_standby"]);
}

/// What Java's lock client puts to acquire a lock: a whole item, so that nothing of ours stays.
async fn acquire_as_java(backend: &Backend, condition: &str, value: &str) -> bool {
    let table = &backend.application;
    let call = backend.raw().put_item().table_name(table).set_item(Some(java_lock()));
    let call = call.condition_expression(format!("attribute_exists(leaseKey) AND {condition}"));
    call.expression_attribute_values(":value", AttributeValue::S(value.to_owned())).send().await.is_ok()
}

#[tokio::test]
async fn the_lock_client_takes_what_was_released_or_not_renewed_and_we_take_it_back() {
    let (backend, store) = started().await;
    let version = java_lock()["recordVersionNumber"].as_s().unwrap().clone();
    assert!(matches!(store.write_leader(&Expect::Absent, &lock("w-1", "v-1")).await, WriteOutcome::Applied(_)));
    assert!(!acquire_as_java(&backend, "isReleased = :value", "1").await, "a held lock is not released");
    assert!(!acquire_as_java(&backend, "recordVersionNumber = :value", "v-0").await, "it was renewed since");
    assert!(acquire_as_java(&backend, "recordVersionNumber = :value", "v-1").await);
    let late = store.write_leader(&is("v-1"), &lock("w-1", "v-2")).await;
    let WriteOutcome::Conflict(java) = late else { panic!("{late:?}") };
    assert_eq!((java.version.clone(), java.cycle, java.standby), (version.clone(), None, None));

    // Released by the Java leader: it only adds the mark, the version stays.
    let mut released = java_lock();
    released.extend(item_of(r#"{"isReleased": {"S": "1"}}"#));
    backend.put(&released).await;
    assert!(store.leader().await.unwrap().unwrap().unwrap().released);
    assert!(matches!(store.write_leader(&is(&version), &lock("w-1", "v-3")).await, WriteOutcome::Applied(_)));
    assert!(!backend.item("Leader").await.unwrap().contains_key("isReleased"));

    // Released by us, acquired by Java.
    let mut release = lock("w-1", "v-4");
    release.released = true;
    assert!(matches!(store.write_leader(&is("v-3"), &release).await, WriteOutcome::Applied(_)));
    assert!(acquire_as_java(&backend, "isReleased = :value", "1").await);
    assert_eq!(backend.item("Leader").await, Some(java_lock()));
}

#[tokio::test]
async fn a_lock_that_cannot_be_read_stays_as_it_is() {
    let (backend, store) = started().await;
    for broken in [
        r#"{"ownerName": {"N": "1"}}"#,
        r#"{"leaseDuration": {"N": "12000"}}"#,
        r#"{"isReleased": {"S": "yes"}}"#,
        r#"{"isReleased": {"N": "1"}}"#,
        r#"{"entityType": {"S": "LEASE"}}"#,
    ] {
        let mut item = java_lock();
        item.extend(item_of(broken));
        let version = item["recordVersionNumber"].as_s().unwrap().clone();
        backend.put(&item).await;
        for expected in [Expect::Absent, is(&version), is("v-0")] {
            let outcome = store.write_leader(&expected, &lock("w-1", "v-1")).await;
            assert!(matches!(outcome, WriteOutcome::Unreadable(_)), "{broken}, {expected:?}: {outcome:?}");
        }
        assert_eq!(backend.item("Leader").await, Some(item), "{broken}");
    }
}

#[tokio::test]
async fn locks_of_older_libraries_without_a_type_are_taken_and_typed() {
    let (backend, store) = started().await;
    let mut item = java_lock();
    item.remove("entityType");
    let version = item["recordVersionNumber"].as_s().unwrap().clone();
    backend.put(&item).await;
    assert!(matches!(store.write_leader(&is(&version), &lock("w-1", "v-1")).await, WriteOutcome::Applied(_)));
    assert_eq!(backend.item("Leader").await.unwrap()["entityType"].as_s().unwrap(), "LEADER");
}
