//! The end of a worker: what it holds goes to named successors, and what names it without being held is freed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::desk::named;
use super::{Assigner, Drained};
use crate::plan::fleet_view::FleetView;
use crate::plan::holding::Farewell;
use crate::plan::look::{self, Look};
use crate::plan::transition::{self, LeaseWrite};
use crate::runtime::context::Context;
use crate::shard::machine::{Finish, StopReason};
use crate::types::{LeaseKey, WriteOutcome};

/// How many rows are freed at a time.
const AT_A_TIME: usize = 32;

impl Assigner {
    pub(super) async fn drain(mut self, last_look: oneshot::Receiver<FleetView>) -> Drained {
        let held = self.running.keys().cloned().collect();
        let successors = match last_look.await {
            Ok(fleet) => self.context.successors(&fleet, &held),
            // Leases are given to nobody, and the leader finds them.
            Err(_not_seen) => BTreeMap::new(),
        };
        let deadline = self.context.clock.now() + self.context.settings.drain_timeout;
        for (key, running) in &self.running {
            running.shared.orders.stop(StopReason::Shutdown, deadline, successors.get(key).cloned());
        }
        let mut drained = Drained::default();
        while !self.running.is_empty() {
            let (key, end) = self.finished.next().await;
            let finish = end.as_ref().map(|end| end.finish);
            for child in self.note_finished(&key, end).await.into_iter().flat_map(|parted| parted.begun) {
                // Its tenure began in the moment of the stop; nobody works on it.
                let _lost_or_given_back = self.keeper.farewell(&child, Farewell::Release).await;
            }
            match finish {
                Some(Finish::Ended) => drained.ended += 1,
                Some(Finish::Released(_)) => drained.released += 1,
                Some(Finish::Lost) | None => drained.lost.push(key),
            }
        }
        // A worker whose id another process took over has no right to the rows that name it; one whose store is broken
        // cannot write them.
        if self.context.failure().is_none() {
            free_what_was_not_begun(&self.context).await;
        }
        drained
    }
}

/// Rows that name this worker although it never began, because they were assigned or handed over to it while it stopped:
/// nobody would read them before the leader finds out that it is gone. They are given to nobody; whom the fleet had when the
/// stop began may be gone by now as well.
async fn free_what_was_not_begun(context: &Arc<Context>) {
    // Whoever cannot be asked now is not waited for: the leader does the same a moment later.
    let Ok(keys) = named(Arc::clone(context)).await else { return };
    for some in keys.into_iter().collect::<Vec<_>>().chunks(AT_A_TIME) {
        join_all(some.iter().map(|key| free(context, key))).await;
    }
}

async fn free(context: &Context, key: &LeaseKey) {
    let Some(Ok(Some(Ok(row)))) = context.within_attempt(context.leases.get(key)).await else { return };
    let overdue = context.settings.timings.overdue;
    let LeaseWrite { condition, change } = match look::look(&row, &context.worker, false, Duration::ZERO, overdue) {
        Look::Adopt(_) => transition::free(&row),
        Look::Complete(write) => write,
        Look::Nothing | Look::HandOver | Look::Wait => return,
    };
    if let WriteOutcome::Applied(_) = context.attempt(context.leases.update(key, &condition, &change)).await {
        tracing::info!(lease_key = %key, "a lease that was given to this worker while it stopped was freed");
    }
}
