//! What answers of the store change: tenures that begin, go on, and end.

use std::sync::Arc;

use super::super::tenure::SharedTenure;
use super::Parted;
use super::keeper::{Beginning, Held, Keeper};
use super::send::{self, Answer};
use crate::error::WorkerError;
use crate::plan::holding::{EndOutcome, Farewell, Holding, News, Parting, TenureEnd};
use crate::ports::{CheckpointError, LeaseLostReason};
use crate::types::{CreateOutcome, Lease, LeaseKey, Moment, Tenure, WriteOutcome};

impl Keeper {
    pub(super) fn handle_answer(&mut self, answer: Answer) {
        let now = self.context.clock.now();
        if let Some((sent, throttled)) = answer.to_outbox() {
            self.outbox.answered(sent, throttled, now);
        }
        match answer {
            Answer::Begun { key, sent, outcome } => self.begun(key, outcome, sent, now),
            Answer::Restored { last, failures, outcome } => self.restored(last, failures, outcome),
            Answer::Noticed => {}
            Answer::Written { tenure, outcome, .. } => self.written(&tenure, outcome, now),
            Answer::Ended { tenure, outcome: EndOutcome::Settled(outcome), .. } => {
                let random = self.note_outcome(&tenure, &outcome);
                let outcome = EndOutcome::Settled(outcome);
                self.take_in(&tenure, now, |holding| holding.answer_end(outcome, now, random));
            }
            Answer::Ended { tenure, outcome, .. } => {
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
        held.shared.confirm(held.holding.row(), held.holding.deadline());
        for news in news {
            self.handle_news(&tenure.lease, news);
        }
        self.visit(&tenure.lease, now);
    }

    fn begun(&mut self, key: LeaseKey, outcome: WriteOutcome, sent: Moment, now: Moment) {
        let Some(Beginning { reply, .. }) = self.beginning.remove(&key) else { return };
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
        let shared = self.hold(row, sent);
        if reply.send(Ok(Arc::clone(&shared))).is_err() {
            self.give_back(&shared.tenure, now);
        }
        self.visit(&key, now);
    }

    /// A tenure began with this row.
    fn hold(&mut self, row: Lease, sent: Moment) -> Arc<SharedTenure> {
        let holding = Holding::begin(Arc::clone(&self.rules), row, sent, self.context.random_fraction());
        let (tenure, row) = (holding.tenure(), Arc::clone(holding.row()));
        let shared = SharedTenure::new(tenure, holding.token(), row, holding.deadline());
        let scheduled = holding.wake_at();
        let held =
            Box::new(Held { holding, shared: Arc::clone(&shared), scheduled, flushes: Vec::new(), farewell: None });
        let key = &shared.tenure.lease;
        self.wake.insert((scheduled, key.clone()));
        self.tenures.insert(key.clone(), held);
        self.count();
        shared
    }

    /// Who asked for it is gone; it is given back rather than held where nobody reads it.
    fn give_back(&mut self, tenure: &Tenure, now: Moment) {
        if let Some(held) = self.current(tenure) {
            held.holding.bid_farewell(Farewell::Release, now);
            self.visit(&tenure.lease, now);
        }
    }

    pub(super) fn handle_news(&mut self, key: &LeaseKey, news: News) {
        let Some(held) = self.tenures.get_mut(key) else { return };
        match news {
            News::Stored(checkpoint) => {
                self.context.metrics.checkpoints.increment(1);
                tracing::debug!(lease_key = %key, epoch = %held.shared.tenure.epoch, %checkpoint, "checkpoint stored");
                held.answer_flushes();
            }
            News::HandOverAsked => held.shared.orders.hand_over(self.context.clock.now()),
            News::Gone(parting) => self.part(key, parting),
            News::Ended(end) => {
                let last = (end == TenureEnd::RowMissing).then(|| Lease::clone(held.holding.row()));
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
        held.shared.orders.close();
        let Parting { successor, begun, sent, mut look_at } = parting;
        self.under_way.extend(successor.map(|to| send::notice(Arc::clone(&self.context), to, key.clone())));
        let mut tenures = Vec::new();
        for row in begun {
            // Somebody here saw the row before its answer came, and adopts or has adopted it.
            if self.tenures.contains_key(&row.key) || self.beginning.contains_key(&row.key) {
                look_at.push(row.key);
            } else {
                tenures.push(self.hold(row, sent));
            }
        }
        let parted = Parted { begun: tenures.clone(), look_at };
        let heard = held.farewell.take().is_some_and(|reply| reply.send(Ok(parted)).is_ok());
        if !heard {
            let now = self.context.clock.now();
            tenures.iter().for_each(|begun| self.give_back(&begun.tenure, now));
        }
        self.count();
    }

    /// The tenure ended against our will.
    pub(super) fn lose(&mut self, key: &LeaseKey, reason: LeaseLostReason) {
        let Some(mut held) = self.forget(key) else { return };
        held.shared.orders.end(reason);
        if let Some(reply) = held.farewell.take() {
            let _nobody_waits = reply.send(Err(reason));
        }
        for (_, reply) in held.flushes.drain(..) {
            let _nobody_waits = reply.send(Err(CheckpointError::LeaseLost(held.shared.orders.end_reason())));
        }
        self.count();
    }

    /// All tenures ended against our will.
    pub(super) fn lose_all(&mut self, reason: LeaseLostReason) {
        for key in self.tenures.keys().cloned().collect::<Vec<_>>() {
            self.lose(&key, reason);
        }
    }

    fn forget(&mut self, key: &LeaseKey) -> Option<Box<Held>> {
        let held = self.tenures.remove(key)?;
        self.ending.remove(key);
        self.wake.remove(&(held.scheduled, key.clone()));
        self.outbox.remove(key);
        Some(held)
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
