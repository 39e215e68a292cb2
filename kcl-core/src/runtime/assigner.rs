//! Looks at the table, plans, begins tenures and owns the shard tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::context::Context;
use super::lease_keeper::{Grant, LeaseKeeper, Parted};
use super::scan::{RowReporter, scan};
use super::shard_task::{ShardTask, StopRequest, TaskEnd};
use super::tasks::TaskKind;
use super::tenure::SharedTenure;
use crate::error::WorkerError;
use crate::plan::fleet_view::FleetView;
use crate::plan::holding::Farewell;
use crate::plan::per_worker::{AssignmentStrategy, CountStrategy, Plan, Snapshot, Step, StepAction};
use crate::plan::transition;
use crate::settings::InitialPosition;
use crate::shard::machine::{Finish, StopReason};
use crate::types::{Lease, LeaseKey, Moment, Projection, ShardRef};

/// What was left undone when the worker stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Drained {
    pub(crate) released: usize,
    pub(crate) ended: usize,
    pub(crate) lost: Vec<LeaseKey>,
}

struct Running {
    stop: StopRequest,
    shared: Arc<SharedTenure>,
}

type Finished = (LeaseKey, Option<TaskEnd>);

pub(crate) struct Assigner {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    strategy: Box<dyn AssignmentStrategy>,
    view: FleetView,
    rows: RowReporter,
    look: Arc<Notify>,
    running: BTreeMap<LeaseKey, Running>,
    finished: FuturesUnordered<BoxFuture<'static, Finished>>,
}

impl Assigner {
    pub(crate) fn new(context: Arc<Context>, keeper: LeaseKeeper, look: Arc<Notify>, rows: RowReporter) -> Self {
        Assigner {
            context,
            keeper,
            strategy: Box::new(CountStrategy),
            view: FleetView::default(),
            rows,
            look,
            running: BTreeMap::new(),
            finished: FuturesUnordered::new(),
        }
    }

    /// Looks and acts until the worker is told to stop, then drains.
    pub(crate) async fn run(mut self) -> Drained {
        let context = Arc::clone(&self.context);
        let mut next = context.clock.now();
        while !context.stop.is_cancelled() {
            tokio::select! {
                biased;
                () = context.stop.cancelled() => break,
                Some((key, end)) = self.finished.next(), if !self.finished.is_empty() => {
                    if let Some(parted) = self.note_finished(&key, end.map(|end| end.parted)).await {
                        self.start_children(&key, parted.grants);
                    }
                }
                () = self.look.notified() => next = context.clock.now(),
                () = context.clock.sleep_until(next) => {
                    let started = context.clock.now();
                    self.look_and_act().await;
                    next = started + context.settings.timings.observation;
                }
            }
        }
        self.drain().await
    }

    async fn look_and_act(&mut self) {
        let context = Arc::clone(&self.context);
        let found = tokio::select! {
            biased;
            () = context.stop.cancelled() => return,
            found = scan(&context, Projection::Planning) => found,
        };
        let rows = match found {
            Ok((rows, problems)) => self.rows.sift(rows, problems),
            Err(error) => {
                tracing::warn!(%error, "the lease table could not be read; it is tried again");
                if !error.is_retryable() {
                    context.fail(WorkerError::store("reading the lease table", error));
                }
                return;
            }
        };
        let now = context.clock.now();
        self.view.observe(rows, now);
        self.learn().await;
        let plan = self.propose(now);
        if !plan.steps.is_empty() {
            tracing::info!(worker_id = %context.worker, %plan, "assignment planned");
        }
        self.act(plan).await;
    }

    /// Rows that ask us to hand over are passed on at once; a renewal would fail on them only later.
    async fn learn(&mut self) {
        let me = Some(&self.context.worker);
        let leases = self.view.leases.values().map(|seen| &seen.lease);
        let asks = |lease: &&Lease| lease.checkpoint_owner.as_ref() == me && self.running.contains_key(&lease.key);
        for lease in leases.filter(asks).cloned().collect::<Vec<_>>() {
            self.keeper.learn(lease).await;
        }
    }

    fn propose(&self, now: Moment) -> Plan {
        let held: BTreeSet<LeaseKey> = self.running.keys().cloned().collect();
        let ending = |running: &Running| running.stop.is_asked() || running.shared.is_ended();
        let draining = self.running.iter().filter(|(_, running)| ending(running)).map(|(key, _)| key.clone()).collect();
        self.strategy.propose(&Snapshot {
            view: &self.view,
            me: &self.context.worker,
            held: &held,
            draining: &draining,
            now,
            expiry: self.context.settings.timings.expiry,
            max_leases: self.context.settings.max_leases,
            seed: 0,
        })
    }

    async fn act(&mut self, plan: Plan) {
        let mut begins = Vec::new();
        for step in plan.steps {
            match step.action {
                StepAction::Release { .. } => self.release(&step.lease),
                StepAction::TakeFree | StepAction::TakeExpired { .. } | StepAction::Adopt => {
                    begins.extend(self.begin(step));
                }
            }
        }
        for (step, begun) in join_all(begins).await {
            match begun {
                Ok(grant) => self.start(grant, step.to_string()),
                Err(reason) => tracing::info!(lease_key = %step.lease, reason, "lease not gained"),
            }
        }
    }

    fn release(&self, lease: &LeaseKey) {
        let deadline = self.context.clock.now() + self.context.settings.drain_timeout;
        if let Some(running) = self.running.get(lease) {
            running.stop.ask(StopReason::OverShare, deadline, None);
        }
    }

    fn begin(&self, step: Step) -> Option<impl Future<Output = (Step, Result<Grant, String>)> + use<>> {
        let seen = &self.view.leases.get(&step.lease)?.lease;
        let me = &self.context.worker;
        let mut write = match step.action {
            StepAction::Adopt => transition::adopt(seen, me),
            _ => transition::take(seen, me),
        };
        let instant = match self.context.settings.start {
            InitialPosition::AtTimestamp(instant) => Some(instant),
            InitialPosition::TrimHorizon | InitialPosition::Latest => None,
        };
        transition::pin_start(&mut write, seen, self.context.wall(), instant);
        let keeper = self.keeper.clone();
        Some(async move {
            let begun = keeper.begin(step.lease.clone(), write).await;
            (step, begun)
        })
    }

    fn start(&mut self, grant: Grant, reason: String) {
        let key = grant.row.key.clone();
        let id = match grant.row.shard_id() {
            Ok(id) => id,
            Err(error) => {
                // Rows whose key is no shard id are sifted out before planning.
                debug_assert!(false, "{error}");
                return;
            }
        };
        let shard = ShardRef::new(self.context.settings.stream.clone(), id);
        let stop = StopRequest::default();
        let shared = Arc::clone(&grant.shared);
        self.running.insert(key.clone(), Running { stop: stop.clone(), shared });
        let task = ShardTask::new(Arc::clone(&self.context), self.keeper.clone(), grant, shard, stop);
        let done = self.context.tasks.spawn(TaskKind::Shard, task.run(reason));
        self.finished.push(Box::pin(async move {
            match done.await {
                Ok(Ok(finish)) => (key, Some(finish)),
                Ok(Err(panic)) => {
                    tracing::error!(lease_key = %key, panic, "the task of a shard ended in a defect");
                    (key, None)
                }
                Err(_dropped) => (key, None),
            }
        }));
    }

    async fn note_finished(&mut self, key: &LeaseKey, parted: Option<Parted>) -> Option<Parted> {
        if let Some(running) = self.running.remove(key)
            && parted.is_none()
        {
            // The task is gone without having given the lease back: nobody reads the shard here any more.
            let _lost_or_given_back = self.keeper.farewell(&running.shared, Farewell::Release).await;
        }
        for child in parted.iter().flat_map(|parted| &parted.look_at) {
            tracing::debug!(lease_key = %child, "the row of a child is to be looked at");
        }
        // What became free by this may be taken, or given up, now; and children may name us.
        self.look.notify_one();
        parted
    }

    /// The end of a shard began the tenures of its children.
    fn start_children(&mut self, parent: &LeaseKey, children: Vec<Grant>) {
        for grant in children {
            let reason = format!("take {}: child of {parent}, which ended here", grant.row.key);
            self.start(grant, reason);
        }
    }

    async fn drain(mut self) -> Drained {
        let deadline = self.context.clock.now() + self.context.settings.drain_timeout;
        for running in self.running.values() {
            running.stop.ask(StopReason::Shutdown, deadline, None);
        }
        let mut drained = Drained::default();
        while let Some((key, end)) = self.finished.next().await {
            let finish = end.as_ref().map(|end| end.finish);
            let parted = self.note_finished(&key, end.map(|end| end.parted)).await;
            for child in parted.into_iter().flat_map(|parted| parted.grants) {
                // Its tenure began in the moment of the stop; nobody works on it.
                let _lost_or_given_back = self.keeper.farewell(&child.shared, Farewell::Release).await;
            }
            match finish {
                Some(Finish::Ended) => drained.ended += 1,
                Some(Finish::Released(_)) => drained.released += 1,
                Some(Finish::Lost) | None => drained.lost.push(key),
            }
        }
        drained
    }
}
