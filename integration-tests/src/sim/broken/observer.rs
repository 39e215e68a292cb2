//! An observer without the margin.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::{Clock, LeaseStore};
use kcl_core::types::{
    Condition, Expect, Lease, LeaseChange, LeaseKey, Moment, PageToken, Projection, Row, RowPage, StoreError, WorkerId,
    WriteOutcome,
};

use super::twist::Twist;
use crate::sim::clock::Machine;
use crate::sim::store::SimStore;

/// Shows leases that stood still for F as free, where the protocol waits for 1.1 F.
#[derive(Debug)]
pub(super) struct NoMargin {
    clock: Machine,
    failover: Duration,
    seen: Mutex<BTreeMap<LeaseKey, Seen>>,
}

#[derive(Debug)]
struct Seen {
    counter: u64,
    holder: Option<WorkerId>,
    since: Moment,
    /// Who stands in the row that was shown as free.
    hidden: Option<(Option<WorkerId>, Option<WorkerId>)>,
}

impl NoMargin {
    pub(super) fn new(clock: Machine, failover: Duration) -> Self {
        NoMargin { clock, failover, seen: Mutex::default() }
    }

    fn show(&self, lease: &mut Lease, asked: Moment, now: Moment) {
        if lease.is_ended() {
            return;
        }
        let first = || Seen { counter: lease.counter, holder: lease.holder().cloned(), since: asked, hidden: None };
        let mut seen = self.seen();
        let entry = seen.entry(lease.key.clone()).or_insert_with(first);
        if entry.counter != lease.counter || entry.holder.as_ref() != lease.holder() {
            *entry = first();
        }
        entry.hidden = None;
        if lease.holder().is_some() && now.since(entry.since) >= self.failover {
            entry.hidden = Some((lease.owner.take(), lease.checkpoint_owner.take()));
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Twist for NoMargin {
    async fn scan(
        &self,
        store: &SimStore,
        projection: Projection,
        page: Option<PageToken>,
    ) -> Result<RowPage, StoreError> {
        let asked = self.clock.now();
        let mut page = store.scan(projection, page).await?;
        let now = self.clock.now();
        for row in &mut page.rows {
            if let Row::Lease(lease) = row {
                self.show(lease, asked, now);
            }
        }
        Ok(page)
    }

    /// A write to a lease that was shown as free asks for what really stands there.
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        let mut condition = condition.clone();
        if condition.owner == Some(Expect::Absent)
            && let Some((owner, checkpoint_owner)) = self.seen().get(key).and_then(|seen| seen.hidden.as_ref())
        {
            condition.owner = Some(Expect::as_seen(owner.as_ref()));
            condition.checkpoint_owner = Some(Expect::as_seen(checkpoint_owner.as_ref()));
        }
        store.update(key, &condition, change).await
    }
}
