//! What all parts of a worker share.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::budget::ByteBudget;
use super::events::{Events, ShardTenure, WorkerEvent};
use super::shard_task::machine_settings;
use super::streams::{Reads, Streams};
use super::tasks::{Tasks, panic_message};
use super::watch::Watchlist;
use crate::error::WorkerError;
use crate::metric_definitions::{ShardLabels, WorkerMetrics};
use crate::plan::assignment::{self, AssignmentStrategy, Rules, Snapshot};
use crate::plan::fleet_view::FleetView;
use crate::ports::{Clock, FleetStore, LeaseStore, RecordProcessorFactory, Spawner};
use crate::settings::EffectiveSettings;
use crate::shard::machine::MachineSettings;
use crate::types::{Incarnation, LeaseKey, Moment, ShardRef, StoreError, Timestamp, WorkerId, WriteOutcome};

/// The components of a worker.
pub(crate) struct Parts {
    pub(crate) settings: EffectiveSettings,
    pub(crate) worker: WorkerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) leases: Arc<dyn LeaseStore>,
    pub(crate) fleet: Arc<dyn FleetStore>,
    pub(crate) reads: Reads,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) spawner: Arc<dyn Spawner>,
    pub(crate) factory: Arc<dyn RecordProcessorFactory>,
    pub(crate) strategy: Arc<dyn AssignmentStrategy>,
    pub(crate) random: fastrand::Rng,
}

/// Decides between equals in plans: the same in the whole fleet.
const SEED: u64 = 0;

/// What all parts of a worker share. No lock in it is ever held across a wait.
pub(crate) struct Context {
    pub(crate) settings: EffectiveSettings,
    pub(crate) worker: WorkerId,
    pub(crate) incarnation: Incarnation,
    pub(crate) leases: Arc<dyn LeaseStore>,
    pub(crate) fleet: Arc<dyn FleetStore>,
    pub(crate) streams: Streams,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) factory: Arc<dyn RecordProcessorFactory>,
    pub(crate) strategy: Arc<dyn AssignmentStrategy>,
    pub(crate) machine: Arc<MachineSettings>,
    pub(crate) tasks: Tasks,
    pub(crate) events: Events,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) budget: ByteBudget,
    /// The shards that are worked on, for the watchdog.
    pub(crate) watchlist: Arc<Watchlist>,
    /// Asked to stop: begin nothing new, drain, give back.
    pub(crate) stop: CancellationToken,
    /// Told to end at once: write nothing more.
    pub(crate) abort: CancellationToken,
    failure: OnceLock<WorkerError>,
    random: Mutex<fastrand::Rng>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Context {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { settings, worker, incarnation, leases, fleet, reads, clock, spawner, factory, strategy, random } =
            parts;
        let metrics = WorkerMetrics::new(
            settings.application.as_str(),
            settings.stream.as_ref().map(|stream| stream.name().as_str()),
            worker.as_str(),
        );
        Arc::new(Context {
            budget: ByteBudget::new(settings.read_ahead_bytes, metrics.read_ahead.clone()),
            metrics,
            machine: Arc::new(machine_settings(&settings)),
            settings,
            worker,
            incarnation,
            leases,
            fleet,
            streams: Streams::new(reads),
            clock,
            factory,
            strategy,
            tasks: Tasks::new(spawner),
            watchlist: Arc::default(),
            events: Events::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            failure: OnceLock::new(),
            random: Mutex::new(random),
        })
    }

    /// The labels of the metrics of a shard that this worker reads.
    pub(crate) fn labels(&self, shard: &ShardRef) -> ShardLabels {
        let stream = shard.stream().name().as_str();
        ShardLabels::new(self.settings.application.as_str(), stream, shard.id().as_str(), self.worker.as_str())
    }

    /// The next random number of this worker's only source.
    pub(crate) fn random(&self) -> u64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }

    /// A version for the leader row: new in the world, as it is made from two random numbers.
    pub(crate) fn version(&self) -> String {
        let (high, low) = (self.random(), self.random());
        uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
            .into_uuid()
            .to_string()
    }

    /// A random number between 0 and 1.
    pub(crate) fn random_fraction(&self) -> f64 {
        self.random.lock().unwrap_or_else(PoisonError::into_inner).f64()
    }

    /// The worker cannot go on: the first reason counts.
    pub(crate) fn fail(&self, error: WorkerError) {
        if self.failure.set(error).is_ok() {
            self.stop.cancel();
        }
    }

    /// Ends the worker at once.
    pub(crate) fn abort(&self) {
        self.abort.cancel();
        // Whoever is not on the list yet looks before it waits.
        self.watchlist.all().iter().for_each(|watch| watch.shared.orders.wake());
    }

    /// Why the worker cannot go on, if so.
    pub(crate) fn failure(&self) -> Option<&WorkerError> {
        self.failure.get()
    }

    /// Gives a store call the time of one attempt. What did not answer may have been applied.
    pub(crate) async fn attempt<R>(&self, call: impl Future<Output = WriteOutcome<R>>) -> WriteOutcome<R> {
        match self.within_attempt(call).await {
            Some(outcome) => outcome,
            None => WriteOutcome::Unknown(self.no_answer()),
        }
    }

    /// Gives a call the time of one attempt; `None` if it did not answer.
    pub(crate) async fn within_attempt<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        let deadline = self.clock.now() + self.settings.timings.attempt;
        tokio::select! {
            biased;
            answer = call => Some(answer),
            () = self.clock.sleep_until(deadline) => None,
        }
    }

    /// The error for a call that did not answer within one attempt.
    pub(crate) fn no_answer(&self) -> StoreError {
        StoreError::Unavailable(format!("no answer within {:?}", self.settings.timings.attempt))
    }

    /// What a plan is made from. Leases of streams that are not wanted are no part of it.
    pub(crate) fn snapshot<'a>(&self, fleet: &'a FleetView, now: Moment) -> Snapshot<'a> {
        let rules = Rules::from_failover_time(self.settings.timings.failover);
        let wanted = self.streams.wanted();
        fleet.snapshot_of(rules, now, SEED, |lease| !wanted.standing(lease).is_parked())
    }

    /// Who goes on with these leases when this worker stops.
    pub(crate) fn successors(&self, fleet: &FleetView, leases: &BTreeSet<LeaseKey>) -> BTreeMap<LeaseKey, WorkerId> {
        let snapshot = self.snapshot(fleet, self.clock.now());
        let successors =
            |strategy: &dyn AssignmentStrategy| assignment::successors(strategy, &snapshot, &self.worker, leases);
        self.ask_strategy(successors).unwrap_or_default()
    }

    /// Asks the strategy, which may be the user's: one that panics has no answer.
    pub(crate) fn ask_strategy<T>(&self, question: impl FnOnce(&dyn AssignmentStrategy) -> T) -> Option<T> {
        let answer = catch_unwind(AssertUnwindSafe(|| question(&*self.strategy)));
        let report = |panic: &Box<dyn Any + Send>| {
            let message = panic_message(&**panic);
            tracing::error!(message, "the assignment strategy panicked");
        };
        answer.inspect_err(report).ok()
    }

    /// Puts a lease into the inbox of another worker. Only a hint: whoever misses it finds the row in the index.
    pub(crate) async fn notice(&self, worker: &WorkerId, lease: &LeaseKey) {
        match self.attempt(self.fleet.notify(worker, lease)).await {
            WriteOutcome::Applied(_) => {}
            outcome => tracing::debug!(lease_key = %lease, worker_id = %worker, ?outcome, "a worker was not told"),
        }
    }

    /// Unix seconds, where counters of new rows start.
    pub(crate) fn creation_counter(&self) -> u64 {
        u64::try_from(self.clock.wall().as_millis() / 1000).unwrap_or(0)
    }

    pub(crate) fn wall(&self) -> Timestamp {
        self.clock.wall()
    }

    pub(crate) fn send(&self, tenure: &Arc<ShardTenure>, event: impl FnOnce(Arc<ShardTenure>) -> WorkerEvent) {
        self.events.send(event(Arc::clone(tenure)));
    }
}
