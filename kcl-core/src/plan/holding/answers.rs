//! What answers of the store, and rows that were read, mean for a tenure.

use std::sync::Arc;

use super::super::transition::{self, Role};
use super::{EndOutcome, Farewell, Holding, News, Parting, Purpose, TenureEnd, UnderWay};
use crate::types::{Backoff, Lease, Moment, StoreError, WriteOutcome};

impl Holding {
    /// Takes in the answer to the write under way. `random` spreads repetitions.
    pub(crate) fn answer(&mut self, outcome: WriteOutcome, now: Moment, random: u64) -> Vec<News> {
        let Some(under_way) = self.under_way.take() else {
            debug_assert!(false, "an answer without a write under way");
            return Vec::new();
        };
        self.settle(under_way, outcome, now, random)
    }

    /// Takes in the answer to the transaction that ends the shard.
    pub(crate) fn answer_end(&mut self, outcome: EndOutcome, now: Moment, random: u64) -> Vec<News> {
        let Some(under_way) = self.under_way.take() else {
            debug_assert!(false, "an answer without a write under way");
            return Vec::new();
        };
        match outcome {
            EndOutcome::Applied => {
                let sent = under_way.sent;
                let Some((after, ending)) = under_way.end.map(|end| *end) else {
                    debug_assert!(false, "the answer to a transaction that was not sent");
                    return Vec::new();
                };
                self.base = sent;
                let mut news = self.confirm(after, sent, random);
                let begun = ending.begun(&self.rules.me).cloned().collect();
                let look_at = ending.existing().to_vec();
                news.push(News::Gone(Parting { successor: None, begun, sent, look_at }));
                news
            }
            EndOutcome::Blocked(results) => {
                let way_is_free = match self.farewell.as_deref_mut() {
                    Some(Farewell::ShardEnd(ending)) => ending.give_way(&self.row, &results),
                    _ => false,
                };
                if way_is_free {
                    self.next = now;
                    return Vec::new();
                }
                self.repeat(StoreError::Unavailable("it cancelled a transaction without cause".into()), now, random)
            }
            EndOutcome::Settled(outcome) => self.settle(under_way, *outcome, now, random),
        }
    }

    fn settle(&mut self, under_way: UnderWay, outcome: WriteOutcome, now: Moment, random: u64) -> Vec<News> {
        let UnderWay { sent, purpose, .. } = under_way;
        if purpose == Purpose::Renew && now >= self.deadline() {
            // Whatever it says: since the deadline nobody may work under this tenure, and those who look at the clock
            // themselves have stopped. A tenure that has ended is not revived.
            return vec![News::Ended(TenureEnd::Expired)];
        }
        match outcome {
            WriteOutcome::Applied(row) => {
                // The condition on the counter says that no earlier write was applied: this one produced the counter.
                self.base = sent;
                let mut news = self.confirm(row, sent, random);
                if purpose == Purpose::Farewell {
                    news.push(self.gone());
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

    /// Takes in a row that was read: it may show that a hand-off was asked for before a write of ours fails on it.
    ///
    /// A row may be older than what is confirmed here, or newer by a write whose answer is still to come. Only one that is
    /// the confirmed row itself, but for the request, is taken at its word; of any other the next answer brings the truth.
    /// Nothing that is read prolongs a tenure or ends it.
    pub(crate) fn learn(&mut self, row: Lease, now: Moment) -> Vec<News> {
        let standing = transition::standing(&row, &self.rules.me, self.epoch);
        let asked = self.role == Role::Owner && standing == Some(Role::CheckpointOwner);
        if !asked {
            return Vec::new();
        }
        if self.under_way.is_none() && row.counter == self.row.counter {
            self.role = Role::CheckpointOwner;
            // Only what was asked: a scan leaves attributes out.
            let known = Arc::make_mut(&mut self.row);
            known.owner = row.owner;
            known.checkpoint_owner = row.checkpoint_owner;
            return vec![News::HandOverAsked];
        }
        self.look = true;
        if self.under_way.is_none() {
            self.next = self.next.min(now);
        }
        Vec::new()
    }

    fn confirm(&mut self, row: Lease, sent: Moment, random: u64) -> Vec<News> {
        let stored = (row.checkpoint != self.row.checkpoint).then(|| row.checkpoint.clone());
        self.row = Arc::new(row);
        self.unanswered = None;
        // Leases that failed or waited together, and are renewed together afterwards, would be so for ever.
        let late = sent.since(self.renewal_due) > self.rules.timings.renewal / 8;
        let failed = std::mem::take(&mut self.failures) > 0;
        let spread = if late || failed { random % 512 } else { 0 };
        let period = self.rhythm.period(self.rules.timings.renewal, sent);
        self.renewal_due = sent + period.mul_f64(1.0 - spread as f64 / 1024.0);
        self.next = if self.farewell.is_some() { sent } else { self.renewal_due };
        // Short intervals count from any write, so that records which trickle in do not double the writes. Longer ones count
        // from what was stored: from a renewal that carried nothing they would never be over.
        if stored.is_some() || self.stores_early() {
            self.checkpoint_after = sent + self.rules.checkpoint_interval;
        }
        self.flush = self.flush && self.unstored().is_some();
        if std::mem::take(&mut self.look) || self.flush {
            self.next = sent;
        }
        stored.map(News::Stored).into_iter().collect()
    }

    /// The condition did not hold. An earlier write of ours may have been applied without our knowing, a hand-off may have
    /// been asked for, or the lease is gone.
    fn conflict(&mut self, row: Lease, now: Moment, random: u64) -> Vec<News> {
        if matches!(self.farewell.as_deref(), Some(Farewell::ShardEnd(_))) && row.is_ended() {
            // Reading begins no tenure: children that a lost answer of ours made are adopted like any other row.
            return vec![News::Gone(self.ended())];
        }
        match transition::standing(&row, &self.rules.me, self.epoch) {
            Some(role) if role == self.role && row.counter == self.row.counter => {
                // Nothing moved, and yet the write was refused: the store contradicts itself for a moment.
                self.repeat(StoreError::Unavailable("it refused a write whose condition held".into()), now, random)
            }
            Some(role) if role == self.role || role == Role::CheckpointOwner => {
                let asked = role != self.role;
                self.role = role;
                if row.counter != self.row.counter {
                    self.base = self.unanswered.unwrap_or(self.base);
                }
                let base = self.base;
                let mut news = self.confirm(row, base, random);
                self.next = self.next.min(now);
                if asked {
                    news.push(News::HandOverAsked);
                }
                news
            }
            // Our own farewell was applied by a write whose answer never came, or somebody took what we wanted to give.
            _ if matches!(self.farewell.as_deref(), Some(Farewell::Release | Farewell::HandOver { .. })) => {
                self.row = Arc::new(row);
                vec![self.gone()]
            }
            _ => vec![News::Ended(TenureEnd::Taken)],
        }
    }

    /// The tenure ended as we wished, and the row is as it stands now.
    fn gone(&self) -> News {
        if self.row.is_ended() {
            return News::Gone(self.ended());
        }
        let successor = self.row.owner.clone().filter(|owner| *owner != self.rules.me);
        News::Gone(Parting { successor, ..Parting::default() })
    }

    /// The shard has ended, as its row says.
    fn ended(&self) -> Parting {
        let Some(Farewell::ShardEnd(ending)) = self.farewell.as_deref() else { return Parting::default() };
        Parting { look_at: ending.with_rows().cloned().collect(), ..Parting::default() }
    }

    /// The same again, after a pause that grows, but not beyond a quarter of the time that is left: the last moments of a
    /// tenure are its most precious ones.
    fn repeat(&mut self, error: StoreError, now: Moment, random: u64) -> Vec<News> {
        self.failures = self.failures.saturating_add(1);
        let attempt = self.rules.timings.attempt;
        let backoff = Backoff { first: attempt / 5, most: attempt };
        let pause = backoff.delay(self.failures, random).min(self.deadline().since(now) / 4).max(attempt / 20);
        self.next = now + pause;
        if error.is_retryable() { Vec::new() } else { vec![News::Broken(error)] }
    }
}
