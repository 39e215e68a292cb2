//! One shard in one tenure: its task, started anew by the watchdog where it does not get on.

mod io;
mod run;
mod world;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context as Wake, Poll};

use tracing::Instrument;

use super::context::Context;
use super::events::{LeaseReleasedReason, ShardTenure, WorkerEvent};
use super::lease_keeper::{LeaseKeeper, Parted};
use super::orders::{Heard, Order};
use super::streams::Stream;
use super::tenure::SharedTenure;
use super::watch::ShardWatch;
use crate::metric_definitions::ShardMetrics;
use crate::ports::LeaseLostReason;
use crate::shard::machine::{Finish, StopReason};
use crate::types::{ShardId, ShardRef};
pub(crate) use run::machine_settings;
use run::{RunEnd, ShardRun};

/// What stays the same for the length of a tenure.
pub(crate) struct Tenancy {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    shared: Arc<SharedTenure>,
    stream: Arc<Stream>,
    watch: Arc<ShardWatch>,
}

impl Tenancy {
    fn shard(&self) -> &ShardRef {
        &self.watch.tenure.shard
    }

    /// Counts something rare.
    fn count(&self, name: &'static str, by: u64) {
        self.context.labels(self.shard()).count(name, by);
    }

    /// What the task is told next; the end of the worker beats everything else.
    fn poll_order(&self, heard: Heard, wake: &mut Wake<'_>) -> Poll<Order> {
        let order = self.shared.orders.poll(heard, wake);
        if !heard.abort && self.context.abort.is_cancelled() {
            return Poll::Ready(Order::Lose(LeaseLostReason::Internal));
        }
        order
    }
}

/// One shard in one tenure.
pub(crate) struct ShardTask {
    tenancy: Arc<Tenancy>,
}

/// How a tenure ended, and what follows from it.
#[derive(Debug)]
pub(crate) struct TaskEnd {
    pub(crate) finish: Finish,
    pub(crate) parted: Parted,
}

impl ShardTask {
    pub(crate) fn new(
        context: Arc<Context>,
        keeper: LeaseKeeper,
        shared: Arc<SharedTenure>,
        stream: Arc<Stream>,
        shard: ShardId,
    ) -> Self {
        let tenure = Arc::new(ShardTenure {
            shard: ShardRef::new(stream.id.clone(), shard),
            lease: shared.tenure.lease.clone(),
            worker: context.worker.clone(),
            epoch: shared.tenure.epoch,
            fencing_token: shared.token,
        });
        let metrics = ShardMetrics::new(&context.labels(&tenure.shard));
        let watch = ShardWatch::new(tenure, Arc::clone(&shared), metrics);
        ShardTask { tenancy: Arc::new(Tenancy { context, keeper, shared, stream, watch }) }
    }

    /// Tells the world that the tenure began, runs it to its end, and tells how it ended.
    pub(crate) fn run(self, reason: String) -> impl Future<Output = TaskEnd> + Send + 'static {
        let span = tracing::info_span!(
            "shard",
            stream = %self.tenancy.shard().stream().name(),
            shard_id = %self.tenancy.shard().id(),
            lease_key = %self.tenancy.shared.tenure.lease,
            worker_id = %self.tenancy.context.worker,
            epoch = %self.tenancy.shared.tenure.epoch,
        );
        span.in_scope(|| self.tell_begun(reason));
        async move {
            let Tenancy { context, watch, .. } = &*self.tenancy;
            let on_list = context.watchlist.watch(watch);
            let RunEnd { finish, lost, parted } = self.run_to_the_end().await;
            drop(on_list);
            self.tell_finish(finish, lost);
            TaskEnd { finish, parted }
        }
        .instrument(span)
    }

    fn tell_begun(&self, reason: String) {
        let Tenancy { context, shared, watch, .. } = &*self.tenancy;
        tracing::info!(reason, checkpoint = %shared.checkpoint(), fencing_token = %shared.token, "lease gained");
        context.metrics.leases_gained.increment(1);
        context.send(&watch.tenure, |tenure| WorkerEvent::LeaseGained { tenure, reason });
    }

    /// A run that the watchdog ends is followed by another one, in the same tenure: the lease was renewed all the time and
    /// nobody else may have read the shard, so nothing is gained by giving it back first. The next run has a processor of
    /// its own and reads on where everything is completed, as after a panic. One that could be asked has called
    /// `shutdown_requested`; one that had to be dropped has not, nor is `lease_lost` called, since it is not.
    async fn run_to_the_end(&self) -> RunEnd {
        loop {
            let run = Box::new(ShardRun::new(Arc::clone(&self.tenancy)));
            tokio::select! {
                // A run that hangs is the reason to be here; whatever it still has to say comes too late.
                biased;
                () = poll_fn(|context| self.tenancy.shared.orders.poll_drop(context)) => {}
                end = run.run() => {
                    if end.finish != Finish::Released(StopReason::Restart) {
                        return end;
                    }
                }
            }
        }
    }

    fn tell_finish(&self, finish: Finish, lost: Option<LeaseLostReason>) {
        let Tenancy { context, watch, .. } = &*self.tenancy;
        let released = |reason: LeaseReleasedReason| {
            tracing::info!(reason = reason.as_str(), "lease released");
            context.send(&watch.tenure, |tenure| WorkerEvent::LeaseReleased { tenure, reason });
        };
        match finish {
            Finish::Ended => released(LeaseReleasedReason::ShardEnd),
            Finish::Released(StopReason::Shutdown) => released(LeaseReleasedReason::Shutdown),
            Finish::Released(StopReason::HandOver) => released(LeaseReleasedReason::HandOver),
            Finish::Released(StopReason::Unwanted) => released(LeaseReleasedReason::Unwanted),
            Finish::Released(StopReason::Stuck | StopReason::Restart) => released(LeaseReleasedReason::Stuck),
            Finish::Lost => {
                let reason = lost.unwrap_or(LeaseLostReason::Taken);
                tracing::info!(reason = reason.as_str(), "lease lost");
                context.metrics.leases_lost.increment(1);
                context.send(&watch.tenure, |tenure| WorkerEvent::LeaseLost { tenure, reason });
            }
        }
        watch.metrics.stalled.set(0.0);
    }
}
