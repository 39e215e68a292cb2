//! A store that changes conditions on the way there, or outcomes on the way back.

use async_trait::async_trait;
use kcl_core::ports::{LeaseStore, StoreStartError};
use kcl_core::types::{
    Change, Condition, CreateOutcome, Expect, KeyPage, Lease, LeaseChange, LeaseKey, PageToken, Projection, RowPage,
    RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};

use super::Variant;
use crate::sim::store::SimStore;

/// The store of a variant that is made of one.
#[derive(Debug)]
pub(super) struct BrokenStore {
    pub(super) store: SimStore,
    pub(super) variant: Variant,
}

impl BrokenStore {
    /// The condition as it is sent. Only writes of a holder name an epoch.
    fn weaken(&self, condition: &Condition) -> Condition {
        let mut condition = condition.clone();
        if condition.epoch.is_some() {
            match self.variant {
                Variant::OwnerAlone => (condition.epoch, condition.counter) = (None, None),
                Variant::NoCounter => condition.counter = None,
                _ => {}
            }
        }
        condition
    }

    /// The row as it was read, as if it had been written.
    async fn read(&self, key: &LeaseKey, me: &WorkerId) -> WriteOutcome {
        match self.store.get(key).await {
            Ok(Some(Ok(row))) if row.owner.as_ref() == Some(me) && row.checkpoint_owner.is_none() => {
                WriteOutcome::Applied(row)
            }
            Ok(Some(Ok(row))) => WriteOutcome::Conflict(row),
            Ok(Some(Err(problem))) => WriteOutcome::Unreadable(problem),
            Ok(None) => WriteOutcome::Missing,
            Err(error) => WriteOutcome::Unknown(error),
        }
    }

    /// The outcome as it is told.
    fn embellish(&self, condition: &Condition, change: &LeaseChange, outcome: WriteOutcome) -> WriteOutcome {
        match (self.variant, outcome) {
            (Variant::DeadlineFromLastSend, WriteOutcome::Conflict(row)) if is_own_write(condition, &row) => {
                WriteOutcome::Applied(row)
            }
            (Variant::TakeConflictAsSuccess, WriteOutcome::Conflict(row)) if is_take(condition, change) => {
                WriteOutcome::Applied(row)
            }
            (_, outcome) => outcome,
        }
    }
}

/// Whether the row shows an earlier write of the same holder, whose answer never came.
fn is_own_write(condition: &Condition, row: &Lease) -> bool {
    let names = |expected: &Option<Expect<WorkerId>>, worker: Option<&WorkerId>| match expected {
        Some(Expect::Is(me)) => worker == Some(me),
        _ => true,
    };
    condition.epoch.is_some_and(|epoch| row.epoch() == epoch)
        && names(&condition.owner, row.owner.as_ref())
        && names(&condition.checkpoint_owner, row.checkpoint_owner.as_ref())
        && row.last_written_by_us()
}

fn is_take(condition: &Condition, change: &LeaseChange) -> bool {
    condition.epoch.is_none() && matches!(change.owner, Change::Set(_)) && change.raise_epoch
}

/// Whom an adoption is for.
fn adopter<'a>(condition: &'a Condition, change: &LeaseChange) -> Option<&'a WorkerId> {
    let begins = condition.epoch.is_none() && change.raise_epoch && change.owner == Change::Keep;
    match &condition.owner {
        Some(Expect::Is(me)) if begins => Some(me),
        _ => None,
    }
}

#[async_trait]
impl LeaseStore for BrokenStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.store.start().await
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        self.store.scan(projection, page).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        self.store.owned_by(owner, page).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        self.store.get(key).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        self.store.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        if self.variant == Variant::TenureByReading
            && let Some(me) = adopter(condition, change)
        {
            return self.read(key, me).await;
        }
        let outcome = self.store.update(key, &self.weaken(condition), change).await;
        self.embellish(condition, change, outcome)
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.store.delete(key, condition).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        let weakened = steps.iter().map(|step| match step {
            TransactionStep::Update { key, condition, change } => {
                let (key, condition, change) = (key.clone(), self.weaken(condition), change.clone());
                TransactionStep::Update { key, condition, change }
            }
            other => other.clone(),
        });
        self.store.transact(&weakened.collect::<Vec<_>>()).await
    }
}
