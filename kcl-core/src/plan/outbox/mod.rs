//! Which write to the lease table goes next, and when: under throttling the ones that keep leases alive.

mod pacer;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::types::{LeaseKey, Moment};
use pacer::Pacer;

/// What a write is for. The order is the order in which writes go when the table does not take them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// Others should see the counter move: whatever else the write carries.
    Renewal,
    /// A lease changes hands: a claim, a release, the end of a shard.
    Change,
    /// A position is stored earlier than the renewal would.
    Checkpoint,
}

/// Writes that are due, and how many are under way.
///
/// As long as the table takes everything, all that is due goes at once, up to a bound. When it throttles, writes go one
/// after the other at the pace that it takes: by urgency, and among those by the deadline of the lease. So a storm of
/// checkpoints costs no lease, and after an outage the leases with the least time left are renewed first.
#[derive(Debug)]
pub(crate) struct Outbox {
    waiting: BTreeSet<(Urgency, Moment, LeaseKey)>,
    /// Where each lease stands in `waiting`.
    places: BTreeMap<LeaseKey, (Urgency, Moment)>,
    under_way: usize,
    most: usize,
    pacer: Pacer,
}

impl Outbox {
    /// An outbox with at most so many writes under way. `longest` is the longest pause between two of them while the table
    /// takes nothing at all.
    pub(crate) fn new(most: usize, longest: Duration) -> Self {
        Outbox {
            waiting: BTreeSet::new(),
            places: BTreeMap::new(),
            under_way: 0,
            most: most.max(1),
            pacer: Pacer::new(longest),
        }
    }

    /// A write for this lease is due. What was said of the lease before is forgotten.
    pub(crate) fn put(&mut self, key: &LeaseKey, urgency: Urgency, deadline: Moment) {
        if self.places.get(key) == Some(&(urgency, deadline)) {
            return;
        }
        self.remove(key);
        self.places.insert(key.clone(), (urgency, deadline));
        self.waiting.insert((urgency, deadline, key.clone()));
    }

    /// Nothing is due for this lease.
    pub(crate) fn remove(&mut self, key: &LeaseKey) {
        if let Some((urgency, deadline)) = self.places.remove(key) {
            self.waiting.remove(&(urgency, deadline, key.clone()));
        }
    }

    /// The lease whose write goes now, if any may. The caller sends it, or says with [`unsent`](Outbox::unsent) that there
    /// was nothing to send.
    pub(crate) fn next(&mut self, now: Moment) -> Option<LeaseKey> {
        if self.under_way >= self.most || !self.pacer.allows(now) {
            return None;
        }
        let (_, _, key) = self.waiting.pop_first()?;
        self.places.remove(&key);
        self.under_way += 1;
        self.pacer.sent(now);
        Some(key)
    }

    /// There was nothing to send after all.
    pub(crate) fn unsent(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// An answer came to a write that was sent at this time, or its time is over.
    pub(crate) fn answered(&mut self, sent: Moment, throttled: bool, now: Moment) {
        self.under_way = self.under_way.saturating_sub(1);
        if throttled {
            self.pacer.throttled(sent, now);
        } else {
            self.pacer.taken();
        }
    }

    /// When [`next`](Outbox::next) has something again, if only time is lacking.
    pub(crate) fn wake_at(&self) -> Option<Moment> {
        (!self.waiting.is_empty() && self.under_way < self.most).then(|| self.pacer.next())
    }
}

#[cfg(test)]
mod tests;
