//! What a shard task does besides running user code, and what it waits for.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::budget::ShardBudget;
use super::super::events::WorkerEvent;
use super::super::orders::{Heard, Order};
use super::io::{self, FarewellDone, IoDone, Parents};
use super::run::{Alarm, ShardRun, Unflushed};
use crate::metric_definitions::{CORRUPT_AGGREGATES, DATA_LOSSES, FETCH_FAILURES, OUTSIDE_SHARD};
use crate::ports::{DataLoss, LeaseLostReason, ShardReader};
use crate::settings::InitialPosition;
use crate::shard::machine::{Action, Report, StopReason};
use crate::shard::watchdog::Wait;
use crate::types::{Checkpoint, Moment, Position, RecordPosition, Timestamp};

impl ShardRun {
    /// Does what needs no user code.
    pub(super) fn perform(&mut self, action: Action) {
        match action {
            Action::Fetch => {
                let (reader, budget) = self.reader.take().unwrap_or_else(|| self.open());
                self.states(Wait::IdleAtTip);
                self.io = Some(io::fetch(Arc::clone(&self.tenancy), reader, budget));
            }
            Action::CheckParents => {
                self.states(Wait::Parents);
                self.io = Some(io::check_parents(Arc::clone(&self.tenancy)));
            }
            Action::ProveEnd => {
                self.states(Wait::Proof);
                self.io = Some(io::prove_end(Arc::clone(&self.tenancy)));
            }
            Action::Progress { position, records, bytes } => self.progress(position, records, bytes),
            Action::Release => self.release(),
            Action::WriteEnd { children } => {
                self.tenancy.watch.writing(Some(self.now));
                self.farewell = Some(io::write_end(Arc::clone(&self.tenancy), children));
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

    /// Gives the lease back, unless the task only begins anew: then the tenure goes on.
    fn release(&mut self) {
        self.io = None;
        self.tenancy.watch.gave_up();
        if self.heard.restart && !self.heard.stop && !self.heard.hand_over {
            self.machine.handle_farewell_written();
            return;
        }
        self.tenancy.watch.writing(Some(self.now));
        self.farewell = Some(io::release(Arc::clone(&self.tenancy)));
    }

    /// Says what is waited for from now on.
    fn states(&self, wait: Wait) {
        self.tenancy.watch.reading(wait, self.now);
    }

    fn open(&self) -> (Box<dyn ShardReader>, ShardBudget) {
        let row = self.tenancy.shared.row();
        let position = start_position(&self.tenancy.shared.checkpoint(), row.start, self.context.wall());
        tracing::debug!(?position, "shard opened");
        (self.tenancy.stream.source.open(self.tenancy.shard(), position), self.context.budget.shard())
    }

    fn progress(&mut self, position: RecordPosition, records: u64, bytes: u64) {
        self.tenancy.watch.metrics.records.increment(records);
        self.tenancy.watch.metrics.record_bytes.increment(bytes);
        self.tenancy.shared.complete(position, bytes);
        self.unflushed.records += records;
        self.unflushed.bytes += bytes;
        let limits = self.context.settings.checkpoint;
        let over = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value >= limit);
        if over(limits.max_records, self.unflushed.records) || over(limits.max_bytes, self.unflushed.bytes) {
            self.unflushed = Unflushed::default();
            self.tenancy.keeper.flush_soon(&self.tenancy.shared.tenure);
        }
    }

    fn report(&self, report: Report) {
        match report {
            Report::Stalled { what, attempts, error } => {
                tracing::error!(what, attempts, error, "shard stalled; it is tried again");
                self.tenancy.watch.metrics.stalled.set(1.0);
                self.context.send(&self.tenancy.watch.tenure, |tenure| WorkerEvent::ShardStalled {
                    tenure,
                    what,
                    attempts,
                    error,
                });
            }
            Report::Recovered => {
                tracing::info!("shard advances again");
                self.tenancy.watch.metrics.stalled.set(0.0);
                self.context.send(&self.tenancy.watch.tenure, |tenure| WorkerEvent::ShardRecovered { tenure });
            }
            Report::OutsideShard { records } => {
                tracing::debug!(records, "user records of aggregates belong to another shard and are left out");
                self.tenancy.count(OUTSIDE_SHARD, records);
            }
            Report::CorruptDelivered { error } => {
                tracing::warn!(error, "an aggregate that cannot be opened is delivered as it came");
                self.tenancy.count(CORRUPT_AGGREGATES, 1);
                self.context.send(&self.tenancy.watch.tenure, |tenure| WorkerEvent::CorruptAggregate { tenure, error });
            }
        }
    }

    /// Reading goes on: to stop would lose more, and the records do not come back.
    fn data_lost(&self, loss: DataLoss, service: Option<Timestamp>) {
        if self.kept.has_lost_nothing(service, self.context.wall(), self.now) {
            tracing::debug!(checkpoint = %loss.checkpoint, next = %loss.next, "nothing came for longer than the retention");
            return;
        }
        tracing::error!(
            checkpoint = %loss.checkpoint,
            next = %loss.next,
            "the stream no longer keeps the record of the checkpoint; what came between it and the next one is lost"
        );
        self.tenancy.count(DATA_LOSSES, 1);
        self.context.send(&self.tenancy.watch.tenure, |tenure| WorkerEvent::DataLoss { tenure, loss });
    }

    /// Waits for one thing to happen and tells the machine.
    pub(super) async fn wait(&mut self) {
        let nothing = std::future::pending::<Infallible>();
        match self.wait_beside(pin!(nothing)).await {
            None => {}
            Some(never) => match never {},
        }
    }

    /// Waits for one thing to happen and tells the machine, or for what user code yields. Cancel safe: what is under way stays
    /// in its slot.
    pub(super) async fn wait_beside<T>(&mut self, callback: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let tenancy = Arc::clone(&self.tenancy);
        let lost = self.lost.is_some();
        let alarm = self.machine.poll_timeout();
        tenancy.watch.sleeps(alarm, self.machine.has_work(), self.is_leaving(), self.now);
        // While a farewell is under way the lease keeper decides when time is up; it answers in any case.
        let fenced = !lost && self.farewell.is_none();
        let fence = fenced.then(|| tenancy.shared.deadline());
        self.set_alarm(alarm.into_iter().chain(fence).min());
        let heard = Heard { abort: lost, over: !fenced, ..self.heard };
        let news = tokio::select! {
            // The end of the tenure beats every other news, and what user code completed most of all.
            biased;
            order = poll_fn(|wake| tenancy.poll_order(heard, wake)) => News::Order(order),
            done = poll_slot(&mut self.farewell), if self.farewell.is_some() => News::Farewell(done),
            done = poll_slot(&mut self.io), if self.io.is_some() => News::Io(done),
            () = ring(&mut self.alarm), if self.alarm.is_some() => News::Alarm,
            output = callback => News::Returned(output),
            // Last, since it sets a timer, for which there is no need where user code returns at once.
            never = rest(&mut self.reader), if self.reader.is_some() => match never {},
        };
        self.now = self.context.clock.now();
        match news {
            News::Order(order) => self.obey(order),
            News::Farewell(done) => self.farewell_done(done),
            News::Io(done) => self.io_done(done),
            News::Alarm => self.alarm = None,
            News::Returned(output) => return Some(output),
        }
        None
    }

    /// An alarm that is set for earlier is kept: to wake up once in vain costs less than a timer for each step.
    fn set_alarm(&mut self, at: Option<Moment>) {
        self.alarm = at.map(|at| match self.alarm.take() {
            Some(alarm) if alarm.at <= at => alarm,
            _ => {
                let clock = Arc::clone(&self.context.clock);
                Alarm { at, sleep: async move { clock.sleep_until(at).await }.boxed() }
            }
        });
    }

    /// The lease is to go, or gone.
    fn is_leaving(&self) -> bool {
        self.lost.is_some() || self.heard.stop || self.heard.hand_over
    }

    /// Running user code should come to an end.
    pub(super) fn is_ending(&self) -> bool {
        self.is_leaving() || self.heard.restart
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Lose(reason) => self.lose(reason),
            Order::Stop { reason, deadline } => {
                self.heard.stop = true;
                self.begin_stop(reason, deadline);
            }
            Order::HandOver { asked } => {
                self.heard.hand_over = true;
                self.begin_stop(StopReason::HandOver, asked + self.context.settings.timings.hand_off);
            }
            Order::Restart => {
                self.heard.restart = true;
                let deadline = self.now + self.context.settings.drain_timeout;
                self.begin_stop(StopReason::Restart, deadline);
            }
        }
    }

    fn begin_stop(&mut self, reason: StopReason, deadline: Moment) {
        tracing::debug!(?reason, "draining");
        self.machine.stop(reason, deadline);
        self.cancel();
    }

    /// Tells running user code to come to an end soon.
    fn cancel(&self) {
        if let Some(cancelled) = &self.cancelled {
            cancelled.cancel();
        }
    }

    pub(super) fn lose(&mut self, reason: LeaseLostReason) {
        self.tenancy.shared.orders.end(reason);
        self.lost = Some(reason);
        self.io = None;
        self.tenancy.watch.gave_up();
        self.machine.lose();
        self.cancel();
    }

    fn farewell_done(&mut self, done: FarewellDone) {
        self.farewell = None;
        self.tenancy.watch.writing(None);
        match done {
            FarewellDone::Written(parted) => {
                self.parted = parted;
                self.machine.handle_farewell_written();
            }
            FarewellDone::Lost(reason) => self.lose(reason),
            FarewellDone::NotPrepared(error) => {
                tracing::warn!(error, "the end of the shard could not be prepared; it is tried again");
                self.machine.handle_end_failed(error, self.now, self.context.random());
            }
        }
    }

    /// A row that was deleted is made again by its holder as soon as it renews, or by the leader once the holder would have
    /// expired. Only where reading began at LATEST may a parent never have had one: it was closed before. Then, if neither
    /// makes it within twice that time, nobody will.
    fn parents_over(&mut self, parents: Parents) -> bool {
        if parents != Parents::Missing {
            self.parents_missing = None;
            return parents == Parents::Over;
        }
        let since = *self.parents_missing.get_or_insert_with(|| {
            tracing::warn!("a parent of the shard has no lease; it is waited for");
            self.now
        });
        let expiry = self.context.settings.timings.expiry;
        self.tenancy.stream.start == InitialPosition::Latest && self.now.since(since) > 2 * expiry
    }

    fn io_done(&mut self, done: IoDone) {
        self.io = None;
        let (now, random) = (self.now, self.context.random());
        self.tenancy.watch.answered(done.lag(), now);
        match done {
            IoDone::Parents(result) => {
                let over = result.map(|parents| self.parents_over(parents));
                self.machine.handle_parents(over, now, random);
            }
            IoDone::Proof(result) => self.machine.handle_proof(result, now, random),
            IoDone::Fetched { reader, budget, asked, result } => {
                self.reader = Some((reader, budget));
                match result {
                    Ok(fetched) => {
                        if let Some(loss) = fetched.data_loss {
                            let last = fetched.batch.iter().last().and_then(|record| record.arrival());
                            let service = last.map(|arrival| arrival + fetched.lag.unwrap_or_default());
                            self.data_lost(loss, service);
                        }
                        let at_tip = self.kept.answered(fetched.lag, fetched.batch.is_empty(), asked, now);
                        if at_tip && self.machine.is_caught_up() {
                            self.tenancy.shared.at_tip(asked);
                        }
                        self.machine.handle_fetched(fetched.batch, fetched.end, now);
                    }
                    Err(error) => {
                        self.tenancy.count(FETCH_FAILURES, 1);
                        tracing::debug!(%error, "fetch failed; it is tried again");
                        self.machine.handle_fetch_failed(error.to_string(), now, random);
                    }
                }
            }
        }
    }
}

/// Where reading starts: at what is stored, else at the lease's start.
fn start_position(checkpoint: &Checkpoint, start: Option<Timestamp>, now: Timestamp) -> Position {
    match checkpoint {
        Checkpoint::At(done) => Position::At(RecordPosition { sequence: done.sequence.clone(), sub: done.sub + 1 }),
        // Both were pinned when the row was made or when this tenure began; `now` is never needed for rows of ours.
        Checkpoint::Latest | Checkpoint::AtTimestamp => Position::AtTime(start.unwrap_or(now)),
        Checkpoint::TrimHorizon | Checkpoint::ShardEnd => Position::TrimHorizon,
    }
}

/// What the task was woken for.
enum News<T> {
    Order(Order),
    Farewell(FarewellDone),
    Io(IoDone),
    Alarm,
    /// User code is done.
    Returned(T),
}

async fn poll_slot<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Lets a reader that is not asked for anything give up what it holds open.
async fn rest(reader: &mut Option<(Box<dyn ShardReader>, ShardBudget)>) -> Infallible {
    match reader {
        Some((reader, _)) => reader.rest().await,
        None => std::future::pending().await,
    }
}

async fn ring(alarm: &mut Option<Alarm>) {
    match alarm {
        Some(alarm) => alarm.sleep.as_mut().await,
        None => std::future::pending().await,
    }
}
