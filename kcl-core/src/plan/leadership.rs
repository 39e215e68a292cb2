//! Who leads: what the leader row, as seen at a moment, means for this worker, and what it writes there.
//!
//! The lock is the KCL's: a row whose version moves while the leader lives, and that others may take once it has stood still
//! for the time written in it. Ours is renewed only at the end of a completed planning cycle, so that a leader whose planner
//! is stuck loses it. A leader trusts its lock for F from before it sent the write, others wait 1.2 F from after they saw it:
//! clocks that drift apart by 5 % never make two leaders. If they did, nothing would break: every write of a leader is
//! conditional.

use std::time::Duration;

use super::fleet_view::FleetView;
use crate::settings::Timings;
use crate::types::{Expect, LeaderRow, Moment, StoreError, WorkerId, WriteOutcome};

/// What this worker does now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Another worker leads, and its cycles are seen to complete: nothing is scanned here.
    Follow,
    /// Scan as the leader does, so that ages are warm when the lock falls to us, and write nothing.
    Watch,
    /// Try to take the lock.
    Take(Free),
    /// Plan for all.
    Lead,
}

/// Why the lock may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Free {
    /// There is no row.
    Absent,
    /// Its holder has given it up.
    Released,
    /// It has stood still for the time written in it.
    Silent,
    /// An earlier process with our id left it.
    Inherited,
}

impl Free {
    /// In words, for logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Free::Absent => "nobody had it",
            Free::Released => "it was released",
            Free::Silent => "its holder is silent",
            Free::Inherited => "an earlier process with this worker id had it",
        }
    }
}

/// What an answer to a write of the lock means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LockNews {
    /// It is ours, or still ours.
    Held,
    /// Another worker has it.
    Lost,
    /// Nothing was learned; the next look at the row tells.
    Unsure(StoreError),
}

/// A lock that this process certainly wrote.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    version: String,
    /// When the write was sent.
    since: Moment,
}

/// The row as it was last seen.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    row: LeaderRow,
    /// When this version was first seen.
    since: Moment,
    /// Its version has moved while we watched: its holder is no relic.
    moved: bool,
}

/// The last look at the row.
#[derive(Debug, Clone, PartialEq)]
enum Look {
    NotYet,
    NoRow,
    Unreadable,
    Row(Seen),
}

/// What this worker knows of the leader lock.
#[derive(Debug, Clone)]
pub(crate) struct Leadership {
    me: WorkerId,
    timings: Timings,
    /// How long this worker leaves a free lock to others, so that not all try to take it at once.
    grace: Duration,
    look: Look,
    /// Before the worker had looked twice nobody can have left it a turn: a lock that was released is free to it at once.
    looks: u32,
    /// When a planning cycle was last seen to complete; before the first, when this worker began.
    cycled: Moment,
    /// A cycle has completed while we watched.
    cycles: bool,
    held: Option<Held>,
    /// Versions of this process whose writes were not answered, and when they were sent.
    unanswered: Vec<(String, Moment)>,
    /// The version that this process last had: it is no inheritance.
    own: Option<String>,
    /// This process has taken the lock, and no planning cycle was seen to complete since.
    fruitless: bool,
    /// Nor has it looked at the table since.
    blind: bool,
    /// When the table was last looked at, if that showed no other worker of ours that lives.
    alone: Option<Moment>,
}

/// However long the table is away, so many unanswered writes are remembered. The latest count.
const UNANSWERED: usize = 16;

impl Leadership {
    /// Begins without any knowledge. `spread`, from 0 to 1, keeps workers apart that see a lock expire together.
    pub(crate) fn new(me: WorkerId, timings: Timings, spread: f64, now: Moment) -> Self {
        Leadership {
            me,
            timings,
            grace: timings.heartbeat.mul_f64(0.5 + spread.clamp(0.0, 1.0)),
            look: Look::NotYet,
            looks: 0,
            cycled: now,
            cycles: false,
            held: None,
            unanswered: Vec::new(),
            own: None,
            fruitless: false,
            blind: false,
            alone: None,
        }
    }

    /// Takes in whom a look at the table showed: with nobody else there, nobody is left a turn.
    pub(crate) fn sees(&mut self, fleet: &FleetView, now: Moment) {
        self.looked(standby(fleet, &self.me, now, self.timings.expiry).is_none(), now);
    }

    /// Takes in that the table was looked at, and whether it showed nobody else.
    pub(crate) fn looked(&mut self, alone: bool, now: Moment) {
        self.alone = alone.then_some(now);
        self.blind = false;
    }

    /// Whether this worker leads at this moment. Asked again before every write that only a leader makes.
    pub(crate) fn leads(&self, now: Moment) -> bool {
        self.held.as_ref().is_some_and(|held| now.since(held.since) < self.timings.failover)
    }

    /// Whether the row must be read before [`duty`](Leadership::duty) means anything: a leader knows it from its own writes.
    pub(crate) fn must_look(&self, now: Moment) -> bool {
        !self.leads(now) || !self.unanswered.is_empty()
    }

    /// Takes in the row as it was read; `now` is the moment after the answer.
    pub(crate) fn observe(&mut self, row: Option<LeaderRow>, now: Moment) {
        self.looks = self.looks.saturating_add(1);
        let Some(row) = row else {
            self.held = None;
            self.look = Look::NoRow;
            return;
        };
        self.settle(&row);
        let before = match std::mem::replace(&mut self.look, Look::NotYet) {
            Look::Row(before) => Some(before),
            Look::NotYet | Look::NoRow | Look::Unreadable => None,
        };
        // A row that gets its first count was taken over from a foreign leader: no cycle was completed yet.
        let cycle_before = before.as_ref().and_then(|before| before.row.cycle);
        if cycle_before.is_some() && row.cycle.is_some() && cycle_before != row.cycle {
            self.cycled = now;
            self.cycles = true;
            self.fruitless = false;
        }
        self.look = Look::Row(match before {
            Some(before) if before.row.version == row.version => Seen { row, ..before },
            Some(before) => Seen { moved: before.row.owner == row.owner, row, since: now },
            None => Seen { row, since: now, moved: false },
        });
    }

    /// Takes in that the row cannot be read: nobody of ours can lead while it stands there.
    pub(crate) fn observe_unreadable(&mut self) {
        self.looks = self.looks.saturating_add(1);
        self.held = None;
        self.look = Look::Unreadable;
    }

    /// Whether the row shows one of our writes, also one whose answer never came.
    fn settle(&mut self, row: &LeaderRow) {
        let answered = self.unanswered.iter().find(|(version, _)| *version == row.version);
        if let Some((version, sent)) = answered.filter(|_| row.owner == self.me && !row.released) {
            if self.held.is_none() {
                (self.fruitless, self.blind) = (true, true);
            }
            self.held = Some(Held { version: version.clone(), since: *sent });
            self.own = Some(version.clone());
        } else if self.held.as_ref().is_some_and(|held| held.version == row.version) {
            // What was not answered may still arrive, on the version that stands here.
            return;
        } else {
            self.held = None;
        }
        self.unanswered.clear();
    }

    /// What to do now. It holds until [`next_look`](Leadership::next_look) at most.
    pub(crate) fn duty(&self, now: Moment) -> Duty {
        if self.leads(now) {
            return Duty::Lead;
        }
        match &self.look {
            Look::NotYet | Look::Unreadable => Duty::Watch,
            Look::NoRow => Duty::Take(Free::Absent),
            Look::Row(seen) => match self.free(seen, now) {
                Some(free) => Duty::Take(free),
                None if self.must_watch(seen, now) => Duty::Watch,
                None => Duty::Follow,
            },
        }
    }

    fn free(&self, seen: &Seen, now: Moment) -> Option<Free> {
        let row = &seen.row;
        if self.fruitless && self.blind {
            // It had the lock to no avail, and no look at the table was answered since: it would be so again, while one
            // that can plan waits, perhaps for longer, having seen the row later.
            return None;
        }
        if row.owner == self.me && !row.released && self.own.as_ref() != Some(&row.version) {
            return Some(Free::Inherited);
        }
        let (reason, from) = self.free_from(seen, now);
        (now >= from).then_some(reason)
    }

    /// From when on this worker may take the lock if the row stands still. The standby may at once, others leave it a turn.
    /// A worker whose own lock ran out, or that had it and completed no cycle, leaves all others theirs: it would take the
    /// lock again and again, and do nothing. Of those that failed whoever did so last waits longest: otherwise one whose
    /// planner is stuck could always be quicker than one that was only unlucky.
    fn free_from(&self, seen: &Seen, now: Moment) -> (Free, Moment) {
        let row = &seen.row;
        // Whose looks at the table hang knows nothing of others.
        let turn = if self.alone.is_some_and(|at| now.since(at) <= self.timings.failover / 2) {
            self.grace
        } else if self.own.as_ref() == Some(&row.version) {
            self.timings.lock + self.grace
        } else if self.fruitless {
            self.timings.lock / 2 + self.grace
        } else {
            match &row.standby {
                Some(standby) if *standby == self.me => Duration::ZERO,
                // It may see a renewal one observation later than we do, and counts from then.
                Some(_) => self.timings.observation + self.grace,
                None => self.grace,
            }
        };
        if !row.released {
            return (Free::Silent, seen.since + row.lease_duration + turn);
        }
        let first_look = self.looks <= 1 || row.standby.is_none();
        (Free::Released, seen.since + if first_look { Duration::ZERO } else { turn })
    }

    fn must_watch(&self, seen: &Seen, now: Moment) -> bool {
        if seen.row.cycle.is_none() {
            // A leader of another library tells nothing of its cycles. While its lock moves it plans, and shows it rarely.
            return !seen.moved || now.since(seen.since) > seen.row.lease_duration / 2;
        }
        let standby = seen.row.standby.as_ref() == Some(&self.me);
        standby || !self.cycles || now.since(self.cycled) > self.timings.failover / 2
    }

    /// When to look again, if nothing else happens.
    pub(crate) fn next_look(&self, now: Moment) -> Moment {
        let period = match self.duty(now) {
            Duty::Follow => self.timings.heartbeat,
            Duty::Watch | Duty::Take(_) | Duty::Lead => self.timings.observation,
        };
        let next = now + period;
        match &self.look {
            // The standby does not let a free lock lie until its next round.
            Look::Row(seen) if self.free_from(seen, now).1 > now => next.min(self.free_from(seen, now).1),
            _ => next,
        }
    }

    /// Whether nobody leads, so that every worker takes for itself what it has seen expire: no planning cycle has completed
    /// for 2 F, and the lock is nobody's, or of a worker of ours, or of a foreign leader that is silent.
    ///
    /// A foreign leader never says that a cycle was completed, so its lock counts: all of the time written in it if it was
    /// seen to move, but no longer than any holder has if it never did, since then most likely its fleet is gone. Should it
    /// live after all, it finds a few leases taken that had no live holder.
    pub(crate) fn may_claim(&self, now: Moment) -> bool {
        let leaderless = now.since(self.cycled) > self.timings.leaderless;
        match &self.look {
            Look::NotYet => false,
            Look::NoRow | Look::Unreadable => leaderless,
            Look::Row(seen) if seen.row.released || seen.row.cycle.is_some() => leaderless,
            Look::Row(seen) if seen.moved => now.since(seen.since) > seen.row.lease_duration,
            Look::Row(seen) => now.since(seen.since) > self.timings.expiry,
        }
    }

    /// The write that takes the lock: what must be there, and the new row. `version` is new in the world.
    pub(crate) fn take(&mut self, version: String, now: Moment) -> (Expect<String>, LeaderRow) {
        let (expected, cycle) = match &self.look {
            Look::Row(seen) => (Expect::Is(seen.row.version.clone()), seen.row.cycle),
            Look::NotYet | Look::NoRow | Look::Unreadable => (Expect::Absent, None),
        };
        let row = self.row(version, cycle.unwrap_or(0), None, now);
        (expected, row)
    }

    /// The write that renews the lock after a planning cycle; `None` if it has run out meanwhile.
    pub(crate) fn renew(
        &mut self,
        version: String,
        standby: Option<WorkerId>,
        now: Moment,
    ) -> Option<(Expect<String>, LeaderRow)> {
        let held = self.held.as_ref().filter(|_| self.leads(now))?;
        let expected = Expect::Is(held.version.clone());
        let row = self.row(version, self.cycle().saturating_add(1), standby, now);
        Some((expected, row))
    }

    /// The write that gives the lock up, for `standby` to take; `None` if it is not ours. Nothing else is done as leader
    /// afterwards.
    pub(crate) fn release(
        &mut self,
        version: String,
        standby: Option<WorkerId>,
        now: Moment,
    ) -> Option<(Expect<String>, LeaderRow)> {
        let held = self.held.take().filter(|held| now.since(held.since) < self.timings.failover)?;
        let expected = Expect::Is(held.version);
        let mut row = self.row(version, self.cycle(), standby, now);
        row.released = true;
        self.unanswered.clear();
        Some((expected, row))
    }

    fn cycle(&self) -> u64 {
        match &self.look {
            Look::Row(seen) => seen.row.cycle.unwrap_or(0),
            Look::NotYet | Look::NoRow | Look::Unreadable => 0,
        }
    }

    fn row(&mut self, version: String, cycle: u64, standby: Option<WorkerId>, now: Moment) -> LeaderRow {
        if self.unanswered.len() == UNANSWERED {
            self.unanswered.remove(0);
        }
        self.unanswered.push((version.clone(), now));
        let mut row = LeaderRow::new(self.me.clone(), self.timings.lock, version);
        row.cycle = Some(cycle);
        row.standby = standby;
        row
    }

    /// Takes in the answer to a write of the lock.
    pub(crate) fn answer(&mut self, outcome: WriteOutcome<LeaderRow>, now: Moment) -> LockNews {
        match outcome {
            // After a lost answer the row in a conflict may be our own earlier write.
            WriteOutcome::Applied(row) | WriteOutcome::Conflict(row) => {
                self.observe(Some(row), now);
                if self.leads(now) { LockNews::Held } else { LockNews::Lost }
            }
            WriteOutcome::Missing => {
                self.observe(None, now);
                LockNews::Lost
            }
            WriteOutcome::Unreadable(_) => {
                self.observe_unreadable();
                LockNews::Lost
            }
            WriteOutcome::Refused(error) => {
                self.unanswered.pop();
                LockNews::Unsure(error)
            }
            WriteOutcome::Unknown(error) => LockNews::Unsure(error),
        }
    }
}

/// Who takes over first: of the other workers of ours that live and want leases, the first by id.
pub(crate) fn standby(view: &FleetView, me: &WorkerId, now: Moment, expiry: Duration) -> Option<WorkerId> {
    let mut others = view.workers.iter().filter(|(worker, _)| *worker != me);
    others.find(|(_, seen)| seen.row.is_ours() && seen.is_live(now, expiry)).map(|(worker, _)| worker.clone())
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;
