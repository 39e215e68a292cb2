//! Ends of shards that go wrong.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use kcl_core::ports::LeaseStore;
use kcl_core::types::{
    Checkpoint, Condition, Lease, LeaseChange, LeaseKey, PageToken, Projection, Row, RowPage, StepResult, StoreError,
    TransactionOutcome, TransactionStep, WriteOutcome,
};

use super::twist::{Read, Twist};
use crate::sim::store::SimStore;

/// A child whose row exists cancels the end of its parent, again and again.
#[derive(Debug)]
pub(super) struct ChildCancels;

#[async_trait]
impl Twist for ChildCancels {
    async fn transact(&self, store: &SimStore, steps: &[TransactionStep]) -> TransactionOutcome {
        let outcome = store.transact(steps).await;
        let is_child = |index: usize| matches!(steps.get(index), Some(TransactionStep::Create(_)));
        match &outcome {
            TransactionOutcome::Cancelled(results)
                if results.iter().enumerate().any(|(at, result)| *result == StepResult::Failed && is_child(at)) =>
            {
                TransactionOutcome::Refused(StoreError::Unavailable("cancelled, and nobody asks why".into()))
            }
            _ => outcome,
        }
    }
}

/// A parent without a row counts as ended: the child of a merge is made, and read, although a shard above its other parent
/// is still being read.
#[derive(Debug, Default)]
pub(super) struct AbsentIsEnded {
    /// Rows that were seen: one that is missing later was deleted, and its holder must find that out.
    seen: Mutex<BTreeSet<LeaseKey>>,
}

impl AbsentIsEnded {
    fn note(&self, keys: impl IntoIterator<Item = LeaseKey>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(keys);
    }

    fn was_seen(&self, key: &LeaseKey) -> bool {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).contains(key)
    }
}

#[async_trait]
impl Twist for AbsentIsEnded {
    async fn scan(
        &self,
        store: &SimStore,
        projection: Projection,
        page: Option<PageToken>,
    ) -> Result<RowPage, StoreError> {
        let page = store.scan(projection, page).await?;
        self.note(page.rows.iter().filter_map(|row| match row {
            Row::Lease(lease) => Some(lease.key.clone()),
            _ => None,
        }));
        Ok(page)
    }

    async fn get(&self, store: &SimStore, key: &LeaseKey) -> Read {
        let read = store.get(key).await?;
        if read.is_none() && !self.was_seen(key) {
            return Ok(Some(Ok(Lease::unowned(key.clone(), Checkpoint::ShardEnd, 0))));
        }
        self.note(read.is_some().then(|| key.clone()));
        Ok(read)
    }

    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        self.note([key.clone()]);
        store.update(key, condition, change).await
    }

    async fn transact(&self, store: &SimStore, steps: &[TransactionStep]) -> TransactionOutcome {
        let asked = |step: &&TransactionStep| !matches!(step, TransactionStep::Exists(_));
        let steps: Vec<TransactionStep> = steps.iter().filter(asked).cloned().collect();
        self.note(steps.iter().map(|step| step.key().clone()));
        store.transact(&steps).await
    }
}
