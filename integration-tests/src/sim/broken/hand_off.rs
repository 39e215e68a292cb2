//! Hand-offs that may take for ever.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::{Clock, LeaseStore};
use kcl_core::types::{
    Change, Condition, Epoch, Expect, LeaseChange, LeaseKey, Moment, StoreError, WorkerId, WriteOutcome,
};

use super::twist::Twist;
use crate::sim::clock::Machine;
use crate::sim::store::SimStore;

/// A holder that was asked to hand over, and whose user code does not come to an end, holds on; nobody completes it.
#[derive(Debug)]
pub(super) struct NoDeadline {
    clock: Machine,
    me: WorkerId,
    /// When the holder first wrote after it was asked, in which tenure.
    asked: Mutex<BTreeMap<LeaseKey, (Epoch, Moment)>>,
}

/// Whoever ends so long after it was asked was cut off by the deadline.
const LONG: Duration = Duration::from_secs(20);

impl NoDeadline {
    pub(super) fn new(clock: Machine, me: WorkerId) -> Self {
        NoDeadline { clock, me, asked: Mutex::default() }
    }

    /// For how long the holder that writes has been asked, as far as its writes show.
    fn asked_for(&self, key: &LeaseKey, epoch: Epoch) -> Duration {
        let now = self.clock.now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let since = asked.entry(key.clone()).or_insert((epoch, now));
        if since.0 != epoch {
            *since = (epoch, now);
        }
        now.since(since.1)
    }

    /// Renews instead of giving the lease away; the caller learns that nothing is settled yet.
    async fn hold_on(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        let mut renewal = change.clone();
        (renewal.checkpoint_owner, renewal.raise_epoch, renewal.last_owner) = (Change::Keep, false, None);
        match store.update(key, condition, &renewal).await {
            WriteOutcome::Applied(_) => WriteOutcome::Unknown(StoreError::Unavailable("user code still runs".into())),
            outcome => outcome,
        }
    }
}

#[async_trait]
impl Twist for NoDeadline {
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        let in_my_place = condition.checkpoint_owner == Some(Expect::Is(self.me.clone()));
        match condition.epoch {
            Some(epoch) if in_my_place => {
                let forced = self.asked_for(key, epoch) >= LONG && change.checkpoint_owner == Change::Remove;
                // The end of a shard frees the row altogether.
                if forced && change.owner == Change::Keep {
                    return self.hold_on(store, key, condition, change).await;
                }
            }
            None if !in_my_place && completes(change) => {
                return match store.get(key).await {
                    Ok(Some(Ok(row))) => WriteOutcome::Conflict(row),
                    Ok(Some(Err(problem))) => WriteOutcome::Unreadable(problem),
                    Ok(None) => WriteOutcome::Missing,
                    Err(error) => WriteOutcome::Refused(error),
                };
            }
            _ => {}
        }
        store.update(key, condition, change).await
    }
}

/// Whether somebody completes a hand-off in its holder's place.
fn completes(change: &LeaseChange) -> bool {
    change.raise_epoch && change.owner == Change::Keep && change.checkpoint_owner == Change::Remove
}
