//! What the suites need beside the store itself.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;

use crate::memory::MemoryStore;
use crate::ports::{FleetStore, LeaseStore};
use crate::types::{LeaseKey, Row, RowProblem};

/// A store under test, and the means to write into its table what the store itself never writes. Made anew for each case.
///
/// Everything is optional: a case that needs what is not there is skipped and reported as such.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// The lease store, not started yet, over an empty table. Every call gives the same store.
    fn leases(&self) -> Option<Arc<dyn LeaseStore>> {
        None
    }

    /// The fleet store. If there is a lease store, it is over the same table.
    fn fleet(&self) -> Option<Arc<dyn FleetStore>> {
        None
    }

    /// Another lease store over the same table, as another process would have it: with a connection of its own.
    fn second_handle(&self) -> Option<Arc<dyn LeaseStore>> {
        None
    }

    /// Another fleet store over the same table, as another process would have it, ready to be used.
    async fn second_fleet(&self) -> Option<Arc<dyn FleetStore>> {
        None
    }

    /// Puts a row of any kind into the table, as another library would, in place of the one with its key. `false` if that
    /// cannot be done.
    async fn insert_row(&self, row: &Row) -> bool {
        let _ = row;
        false
    }

    /// Puts a lease into the table that is right but for its `leaseCounter`, which is no number. `false` if that cannot be
    /// done.
    async fn insert_unreadable(&self, key: &LeaseKey) -> bool {
        let _ = key;
        false
    }

    /// Gives a row an attribute that the store does not know. `false` if that cannot be done.
    async fn set_unknown(&self, key: &str, value: &str) -> bool {
        let _ = (key, value);
        false
    }

    /// What [`set_unknown`](StoreFixture::set_unknown) wrote, if it is still there.
    async fn unknown(&self, key: &str) -> Option<String> {
        let _ = key;
        None
    }

    /// Returns when scans and queries by owner see all that was written; for stores in which they lag behind.
    async fn settle(&self) {}
}

/// The fixture of [`MemoryStore`], with pages of four rows. Also useful for wrappers: wrap it and replace a method.
#[derive(Debug, Clone)]
pub struct MemoryFixture {
    store: MemoryStore,
}

impl MemoryFixture {
    /// A fixture over an empty table.
    pub fn new() -> Self {
        let store = MemoryStore::new();
        store.set_page_size(NonZeroUsize::new(4).expect("is not zero"));
        MemoryFixture { store }
    }

    /// The store.
    pub fn store(&self) -> &MemoryStore {
        &self.store
    }
}

impl Default for MemoryFixture {
    fn default() -> Self {
        MemoryFixture::new()
    }
}

#[async_trait]
impl StoreFixture for MemoryFixture {
    fn leases(&self) -> Option<Arc<dyn LeaseStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn fleet(&self) -> Option<Arc<dyn FleetStore>> {
        Some(Arc::new(self.store.clone()))
    }

    fn second_handle(&self) -> Option<Arc<dyn LeaseStore>> {
        self.leases()
    }

    async fn second_fleet(&self) -> Option<Arc<dyn FleetStore>> {
        self.fleet()
    }

    async fn insert_row(&self, row: &Row) -> bool {
        self.store.put_row(row.clone());
        true
    }

    async fn insert_unreadable(&self, key: &LeaseKey) -> bool {
        self.store.put_unreadable(RowProblem::new(key.as_str(), "leaseCounter", "\"many\" is no number"));
        true
    }

    async fn set_unknown(&self, key: &str, value: &str) -> bool {
        self.store.set_extra(key, "unknown", value)
    }

    async fn unknown(&self, key: &str) -> Option<String> {
        self.store.extra(key).remove("unknown")
    }
}
