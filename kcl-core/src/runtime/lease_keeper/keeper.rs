//! The task that owns all tenures of this worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::context::Context;
use super::super::tenure::SharedTenure;
use super::send::{self, Answer};
use super::{BeginReply, Command, FarewellReply, FlushReply, Grant, Parted};
use crate::error::WorkerError;
use crate::plan::holding::{EndOutcome, Farewell, Holding, News, Parting, TenureEnd};
use crate::plan::transition::LeaseWrite;
use crate::ports::{CheckpointError, LeaseLostReason};
use crate::types::{CreateOutcome, Lease, LeaseKey, Moment, RecordPosition, Tenure, WriteOutcome};

struct Held {
    holding: Holding,
    shared: Arc<SharedTenure>,
    scheduled: Moment,
    flushes: Vec<(Option<RecordPosition>, FlushReply)>,
    farewell: Option<FarewellReply>,
}

struct Beginning {
    sent: Moment,
    reply: BeginReply,
}

pub(super) struct Keeper {
    context: Arc<Context>,
    tenures: BTreeMap<LeaseKey, Held>,
    /// When each tenure wants to be looked at again.
    wake: BTreeSet<(Moment, LeaseKey)>,
    under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    beginning: BTreeMap<LeaseKey, Beginning>,
}

impl Keeper {
    pub(super) fn new(context: Arc<Context>) -> Self {
        Keeper {
            context,
            tenures: BTreeMap::new(),
            wake: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            beginning: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, drained: CancellationToken) {
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
            Command::Farewell { tenure, farewell, reply } => self.bid_farewell(&tenure, farewell, reply, now),
            Command::Learn { row } => self.learn(*row, now),
        }
    }

    fn bid_farewell(&mut self, tenure: &Tenure, mut farewell: Farewell, reply: FarewellReply, now: Moment) {
        if let Farewell::ShardEnd(ending) = &mut farewell {
            ending.own(&self.context.worker, self.room_after(&tenure.lease));
        }
        let Some(held) = self.current(tenure) else { return };
        held.holding.bid_farewell(farewell, now);
        held.farewell = Some(reply);
        self.visit(&tenure.lease, now);
    }

    /// How many leases this worker may hold once it holds this one no more.
    fn room_after(&self, gone: &LeaseKey) -> usize {
        let Some(most) = self.context.settings.max_leases else { return usize::MAX };
        let others = self.tenures.iter().filter(|(key, _)| *key != gone);
        let held: usize = others.map(|(_, held)| 1 + held.holding.promised()).sum();
        most.saturating_sub(held + self.beginning.len())
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

    fn begin(&mut self, key: LeaseKey, write: Box<LeaseWrite>, reply: BeginReply, now: Moment) {
        if self.tenures.get(&key).is_some_and(|held| held.shared.is_ended()) {
            self.visit(&key, now);
        }
        if self.tenures.contains_key(&key) || self.beginning.contains_key(&key) {
            let _nobody_waits = reply.send(Err("it is held already".into()));
            return;
        }
        self.beginning.insert(key.clone(), Beginning { sent: now, reply });
        self.under_way.push(send::begin(Arc::clone(&self.context), key, write));
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
            Answer::Written { tenure, outcome } => self.written(&tenure, outcome, now),
            Answer::Ended { tenure, outcome: EndOutcome::Settled(outcome) } => {
                let random = self.note_outcome(&tenure, &outcome);
                let outcome = EndOutcome::Settled(outcome);
                self.take_in(&tenure, now, |holding| holding.answer_end(outcome, now, random));
            }
            Answer::Ended { tenure, outcome } => {
                let random = self.context.random();
                self.take_in(&tenure, now, |holding| holding.answer_end(outcome, now, random));
            }
        }
    }

    fn written(&mut self, tenure: &Tenure, outcome: WriteOutcome, now: Moment) {
        let random = self.note_outcome(tenure, &outcome);
        self.take_in(tenure, now, |holding| holding.answer(outcome, now, random));
    }

    /// Counts a write that was not confirmed; yields what spreads its repetition.
    fn note_outcome(&self, tenure: &Tenure, outcome: &WriteOutcome) -> u64 {
        if matches!(outcome, WriteOutcome::Refused(_) | WriteOutcome::Unknown(_)) {
            self.context.metrics.lease_write_failures.increment(1);
            tracing::debug!(lease_key = %tenure.lease, ?outcome, "lease write not confirmed");
        }
        self.context.random()
    }

    /// An answer to a write of a tenure that ended meanwhile changes nothing.
    fn take_in(&mut self, tenure: &Tenure, now: Moment, answer: impl FnOnce(&mut Holding) -> Vec<News>) {
        let Some(held) = self.current(tenure) else { return };
        let news = answer(&mut held.holding);
        held.shared.set_deadline(held.holding.deadline());
        for news in news {
            self.handle_news(&tenure.lease, news);
        }
        self.visit(&tenure.lease, now);
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
        let grant = self.hold(row, sent);
        let tenure = grant.shared.tenure.clone();
        if reply.send(Ok(grant)).is_err() {
            self.give_back(&tenure, now);
        }
        self.visit(&key, now);
    }

    /// A tenure began with this row.
    fn hold(&mut self, row: Lease, sent: Moment) -> Grant {
        let timings = self.context.settings.timings;
        let interval = self.context.settings.checkpoint.interval;
        let spread = self.context.random_fraction();
        let holding = Holding::begin(self.context.worker.clone(), row.clone(), sent, timings, interval, spread);
        let shared = SharedTenure::new(holding.tenure(), holding.token(), holding.deadline());
        let scheduled = holding.wake_at();
        let held = Held { holding, shared: Arc::clone(&shared), scheduled, flushes: Vec::new(), farewell: None };
        self.wake.insert((scheduled, row.key.clone()));
        self.tenures.insert(row.key.clone(), held);
        self.count();
        Grant { shared, row }
    }

    /// Who asked for it is gone; it is given back rather than held where nobody reads it.
    fn give_back(&mut self, tenure: &Tenure, now: Moment) {
        if let Some(held) = self.current(tenure) {
            held.holding.bid_farewell(Farewell::Release, now);
            self.visit(&tenure.lease, now);
        }
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
            self.lose(key, reason);
            return;
        }
        if let Some(position) = held.shared.take_completed() {
            held.holding.complete(position);
        }
        if let Some(news) = held.holding.check(now) {
            self.handle_news(key, news);
            return;
        }
        if self.context.stop.is_cancelled() {
            held.holding.leave_children();
        }
        if let Some(write) = held.holding.write(now) {
            let tenure = held.shared.tenure.clone();
            self.under_way.push(send::write(Arc::clone(&self.context), tenure, write));
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
            News::Gone(parting) => self.part(key, parting),
            News::Ended(end) => {
                let last = (end == TenureEnd::RowMissing).then(|| held.holding.row().clone());
                self.lose(key, lost_reason(end));
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
        self.under_way.push(send::restore(Arc::clone(&self.context), last, failures));
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

    /// The tenure ended as we wished: children begin, a successor is told, and who waits hears of it.
    fn part(&mut self, key: &LeaseKey, parting: Parting) {
        let Some(mut held) = self.forget(key) else { return };
        // What waits for a checkpoint was stored by the same write.
        held.answer_all_flushes();
        held.shared.close();
        let Parting { successor, begun, sent, mut look_at } = parting;
        self.under_way.extend(successor.map(|to| send::notice(Arc::clone(&self.context), to, key.clone())));
        let mut grants = Vec::new();
        for row in begun {
            // Somebody here saw the row before its answer came, and adopts or has adopted it.
            if self.tenures.contains_key(&row.key) || self.beginning.contains_key(&row.key) {
                look_at.push(row.key);
            } else {
                grants.push(self.hold(row, sent));
            }
        }
        let tenures: Vec<Tenure> = grants.iter().map(|grant| grant.shared.tenure.clone()).collect();
        let parted = Parted { grants, look_at };
        let heard = held.farewell.take().is_some_and(|reply| reply.send(Ok(parted)).is_ok());
        if !heard {
            let now = self.context.clock.now();
            tenures.iter().for_each(|tenure| self.give_back(tenure, now));
        }
        self.count();
    }

    /// The tenure ended against our will.
    fn lose(&mut self, key: &LeaseKey, reason: LeaseLostReason) {
        let Some(mut held) = self.forget(key) else { return };
        held.shared.end(reason);
        if let Some(reply) = held.farewell.take() {
            let _nobody_waits = reply.send(Err(reason));
        }
        for (_, reply) in held.flushes.drain(..) {
            let _nobody_waits = reply.send(Err(CheckpointError::LeaseLost(held.shared.reason())));
        }
        self.count();
    }

    fn forget(&mut self, key: &LeaseKey) -> Option<Held> {
        let held = self.tenures.remove(key)?;
        self.wake.remove(&(held.scheduled, key.clone()));
        Some(held)
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
