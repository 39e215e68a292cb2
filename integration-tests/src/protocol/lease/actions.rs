//! What can happen next.

use std::fmt;

use kcl_core::testing::protocol::Role;

use super::LeaseModel;
use super::java::JavaStep;
use super::state::{Child, Farewell, State, Tenure};
use crate::protocol::row::{JAVA, Row, Who};
use crate::protocol::rule::Rule;

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A worker looks at the row, to act on it later.
    Look(Who),
    /// A worker that holds nothing sends a take of a free or expired lease.
    Take(Who),
    /// A worker that holds nothing adopts the row that names it.
    Adopt(Who),
    /// A record is processed.
    Deliver(Who),
    /// The holder sends a renewal, with what is processed.
    Renew(Who),
    /// The holder reads that a hand-off is asked of it.
    Learn(Who),
    /// The holder sends its farewell.
    Leave(Who, Farewell),
    /// The farewell is sent again.
    LeaveAgain(Who),
    /// A worker named `checkpointOwner` has no tenure and completes.
    Complete(Who),
    /// The request of a worker's call takes effect.
    Land(Who),
    /// The same, and a copy of it stays on its way.
    LandTwice(Who),
    /// The answer reaches the worker.
    Hear(Who),
    /// The worker waits no longer; request or answer are late or lost.
    TimeOut(Who),
    /// A worker crashes and starts again under its name.
    Crash(Who),
    /// A request that nobody waits for takes effect.
    LandLate(usize),
    /// The leader asks the holder to hand over to a worker.
    Ask(Who),
    /// The leader assigns a free or expired lease to a worker.
    Assign(Who),
    /// The leader completes an overdue hand-off.
    CompleteOverdue,
    /// Another worker leads now.
    Lead(Who),
    /// Somebody makes the row of the child before the end.
    MakeChild,
    /// The child is started.
    StartChild,
    /// The Java library does something.
    Java(JavaStep),
}

impl LeaseModel {
    /// All that can happen next.
    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        for who in self.workers() {
            self.of_worker(state, who, actions);
        }
        let late = state.late.iter().flatten().count();
        actions.extend((0..late).map(Action::LandLate));
        if self.has_room(state) && state.spent.moves < self.bounds.moves {
            self.of_leader(state, actions);
        }
        if state.spent.leaders < self.bounds.leaders {
            actions.extend(self.workers().filter(|who| *who != state.leader).map(Action::Lead));
        }
        if state.child == Child::Missing && self.bounds.child_early && !state.row.ended() {
            actions.push(Action::MakeChild);
        }
        if state.child == Child::Made && (state.row.ended() || !self.rules.has(Rule::ChildAfterParents)) {
            actions.push(Action::StartChild);
        }
        if state.spent.java < self.bounds.java {
            actions.extend(self.of_java(state).into_iter().map(Action::Java));
        }
    }

    fn has_room(&self, state: &State) -> bool {
        state.late.iter().flatten().count() < usize::from(self.bounds.late)
    }

    fn of_worker(&self, state: &State, who: Who, actions: &mut Vec<Action>) {
        let worker = state.worker(who);
        let idle = worker.tenure.is_none() && worker.call.is_none();
        match worker.call {
            Some(call) => {
                actions.push(if call.answer.is_none() { Action::Land(who) } else { Action::Hear(who) });
                if state.spent.timeouts < self.bounds.timeouts {
                    actions.push(Action::TimeOut(who));
                }
                let copies = state.spent.duplicates < self.bounds.duplicates && self.has_room(state);
                if call.answer.is_none() && copies {
                    actions.push(Action::LandTwice(who));
                }
            }
            None => match &worker.tenure {
                Some(tenure) => self.of_holder(state, who, tenure, actions),
                None => self.of_idle(state, who, actions),
            },
        }
        if worker.call.is_some() && state.delivers(who) && self.has_more(worker.tenure.as_ref()) {
            actions.push(Action::Deliver(who));
        }
        if !idle && state.spent.crashes < self.bounds.crashes {
            actions.push(Action::Crash(who));
        }
    }

    fn has_more(&self, tenure: Option<&Tenure>) -> bool {
        tenure.is_some_and(|tenure| tenure.done.0 < self.bounds.records)
    }

    fn of_holder(&self, state: &State, who: Who, tenure: &Tenure, actions: &mut Vec<Action>) {
        if let Some(farewell) = tenure.farewell {
            actions.push(Action::LeaveAgain(who));
            if farewell == Farewell::End && tenure.unanswered.is_some() {
                // While the end cannot be written the lease is kept, and a stop does not wait for ever.
                self.of_hindered(state, who, tenure, actions);
            }
            return;
        }
        let more = self.has_more(Some(tenure));
        if more && state.delivers(who) {
            actions.push(Action::Deliver(who));
        }
        if tenure.done > tenure.confirmed.checkpoint || state.spent.renewals < self.bounds.renewals {
            actions.push(Action::Renew(who));
        }
        if !more {
            actions.push(Action::Leave(who, Farewell::End));
        }
        match tenure.role {
            Role::CheckpointOwner => actions.push(Action::Leave(who, Farewell::Release)),
            Role::Owner => {
                self.of_stopping(state, who, actions);
                if state.row.checkpoint_owner == Some(who) && state.row.counter == tenure.confirmed.counter {
                    actions.push(Action::Learn(who));
                }
            }
        }
    }

    fn of_stopping(&self, state: &State, who: Who, actions: &mut Vec<Action>) {
        if state.spent.stops < self.bounds.stops {
            actions.push(Action::Leave(who, Farewell::Release));
            let others = self.workers().filter(|other| *other != who);
            actions.extend(others.map(|other| Action::Leave(who, Farewell::HandOver(other))));
        }
    }

    fn of_hindered(&self, state: &State, who: Who, tenure: &Tenure, actions: &mut Vec<Action>) {
        if state.spent.renewals < self.bounds.renewals {
            actions.push(Action::Renew(who));
        }
        match tenure.role {
            Role::Owner => self.of_stopping(state, who, actions),
            Role::CheckpointOwner => actions.push(Action::Leave(who, Farewell::Release)),
        }
    }

    fn of_idle(&self, state: &State, who: Who, actions: &mut Vec<Action>) {
        let looked = state.worker(who).looked;
        if self.bounds.looks_apart && looked != Some(state.row) {
            actions.push(Action::Look(who));
        }
        let seen = if self.bounds.looks_apart { looked } else { Some(state.row) };
        if let Some(seen) = seen.filter(|_| state.spent.begins < self.bounds.begins) {
            actions.extend(self.beginning(&seen, who));
        }
        if state.row.checkpoint_owner == Some(who) && self.rules.has(Rule::CompleteWithoutTenure) {
            actions.push(Action::Complete(who));
        }
    }

    fn beginning(&self, seen: &Row, who: Who) -> Option<Action> {
        let is_held = self.bounds.calm && seen.owner.is_some_and(|owner| owner != who);
        if seen.ended() || is_held {
            None
        } else if seen.names(who) || (seen.owner == Some(who) && !self.rules.has(Rule::AdoptNotPending)) {
            Some(Action::Adopt(who))
        } else {
            Some(Action::Take(who))
        }
    }

    fn of_leader(&self, state: &State, actions: &mut Vec<Action>) {
        let row = &state.row;
        for to in self.workers() {
            if row.owner.is_some_and(|owner| owner != to) && row.checkpoint_owner.is_none() && !row.ended() {
                actions.push(Action::Ask(to));
            }
            let silent = row.owner.is_some() && !self.bounds.calm;
            if !row.ended() && row.holder() != Some(to) && (row.owner.is_none() || silent) {
                actions.push(Action::Assign(to));
            }
        }
        if row.checkpoint_owner.is_some() && !self.bounds.calm && self.rules.has(Rule::AnyoneCompletes) {
            actions.push(Action::CompleteOverdue);
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Look(who) => write!(f, "{who:?} looks at the row"),
            Action::Take(who) => write!(f, "{who:?} sends a take"),
            Action::Adopt(who) => write!(f, "{who:?} adopts"),
            Action::Deliver(who) => write!(f, "{who:?} processes a record"),
            Action::Renew(who) => write!(f, "{who:?} sends a renewal, with what is processed"),
            Action::Learn(who) => write!(f, "{who:?} reads that it is to hand over"),
            Action::Leave(who, Farewell::End) => write!(f, "{who:?} has read everything and sends SHARD_END"),
            Action::Leave(who, Farewell::Release) => write!(f, "{who:?} sends its release"),
            Action::Leave(who, Farewell::HandOver(to)) => write!(f, "{who:?} stops and hands over to {to:?}"),
            Action::LeaveAgain(who) => write!(f, "{who:?} sends its farewell again"),
            Action::Complete(who) => write!(f, "{who:?}, named checkpointOwner without a tenure, completes"),
            Action::Land(who) => write!(f, "{who:?}'s request arrives"),
            Action::LandTwice(who) => write!(f, "{who:?}'s request arrives, and a copy is on its way"),
            Action::Hear(who) => write!(f, "{who:?} hears the answer"),
            Action::TimeOut(who) => write!(f, "{who:?}'s call runs out of time"),
            Action::Crash(who) => write!(f, "{who:?} crashes and starts again"),
            Action::LandLate(_) => write!(f, "a late request arrives"),
            Action::Ask(to) => write!(f, "the leader asks the holder to hand over to {to:?}"),
            Action::Assign(to) => write!(f, "the leader finds the lease free or silent and assigns it to {to:?}"),
            Action::CompleteOverdue => write!(f, "the leader completes an overdue hand-off"),
            Action::Lead(who) => write!(f, "{who:?} leads from now on"),
            Action::MakeChild => write!(f, "somebody makes the row of the child"),
            Action::StartChild => write!(f, "the child is started"),
            Action::Java(step) => write!(f, "{:?}: {step}", JAVA),
        }
    }
}
