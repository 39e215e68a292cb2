use std::sync::Arc;

use super::*;
use crate::row_names as a;
use crate::sqlite::encode;
use crate::testing::{StoreFixture, fleet_store_contract, lease_store_contract};
use crate::types::Row;

struct Fixture {
    _folder: tempfile::TempDir,
    store: SqliteStore,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path().join("leases.db")).unwrap();
        store.page_size = 4;
        Fixture { _folder: folder, store }
    }

    fn insert(&self, key: &str, document: &serde_json::Value) {
        let sql = "INSERT OR REPLACE INTO rows (key, document) VALUES (?1, json_patch('{}', ?2))";
        raw(self.store.path()).execute(sql, [key, &document.to_string()]).unwrap();
    }
}

#[async_trait]
impl StoreFixture for Fixture {
    fn leases(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn fleet(&self) -> Option<Arc<dyn FleetStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn second_handle(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(SqliteStore::open(self.store.path()).unwrap()))
    }

    async fn second_fleet(&self) -> Option<Arc<dyn FleetStore>> {
        let store = SqliteStore::open(self.store.path()).unwrap();
        store.start().await.unwrap();
        Some(Arc::new(store))
    }

    async fn insert_row(&self, row: &Row) -> bool {
        let (key, members) = match row {
            Row::Lease(lease) => (lease.key.as_str(), encode::lease(lease)),
            Row::Worker(worker) => (worker.worker.as_str(), encode::worker(worker)),
            Row::Leader(leader) => (a::KEY_LEADER, encode::leader(leader)),
            Row::Other { key, entity_type } => {
                (key.as_str(), [(a::ENTITY_TYPE.to_owned(), entity_type.as_str().into())].into_iter().collect())
            }
        };
        self.insert(key, &members.into());
        true
    }

    async fn insert_unreadable(&self, key: &LeaseKey) -> bool {
        let mut members = encode::lease(&bare(key.as_str()));
        members.insert(a::COUNTER.into(), "many".into());
        self.insert(key.as_str(), &members.into());
        true
    }

    async fn set_unknown(&self, key: &str, value: &str) -> bool {
        let sql = "UPDATE rows SET document = json_set(document, '$.unknown', ?2) WHERE key = ?1";
        raw(self.store.path()).execute(sql, [key, value]).unwrap() == 1
    }

    async fn unknown(&self, key: &str) -> Option<String> {
        let sql = "SELECT document ->> '$.unknown' FROM rows WHERE key = ?1";
        raw(self.store.path()).query_row(sql, [key], |row| row.get(0)).unwrap()
    }
}

#[tokio::test]
async fn the_store_in_a_file_keeps_the_whole_contract() {
    let skipped = lease_store_contract(async || Fixture::new()).await;
    assert!(skipped.is_empty(), "{skipped:?}");
    let skipped = fleet_store_contract(async || Fixture::new()).await;
    assert!(skipped.is_empty(), "{skipped:?}");
}

#[tokio::test]
async fn a_file_serves_after_everybody_closed_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("leases.db");
    let store = started(&path).await;
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Created);
    drop(store);
    let store = started(&path).await;
    assert_eq!(store.get(&key("a")).await, Ok(Some(Ok(bare("a")))));
}

#[tokio::test]
async fn unknown_members_stay_as_they_are_to_the_last_digit() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Created);
    let theirs = r#"{"number":123456789012345678901234567890.10,"list":[null,{"deep":[1.0]}],"é":"\u00e9"}"#;
    raw(store.path()).execute("UPDATE rows SET document = json_set(document, '$.theirs', json(?1))", [theirs]).unwrap();
    assert_eq!(increment(&store, "a").await, 1);
    let sql = "SELECT document -> '$.theirs' FROM rows";
    let kept: String = raw(store.path()).query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(kept, theirs);
}

#[tokio::test]
async fn effects_are_unknown_when_the_thread_dies_and_none_once_it_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    let died = store.thread.run(|_| panic!("the thread dies in the middle of a call")).await;
    assert!(matches!(died, Err::<(), _>(Failed::Unknown(StoreError::Unavailable(_)))), "{died:?}");
    store.thread.closed().await;
    let refused = store.create(&bare("a")).await;
    assert!(matches!(refused, CreateOutcome::Refused(StoreError::Unavailable(_))), "{refused:?}");
    assert!(store.get(&key("a")).await.is_err());
}

#[tokio::test]
async fn a_call_that_was_given_up_before_its_turn_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let store = started(&folder.path().join("leases.db")).await;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let mut busy = Box::pin(store.thread.run(move |_| wait.recv().unwrap()));
    assert!(futures_util::poll!(&mut busy).is_pending());
    let lease = bare("a");
    let mut given_up = store.create(&lease);
    assert!(futures_util::poll!(&mut given_up).is_pending());
    drop(given_up);
    go.send(()).unwrap();
    busy.await.unwrap();
    assert_eq!(store.get(&key("a")).await, Ok(None));
}
