//! A lease store that passes every call on, but for those that a variant twists.

use async_trait::async_trait;
use kcl_core::ports::{LeaseStore, StoreStartError};
use kcl_core::types::{
    Condition, CreateOutcome, KeyPage, Lease, LeaseChange, LeaseKey, PageToken, Projection, RowPage, RowProblem,
    StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};

use crate::sim::store::SimStore;

pub(super) type Read = Result<Option<Result<Lease, RowProblem>>, StoreError>;

/// What is done to calls on their way to the store, or to answers on their way back. Without more, nothing.
#[async_trait]
pub(super) trait Twist: std::fmt::Debug + Send + Sync + 'static {
    async fn scan(
        &self,
        store: &SimStore,
        projection: Projection,
        page: Option<PageToken>,
    ) -> Result<RowPage, StoreError> {
        store.scan(projection, page).await
    }

    async fn get(&self, store: &SimStore, key: &LeaseKey) -> Read {
        store.get(key).await
    }

    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        store.update(key, condition, change).await
    }

    async fn transact(&self, store: &SimStore, steps: &[TransactionStep]) -> TransactionOutcome {
        store.transact(steps).await
    }
}

/// The lease store of a worker under a variant.
#[derive(Debug)]
pub(super) struct Twisted<T> {
    pub(super) store: SimStore,
    pub(super) twist: T,
}

#[async_trait]
impl<T: Twist> LeaseStore for Twisted<T> {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.store.start().await
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        self.twist.scan(&self.store, projection, page).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        self.store.owned_by(owner, page).await
    }

    async fn get(&self, key: &LeaseKey) -> Read {
        self.twist.get(&self.store, key).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        self.store.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        self.twist.update(&self.store, key, condition, change).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.store.delete(key, condition).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        self.twist.transact(&self.store, steps).await
    }
}
