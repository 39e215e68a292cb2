//! Whether a shard can still be read to its end: from any state, once faults stop and everybody does its duty.

use kcl_core::testing::protocol::Role;

use super::LeaseModel;
use super::actions::Action;
use super::state::{Child, Farewell, State};
use crate::protocol::row::Who;
use crate::protocol::rule::Rule;

/// More steps than any history within the bounds needs.
const ENOUGH: usize = 60;

/// How the world goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Future {
    /// All workers live, and nobody has to wait for a time-out (P5).
    Prompt,
    /// One worker is left alone and holds nothing (P4).
    Alone(Who),
    /// Who is asked to hand over lives, renews, and never comes to an end (P4).
    Stubborn,
}

impl LeaseModel {
    /// From where and how the world goes on if the shard is never read to its end, in one of these ways.
    pub(super) fn future(&self, state: &State) -> Option<(State, Vec<Action>)> {
        let mut left = *state;
        for who in self.workers() {
            self.lose(&mut left, who);
        }
        let last = self.workers().last().unwrap_or(Who(0));
        self.goes_nowhere(*state, Future::Prompt)
            .or_else(|| self.goes_nowhere(left, Future::Alone(last)))
            .or_else(|| self.goes_nowhere(*state, Future::Stubborn))
    }

    fn goes_nowhere(&self, mut state: State, future: Future) -> Option<(State, Vec<Action>)> {
        let (from, mut actions) = (state, Vec::new());
        while actions.len() < ENOUGH {
            if state.row.ended() && state.child == Child::Started {
                return None;
            }
            let Some(action) = self.duty(&state, future) else { break };
            self.step(&mut state, action);
            actions.push(action);
            // What is broken on the way is found by the search; here only the end counts.
            state.broken = None;
        }
        Some((from, actions))
    }

    /// What is to be done next, by somebody who is alive.
    fn duty(&self, state: &State, future: Future) -> Option<Action> {
        if state.late[0].is_some() {
            return Some(Action::LandLate(0));
        }
        let alive = || self.workers().filter(move |who| !matches!(future, Future::Alone(alone) if alone != *who));
        if let Some(action) = alive().find_map(|who| self.duty_of(state, who, future)) {
            return Some(action);
        }
        let row = &state.row;
        if row.ended() {
            return (state.child == Child::Made).then_some(Action::StartChild);
        }
        if let Some(holder) = row.checkpoint_owner {
            let idle = alive().any(|who| who == holder) && state.worker(holder).tenure.is_none();
            return match future {
                _ if idle && self.rules.has(Rule::CompleteWithoutTenure) => Some(Action::Complete(holder)),
                Future::Prompt => None,
                _ if self.rules.has(Rule::AnyoneCompletes) => Some(Action::CompleteOverdue),
                Future::Alone(alone) if self.bounds.looks_apart && state.worker(alone).looked != Some(*row) => {
                    Some(Action::Look(alone))
                }
                Future::Alone(alone) => Some(Action::Take(alone)),
                Future::Stubborn => None,
            };
        }
        let named = alive().find(|who| row.owner == Some(*who));
        let who = named.or_else(|| alive().next())?;
        if self.bounds.looks_apart && state.worker(who).looked != Some(*row) {
            return Some(Action::Look(who));
        }
        Some(if named.is_some() { Action::Adopt(who) } else { Action::Take(who) })
    }

    fn duty_of(&self, state: &State, who: Who, future: Future) -> Option<Action> {
        let worker = state.worker(who);
        if let Some(call) = worker.call {
            return Some(if call.answer.is_none() { Action::Land(who) } else { Action::Hear(who) });
        }
        let tenure = worker.tenure?;
        match tenure.farewell {
            Some(_) => Some(Action::LeaveAgain(who)),
            None if tenure.role == Role::CheckpointOwner && future == Future::Stubborn => None,
            None if tenure.role == Role::CheckpointOwner || tenure.stopped => {
                Some(Action::Leave(who, Farewell::Release))
            }
            None if tenure.done.0 < self.bounds.records => Some(Action::Deliver(who)),
            None => Some(Action::Leave(who, Farewell::End)),
        }
    }
}
