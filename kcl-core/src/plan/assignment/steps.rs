//! Plans: what to do with which lease, and why.

use std::fmt;

use crate::types::{LeaseKey, WorkerId};

/// What to do with a lease.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum StepAction {
    /// Give a lease that nobody holds, or whose holder is taken for dead, to a worker.
    Assign {
        /// Who reads it from now on.
        to: WorkerId,
    },
    /// Ask the holder to finish what it is at and to hand the lease over.
    Move {
        /// Who holds it.
        from: WorkerId,
        /// Who waits for it.
        to: WorkerId,
    },
    /// Complete a hand-off that its holder should have completed long ago.
    Complete,
}

/// One step of a plan. Its text is the log line: `assign shard-3 to w-1: expired, owner w-2 silent 11.3 s`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The lease.
    pub lease: LeaseKey,
    /// What to do with it.
    pub action: StepAction,
    /// Why.
    pub why: String,
}

impl Step {
    /// Give a lease to a worker.
    pub fn assign(lease: &LeaseKey, to: &WorkerId, why: impl Into<String>) -> Self {
        Step { lease: lease.clone(), action: StepAction::Assign { to: to.clone() }, why: why.into() }
    }

    /// Ask the holder of a lease to hand it over.
    pub fn hand_over(lease: &LeaseKey, from: &WorkerId, to: &WorkerId, why: impl Into<String>) -> Self {
        let action = StepAction::Move { from: from.clone(), to: to.clone() };
        Step { lease: lease.clone(), action, why: why.into() }
    }

    /// Complete an overdue hand-off.
    pub fn complete(lease: &LeaseKey, why: impl Into<String>) -> Self {
        Step { lease: lease.clone(), action: StepAction::Complete, why: why.into() }
    }

    /// Who reads the lease after this step, if the step says so.
    pub fn target(&self) -> Option<&WorkerId> {
        match &self.action {
            StepAction::Assign { to } | StepAction::Move { to, .. } => Some(to),
            StepAction::Complete => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { lease, action, why } = self;
        match action {
            StepAction::Assign { to } => write!(f, "assign {lease} to {to}: {why}"),
            StepAction::Move { from, to } => write!(f, "move {lease} from {from} to {to}: {why}"),
            StepAction::Complete => write!(f, "complete {lease}: {why}"),
        }
    }
}

/// What should happen to the leases of a fleet now, in the order in which it should be done.
///
/// Its text has the steps one after another, separated by `; `, and says of a very long plan only how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The steps, at most one for each lease.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

impl From<Vec<Step>> for Plan {
    fn from(steps: Vec<Step>) -> Self {
        Plan { steps }
    }
}

/// A log line has an end: a plan for a whole fleet that starts has thousands of steps.
const SHOWN: usize = 40;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().take(SHOWN).enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "; " })?;
        }
        match self.steps.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}
