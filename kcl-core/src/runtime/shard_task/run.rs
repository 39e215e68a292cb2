//! Drives one [`ShardMachine`]: one event in, one call. What to do is the machine's business.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::super::budget::ShardBudget;
use super::super::callback::{Canceller, Panicked, UserCode};
use super::super::context::Context;
use super::super::lease_keeper::Parted;
use super::super::watch::Run;
use super::Tenancy;
use super::io::{FarewellDone, IoDone};
use crate::ports::{LeaseLostReason, ShardContext, ShardReader};
use crate::shard::machine::{Action, Finish, MachineSettings, Processed, ShardMachine};
use crate::types::{Backoff, Lease, Moment};

/// One shard in one tenure, from a start of its task to the next.
pub(super) struct ShardRun {
    pub(super) context: Arc<Context>,
    pub(super) tenancy: Arc<Tenancy>,
    /// The row, with the position at which this run begins.
    pub(super) row: Arc<Lease>,
    pub(super) machine: ShardMachine,
    /// How the watchdog reaches this run.
    pub(super) tokens: Run,
    /// Requests that were passed on already: the assigner's, the leader's, the watchdog's.
    pub(super) stop_heard: bool,
    pub(super) hand_over_heard: bool,
    pub(super) restart_heard: bool,
    /// The reader and its account rest here between two fetches.
    pub(super) reader: Option<(Box<dyn ShardReader>, ShardBudget)>,
    pub(super) io: Option<BoxFuture<'static, IoDone>>,
    pub(super) farewell: Option<BoxFuture<'static, FarewellDone>>,
    pub(super) canceller: Option<Canceller>,
    pub(super) lost: Option<LeaseLostReason>,
    pub(super) unflushed: Unflushed,
    /// What the end of the tenure left to be done.
    pub(super) parted: Parted,
}

/// How a run ended.
pub(super) struct RunEnd {
    pub(super) finish: Finish,
    pub(super) lost: Option<LeaseLostReason>,
    pub(super) parted: Parted,
}

/// What was completed since the last early write was asked for.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    pub(super) records: u64,
    pub(super) bytes: u64,
}

/// Delays between attempts: of user code, and of fetches that fail.
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(30) };

/// One batch may wait while the handler works on another.
const QUEUE: usize = 1;

impl ShardRun {
    pub(super) fn new(tenancy: Arc<Tenancy>, row: Arc<Lease>) -> Self {
        let context = Arc::clone(&tenancy.context);
        let settings = MachineSettings {
            parent_interval: context.settings.timings.inbox,
            backoff: RETRY,
            // As often as the lease is renewed, which the table takes when it is back.
            table_backoff: Backoff { most: context.settings.timings.renewal, ..RETRY },
            queue: QUEUE,
            hash_range: row.hash_range,
            corrupt_aggregates: context.settings.corrupt_aggregates,
        };
        let now = context.clock.now();
        let stored = row.checkpoint.record().cloned();
        let machine = ShardMachine::new(settings, stored, !row.parents.is_empty(), now);
        ShardRun {
            tokens: tenancy.watch.begin(now),
            context,
            tenancy,
            row,
            machine,
            stop_heard: false,
            hand_over_heard: false,
            restart_heard: false,
            reader: None,
            io: None,
            farewell: None,
            canceller: None,
            lost: None,
            unflushed: Unflushed::default(),
            parted: Parted::default(),
        }
    }

    /// Runs until the tenure ends, or until it is to begin anew. It lives on the heap, as do the callbacks below: a future has
    /// room for what it is given twice, and every idle shard has one.
    pub(super) async fn run(mut self: Box<Self>) -> RunEnd {
        let finish = self.drive().await;
        RunEnd { finish, lost: self.lost, parted: self.parted }
    }

    async fn drive(&mut self) -> Finish {
        let shard = ShardContext::new(
            self.tenancy.shard.clone(),
            self.context.worker.clone(),
            self.tenancy.shared.tenure.epoch,
            self.tenancy.shared.token,
        );
        let mut user = UserCode::new(
            Arc::clone(&self.context),
            shard,
            self.tenancy.keeper.clone(),
            Arc::clone(&self.tenancy.shared),
        );
        self.canceller = Some(user.canceller());
        loop {
            match self.poll_action() {
                Some(Action::Finished(finish)) => return finish,
                Some(Action::Initialize) => self.run_callback(Box::pin(user.initialize()), Self::initialized).await,
                Some(Action::Deliver { batch, attempt }) => {
                    self.tenancy.watch.metrics.deliveries.increment(1);
                    let started = self.context.clock.now();
                    let process = Box::pin(user.process(batch, attempt));
                    self.run_callback(process, |task, processed| task.processed(processed, started)).await;
                }
                Some(Action::CallShardEnded { attempt }) => {
                    self.run_callback(Box::pin(user.shard_ended(attempt)), Self::shard_end_told).await;
                }
                Some(Action::CallShutdownRequested { deadline }) => {
                    if let Some(canceller) = &self.canceller {
                        canceller.renew();
                    }
                    self.run_callback(Box::pin(user.shutdown_requested(deadline)), Self::shutdown_told).await;
                }
                Some(Action::CallLeaseLost) => {
                    let reason = self.lost.unwrap_or(LeaseLostReason::Taken);
                    self.run_callback(Box::pin(user.lease_lost(reason)), Self::loss_told).await;
                }
                Some(other) => self.perform(other),
                None => self.wait().await,
            }
        }
    }

    /// The next action; a delivery is begun only while the tenure certainly lasts, whatever the lease keeper has noticed.
    fn poll_action(&mut self) -> Option<Action> {
        let now = self.context.clock.now();
        if self.lost.is_none() && now >= self.tenancy.shared.deadline() && self.farewell.is_none() {
            self.lose(LeaseLostReason::Expired);
        }
        self.machine.poll_action(now)
    }

    /// Runs user code while everything else goes on. It is dropped when the machine says so.
    async fn run_callback<T>(&mut self, callback: Pin<Box<impl Future<Output = T>>>, done: impl FnOnce(&mut Self, T)) {
        self.tenancy.watch.handler(Some(self.context.clock.now()));
        let output = self.poll_callback(callback).await;
        self.tenancy.watch.handler(None);
        match output {
            Some(output) => done(self, output),
            None => self.machine.callback_cancelled(),
        }
    }

    /// `None` if the machine wanted it dropped.
    async fn poll_callback<T>(&mut self, mut callback: Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        loop {
            while let Some(action) = self.poll_action() {
                if let Action::CancelCallback = action {
                    return None;
                }
                self.perform(action);
            }
            tokio::select! {
                // What ends the tenure comes before what user code completed.
                biased;
                () = self.wait() => {}
                output = &mut callback => return Some(output),
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
        self.tenancy.watch.processed();
        self.tenancy.watch.metrics.handler_time.record(now.since(started).as_secs_f64());
        match &processed {
            Processed::Completed | Processed::CutShort { .. } => {}
            Processed::Failed { error, .. } | Processed::Panicked { message: error } => {
                self.tenancy.watch.metrics.delivery_failures.increment(1);
                tracing::warn!(error, "processing failed; the records are delivered again");
            }
        }
        self.machine.handle_processed(processed, now, self.context.random());
    }

    fn shard_end_told(&mut self, result: Result<Result<(), String>, Panicked>) {
        self.tenancy.watch.processed();
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
}
