//! Worker rows over the wire.

use kcl_core::ports::FleetStore;
use kcl_core::ports::LeaseStore;
use kcl_core::types::{Heartbeat, Incarnation, LeaseKey, StoreError, Timestamp, WriteOutcome};

use crate::backend::Backend;
use crate::items::{Item, item_of, java_rows, key_of};

fn beat(incarnation: &str, count: u64) -> Heartbeat {
    let now = Timestamp::from_millis(1_000);
    Heartbeat::new("w-1".parse().unwrap(), Incarnation::new(incarnation).unwrap(), "kcl-core/1", count, now)
}

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

#[tokio::test]
async fn an_inbox_fills_and_empties_and_a_restarted_worker_inherits_it() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    let worker = "w-1".parse().unwrap();
    assert_eq!(store.notify(&worker, &key("a")).await, WriteOutcome::Missing);
    assert_eq!(store.heartbeat(&beat("i-1", 1)).await, WriteOutcome::Missing);
    assert!(matches!(store.join(&beat("i-1", 1), None).await, WriteOutcome::Applied(_)));
    for lease in ["a", "b", "a"] {
        assert!(matches!(store.notify(&worker, &key(lease)).await, WriteOutcome::Applied(_)));
    }
    let mut handled = beat("i-1", 2);
    handled.handled = [key("a"), key("never there")].into();
    let WriteOutcome::Applied(row) = store.heartbeat(&handled).await else { panic!("no heartbeat") };
    assert_eq!((row.heartbeat, &row.inbox), (Some(2), &[key("b")].into()));
    let WriteOutcome::Applied(row) = store.join(&beat("i-2", 0), Some(&row)).await else { panic!("not joined") };
    assert_eq!((row.heartbeat, row.inbox.len()), (Some(0), 1));
    let WriteOutcome::Conflict(row) = store.heartbeat(&beat("i-1", 3)).await else { panic!("no conflict") };
    assert_eq!(row.incarnation, Some(Incarnation::new("i-2").unwrap()));
    let old = Incarnation::new("i-1").unwrap();
    assert!(matches!(store.leave(&worker, &old).await, WriteOutcome::Conflict(_)));
    let new = Incarnation::new("i-2").unwrap();
    assert!(matches!(store.leave(&worker, &new).await, WriteOutcome::Applied(_)));
    assert_eq!(store.worker(&worker).await, Ok(None));
    assert_eq!(store.leave(&worker, &new).await, WriteOutcome::Missing);
}

#[tokio::test]
async fn rows_of_java_workers_get_no_inbox_and_the_leader_is_only_read() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    assert_eq!(store.leader().await, Ok(None));
    let rows: Vec<Item> = java_rows().into_iter().map(|(_, item)| item).collect();
    for row in &rows {
        backend.put(row).await;
    }
    let java = "worker-a".parse().unwrap();
    let before = backend.item("worker-a").await;
    assert!(matches!(store.notify(&java, &key("a")).await, WriteOutcome::Conflict(_)));
    assert_eq!(backend.item("worker-a").await, before);
    let last = rows.iter().rfind(|row| key_of(row) == "Leader").unwrap();
    let leader = store.leader().await.unwrap().unwrap().unwrap();
    assert_eq!(&leader.version, last["recordVersionNumber"].as_s().unwrap());
    backend.put(&item_of(r#"{"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}}"#)).await;
    assert_eq!(store.leader().await.unwrap().unwrap().unwrap_err().attribute, "ownerName");
}

#[tokio::test]
async fn a_broken_inbox_is_reported_and_not_overwritten() {
    let backend = Backend::new().await;
    let store = backend.store();
    store.start().await.unwrap();
    assert!(matches!(store.join(&beat("i-1", 1), None).await, WriteOutcome::Applied(_)));
    let mut row = backend.item("w-1").await.unwrap();
    row.extend(item_of(r#"{"k_inbox": {"S": "a"}}"#));
    backend.put(&row).await;
    let worker = "w-1".parse().unwrap();
    assert_eq!(store.worker(&worker).await.unwrap().unwrap().unwrap_err().attribute, "k_inbox");
    let outcome = store.notify(&worker, &key("b")).await;
    assert!(matches!(outcome, WriteOutcome::Refused(StoreError::Invalid(_))), "{outcome:?}");
    assert_eq!(backend.item("w-1").await, Some(row));
}
