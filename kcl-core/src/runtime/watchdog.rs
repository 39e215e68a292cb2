//! Looks after the shard tasks, from a task of its own: one that is stuck cannot judge itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::events::WorkerEvent;
use super::lease_keeper::LeaseKeeper;
use super::scan::{RowReporter, scan};
use super::watch::ShardWatch;
use crate::metric_definitions::SLOW_WAITS;
use crate::plan::fleet_view::FleetView;
use crate::plan::holding::Farewell;
use crate::shard::machine::StopReason;
use crate::shard::watchdog::{RestartReason, Step, Watched};
use crate::types::{Projection, Tenure, WorkerId};

/// Every limit is known to within this much.
const LOOK: Duration = Duration::from_secs(5);

/// How long after its own deadline a task that was asked to come to an end is believed to do so.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) struct Watchdog {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    /// Those about which there is something to remember; of all others, nothing is.
    watched: BTreeMap<Tenure, Watched>,
    rows: RowReporter,
}

impl Watchdog {
    pub(crate) fn new(context: Arc<Context>, keeper: LeaseKeeper) -> Self {
        Watchdog { context, keeper, watched: BTreeMap::new(), rows: RowReporter::default() }
    }

    /// Looks until the worker has `drained`.
    pub(crate) async fn run(mut self, drained: CancellationToken) {
        let context = Arc::clone(&self.context);
        loop {
            tokio::select! {
                biased;
                () = drained.cancelled() => return,
                () = context.abort.cancelled() => return,
                () = context.clock.sleep_until(context.clock.now() + LOOK) => {}
            }
            tokio::select! {
                biased;
                () = drained.cancelled() => return,
                () = context.abort.cancelled() => return,
                () = self.look_at_all() => {}
            }
        }
    }

    async fn look_at_all(&mut self) {
        let shards = self.context.watchlist.all();
        let there: BTreeSet<&Tenure> = shards.iter().map(|watch| &watch.shared.tenure).collect();
        self.watched.retain(|tenure, _| there.contains(tenure));
        for watch in shards {
            self.look_at(&watch).await;
        }
    }

    async fn look_at(&mut self, watch: &ShardWatch) {
        let now = self.context.clock.now();
        watch.let_lag_grow(now);
        let (waits, counts) = watch.look();
        let patience = self.context.settings.drain_timeout + GRACE;
        let tenure = &watch.shared.tenure;
        let mut watched = self.watched.remove(tenure).unwrap_or_default();
        let step = watched.look(&waits, counts, patience, now);
        if !watched.is_at_rest() {
            self.watched.insert(tenure.clone(), watched);
        }
        match step {
            None => {}
            Some(Step::TellSlow { wait, since }) => {
                let (what, waited) = (wait.as_str(), now.since(since));
                tracing::warn!(lease_key = %watch.tenure.lease, what, ?waited, "a shard waits for long");
                self.context.labels(&watch.tenure.shard).count(SLOW_WAITS, 1);
                self.context.send(&watch.tenure, |tenure| WorkerEvent::ShardSlow { tenure, what, waited });
            }
            Some(Step::Restart { reason, in_a_row }) => self.restart(watch, reason, in_a_row),
            Some(Step::Drop { reason }) => {
                let code = reason.as_str();
                tracing::error!(lease_key = %watch.tenure.lease, reason = code, "a shard task does not come to an end and is dropped");
                watch.shared.orders.drop_run();
            }
            Some(Step::GiveAway { reason }) => self.give_away(watch, reason).await,
        }
    }

    fn restart(&self, watch: &ShardWatch, reason: RestartReason, in_a_row: u32) {
        let code = reason.as_str();
        tracing::warn!(lease_key = %watch.tenure.lease, reason = code, in_a_row, "a shard does not get on; its task begins anew");
        self.context.labels(&watch.tenure.shard).restarted(code);
        self.context.send(&watch.tenure, |tenure| WorkerEvent::ShardRestarted { tenure, reason, in_a_row });
        watch.shared.orders.restart();
    }

    /// Gives the lease to a worker that may have more luck. Without one, giving it to nobody would only bring it back.
    async fn give_away(&mut self, watch: &ShardWatch, reason: RestartReason) {
        let code = reason.as_str();
        let Some(to) = self.another_worker(watch).await else {
            tracing::error!(lease_key = %watch.tenure.lease, reason = code, "a shard does not get on, and no other worker is there to try");
            let now = self.context.clock.now();
            let again = self.watched.get_mut(&watch.shared.tenure).map(|watched| watched.restart(reason, now));
            if let Some(Step::Restart { reason, in_a_row }) = again {
                self.restart(watch, reason, in_a_row);
            }
            return;
        };
        tracing::error!(lease_key = %watch.tenure.lease, reason = code, %to, "a shard does not get on here; it is given away");
        let deadline = self.context.clock.now() + self.context.settings.drain_timeout;
        watch.shared.orders.stop(StopReason::Stuck, deadline, Some(to.clone()));
        if watch.shared.orders.drops_run() {
            // Its task was to be dropped and is still there: something holds its thread. It cannot give the lease away
            // itself, and finds it gone when it wakes up.
            let _lost_or_given_away = self.keeper.farewell(&watch.shared, Farewell::HandOver { to }).await;
        }
    }

    /// Who should have the lease if not this worker. The table is looked at twice, so that workers show life.
    async fn another_worker(&mut self, watch: &ShardWatch) -> Option<WorkerId> {
        let mut fleet = FleetView::default();
        for look in 0..2 {
            if look > 0 {
                let between = 2 * self.context.settings.timings.heartbeat;
                self.context.clock.sleep_until(self.context.clock.now() + between).await;
            }
            match scan(&self.context, Projection::Planning).await {
                Ok((rows, problems)) => {
                    let rows = self.rows.sift(rows, problems, &self.context.streams.wanted());
                    drop(fleet.observe(rows, self.context.clock.now()));
                }
                Err(error) => {
                    tracing::warn!(%error, "the table could not be read; nobody can be found for a shard that is stuck");
                    return None;
                }
            }
        }
        let lease = BTreeSet::from([watch.tenure.lease.clone()]);
        self.context.successors(&fleet, &lease).remove(&watch.tenure.lease)
    }
}
