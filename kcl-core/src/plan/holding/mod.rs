//! One held lease: which write is due, what an answer means, and until when this worker may act as holder.

mod answers;
mod rhythm;
mod throughput;

use std::sync::Arc;
use std::time::Duration;

use super::outbox::Urgency;
use super::shard_end::ShardEnding;
use super::transition::{self, LeaseWrite, Role};
use crate::settings::Timings;
use crate::types::{
    Checkpoint, Epoch, FencingToken, Lease, LeaseKey, Moment, RecordPosition, StepResult, StoreError, Tenure,
    Timestamp, TransactionStep, WorkerId, WriteOutcome,
};
use rhythm::Rhythm;
use throughput::Average;

/// Why a tenure is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TenureEnd {
    /// Not renewed in time.
    Expired,
    /// The row names another holder or tenure.
    Taken,
    /// The row is gone.
    RowMissing,
    /// The row cannot be read.
    RowUnreadable,
}

/// How the holder wants to end the tenure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Farewell {
    /// Give the lease back, to nobody or to the one who waits for it in a hand-off.
    Release,
    /// Give the lease to this worker, unless a hand-off to another is pending.
    HandOver {
        /// The successor.
        to: WorkerId,
    },
    /// The shard is processed to its end.
    ShardEnd(ShardEnding),
}

/// What an answer of the store brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// This checkpoint is stored.
    Stored(Checkpoint),
    /// The leader asked to hand the lease over: drain and release.
    HandOverAsked,
    /// The farewell is written.
    Gone(Parting),
    /// The tenure ended against our will.
    Ended(TenureEnd),
    /// A store error that repeating does not cure.
    Broken(StoreError),
}

/// What a farewell leaves behind.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Parting {
    /// Whom the row names now: it should look at it at once.
    pub(crate) successor: Option<WorkerId>,
    /// Children whose tenures began with the write that ended the shard.
    pub(crate) begun: Vec<Lease>,
    /// When that write was sent.
    pub(crate) sent: Moment,
    /// Children whose rows are there, and perhaps name this worker: they are to be looked at.
    pub(crate) look_at: Vec<LeaseKey>,
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// A change of the lease's own row.
    Row(Box<LeaseWrite>),
    /// The end of a shard with the rows of its children. The lease's own row is the first step.
    End(Vec<TransactionStep>),
}

/// What came of sending the end of a shard.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum EndOutcome {
    /// Everything was applied.
    Applied,
    /// Nothing was applied, and the end itself was not in the way: these are the results of all steps.
    Blocked(Vec<StepResult>),
    /// The lease's own row was read, or nothing is known: as the answer to a write of that row alone.
    Settled(Box<WriteOutcome>),
}

/// What a write under way is for.
#[derive(Debug, Clone, PartialEq)]
enum Purpose {
    Renew,
    Farewell,
}

#[derive(Debug, Clone, PartialEq)]
struct UnderWay {
    sent: Moment,
    purpose: Purpose,
    /// What a transaction brings if it is applied, since it does not answer with rows: the lease's own row, and the end.
    end: Option<Box<(Lease, ShardEnding)>>,
}

/// What all tenures of a worker have in common.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) me: WorkerId,
    pub(crate) timings: Timings,
    pub(crate) checkpoint_interval: Duration,
}

/// The state of one tenure, from the write that began it to the one that ends it.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    rules: Arc<Rules>,
    /// Always the last row that the store confirmed to this tenure.
    row: Arc<Lease>,
    epoch: Epoch,
    token: FencingToken,
    role: Role,
    /// When the write was sent that produced the counter we hold; of several that may have, the earliest.
    base: Moment,
    /// The earliest write since the last confirmed row whose answer never came: it may have produced the next counter.
    unanswered: Option<Moment>,
    under_way: Option<UnderWay>,
    /// When the next write is due.
    next: Moment,
    failures: u32,
    /// When others should see the counter move again. The end of a shard that cannot be written gives way to it.
    renewal_due: Moment,
    completed: Option<RecordPosition>,
    carried: Average,
    /// When a completed position may ride along again.
    checkpoint_after: Moment,
    /// Somebody waits for the completed position to be stored.
    flush: bool,
    rhythm: Rhythm,
    farewell: Option<Box<Farewell>>,
    /// A row was read that shows more than is known here: the next write is due as soon as it may be sent, and its answer
    /// tells.
    look: bool,
}

/// By how much a tip must differ from the one in the row to be written.
const TIP_INTERVAL: Duration = Duration::from_secs(60);

impl Holding {
    /// Begins with the row that a take, an adoption or a creation of ours produced, and when that write was sent.
    pub(crate) fn begin(rules: Arc<Rules>, row: Lease, sent: Moment, spread: f64) -> Self {
        // The first renewal comes somewhere in the second half of the period, so that leases taken together are not
        // renewed together for ever.
        let next = sent + rules.timings.renewal.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0);
        Holding {
            epoch: row.epoch(),
            token: FencingToken(row.counter),
            role: Role::Owner,
            base: sent,
            unanswered: None,
            under_way: None,
            next,
            failures: 0,
            renewal_due: next,
            completed: row.checkpoint.record().cloned(),
            carried: Average::new(row.throughput, sent),
            checkpoint_after: sent + rules.checkpoint_interval.min(next.since(sent)),
            flush: false,
            rhythm: Rhythm::default(),
            farewell: None,
            look: false,
            row: Arc::new(row),
            rules,
        }
    }

    /// The tenure that everything done for this lease carries.
    pub(crate) fn tenure(&self) -> Tenure {
        Tenure { lease: self.row.key.clone(), epoch: self.epoch }
    }

    /// The number for users to fence their own effects with.
    pub(crate) fn token(&self) -> FencingToken {
        self.token
    }

    /// The last row that the store confirmed.
    pub(crate) fn row(&self) -> &Arc<Lease> {
        &self.row
    }

    /// The moment from which this worker must not act as holder any more.
    pub(crate) fn deadline(&self) -> Moment {
        self.base + self.rules.timings.failover
    }

    /// Everything up to here is completed, with so many bytes more; it is stored when the next write allows it.
    pub(crate) fn complete(&mut self, position: RecordPosition, bytes: u64) {
        self.carried.add(bytes);
        if self.completed.as_ref().is_none_or(|before| *before < position) {
            self.completed = Some(position);
        }
    }

    /// Up to where everything is completed.
    pub(crate) fn completed(&self) -> Option<&RecordPosition> {
        self.completed.as_ref()
    }

    /// Store what is completed now, without waiting for the renewal. False if it is stored already.
    pub(crate) fn flush(&mut self, now: Moment) -> bool {
        if self.unstored().is_none() {
            return false;
        }
        if !self.flush {
            self.rhythm.asked(now);
        }
        self.flush = true;
        self.next = self.next.min(now);
        true
    }

    /// End the tenure, with the last checkpoint in the same write. A later wish replaces an earlier one that is not written.
    pub(crate) fn bid_farewell(&mut self, farewell: Farewell, now: Moment) {
        self.farewell = Some(Box::new(farewell));
        self.next = self.next.min(now);
    }

    /// Children that are not made yet are made for nobody.
    pub(crate) fn leave_children(&mut self) {
        if let Some(Farewell::ShardEnd(ending)) = self.farewell.as_deref_mut() {
            ending.disown();
        }
    }

    /// How many tenures of children begin if the farewell that was bid is written.
    pub(crate) fn promised(&self) -> usize {
        match self.farewell.as_deref() {
            Some(Farewell::ShardEnd(ending)) => ending.begun(&self.rules.me).count(),
            Some(Farewell::Release | Farewell::HandOver { .. }) | None => 0,
        }
    }

    /// What is completed but not stored.
    fn unstored(&self) -> Option<Checkpoint> {
        let completed = Checkpoint::At(self.completed.clone()?);
        (self.row.checkpoint < completed).then_some(completed)
    }

    /// When [`due`](Holding::due) or [`check`](Holding::check) have something to say again.
    pub(crate) fn wake_at(&self) -> Moment {
        let due = if self.under_way.is_some() { None } else { Some(self.due_at()) };
        due.map_or(self.deadline(), |due| due.min(self.deadline()))
    }

    /// The same for a write that is due and waits for its turn: when it becomes more urgent, or its time is over.
    pub(crate) fn wake_while_waiting(&self, now: Moment) -> Moment {
        let more_urgent = Some(self.renewal_due).filter(|due| *due > now);
        more_urgent.map_or(self.deadline(), |due| due.min(self.deadline()))
    }

    /// A checkpoint interval shorter than the renewal period makes a look due of its own: by then something may have been
    /// completed.
    fn due_at(&self) -> Moment {
        if self.failures == 0 && self.stores_early() { self.next.min(self.checkpoint_after) } else { self.next }
    }

    /// Whether positions are to be stored more often than the lease is renewed. If not, renewals carry them, and no write is
    /// made for them.
    fn stores_early(&self) -> bool {
        self.rules.checkpoint_interval < self.rules.timings.renewal
    }

    /// Whether the time is over.
    pub(crate) fn check(&self, now: Moment) -> Option<News> {
        (now >= self.deadline()).then_some(News::Ended(TenureEnd::Expired))
    }

    /// How urgent the write is that is due now, if any is.
    pub(crate) fn due(&mut self, now: Moment) -> Option<Urgency> {
        if self.under_way.is_some() || now < self.due_at() || now >= self.deadline() {
            return None;
        }
        if self.unstored().is_none() && now < self.next {
            self.checkpoint_after = now + self.rules.checkpoint_interval;
            return None;
        }
        Some(if now >= self.renewal_due {
            Urgency::Renewal
        } else if self.farewell.is_some() || self.look {
            Urgency::Change
        } else {
            Urgency::Checkpoint
        })
    }

    /// The write that is due now, if any. Only one is under way at a time: each is conditional on the counter that the one
    /// before it produced. The caller sends it after this call and never before.
    ///
    /// `tip` is when the shard had nothing beyond what is completed. It rides along, once in a while, where all of that is
    /// stored.
    pub(crate) fn write(&mut self, now: Moment, tip: Option<Timestamp>) -> Option<Write> {
        self.due(now)?;
        let unstored = self.unstored();
        let all_stored = unstored.is_none();
        let throughput = self.carried.sample(now, self.rules.timings.renewal);
        let (me, role, epoch) = (&self.rules.me, self.role, self.epoch);
        let (mut write, purpose) = match self.farewell.as_deref().filter(|_| !self.gives_way_to_renewal(now)) {
            Some(Farewell::Release) => (transition::release(&self.row, me, role, epoch, unstored), Purpose::Farewell),
            Some(Farewell::HandOver { to }) => {
                (transition::hand_over(&self.row, me, role, epoch, unstored, to), Purpose::Farewell)
            }
            Some(Farewell::ShardEnd(ending)) => {
                (transition::shard_end(&self.row, me, role, epoch, &ending.children), Purpose::Farewell)
            }
            None => {
                let rides = self.flush || now >= self.checkpoint_after;
                let checkpoint = unstored.filter(|_| rides);
                (transition::renew(&self.row, me, role, epoch, checkpoint), Purpose::Renew)
            }
        };
        write.change.throughput = throughput.filter(|_| throughput != self.row.throughput);
        let all_stored = all_stored || write.change.checkpoint.is_some();
        write.change.tip = tip.filter(|tip| all_stored && self.is_news(*tip));
        let (send, end) = match self.farewell.as_deref() {
            Some(Farewell::ShardEnd(ending)) if purpose == Purpose::Farewell && ending.has_rows() => {
                let after = write.change.apply(&self.row);
                (Write::End(ending.steps(&self.row, write)), Some(Box::new((after, ending.clone()))))
            }
            _ => (Write::Row(Box::new(write)), None),
        };
        self.under_way = Some(UnderWay { sent: now, purpose, end });
        Some(send)
    }

    /// What counts in hours need not be written in seconds. A tip that lies before the one in the row comes from a clock that
    /// is behind, or shows that the other was ahead.
    fn is_news(&self, tip: Timestamp) -> bool {
        self.row.tip.is_none_or(|before| tip.since(before).max(before.since(tip)) >= TIP_INTERVAL)
    }

    /// A transaction may be refused where a write of one row is not. While the shard cannot be ended the lease is kept.
    fn gives_way_to_renewal(&self, now: Moment) -> bool {
        matches!(self.farewell.as_deref(), Some(Farewell::ShardEnd(_))) && self.failures > 0 && now >= self.renewal_due
    }
}

#[cfg(test)]
mod end_tests;
#[cfg(test)]
mod tests;
