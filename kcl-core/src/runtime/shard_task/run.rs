//! Drives one [`ShardMachine`]: one event in, one call. What to do is the machine's business.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::super::budget::ShardBudget;
use super::super::callback::{Panicked, UserCode};
use super::super::context::Context;
use super::super::lease_keeper::Parted;
use super::super::orders::Heard;
use super::Tenancy;
use super::io::{FarewellDone, IoDone};
use crate::metric_definitions::DELIVERY_FAILURES;
use crate::ports::{LeaseLostReason, ShardReader};
use crate::settings::EffectiveSettings;
use crate::shard::kept::Kept;
use crate::shard::machine::{Action, Finish, MachineSettings, Processed, ShardMachine, Start};
use crate::types::{Backoff, Moment};

/// One shard in one tenure, from a start of its task to the next.
pub(super) struct ShardRun {
    pub(super) context: Arc<Context>,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) machine: ShardMachine,
    /// When the task woke up last, or user code returned. What is done at once is done then: a look at the clock for each
    /// step would cost more than the steps.
    pub(super) now: Moment,
    pub(super) kept: Kept,
    /// Orders that were passed on already.
    pub(super) heard: Heard,
    /// The reader and its account rest here between two fetches.
    pub(super) reader: Option<(Box<dyn ShardReader>, ShardBudget)>,
    pub(super) io: Option<BoxFuture<'static, IoDone>>,
    pub(super) farewell: Option<BoxFuture<'static, FarewellDone>>,
    pub(super) alarm: Option<Alarm>,
    /// What calls into user code are given. Made for the first one: most idle shards never come to it.
    pub(super) cancelled: Option<CancellationToken>,
    /// Since when a parent has been missing that should have a row.
    pub(super) parents_missing: Option<Moment>,
    pub(super) lost: Option<LeaseLostReason>,
    pub(super) unflushed: Unflushed,
    /// What the end of the tenure left to be done.
    pub(super) parted: Parted,
}

/// Wakes the task up.
pub(super) struct Alarm {
    pub(super) at: Moment,
    pub(super) sleep: BoxFuture<'static, ()>,
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

/// What the machines of all shards of a worker with these settings work with.
pub(crate) fn machine_settings(settings: &EffectiveSettings) -> MachineSettings {
    MachineSettings {
        parent_interval: settings.timings.inbox,
        backoff: RETRY,
        // As often as the lease is renewed, which the table takes when it is back.
        table_backoff: Backoff { most: settings.timings.renewal, ..RETRY },
        queue: QUEUE,
        corrupt_aggregates: settings.corrupt_aggregates,
    }
}

impl ShardRun {
    pub(super) fn new(tenancy: Arc<Tenancy>) -> Self {
        let context = Arc::clone(&tenancy.context);
        let row = tenancy.shared.row();
        let now = context.clock.now();
        let start = Start {
            stored: tenancy.shared.checkpoint().record().cloned(),
            hash_range: row.hash_range,
            has_parents: !row.parents.is_empty(),
        };
        let machine = ShardMachine::new(Arc::clone(&context.machine), start, now);
        tenancy.watch.begin(now);
        let kept = Kept::resumed(tenancy.shared.tip(), row.tip, context.wall(), now);
        ShardRun {
            context,
            tenancy,
            machine,
            now,
            kept,
            heard: Heard::default(),
            reader: None,
            io: None,
            farewell: None,
            alarm: None,
            cancelled: None,
            parents_missing: None,
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
        let Tenancy { context, keeper, shared, watch, .. } = &*self.tenancy;
        let mut user = UserCode::new(context, keeper, shared, &watch.tenure);
        loop {
            match self.poll_action() {
                Some(Action::Finished(finish)) => return finish,
                Some(Action::Initialize) => Box::pin(self.run_callback(user.initialize(), Self::initialized)).await,
                Some(Action::Deliver { batch, attempt }) => {
                    self.tenancy.watch.metrics.deliveries.increment(1);
                    // To open aggregates may have taken a while.
                    self.now = self.context.clock.now();
                    let started = self.now;
                    let process = user.process(batch, attempt, self.cancelled());
                    Box::pin(self.run_callback(process, |run, processed| run.processed(processed, started))).await;
                }
                Some(Action::CallShardEnded { attempt }) => {
                    let call = user.shard_ended(attempt, self.cancelled());
                    Box::pin(self.run_callback(call, Self::shard_end_told)).await;
                }
                Some(Action::CallShutdownRequested { deadline }) => {
                    // The call that flushes at the end must not find itself cancelled.
                    let fresh = self.cancelled.insert(CancellationToken::new());
                    let call = user.shutdown_requested(deadline, fresh);
                    Box::pin(self.run_callback(call, Self::shutdown_told)).await;
                }
                Some(Action::CallLeaseLost) => {
                    let reason = self.lost.unwrap_or(LeaseLostReason::Taken);
                    Box::pin(self.run_callback(user.lease_lost(reason), Self::loss_told)).await;
                }
                Some(other) => self.perform(other),
                None => self.wait().await,
            }
        }
    }

    /// What tells a call into user code to come to an end.
    fn cancelled(&mut self) -> &CancellationToken {
        let ending = self.is_ending();
        let token = self.cancelled.get_or_insert_default();
        if ending {
            token.cancel();
        }
        token
    }

    /// The next action; a delivery is begun only while the tenure certainly lasts, whatever the lease keeper has noticed.
    fn poll_action(&mut self) -> Option<Action> {
        if self.lost.is_none() && self.now >= self.tenancy.shared.deadline() && self.farewell.is_none() {
            self.lose(LeaseLostReason::Expired);
        }
        self.machine.poll_action(self.now)
    }

    /// Runs user code while everything else goes on. It is dropped when the machine says so.
    async fn run_callback<T>(&mut self, callback: impl Future<Output = T>, done: impl FnOnce(&mut Self, T)) {
        self.tenancy.watch.handler(Some(self.now));
        let output = self.poll_callback(pin!(callback)).await;
        self.tenancy.watch.handler(None);
        match output {
            Some(output) => done(self, output),
            None => self.machine.callback_cancelled(),
        }
    }

    /// `None` if the machine wanted it dropped.
    async fn poll_callback<T>(&mut self, mut callback: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        loop {
            while let Some(action) = self.poll_action() {
                if let Action::CancelCallback = action {
                    return None;
                }
                self.perform(action);
            }
            let output = self.wait_beside(callback.as_mut()).await;
            if output.is_some() {
                return output;
            }
        }
    }

    fn initialized(&mut self, result: Result<(), String>) {
        if let Err(error) = &result {
            tracing::warn!(error, "the processor could not be initialised; it is tried again");
        }
        self.machine.handle_initialized(result, self.now, self.context.random());
    }

    fn processed(&mut self, processed: Processed, started: Moment) {
        self.tenancy.watch.processed();
        self.tenancy.watch.metrics.handler_time.record(self.now.since(started).as_secs_f64());
        match &processed {
            Processed::Completed | Processed::CutShort { .. } => {}
            Processed::Failed { error, .. } | Processed::Panicked { message: error } => {
                self.tenancy.count(DELIVERY_FAILURES, 1);
                tracing::warn!(error, "processing failed; the records are delivered again");
            }
        }
        self.machine.handle_processed(processed, self.now, self.context.random());
    }

    fn shard_end_told(&mut self, result: Result<Result<(), String>, Panicked>) {
        self.tenancy.watch.processed();
        let result = self.unpanic(result);
        self.machine.handle_shard_ended(result, self.now, self.context.random());
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
