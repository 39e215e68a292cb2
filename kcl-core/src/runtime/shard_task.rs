//! Drives one [`ShardMachine`]: one event in, one call. What to do is the machine's business.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::callback::{Canceller, Panicked, UserCode};
use super::context::Context;
use super::events::{LeaseReleasedReason, ShardTenure, WorkerEvent};
use super::lease_keeper::{Grant, LeaseKeeper, Parted};
use super::shard_io::{self, FarewellDone, IoDone};
use super::tenure::SharedTenure;
use crate::metric_definitions::ShardMetrics;
use crate::ports::{LeaseLostReason, ShardContext};
use crate::shard::machine::{Action, Finish, MachineSettings, Processed, Report, ShardMachine, StopReason};
use crate::types::{Backoff, Checkpoint, Lease, Moment, Position, RecordPosition, ShardRef, Timestamp, WorkerId};

/// A request to give the shard back, from the assigner.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopRequest {
    token: CancellationToken,
    asked: Arc<Mutex<Option<Asked>>>,
}

#[derive(Debug)]
struct Asked {
    reason: StopReason,
    deadline: Moment,
    successor: Option<WorkerId>,
}

impl StopRequest {
    /// Asks; the first reason and deadline count. A successor may be named, or named anew, until the lease is given back;
    /// without one it is given to nobody.
    pub(crate) fn ask(&self, reason: StopReason, deadline: Moment, successor: Option<WorkerId>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *asked {
            Some(asked) => asked.successor = successor.or(asked.successor.take()),
            None => *asked = Some(Asked { reason, deadline, successor }),
        }
        drop(asked);
        self.token.cancel();
    }

    fn successor(&self) -> Option<WorkerId> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.successor.clone()
    }

    async fn asked(&self) -> (StopReason, Moment) {
        self.token.cancelled().await;
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.as_ref().map_or((StopReason::Shutdown, Moment::default()), |asked| (asked.reason, asked.deadline))
    }
}

/// One shard in one tenure.
pub(crate) struct ShardTask {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    shared: Arc<SharedTenure>,
    row: Lease,
    shard: ShardRef,
    tenure: Arc<ShardTenure>,
    machine: ShardMachine,
    metrics: ShardMetrics,
    stop: StopRequest,
    /// The stop request and the leader's request were passed on already.
    stop_heard: bool,
    hand_over_heard: bool,
    /// The reader and its account rest here between two fetches.
    reader: Option<(Box<dyn crate::ports::ShardReader>, super::budget::ShardBudget)>,
    io: Option<BoxFuture<'static, IoDone>>,
    farewell: Option<BoxFuture<'static, FarewellDone>>,
    canceller: Option<Canceller>,
    lost: Option<LeaseLostReason>,
    unflushed: Unflushed,
    /// What the end of the tenure left to be done.
    parted: Parted,
}

/// How a tenure ended, and what follows from it.
#[derive(Debug)]
pub(crate) struct TaskEnd {
    pub(crate) finish: Finish,
    pub(crate) parted: Parted,
}

/// What was completed since the last early write was asked for.
#[derive(Debug, Default)]
struct Unflushed {
    records: u64,
    bytes: u64,
}

/// Delays between attempts: of user code, and of fetches that fail.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(30) };

/// One batch may wait while the handler works on another.
const QUEUE: usize = 1;

impl ShardTask {
    pub(crate) fn new(
        context: Arc<Context>,
        keeper: LeaseKeeper,
        grant: Grant,
        shard: ShardRef,
        stop: StopRequest,
    ) -> Self {
        let Grant { shared, row } = grant;
        let tenure = Arc::new(ShardTenure {
            shard: shard.clone(),
            lease: row.key.clone(),
            worker: context.worker.clone(),
            epoch: shared.tenure.epoch,
            fencing_token: shared.token,
        });
        let settings = MachineSettings {
            parent_interval: context.settings.timings.inbox,
            backoff: RETRY,
            queue: QUEUE,
            hash_range: row.hash_range,
            corrupt_aggregates: context.settings.corrupt_aggregates,
        };
        let stored = row.checkpoint.record().cloned();
        let machine = ShardMachine::new(settings, stored, !row.parents.is_empty(), context.clock.now());
        let metrics = ShardMetrics::new(
            context.settings.application.as_str(),
            shard.stream().name().as_str(),
            shard.id().as_str(),
            context.worker.as_str(),
        );
        ShardTask {
            context,
            keeper,
            shared,
            row,
            shard,
            tenure,
            machine,
            metrics,
            stop,
            stop_heard: false,
            hand_over_heard: false,
            reader: None,
            io: None,
            farewell: None,
            canceller: None,
            lost: None,
            unflushed: Unflushed::default(),
            parted: Parted::default(),
        }
    }

    /// Runs the tenure to its end and tells the world how it ended.
    pub(crate) async fn run(mut self, reason: String) -> TaskEnd {
        let span = tracing::info_span!(
            "shard",
            stream = %self.shard.stream().name(),
            shard_id = %self.shard.id(),
            lease_key = %self.row.key,
            worker_id = %self.context.worker,
            epoch = %self.shared.tenure.epoch,
        );
        async move {
            tracing::info!(reason, checkpoint = %self.row.checkpoint, fencing_token = %self.shared.token, "lease gained");
            self.context.metrics.leases_gained.increment(1);
            self.context.send(&self.tenure, |tenure| WorkerEvent::LeaseGained { tenure, reason });
            let finish = self.drive().await;
            self.tell_finish(finish);
            TaskEnd { finish, parted: self.parted }
        }
        .instrument(span)
        .await
    }

    async fn drive(&mut self) -> Finish {
        let shard = ShardContext::new(
            self.shard.clone(),
            self.context.worker.clone(),
            self.shared.tenure.epoch,
            self.shared.token,
        );
        let mut user = UserCode::new(Arc::clone(&self.context), shard, self.keeper.clone(), Arc::clone(&self.shared));
        self.canceller = Some(user.canceller());
        loop {
            match self.poll_action() {
                Some(Action::Finished(finish)) => return finish,
                Some(Action::Initialize) => self.run_callback(user.initialize(), Self::initialized).await,
                Some(Action::Deliver { batch, attempt }) => {
                    self.metrics.deliveries.increment(1);
                    let started = self.context.clock.now();
                    let process = user.process(batch, attempt);
                    self.run_callback(process, |task, processed| task.processed(processed, started)).await;
                }
                Some(Action::CallShardEnded { attempt }) => {
                    self.run_callback(user.shard_ended(attempt), Self::shard_end_told).await;
                }
                Some(Action::CallShutdownRequested { deadline }) => {
                    if let Some(canceller) = &self.canceller {
                        canceller.renew();
                    }
                    self.run_callback(user.shutdown_requested(deadline), Self::shutdown_told).await;
                }
                Some(Action::CallLeaseLost) => {
                    let reason = self.lost.unwrap_or(LeaseLostReason::Taken);
                    self.run_callback(user.lease_lost(reason), Self::loss_told).await;
                }
                Some(other) => self.perform(other),
                None => self.wait().await,
            }
        }
    }

    /// The next action; a delivery is begun only while the tenure certainly lasts, whatever the lease keeper has noticed.
    fn poll_action(&mut self) -> Option<Action> {
        let now = self.context.clock.now();
        if self.lost.is_none() && now >= self.shared.deadline() && self.farewell.is_none() {
            self.lose(LeaseLostReason::Expired);
        }
        self.machine.poll_action(now)
    }

    /// Runs user code while everything else goes on. It is dropped when the machine says so.
    async fn run_callback<T>(&mut self, callback: impl Future<Output = T>, done: impl FnOnce(&mut Self, T)) {
        tokio::pin!(callback);
        loop {
            while let Some(action) = self.poll_action() {
                if let Action::CancelCallback = action {
                    self.machine.callback_cancelled();
                    return;
                }
                self.perform(action);
            }
            tokio::select! {
                // What ends the tenure comes before what user code completed.
                biased;
                () = self.wait() => {}
                output = &mut callback => {
                    done(self, output);
                    return;
                }
            }
        }
    }

    fn initialized(&mut self, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::warn!(error, "the processor could not be initialised; it is tried again");
        }
        self.machine.handle_initialized(result, self.context.clock.now(), self.context.random());
    }

    fn processed(&mut self, processed: Processed, started: Moment) {
        let now = self.context.clock.now();
        self.metrics.handler_time.record(now.since(started).as_secs_f64());
        match &processed {
            Processed::Completed | Processed::CutShort { .. } => {}
            Processed::Failed { error, .. } | Processed::Panicked { message: error } => {
                self.metrics.delivery_failures.increment(1);
                tracing::warn!(error, "processing failed; the records are delivered again");
            }
        }
        self.machine.handle_processed(processed, now, self.context.random());
    }

    fn shard_end_told(&mut self, result: Result<Result<(), String>, Panicked>) {
        let result = self.unpanic(result);
        self.machine.handle_shard_ended(result, self.context.clock.now(), self.context.random());
    }

    fn shutdown_told(&mut self, result: Result<Result<(), String>, Panicked>) {
        if let Err(error) = self.unpanic(result) {
            tracing::warn!(error, "shutdown_requested failed; the lease is given back all the same");
        }
        self.machine.handle_shutdown_requested();
    }

    fn loss_told(&mut self, result: Result<(), Panicked>) {
        if let Err(error) = self.unpanic(result.map(Ok)) {
            tracing::warn!(error, "lease_lost failed");
        }
        self.machine.handle_lease_lost_told();
    }

    fn unpanic(&mut self, result: Result<Result<(), String>, Panicked>) -> Result<(), String> {
        result.unwrap_or_else(|Panicked(message)| {
            self.machine.processor_lost();
            Err(format!("the processor panicked: {message}"))
        })
    }

    /// Does what needs no user code.
    fn perform(&mut self, action: Action) {
        match action {
            Action::Fetch => {
                let (reader, budget) = self.reader.take().unwrap_or_else(|| self.open());
                self.io = Some(shard_io::fetch(reader, budget));
            }
            Action::CheckParents => {
                self.io = Some(shard_io::check_parents(Arc::clone(&self.context), self.row.clone()));
            }
            Action::ProveEnd => {
                self.io = Some(shard_io::prove_end(Arc::clone(&self.context), self.shard.clone()));
            }
            Action::Progress { position, records, bytes } => self.progress(position, records, bytes),
            Action::Release => {
                self.io = None;
                self.farewell =
                    Some(shard_io::release(self.keeper.clone(), Arc::clone(&self.shared), self.stop.successor()));
            }
            Action::WriteEnd { children } => {
                let (context, keeper) = (Arc::clone(&self.context), self.keeper.clone());
                let (shared, row) = (Arc::clone(&self.shared), self.row.clone());
                self.farewell = Some(shard_io::write_end(context, keeper, shared, row, children));
            }
            Action::Report(report) => self.report(report),
            Action::Initialize
            | Action::Deliver { .. }
            | Action::CallShardEnded { .. }
            | Action::CallShutdownRequested { .. }
            | Action::CallLeaseLost
            | Action::CancelCallback
            | Action::Finished(_) => {
                debug_assert!(false, "the machine runs one callback at a time and finishes after the last");
            }
        }
    }

    fn open(&self) -> (Box<dyn crate::ports::ShardReader>, super::budget::ShardBudget) {
        let position = start_position(&self.row, self.context.wall());
        tracing::debug!(?position, "shard opened");
        (self.context.source.open(&self.shard, position), self.context.budget.shard())
    }

    fn progress(&mut self, position: RecordPosition, records: u64, bytes: u64) {
        self.metrics.records.increment(records);
        self.metrics.record_bytes.increment(bytes);
        self.shared.complete(position, bytes);
        self.unflushed.records += records;
        self.unflushed.bytes += bytes;
        let limits = self.context.settings.checkpoint;
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        if over(limits.max_records, self.unflushed.records) || over(limits.max_bytes, self.unflushed.bytes) {
            self.unflushed = Unflushed::default();
            self.keeper.flush_soon(&self.shared.tenure);
        }
    }

    fn report(&self, report: Report) {
        match report {
            Report::Stalled { what, attempts, error } => {
                tracing::error!(what, attempts, error, "shard stalled; it is tried again");
                self.metrics.stalled.set(1.0);
                self.context.send(&self.tenure, |tenure| WorkerEvent::ShardStalled { tenure, what, attempts, error });
            }
            Report::Recovered => {
                tracing::info!("shard advances again");
                self.metrics.stalled.set(0.0);
                self.context.send(&self.tenure, |tenure| WorkerEvent::ShardRecovered { tenure });
            }
            Report::OutsideShard { records } => {
                tracing::debug!(records, "user records of aggregates belong to another shard and are left out");
                self.metrics.outside_shard.increment(records);
            }
            Report::CorruptDelivered { error } => {
                tracing::warn!(error, "an aggregate that cannot be opened is delivered as it came");
                self.metrics.corrupt_aggregates.increment(1);
                self.context.send(&self.tenure, |tenure| WorkerEvent::CorruptAggregate { tenure, error });
            }
        }
    }

    /// Waits for one thing to happen and tells the machine. Cancel safe: what is under way stays in its slot.
    async fn wait(&mut self) {
        let context = Arc::clone(&self.context);
        let shared = Arc::clone(&self.shared);
        let lost = self.lost.is_some();
        let alarm = self.machine.poll_timeout();
        // While a farewell is under way the lease keeper decides when time is up; it answers in any case.
        let fence = (!lost && self.farewell.is_none()).then(|| shared.deadline());
        let alarm = alarm.into_iter().chain(fence).min();
        let now = || context.clock.now();
        tokio::select! {
            // The end of the tenure beats every other news.
            biased;
            () = context.abort.cancelled(), if !lost => self.lose(LeaseLostReason::Internal),
            () = shared.ended(), if !lost && self.farewell.is_none() => self.lose(shared.reason()),
            done = poll_slot(&mut self.farewell), if self.farewell.is_some() => self.farewell_done(done),
            (reason, deadline) = self.stop.asked(), if !self.stop_heard => {
                self.stop_heard = true;
                self.begin_stop(reason, deadline);
            }
            () = shared.asked_to_hand_over(), if !self.hand_over_heard => {
                self.hand_over_heard = true;
                self.begin_stop(StopReason::HandOver, now() + context.settings.timings.hand_off);
            }
            done = poll_slot(&mut self.io), if self.io.is_some() => self.io_done(done),
            () = sleep_until(&context, alarm), if alarm.is_some() => {}
            never = rest(&mut self.reader), if self.reader.is_some() => match never {},
        }
    }

    fn begin_stop(&mut self, reason: StopReason, deadline: Moment) {
        tracing::debug!(?reason, "draining");
        self.machine.stop(reason, deadline);
        if let Some(canceller) = &self.canceller {
            canceller.cancel();
        }
    }

    fn lose(&mut self, reason: LeaseLostReason) {
        self.shared.end(reason);
        self.lost = Some(reason);
        self.io = None;
        self.machine.lose();
        if let Some(canceller) = &self.canceller {
            canceller.cancel();
        }
    }

    fn farewell_done(&mut self, done: FarewellDone) {
        self.farewell = None;
        match done {
            FarewellDone::Written(parted) => {
                self.parted = parted;
                self.machine.handle_farewell_written();
            }
            FarewellDone::Lost(reason) => self.lose(reason),
            FarewellDone::NotPrepared(error) => {
                tracing::warn!(error, "the end of the shard could not be prepared; it is tried again");
                self.machine.handle_end_failed(error, self.context.clock.now(), self.context.random());
            }
        }
    }

    fn io_done(&mut self, done: IoDone) {
        self.io = None;
        let (now, random) = (self.context.clock.now(), self.context.random());
        match done {
            IoDone::Parents(result) => self.machine.handle_parents(result, now, random),
            IoDone::Proof(result) => self.machine.handle_proof(result, now, random),
            IoDone::Fetched { reader, budget, result } => {
                self.reader = Some((reader, budget));
                match result {
                    Ok(fetched) => {
                        if let Some(lag) = fetched.lag {
                            self.metrics.lag.set(lag.as_secs_f64());
                        }
                        self.machine.handle_fetched(fetched.batch, fetched.end, now);
                    }
                    Err(error) => {
                        self.metrics.fetch_failures.increment(1);
                        tracing::debug!(%error, "fetch failed; it is tried again");
                        self.machine.handle_fetch_failed(error.to_string(), now, random);
                    }
                }
            }
        }
    }

    fn tell_finish(&self, finish: Finish) {
        let released = |reason: LeaseReleasedReason| {
            tracing::info!(reason = reason.as_str(), "lease released");
            self.context.send(&self.tenure, |tenure| WorkerEvent::LeaseReleased { tenure, reason });
        };
        match finish {
            Finish::Ended => released(LeaseReleasedReason::ShardEnd),
            Finish::Released(StopReason::Shutdown) => released(LeaseReleasedReason::Shutdown),
            Finish::Released(StopReason::HandOver) => released(LeaseReleasedReason::HandOver),
            Finish::Lost => {
                let reason = self.lost.unwrap_or(LeaseLostReason::Taken);
                tracing::info!(reason = reason.as_str(), "lease lost");
                self.context.metrics.leases_lost.increment(1);
                self.context.send(&self.tenure, |tenure| WorkerEvent::LeaseLost { tenure, reason });
            }
        }
        self.metrics.stalled.set(0.0);
    }
}

/// Where reading starts: at what is stored, else at the lease's start.
fn start_position(row: &Lease, now: Timestamp) -> Position {
    match &row.checkpoint {
        Checkpoint::At(done) => Position::At(RecordPosition { sequence: done.sequence.clone(), sub: done.sub + 1 }),
        // Both were pinned when the row was made or when this tenure began; `now` is never needed for rows of ours.
        Checkpoint::Latest | Checkpoint::AtTimestamp => Position::AtTime(row.start.unwrap_or(now)),
        Checkpoint::TrimHorizon | Checkpoint::ShardEnd => Position::TrimHorizon,
    }
}

async fn poll_slot<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Lets a reader that is not asked for anything give up what it holds open.
async fn rest(reader: &mut Option<(Box<dyn crate::ports::ShardReader>, super::budget::ShardBudget)>) -> Infallible {
    match reader {
        Some((reader, _)) => reader.rest().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(context: &Context, moment: Option<Moment>) {
    if let Some(moment) = moment {
        context.clock.sleep_until(moment).await;
    }
}
