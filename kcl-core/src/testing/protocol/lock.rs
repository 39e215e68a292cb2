//! Who leads, as workers decide it from the leader row and their own clocks.

use std::fmt;

use crate::plan::leadership::{self, Duty, LockNews};
use crate::settings::Timings;
use crate::types::{Expect, LeaderRow, Moment, WorkerId, WriteOutcome};

/// What a worker does now about the leader's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LeaderDuty {
    /// Another worker leads: rest.
    Follow,
    /// Scan as the leader does, and write nothing.
    Watch,
    /// Try to take the lock.
    Take,
    /// Plan for all.
    Lead,
}

/// What one process knows of the leader lock.
#[derive(Clone)]
pub struct Leadership(leadership::Leadership);

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Leadership {
    /// Begins without any knowledge. `spread`, from 0 to 1, keeps workers apart that see a lock expire together.
    pub fn new(me: WorkerId, timings: Timings, spread: f64, now: Moment) -> Self {
        Leadership(leadership::Leadership::new(me, timings, spread, now))
    }

    /// Whether this process leads at this moment.
    pub fn leads(&self, now: Moment) -> bool {
        self.0.leads(now)
    }

    /// Whether it reads the row before it acts.
    pub fn must_look(&self, now: Moment) -> bool {
        self.0.must_look(now)
    }

    /// Takes in the row as it was read.
    pub fn observe(&mut self, row: Option<LeaderRow>, now: Moment) {
        self.0.observe(row, now);
    }

    /// Takes in that the whole table was read, and that others are there.
    pub fn looked(&mut self, now: Moment) {
        self.0.looked(false, now);
    }

    /// What to do now.
    pub fn duty(&self, now: Moment) -> LeaderDuty {
        match self.0.duty(now) {
            Duty::Follow => LeaderDuty::Follow,
            Duty::Watch => LeaderDuty::Watch,
            Duty::Take(_) => LeaderDuty::Take,
            Duty::Lead => LeaderDuty::Lead,
        }
    }

    /// Whether it may take leases for itself, since nobody leads.
    pub fn may_claim(&self, now: Moment) -> bool {
        self.0.may_claim(now)
    }

    /// The write that takes the lock.
    pub fn take(&mut self, version: String, now: Moment) -> (Expect<String>, LeaderRow) {
        self.0.take(version, now)
    }

    /// The write that renews the lock after a planning cycle; `None` if it has run out meanwhile.
    pub fn renew(
        &mut self,
        version: String,
        standby: Option<WorkerId>,
        now: Moment,
    ) -> Option<(Expect<String>, LeaderRow)> {
        self.0.renew(version, standby, now)
    }

    /// The write that gives the lock up; `None` if it is not ours.
    pub fn release(
        &mut self,
        version: String,
        standby: Option<WorkerId>,
        now: Moment,
    ) -> Option<(Expect<String>, LeaderRow)> {
        self.0.release(version, standby, now)
    }

    /// Takes in the answer to a write; whether the lock is held.
    pub fn answer(&mut self, outcome: WriteOutcome<LeaderRow>, now: Moment) -> bool {
        matches!(self.0.answer(outcome, now), LockNews::Held)
    }
}
