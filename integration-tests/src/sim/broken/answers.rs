//! Answers that are read for more than they say.

use async_trait::async_trait;
use kcl_core::ports::LeaseStore;
use kcl_core::types::{Change, Condition, Expect, Lease, LeaseChange, LeaseKey, WorkerId, WriteOutcome};

use super::twist::Twist;
use crate::sim::store::SimStore;

/// A tenure begins by reading a row that names the worker.
#[derive(Debug)]
pub(super) struct BeginByReading;

#[async_trait]
impl Twist for BeginByReading {
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        let Some(me) = adopter(condition, change) else { return store.update(key, condition, change).await };
        match store.get(key).await {
            Ok(Some(Ok(row))) if row.owner.as_ref() == Some(me) && row.checkpoint_owner.is_none() => {
                WriteOutcome::Applied(row)
            }
            Ok(Some(Ok(row))) => WriteOutcome::Conflict(row),
            Ok(Some(Err(problem))) => WriteOutcome::Unreadable(problem),
            Ok(None) => WriteOutcome::Missing,
            Err(error) => WriteOutcome::Unknown(error),
        }
    }
}

/// Whom an adoption is for.
fn adopter<'a>(condition: &'a Condition, change: &LeaseChange) -> Option<&'a WorkerId> {
    let begins = condition.epoch.is_none() && change.raise_epoch;
    let keeps = change.owner == Change::Keep && change.checkpoint_owner == Change::Keep;
    match &condition.owner {
        Some(Expect::Is(me)) if begins && keeps => Some(me),
        _ => None,
    }
}

/// A conflict on a take counts as success: the row that comes with it names somebody, after all.
#[derive(Debug)]
pub(super) struct ConflictTakes;

#[async_trait]
impl Twist for ConflictTakes {
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        let takes = condition.epoch.is_none() && matches!(change.owner, Change::Set(_)) && change.raise_epoch;
        match store.update(key, condition, change).await {
            WriteOutcome::Conflict(row) if takes => WriteOutcome::Applied(row),
            outcome => outcome,
        }
    }
}

/// A conflict that shows an earlier write of the same holder, whose answer never came, counts as if the last one had been
/// applied: the deadline counts from that one.
#[derive(Debug)]
pub(super) struct LastSendCounts;

#[async_trait]
impl Twist for LastSendCounts {
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        match store.update(key, condition, change).await {
            WriteOutcome::Conflict(row) if is_own_write(condition, &row) => WriteOutcome::Applied(row),
            outcome => outcome,
        }
    }
}

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
