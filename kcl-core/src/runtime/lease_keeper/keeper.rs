//! The task that owns all tenures of this worker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::context::Context;
use super::super::tenure::{Completed, SharedTenure};
use super::send::{self, Answer};
use super::{BeginReply, Command, FarewellReply, FlushReply};
use crate::error::WorkerError;
use crate::plan::holding::{Farewell, Holding, Rules};
use crate::plan::outbox::{Outbox, Urgency};
use crate::plan::transition::LeaseWrite;
use crate::ports::LeaseLostReason;
use crate::types::{Lease, LeaseKey, Moment, RecordPosition, Tenure};

/// One tenure, and who waits for something of it.
pub(super) struct Held {
    pub(super) holding: Holding,
    pub(super) shared: Arc<SharedTenure>,
    /// Where it stands among those that wait to be looked at.
    pub(super) scheduled: Moment,
    pub(super) flushes: Vec<(Option<RecordPosition>, FlushReply)>,
    pub(super) farewell: Option<FarewellReply>,
}

/// A tenure that is to begin.
pub(super) struct Beginning {
    /// The write, until it is sent.
    write: Option<Box<LeaseWrite>>,
    pub(super) reply: BeginReply,
}

pub(super) struct Keeper {
    pub(super) context: Arc<Context>,
    pub(super) rules: Arc<Rules>,
    /// On the heap one by one: nodes of the tree are half empty.
    pub(super) tenures: BTreeMap<LeaseKey, Box<Held>>,
    /// When each tenure wants to be looked at again.
    pub(super) wake: BTreeSet<(Moment, LeaseKey)>,
    /// The leases for which a write is due.
    pub(super) outbox: Outbox,
    pub(super) under_way: FuturesUnordered<BoxFuture<'static, Answer>>,
    pub(super) beginning: BTreeMap<LeaseKey, Beginning>,
    /// Shards whose end is under way, and the children whose tenures it is to begin.
    pub(super) ending: BTreeMap<LeaseKey, Vec<LeaseKey>>,
}

/// The most lease writes under way: at 20 ms each enough for 20,000 leases at the default failover time.
const UNDER_WAY: usize = 128;

impl Keeper {
    pub(super) fn new(context: Arc<Context>) -> Self {
        // While a table takes nothing it is tried a few times in each attempt's time.
        let longest = context.settings.timings.attempt / 5;
        let rules = Rules {
            me: context.worker.clone(),
            timings: context.settings.timings,
            checkpoint_interval: context.settings.checkpoint.interval,
        };
        Keeper {
            context,
            rules: Arc::new(rules),
            outbox: Outbox::new(UNDER_WAY, longest),
            tenures: BTreeMap::new(),
            wake: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            beginning: BTreeMap::new(),
            ending: BTreeMap::new(),
        }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>, drained: CancellationToken) {
        let context = Arc::clone(&self.context);
        let mut open = true;
        let mut stop_seen = false;
        while open || !self.under_way.is_empty() || !self.tenures.is_empty() {
            self.send_due();
            let next = self.wake.first().map(|(moment, _)| *moment);
            let next = next.into_iter().chain(self.outbox.wake_at()).min();
            tokio::select! {
                // Answers first: they free a lease for its next write. Then time, which may have run out for a tenure.
                // New wishes last.
                biased;
                () = context.abort.cancelled() => return,
                // The other process adopts the rows that name the id: nothing may be delivered here while it does.
                () = context.stop.cancelled(), if !stop_seen => {
                    stop_seen = true;
                    if matches!(context.failure(), Some(WorkerError::WorkerIdTaken { .. })) {
                        self.lose_all(LeaseLostReason::WorkerIdTaken);
                    }
                }
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
            Command::MayHold { key, reply } => drop(reply.send(self.may_hold(&key))),
        }
    }

    fn may_hold(&self, key: &LeaseKey) -> bool {
        let held = self.tenures.get(key).is_some_and(|held| !held.shared.orders.is_ended());
        held || self.beginning.contains_key(key) || self.tenures.values().any(|held| held.holding.promised() > 0)
    }

    fn bid_farewell(&mut self, tenure: &Tenure, mut farewell: Farewell, reply: FarewellReply, now: Moment) {
        if self.current(tenure).is_none() {
            return;
        }
        if let Farewell::ShardEnd(ending) = &mut farewell {
            ending.own(&self.context.worker, self.room_after(&tenure.lease));
            let children = ending.begun(&self.context.worker).map(|row| row.key.clone()).collect();
            self.ending.insert(tenure.lease.clone(), children);
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

    pub(super) fn current(&mut self, tenure: &Tenure) -> Option<&mut Held> {
        self.tenures.get_mut(&tenure.lease).map(|held| &mut **held).filter(|held| held.shared.tenure == *tenure)
    }

    fn begin(&mut self, key: LeaseKey, write: Box<LeaseWrite>, reply: BeginReply, now: Moment) {
        if self.tenures.get(&key).is_some_and(|held| held.shared.orders.is_ended()) {
            self.visit(&key, now);
        }
        if self.tenures.contains_key(&key) || self.beginning.contains_key(&key) {
            let _nobody_waits = reply.send(Err("it is held already".into()));
            return;
        }
        // The row may be there before the answer to the write that made it: that answer begins the tenure. Begun here as
        // well, and over before the answer comes, the shard would have two tenures, the older one last.
        if self.ending.values().flatten().any(|child| *child == key) {
            let _nobody_waits = reply.send(Err("the end of its parent is under way here".into()));
            return;
        }
        // Among claims and releases it goes in the order in which the time of each is over.
        self.outbox.put(&key, Urgency::Change, now + self.context.settings.timings.failover);
        self.beginning.insert(key, Beginning { write: Some(write), reply });
    }

    fn flush(&mut self, tenure: &Tenure, reply: Option<FlushReply>, now: Moment) {
        let Some(held) = self.current(tenure) else { return };
        held.note_completed();
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

    /// Sends what is due, as much as may be under way, the most urgent first.
    fn send_due(&mut self) {
        let now = self.context.clock.now();
        while let Some(key) = self.outbox.next(now) {
            if !self.send(&key, now) {
                self.outbox.unsent();
            }
        }
    }

    /// Sends what is due for a lease; false if nothing is due any more.
    fn send(&mut self, key: &LeaseKey, now: Moment) -> bool {
        let context = Arc::clone(&self.context);
        if let Some(beginning) = self.beginning.get_mut(key) {
            let Some(write) = beginning.write.take() else { return false };
            self.under_way.push(send::begin(context, key.clone(), write, now));
            return true;
        }
        // Its time may be over, or its shard task may have given it up, since it was put there.
        self.visit(key, now);
        let Some(held) = self.tenures.get_mut(key) else { return false };
        // In this order: what is completed then covers what the tip was noted with.
        let tip = held.shared.tip().map(|tip| context.wall().saturating_sub(now.since(tip)));
        // What was completed while it waited for its turn rides along.
        held.note_completed();
        if context.stop.is_cancelled() {
            held.holding.leave_children();
        }
        let write = held.holding.write(now, tip);
        let sends = write.is_some();
        let tenure = held.shared.tenure.clone();
        self.under_way.extend(write.map(|write| send::write(context, tenure, write, now)));
        self.visit(key, now);
        sends
    }

    /// Puts what is due for a lease into the outbox, ends its tenure if the time is over, and notes when to look again.
    pub(super) fn visit(&mut self, key: &LeaseKey, now: Moment) {
        let Some(held) = self.tenures.get_mut(key) else { return };
        // The shard task looks at the deadline too, and may have given up the tenure a moment before an answer came that
        // would have prolonged it. Nobody works under it any more, so it must not be renewed: the shard would be leased
        // and not read. The row still names us, and is adopted with the next look at the table.
        if held.shared.orders.is_ended() {
            let reason = held.shared.orders.end_reason();
            self.lose(key, reason);
            return;
        }
        held.note_completed();
        if let Some(news) = held.holding.check(now) {
            self.handle_news(key, news);
            return;
        }
        let next = match held.holding.due(now) {
            Some(urgency) => {
                self.outbox.put(key, urgency, held.holding.deadline());
                held.holding.wake_while_waiting(now)
            }
            None => {
                self.outbox.remove(key);
                held.holding.wake_at()
            }
        };
        self.wake.remove(&(held.scheduled, key.clone()));
        held.scheduled = next;
        self.wake.insert((next, key.clone()));
    }

    pub(super) fn count(&self) {
        self.context.metrics.leases.set(self.tenures.len() as f64);
    }
}

impl Held {
    /// Takes over what the shard task has completed.
    fn note_completed(&mut self) {
        if let Some(Completed { position, bytes }) = self.shared.take_completed() {
            self.holding.complete(position, bytes);
        }
    }

    /// Answers those who waited for a position that is stored now.
    pub(super) fn answer_flushes(&mut self) {
        let stored = self.holding.row().checkpoint.record().cloned();
        let (done, waiting): (Vec<_>, Vec<_>) = self.flushes.drain(..).partition(|(position, _)| *position <= stored);
        self.flushes = waiting;
        for (_, reply) in done {
            let _nobody_waits = reply.send(Ok(stored.clone()));
        }
    }

    pub(super) fn answer_all_flushes(&mut self) {
        for (position, reply) in self.flushes.drain(..) {
            let _nobody_waits = reply.send(Ok(position));
        }
    }
}

async fn sleep_until(context: &Context, moment: Option<Moment>) {
    if let Some(moment) = moment {
        context.clock.sleep_until_even_suspended(moment).await;
    }
}
