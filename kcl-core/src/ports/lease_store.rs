//! Where leases are kept.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::types::{
    Condition, CreateOutcome, KeyPage, Lease, LeaseChange, LeaseKey, PageToken, Projection, RowPage, RowProblem,
    StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};

/// A table of leases with conditional writes. All lease logic lies above it, in pure functions.
///
/// # Contract
/// - A row changes only if the whole [`Condition`] holds of it at that instant ([`Condition::holds`] is the reference),
///   and then exactly as [`LeaseChange::apply`] says. Of n writers with the same condition on the counter exactly one wins.
/// - A write changes only the attributes it names. Attributes that the store does not know survive every update.
/// - `Applied` and `Conflict` carry the row as it is after, or was at, that instant.
/// - A call whose effect is not known answers `Unknown`, never `Refused`; one that certainly had no effect answers
///   `Refused`. Dropping a future of this trait leaves the effect unknown as well.
/// - [`get`](LeaseStore::get) is consistent: it sees every write that was answered before it was called.
///   [`scan`](LeaseStore::scan) and [`owned_by`](LeaseStore::owned_by) may lag behind by a moment.
/// - A row that cannot be read is reported by key and attribute, and is never changed or removed. To lease calls a row of
///   another kind (a worker, the leader lock) is such a row, at its `entityType`.
/// - The store does not retry by itself beyond one attempt's time-out: the caller decides whether time is left.
#[async_trait]
pub trait LeaseStore: Debug + Send + Sync + 'static {
    /// Makes the store ready: creates the table and its index in one call if they are missing, and refuses a table that
    /// this library must not write to. Nothing is written before the check has passed.
    ///
    /// # Errors
    /// [`StoreStartError`], with the reason and the cure.
    async fn start(&self) -> Result<(), StoreStartError>;

    /// One page of all rows: leases, workers, the leader lock and others, in no particular order. `page` is the token of
    /// the page before, `None` for the first.
    ///
    /// # Errors
    /// [`StoreError`] if the page could not be read.
    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError>;

    /// One page of the keys of leases whose `leaseOwner` is `owner`, from the index.
    ///
    /// # Errors
    /// [`StoreError`] if the page could not be read.
    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError>;

    /// One lease, read consistently. `Ok(None)` if there is no such row; a row that is there but cannot be read is
    /// `Ok(Some(Err(..)))`.
    ///
    /// # Errors
    /// [`StoreError`] if the row could not be fetched.
    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError>;

    /// Creates a row if there is none with this key.
    async fn create(&self, lease: &Lease) -> CreateOutcome;

    /// Changes a row if the condition holds.
    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome;

    /// Removes a row if the condition holds; `Applied` carries the row that was removed.
    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome;

    /// Applies one to [`TRANSACTION_LIMIT`](crate::types::TRANSACTION_LIMIT) steps on different rows together or not at
    /// all. More steps, none, or a row named twice are `Refused(StoreError::Invalid)`.
    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome;
}

/// Why a store cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreStartError {
    /// The table has another shape, or belongs to a fleet that this library cannot join.
    #[error("the lease table cannot be used: {reason}; {cure}")]
    Unsuitable {
        /// What was found.
        reason: String,
        /// What to do about it.
        cure: String,
    },
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
