//! The frame around every strategy: what must be done in any case, and what may never be done.

use std::collections::BTreeSet;
use std::fmt;

use super::AssignmentStrategy;
use super::snapshot::{LeaseState, Snapshot};
use super::standing::{Standing, is_overdue};
use super::steps::{Plan, Step, StepAction};
use crate::types::LeaseKey;

/// A plan that may be carried out, and what was left out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Planned {
    /// What to do.
    pub plan: Plan,
    /// What the strategy proposed and what may not be done.
    pub refused: Vec<Refused>,
    /// How many leases can be read and are read by nobody after this plan: no worker is there, or none has room.
    pub unplaced: usize,
}

/// A step that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The step.
    pub step: Step,
    /// The rule.
    pub because: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused to {}: {}", self.step, self.because)
    }
}

/// What a leader does with a strategy: overdue hand-offs are completed whatever it says, and of what it proposes only that
/// is kept which takes no lease from a worker that reads it without asking, gives none to a worker that is dead, stops or
/// is full, and stays within the budget.
pub fn plan(strategy: &dyn AssignmentStrategy, snapshot: &Snapshot<'_>) -> Planned {
    let mut review = Review::new(snapshot);
    for lease in snapshot.leases().iter().filter(|lease| completes(lease, snapshot)) {
        review.accept(Step::complete(lease.key(), overdue(lease)));
    }
    for step in strategy.propose(snapshot).steps {
        match review.objection(&step) {
            None => review.accept(step),
            // It has been accepted already.
            Some(_) if step.action == StepAction::Complete && review.named.contains(&step.lease) => {}
            Some(because) => review.planned.refused.push(Refused { step, because }),
        }
    }
    let Review { mut planned, named, .. } = review;
    let unplaced = |lease: &&LeaseState<'_>| lease.needs_worker() && !named.contains(lease.key());
    planned.unplaced = snapshot.leases().iter().filter(unplaced).count();
    planned
}

fn completes(lease: &LeaseState<'_>, snapshot: &Snapshot<'_>) -> bool {
    matches!(lease.standing, Standing::HandingOver { .. }) && is_overdue(lease, snapshot)
}

fn overdue(lease: &LeaseState<'_>) -> String {
    let seconds = lease.pending.unwrap_or_default().as_secs_f64();
    match lease.standing {
        Standing::HandingOver { from, to } => format!("{from} was asked {seconds:.1} s ago to hand it over to {to}"),
        _ => format!("pending for {seconds:.1} s"),
    }
}

struct Review<'s, 'a> {
    snapshot: &'s Snapshot<'a>,
    /// Leases that have a step.
    named: BTreeSet<LeaseKey>,
    /// How many leases each worker is burdened with, with this plan.
    burdens: Vec<usize>,
    moves_left: usize,
    planned: Planned,
}

impl<'s, 'a> Review<'s, 'a> {
    fn new(snapshot: &'s Snapshot<'a>) -> Self {
        Review {
            snapshot,
            named: BTreeSet::new(),
            burdens: snapshot.burdens(),
            moves_left: snapshot.move_budget(),
            planned: Planned::default(),
        }
    }

    fn accept(&mut self, step: Step) {
        if let Some(target) = step.target().and_then(|target| self.snapshot.worker_index(target)) {
            self.burdens[target] += 1;
        }
        if let StepAction::Move { .. } = step.action {
            self.moves_left -= 1;
        }
        self.named.insert(step.lease.clone());
        self.planned.plan.steps.push(step);
    }

    /// Which rule a step breaks.
    fn objection(&self, step: &Step) -> Option<&'static str> {
        let Some(lease) = self.snapshot.lease(&step.lease) else { return Some("there is no such lease") };
        if self.named.contains(&step.lease) {
            return Some("the lease has a step already");
        }
        match &step.action {
            StepAction::Assign { .. } if !lease.needs_worker() => Some("it is held, or there is nothing to read yet"),
            StepAction::Move { from, .. } if lease.standing != (Standing::Held { by: from }) => {
                Some("the worker that it is to come from does not hold it, or hands it over already")
            }
            StepAction::Move { from, to } if from == to => Some("it is there already"),
            StepAction::Move { .. } if self.moves_left == 0 => Some("the moves of one plan are used up"),
            StepAction::Complete => (!completes(lease, self.snapshot)).then_some("no hand-off of it is overdue"),
            StepAction::Assign { .. } | StepAction::Move { .. } => self.objection_to_target(step),
        }
    }

    fn objection_to_target(&self, step: &Step) -> Option<&'static str> {
        let index = step.target().and_then(|target| self.snapshot.worker_index(target));
        let Some(index) = index else { return Some("there is no such worker") };
        let worker = &self.snapshot.workers()[index];
        let is_move = matches!(step.action, StepAction::Move { .. });
        if !worker.takes_leases() {
            Some("the worker is dead or stops")
        } else if is_move && !worker.moved {
            Some("the worker has not shown life yet")
        } else if worker.max_leases().is_some_and(|most| self.burdens[index] >= most) {
            Some("the worker holds as many leases as it may")
        } else {
            None
        }
    }
}
