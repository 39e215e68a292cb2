//! The conformance suites that every store must pass.

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::dynamodb::DynamoDbStore;
use kcl_core::ports::{FleetStore, LeaseStore};
use kcl_core::testing::{StoreFixture, fleet_store_contract, lease_store_contract};
use kcl_core::types::{Checkpoint, CreateOutcome, LeaderRow, Lease, LeaseKey, Row, WorkerRow};

use crate::backend::Backend;
use crate::faults::Transport;
use crate::items::Item;

/// A table of its own, read in pages of four rows.
struct Fixture {
    backend: Backend,
    store: DynamoDbStore,
}

impl Fixture {
    async fn new() -> Self {
        let backend = Backend::new().await;
        let store = backend.store_over(backend.client(Transport::with_small_pages(4)));
        Fixture { backend, store }
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
        Some(Arc::new(self.backend.store()))
    }

    async fn second_fleet(&self) -> Option<Arc<dyn FleetStore>> {
        Some(Arc::new(self.backend.store()))
    }

    async fn insert_row(&self, row: &Row) -> bool {
        match row {
            Row::Lease(lease) => self.store.create(lease).await == CreateOutcome::Created,
            Row::Worker(worker) => self.put(worker_item(worker)).await,
            Row::Leader(leader) => self.put(leader_item(leader)).await,
            Row::Other { key, entity_type } => self.put(typed(key, entity_type)).await,
            _ => false,
        }
    }

    async fn insert_unreadable(&self, key: &LeaseKey) -> bool {
        let lease = Lease::unowned(key.clone(), Checkpoint::TrimHorizon, 1);
        assert_eq!(self.store.create(&lease).await, CreateOutcome::Created);
        let mut item = self.backend.item(key.as_str()).await.unwrap();
        item.insert("leaseCounter".to_owned(), text("many"));
        self.put(item).await
    }

    async fn set_unknown(&self, key: &str, value: &str) -> bool {
        let Some(mut item) = self.backend.item(key).await else { return false };
        item.insert("unknown".to_owned(), text(value));
        self.put(item).await
    }

    async fn unknown(&self, key: &str) -> Option<String> {
        self.backend.item(key).await?.get("unknown")?.as_s().ok().cloned()
    }
}

impl Fixture {
    async fn put(&self, item: Item) -> bool {
        self.backend.put(&item).await;
        true
    }
}

/// A worker row as the KCL writes it, without what only this library adds.
fn worker_item(worker: &WorkerRow) -> Item {
    let mut item = typed(worker.worker.as_str(), "WORKER_METRIC_STATS");
    let seconds = worker.updated.map(|updated| updated.as_millis() / 1_000);
    item.extend(seconds.map(|seconds| ("lut".to_owned(), number(seconds))));
    for empty in ["sts", "opr"] {
        item.insert(empty.to_owned(), AttributeValue::M(Item::new()));
    }
    item
}

fn leader_item(leader: &LeaderRow) -> Item {
    let mut item = typed("Leader", "LEADER");
    let mut put = |name: &str, value: AttributeValue| item.insert(name.to_owned(), value);
    put("ownerName", text(leader.owner.as_str()));
    put("leaseDuration", text(&leader.lease_duration.as_millis().to_string()));
    put("recordVersionNumber", text(&leader.version));
    if leader.released {
        put("isReleased", text("1"));
    }
    if let Some(cycle) = leader.cycle {
        put("k_cycle", number(cycle));
    }
    if let Some(standby) = &leader.standby {
        put("k_standby", text(standby.as_str()));
    }
    item
}

fn typed(key: &str, entity_type: &str) -> Item {
    Item::from([("leaseKey".to_owned(), text(key)), ("entityType".to_owned(), text(entity_type))])
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[tokio::test]
async fn it_is_a_lease_store() {
    let skipped = lease_store_contract(Fixture::new).await;
    assert!(skipped.is_empty(), "{skipped:?}");
}

#[tokio::test]
async fn it_is_a_fleet_store() {
    let skipped = fleet_store_contract(Fixture::new).await;
    assert!(skipped.is_empty(), "{skipped:?}");
}
