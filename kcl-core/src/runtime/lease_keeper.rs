//! The single writer of the leases this worker holds.
//!
//! One task owns all tenures: renewals, checkpoints and releases of one lease cannot race with each other, and between
//! workers the condition of each write decides. What to write when is decided by [`Holding`]; this file sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::tenure::SharedTenure;
use crate::error::WorkerError;
use crate::plan::holding::{Farewell, Holding, News, TenureEnd};
use crate::plan::transition::{self, LeaseWrite};
use crate::ports::{CheckpointError, LeaseLostReason};
use crate::types::{Backoff, CreateOutcome, Lease, LeaseKey, Moment, RecordPosition, Tenure, WorkerId, WriteOutcome};

/// A tenure that began, and the row that began it: its checkpoint is where reading starts.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) shared: Arc<SharedTenure>,
    pub(crate) row: Lease,
}

type FlushReply = oneshot::Sender<Result<Option<RecordPosition>, CheckpointError>>;

enum Command {
    Begin { key: LeaseKey, write: Box<LeaseWrite>, reply: oneshot::Sender<Result<Grant, String>> },
    Flush { tenure: Tenure, reply: Option<FlushReply> },
    Farewell { tenure: Tenure, farewell: Farewell, reply: oneshot::Sender<Result<(), LeaseLostReason>> },
    Learn { row: Box<Lease> },
}

/// A cheap handle on the lease keeper.
#[derive(Clone)]
pub(crate) struct LeaseKeeper {
    commands: mpsc::Sender<Command>,
}

/// The most commands that wait; those who ask wait with them.
const COMMANDS: usize = 256;

impl LeaseKeeper {
    /// The keeper and its task, which ends once the worker has `drained` and nothing is held or under way. Handles may
    /// outlive it: user code can keep a checkpointer for ever.
    pub(crate) fn new(
        context: Arc<Context>,
        drained: CancellationToken,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(COMMANDS);
        let keeper = Keeper {
            context,
            tenures: BTreeMap::new(),
            wake: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            beginning: BTreeMap::new(),
        };
        (LeaseKeeper { commands: sender }, keeper.run(receiver, drained))
    }

    /// Begins a tenure with this write. The error says in words why it did not begin.
    pub(crate) async fn begin(&self, key: LeaseKey, write: LeaseWrite) -> Result<Grant, String> {
        let (reply, answer) = oneshot::channel();
        let gone = || "the worker ends".to_owned();
        self.commands.send(Command::Begin { key, write: Box::new(write), reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Stores what is completed without waiting for the renewal, and returns once it is stored.
    pub(crate) async fn flush(&self, shared: &SharedTenure) -> Result<Option<RecordPosition>, CheckpointError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Flush { tenure: shared.tenure.clone(), reply: Some(reply) };
        if self.commands.send(command).await.is_err() {
            return Err(CheckpointError::LeaseLost(shared.reason()));
        }
        answer.await.unwrap_or(Err(CheckpointError::LeaseLost(shared.reason())))
    }

    /// Asks for an early write and does not wait. If the keeper is busy the renewal stores it.
    pub(crate) fn flush_soon(&self, tenure: &Tenure) {
        let _the_renewal_will_do = self.commands.try_send(Command::Flush { tenure: tenure.clone(), reply: None });
    }

    /// Passes on a row that was read and that names this worker as the one who should hand over: its shard task hears of it
    /// before a renewal fails on it. A row that says nothing new is ignored.
    pub(crate) async fn learn(&self, row: Lease) {
        let _the_worker_ends = self.commands.send(Command::Learn { row: Box::new(row) }).await;
    }

    /// Ends a tenure, with everything that is completed stored in the same write.
    pub(crate) async fn farewell(&self, shared: &SharedTenure, farewell: Farewell) -> Result<(), LeaseLostReason> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Farewell { tenure: shared.tenure.clone(), farewell, reply };
        if self.commands.send(command).await.is_err() {
            return Err(shared.reason());
        }
        answer.await.unwrap_or_else(|_| Err(shared.reason()))
    }
}

struct Held {
    holding: Holding,
    shared: Arc<SharedTenure>,
    scheduled: Moment,
    flushes: Vec<(Option<RecordPosition>, FlushReply)>,
    farewell: Option<oneshot::Sender<Result<(), LeaseLostReason>>>,
}

struct Beginning {
    sent: Moment,
    reply: oneshot::Sender<Result<Grant, String>>,
}

enum Answer {
    Begun { key: LeaseKey, outcome: WriteOutcome },
    Written { tenure: Tenure, outcome: WriteOutcome },
    Restored { last: Lease, failures: u32, outcome: CreateOutcome },
    Noticed,
}

struct Keeper {
    context: Arc<Context>,
    tenures: BTreeMap<LeaseKey, Held>,
    /// When each tenure wants to be looked at again.
    wake: BTreeSet<(Moment, LeaseKey)>,
    under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    beginning: BTreeMap<LeaseKey, Beginning>,
}

impl Keeper {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, drained: CancellationToken) {
        let context = Arc::clone(&self.context);
        let mut open = true;
        while open || !self.under_way.is_empty() || !self.tenures.is_empty() {
            let next = self.wake.first().map(|(moment, _)| *moment);
            tokio::select! {
                // Answers first: they free a lease for its next write. Then time, which may have run out for a tenure.
                // New wishes last.
                biased;
                () = context.abort.cancelled() => return,
                Some(answer) = self.under_way.next(), if !self.under_way.is_empty() => self.handle_answer(answer),
                () = sleep_until(&context, next), if next.is_some() => self.handle_time(),
                Some(command) = commands.recv(), if open => self.handle_command(command),
                () = drained.cancelled(), if open => {
                    open = false;
                    self.visit_all();
                }
            }
        }
    }

    fn handle_command(&mut self, command: Command) {
        let now = self.context.clock.now();
        match command {
            Command::Begin { key, write, reply } => self.begin(key, write, reply, now),
            Command::Flush { tenure, reply } => self.flush(&tenure, reply, now),
            Command::Farewell { tenure, farewell, reply } => match self.current(&tenure) {
                Some(held) => {
                    held.holding.bid_farewell(farewell, now);
                    held.farewell = Some(reply);
                    self.visit(&tenure.lease, now);
                }
                None => drop(reply),
            },
            Command::Learn { row } => self.learn(*row, now),
        }
    }

    fn learn(&mut self, row: Lease, now: Moment) {
        let key = row.key.clone();
        let Some(held) = self.tenures.get_mut(&key) else { return };
        for news in held.holding.learn(row, now) {
            self.handle_news(&key, news);
        }
        self.visit(&key, now);
    }

    fn current(&mut self, tenure: &Tenure) -> Option<&mut Held> {
        self.tenures.get_mut(&tenure.lease).filter(|held| held.shared.tenure == *tenure)
    }

    fn begin(
        &mut self,
        key: LeaseKey,
        write: Box<LeaseWrite>,
        reply: oneshot::Sender<Result<Grant, String>>,
        now: Moment,
    ) {
        if self.tenures.get(&key).is_some_and(|held| held.shared.is_ended()) {
            self.visit(&key, now);
        }
        if self.tenures.contains_key(&key) || self.beginning.contains_key(&key) {
            let _nobody_waits = reply.send(Err("it is held already".into()));
            return;
        }
        self.beginning.insert(key.clone(), Beginning { sent: now, reply });
        let context = Arc::clone(&self.context);
        self.under_way.push(Box::pin(async move {
            let outcome = context.attempt(context.leases.update(&key, &write.condition, &write.change)).await;
            Answer::Begun { key, outcome }
        }));
    }

    fn flush(&mut self, tenure: &Tenure, reply: Option<FlushReply>, now: Moment) {
        let Some(held) = self.current(tenure) else { return };
        if let Some(position) = held.shared.take_completed() {
            held.holding.complete(position);
        }
        let waits = held.holding.flush(now);
        if let Some(reply) = reply {
            held.flushes.push((held.holding.completed().cloned(), reply));
        }
        if waits {
            self.visit(&tenure.lease, now);
        } else {
            held.answer_flushes();
        }
    }

    fn handle_answer(&mut self, answer: Answer) {
        let now = self.context.clock.now();
        match answer {
            Answer::Begun { key, outcome } => self.begun(key, outcome, now),
            Answer::Restored { last, failures, outcome } => self.restored(last, failures, outcome),
            Answer::Noticed => {}
            Answer::Written { tenure, outcome } => {
                if matches!(outcome, WriteOutcome::Refused(_) | WriteOutcome::Unknown(_)) {
                    self.context.metrics.lease_write_failures.increment(1);
                    tracing::debug!(lease_key = %tenure.lease, ?outcome, "lease write not confirmed");
                }
                let random = self.context.random();
                // An answer to a write of a tenure that ended meanwhile changes nothing.
                let Some(held) = self.current(&tenure) else { return };
                let news = held.holding.answer(outcome, now, random);
                held.shared.set_deadline(held.holding.deadline());
                for news in news {
                    self.handle_news(&tenure.lease, news);
                }
                self.visit(&tenure.lease, now);
            }
        }
    }

    fn begun(&mut self, key: LeaseKey, outcome: WriteOutcome, now: Moment) {
        let Some(Beginning { sent, reply }) = self.beginning.remove(&key) else { return };
        let row = match outcome {
            WriteOutcome::Applied(row) => row,
            // Whatever the row says now: a conflict never begins a tenure, and neither does an answer that did not come.
            // The next look at the table shows whether the row names us, and then it is adopted.
            WriteOutcome::Conflict(row) => {
                let holder = row.holder().map_or("nobody", |holder| holder.as_str()).to_owned();
                let _nobody_waits = reply.send(Err(format!("it changed meanwhile, holder {holder}")));
                return;
            }
            other => {
                if let WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) = &other
                    && !error.is_retryable()
                {
                    self.context.fail(WorkerError::store("taking a lease", error.clone()));
                }
                let _nobody_waits = reply.send(Err(format!("{other:?}")));
                return;
            }
        };
        let timings = self.context.settings.timings;
        let interval = self.context.settings.checkpoint.interval;
        let spread = self.context.random_fraction();
        let holding = Holding::begin(self.context.worker.clone(), row.clone(), sent, timings, interval, spread);
        let shared = SharedTenure::new(holding.tenure(), holding.token(), holding.deadline());
        let scheduled = holding.wake_at();
        let held = Held { holding, shared: Arc::clone(&shared), scheduled, flushes: Vec::new(), farewell: None };
        self.wake.insert((scheduled, key.clone()));
        self.tenures.insert(key.clone(), held);
        self.count();
        if reply.send(Ok(Grant { shared, row })).is_err()
            && let Some(held) = self.tenures.get_mut(&key)
        {
            // Who asked for it is gone; give it back rather than hold what nobody reads.
            held.holding.bid_farewell(Farewell::Release, now);
        }
        self.visit(&key, now);
    }

    /// After the last shard task nothing is worked on: what they gave up is forgotten at once.
    fn visit_all(&mut self) {
        let now = self.context.clock.now();
        for key in self.tenures.keys().cloned().collect::<Vec<_>>() {
            self.visit(&key, now);
        }
    }

    fn handle_time(&mut self) {
        let now = self.context.clock.now();
        while let Some((_, key)) = self.wake.first().filter(|(moment, _)| *moment <= now).cloned() {
            self.visit(&key, now);
        }
    }

    /// Sends what is due for a lease, ends its tenure if the time is over, and notes when to look again.
    fn visit(&mut self, key: &LeaseKey, now: Moment) {
        let Some(held) = self.tenures.get_mut(key) else { return };
        // The shard task looks at the deadline too, and may have given up the tenure a moment before an answer came that
        // would have prolonged it. Nobody works under it any more, so it must not be renewed: the shard would be leased
        // and not read. The row still names us, and is adopted with the next look at the table.
        if held.shared.is_ended() {
            let reason = held.shared.reason();
            self.forget(key, Some(reason));
            return;
        }
        if let Some(position) = held.shared.take_completed() {
            held.holding.complete(position);
        }
        if let Some(news) = held.holding.check(now) {
            self.handle_news(key, news);
            return;
        }
        if let Some(write) = held.holding.write(now) {
            let tenure = held.shared.tenure.clone();
            let context = Arc::clone(&self.context);
            self.under_way.push(Box::pin(async move {
                let outcome = context.attempt(context.leases.update(&tenure.lease, &write.condition, &write.change));
                let outcome = outcome.await;
                Answer::Written { tenure, outcome }
            }));
        }
        let next = held.holding.wake_at();
        self.wake.remove(&(held.scheduled, key.clone()));
        held.scheduled = next;
        self.wake.insert((next, key.clone()));
    }

    fn handle_news(&mut self, key: &LeaseKey, news: News) {
        let Some(held) = self.tenures.get_mut(key) else { return };
        match news {
            News::Stored(checkpoint) => {
                self.context.metrics.checkpoints.increment(1);
                tracing::debug!(lease_key = %key, epoch = %held.shared.tenure.epoch, %checkpoint, "checkpoint stored");
                held.answer_flushes();
            }
            News::HandOverAsked => held.shared.ask_to_hand_over(),
            News::Gone { successor } => {
                self.forget(key, None);
                self.under_way.extend(successor.map(|to| notice(Arc::clone(&self.context), to, key.clone())));
            }
            News::Ended(end) => {
                let last = (end == TenureEnd::RowMissing).then(|| held.holding.row().clone());
                self.forget(key, Some(lost_reason(end)));
                if let Some(last) = last {
                    self.restore(last, 0);
                }
            }
            News::Broken(error) => {
                tracing::error!(lease_key = %key, %error, "lease cannot be written");
                self.context.fail(WorkerError::store("renewing a lease", error));
            }
        }
    }

    /// Somebody deleted the row. Without it nobody would read the shard, and a row made from the listing would begin at the
    /// start: only its holder knows the position, so it makes the row again. If another worker has made one meanwhile, that
    /// one stays.
    fn restore(&mut self, last: Lease, failures: u32) {
        let context = Arc::clone(&self.context);
        let attempt = context.settings.timings.attempt;
        let backoff = Backoff { first: attempt, most: 10 * attempt };
        let delay = if failures == 0 { Duration::ZERO } else { backoff.delay(failures, context.random()) };
        self.under_way.push(Box::pin(async move {
            context.clock.sleep_until(context.clock.now() + delay).await;
            let row = transition::restored(&last, context.creation_counter());
            tracing::warn!(lease_key = %row.key, checkpoint = %row.checkpoint, "a lease row was deleted; it is made again");
            let outcome = context.within_attempt(context.leases.create(&row)).await;
            let outcome = outcome.unwrap_or_else(|| CreateOutcome::Unknown(context.no_answer()));
            Answer::Restored { last, failures, outcome }
        }));
    }

    fn restored(&mut self, last: Lease, failures: u32, outcome: CreateOutcome) {
        let error = match outcome {
            CreateOutcome::Created | CreateOutcome::Exists => return,
            CreateOutcome::Refused(error) | CreateOutcome::Unknown(error) => error,
        };
        if !error.is_retryable() {
            self.context.fail(WorkerError::store("making a deleted lease row again", error));
        } else if self.context.stop.is_cancelled() {
            // A worker that stops does not wait for a store that is away; a later start makes the row from the listing.
            tracing::error!(lease_key = %last.key, checkpoint = %last.checkpoint, %error, "a deleted lease row was not made again");
        } else {
            tracing::warn!(lease_key = %last.key, %error, "the row is not made again yet; it is tried again");
            self.restore(last, failures + 1);
        }
    }

    fn forget(&mut self, key: &LeaseKey, lost: Option<LeaseLostReason>) {
        let Some(mut held) = self.tenures.remove(key) else { return };
        self.wake.remove(&(held.scheduled, key.clone()));
        match lost {
            Some(reason) => held.shared.end(reason),
            None => {
                // What waits for a checkpoint was stored by the same write.
                held.answer_all_flushes();
                held.shared.close();
            }
        }
        if let Some(reply) = held.farewell.take() {
            let _nobody_waits = reply.send(lost.map_or(Ok(()), Err));
        }
        for (_, reply) in held.flushes.drain(..) {
            let _nobody_waits = reply.send(Err(CheckpointError::LeaseLost(held.shared.reason())));
        }
        self.count();
    }

    fn count(&self) {
        self.context.metrics.leases.set(self.tenures.len() as f64);
    }
}

impl Held {
    /// Answers those who waited for a position that is stored now.
    fn answer_flushes(&mut self) {
        let stored = self.holding.row().checkpoint.record().cloned();
        let (done, waiting): (Vec<_>, Vec<_>) = self.flushes.drain(..).partition(|(position, _)| *position <= stored);
        self.flushes = waiting;
        for (_, reply) in done {
            let _nobody_waits = reply.send(Ok(stored.clone()));
        }
    }

    fn answer_all_flushes(&mut self) {
        for (position, reply) in self.flushes.drain(..) {
            let _nobody_waits = reply.send(Ok(position));
        }
    }
}

/// Puts a lease into the inbox of the worker that its row names now, so that it begins at once. Only a hint: whoever misses
/// it finds the row in the index, or the leader does.
fn notice(context: Arc<Context>, to: WorkerId, key: LeaseKey) -> BoxFuture<'static, Answer> {
    let notice = async move {
        let backoff = Backoff { first: context.settings.timings.attempt / 5, most: context.settings.timings.attempt };
        for failures in 1..=NOTICES {
            match context.attempt(context.fleet.notify(&to, &key)).await {
                WriteOutcome::Applied(_) => break,
                WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) if error.is_retryable() => {
                    tracing::debug!(lease_key = %key, worker_id = %to, %error, "the successor was not told yet");
                    let pause = backoff.delay(failures, context.random());
                    context.clock.sleep_until(context.clock.now() + pause).await;
                }
                other => {
                    tracing::debug!(lease_key = %key, worker_id = %to, outcome = ?other, "the successor has no inbox");
                    break;
                }
            }
        }
        Answer::Noticed
    };
    Box::pin(notice)
}

/// How often a notice is tried.
const NOTICES: u32 = 3;

async fn sleep_until(context: &Context, moment: Option<Moment>) {
    if let Some(moment) = moment {
        context.clock.sleep_until(moment).await;
    }
}

fn lost_reason(end: TenureEnd) -> LeaseLostReason {
    match end {
        TenureEnd::Expired => LeaseLostReason::Expired,
        TenureEnd::Taken => LeaseLostReason::Taken,
        TenureEnd::RowMissing => LeaseLostReason::RowMissing,
        TenureEnd::RowUnreadable => LeaseLostReason::RowUnreadable,
    }
}
