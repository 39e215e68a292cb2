//! One held lease: which write is due, what an answer means, and until when this worker may act as holder.

use std::collections::BTreeSet;
use std::time::Duration;

use super::transition::{self, LeaseWrite, Role};
use crate::settings::Timings;
use crate::types::{
    Backoff, Checkpoint, Epoch, FencingToken, Lease, Moment, RecordPosition, ShardId, StoreError, Tenure, WorkerId,
    WriteOutcome,
};

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
    /// Give the lease back.
    Release,
    /// The shard is processed to its end.
    ShardEnd(BTreeSet<ShardId>),
}

/// What an answer of the store brought.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum News {
    /// This checkpoint is stored.
    Stored(Checkpoint),
    /// The leader asked to hand the lease over: drain and release.
    HandOverAsked,
    /// The farewell is written.
    Gone,
    /// The tenure ended against our will.
    Ended(TenureEnd),
    /// A store error that repeating does not cure.
    Broken(StoreError),
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
}

/// The state of one tenure, from the write that began it to the one that ends it.
#[derive(Debug, Clone)]
pub(crate) struct Holding {
    me: WorkerId,
    timings: Timings,
    /// Always the last row that the store confirmed to this tenure.
    row: Lease,
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
    completed: Option<RecordPosition>,
    /// When a completed position may ride along again.
    checkpoint_after: Moment,
    checkpoint_interval: Duration,
    /// Somebody waits for the completed position to be stored.
    flush: bool,
    farewell: Option<Farewell>,
}

impl Holding {
    /// Begins with the row that a take, an adoption or a creation of ours produced, and when that write was sent.
    pub(crate) fn begin(
        me: WorkerId,
        row: Lease,
        sent: Moment,
        timings: Timings,
        checkpoint_interval: Duration,
        spread: f64,
    ) -> Self {
        // The first renewal comes somewhere in the second half of the period, so that leases taken together are not
        // renewed together for ever.
        let next = sent + timings.renewal.mul_f64(0.5 + spread.clamp(0.0, 1.0) / 2.0);
        Holding {
            me,
            timings,
            epoch: row.epoch(),
            token: FencingToken(row.counter),
            role: Role::Owner,
            base: sent,
            unanswered: None,
            under_way: None,
            next,
            failures: 0,
            completed: row.checkpoint.record().cloned(),
            checkpoint_after: sent + checkpoint_interval.min(next.since(sent)),
            checkpoint_interval,
            flush: false,
            farewell: None,
            row,
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
    pub(crate) fn row(&self) -> &Lease {
        &self.row
    }

    /// The moment from which this worker must not act as holder any more.
    pub(crate) fn deadline(&self) -> Moment {
        self.base + self.timings.failover
    }

    /// Everything up to here is completed; it is stored when the next write allows it.
    pub(crate) fn complete(&mut self, position: RecordPosition) {
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
        self.flush = true;
        self.next = self.next.min(now);
        true
    }

    /// End the tenure, with the last checkpoint in the same write.
    pub(crate) fn bid_farewell(&mut self, farewell: Farewell, now: Moment) {
        self.farewell = Some(farewell);
        self.next = self.next.min(now);
    }

    /// What is completed but not stored.
    fn unstored(&self) -> Option<Checkpoint> {
        let completed = Checkpoint::At(self.completed.clone()?);
        (self.row.checkpoint < completed).then_some(completed)
    }

    /// When [`write`](Holding::write) or [`check`](Holding::check) have something to do again.
    pub(crate) fn wake_at(&self) -> Moment {
        let due = if self.under_way.is_some() { None } else { Some(self.due_at()) };
        due.map_or(self.deadline(), |due| due.min(self.deadline()))
    }

    /// A checkpoint interval shorter than the renewal period makes a look due of its own: by then something may have been
    /// completed.
    fn due_at(&self) -> Moment {
        if self.failures == 0 { self.next.min(self.checkpoint_after) } else { self.next }
    }

    /// Whether the time is over.
    pub(crate) fn check(&self, now: Moment) -> Option<News> {
        (now >= self.deadline()).then_some(News::Ended(TenureEnd::Expired))
    }

    /// The write that is due now, if any. Only one is under way at a time: each is conditional on the counter that the one
    /// before it produced. The caller sends it after this call and never before.
    pub(crate) fn write(&mut self, now: Moment) -> Option<LeaseWrite> {
        if self.under_way.is_some() || now < self.due_at() || now >= self.deadline() {
            return None;
        }
        let unstored = self.unstored();
        if unstored.is_none() && now < self.next {
            self.checkpoint_after = now + self.checkpoint_interval;
            return None;
        }
        let (write, purpose) = match &self.farewell {
            Some(Farewell::Release) => {
                (transition::release(&self.row, &self.me, self.role, self.epoch, unstored), Purpose::Farewell)
            }
            Some(Farewell::ShardEnd(children)) => {
                (transition::shard_end(&self.row, &self.me, self.role, self.epoch, children), Purpose::Farewell)
            }
            None => {
                let rides = self.flush || now >= self.checkpoint_after;
                let checkpoint = unstored.filter(|_| rides);
                (transition::renew(&self.row, &self.me, self.role, self.epoch, checkpoint), Purpose::Renew)
            }
        };
        self.under_way = Some(UnderWay { sent: now, purpose });
        Some(write)
    }

    /// Takes in the answer to the write under way. `random` spreads repetitions.
    pub(crate) fn answer(&mut self, outcome: WriteOutcome, now: Moment, random: u64) -> Vec<News> {
        let Some(UnderWay { sent, purpose }) = self.under_way.take() else {
            debug_assert!(false, "an answer without a write under way");
            return Vec::new();
        };
        if purpose == Purpose::Renew && now >= self.deadline() {
            // Whatever it says: since the deadline nobody may work under this tenure, and those who look at the clock
            // themselves have stopped. A tenure that has ended is not revived.
            return vec![News::Ended(TenureEnd::Expired)];
        }
        match outcome {
            WriteOutcome::Applied(row) => {
                // The condition on the counter says that no earlier write was applied: this one produced the counter.
                self.base = sent;
                let mut news = self.confirm(row, sent);
                if purpose == Purpose::Farewell {
                    news.push(News::Gone);
                }
                news
            }
            WriteOutcome::Conflict(row) => self.conflict(row, now, random),
            WriteOutcome::Missing => vec![News::Ended(TenureEnd::RowMissing)],
            WriteOutcome::Unreadable(_) => vec![News::Ended(TenureEnd::RowUnreadable)],
            WriteOutcome::Refused(error) => self.repeat(error, now, random),
            WriteOutcome::Unknown(error) => {
                // Of several writes without an answer the first may be the one that others saw: the deadline counts from
                // it, or a holder would believe itself safe longer than its observers do.
                self.unanswered.get_or_insert(sent);
                self.repeat(error, now, random)
            }
        }
    }

    fn confirm(&mut self, row: Lease, sent: Moment) -> Vec<News> {
        let stored = (row.checkpoint != self.row.checkpoint).then(|| row.checkpoint.clone());
        self.row = row;
        self.unanswered = None;
        self.failures = 0;
        self.next = if self.farewell.is_some() { sent } else { sent + self.timings.renewal };
        // Counted from any write, so that records which trickle in do not double the writes.
        self.checkpoint_after = sent + self.checkpoint_interval;
        self.flush = self.flush && self.unstored().is_some();
        if self.flush {
            self.next = sent;
        }
        stored.map(News::Stored).into_iter().collect()
    }

    /// The condition did not hold. An earlier write of ours may have been applied without our knowing, a hand-off may have
    /// been asked for, or the lease is gone.
    fn conflict(&mut self, row: Lease, now: Moment, random: u64) -> Vec<News> {
        if matches!(self.farewell, Some(Farewell::ShardEnd(_))) && row.is_ended() {
            return vec![News::Gone];
        }
        let still_ours = row.epoch() == self.epoch && row.last_written_by_us();
        let role = if row.checkpoint_owner.as_ref() == Some(&self.me) {
            Some(Role::CheckpointOwner)
        } else if row.owner.as_ref() == Some(&self.me) && row.checkpoint_owner.is_none() {
            Some(Role::Owner)
        } else {
            None
        };
        match role {
            Some(role) if still_ours && role == self.role && row.counter == self.row.counter => {
                // Nothing moved, and yet the write was refused: the store contradicts itself for a moment.
                self.repeat(StoreError::Unavailable("it refused a write whose condition held".into()), now, random)
            }
            Some(role) if still_ours && (role == self.role || role == Role::CheckpointOwner) => {
                let asked = role != self.role;
                self.role = role;
                if row.counter != self.row.counter {
                    self.base = self.unanswered.unwrap_or(self.base);
                }
                let base = self.base;
                let mut news = self.confirm(row, base);
                self.next = self.next.min(now);
                if asked {
                    news.push(News::HandOverAsked);
                }
                news
            }
            // Our own farewell was applied by a write whose answer never came, or somebody took what we wanted to give.
            _ if self.farewell == Some(Farewell::Release) => vec![News::Gone],
            _ => vec![News::Ended(TenureEnd::Taken)],
        }
    }

    fn repeat(&mut self, error: StoreError, now: Moment, random: u64) -> Vec<News> {
        self.failures = self.failures.saturating_add(1);
        let backoff = Backoff { first: self.timings.attempt / 5, most: self.timings.attempt };
        self.next = now + backoff.delay(self.failures, random);
        if error.is_retryable() { Vec::new() } else { vec![News::Broken(error)] }
    }
}

#[cfg(test)]
#[path = "holding_tests.rs"]
mod tests;
