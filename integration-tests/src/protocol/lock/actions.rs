//! What can happen next.

use std::fmt;

use kcl_core::testing::protocol::lock::LeaderDuty;

use super::LockModel;
use super::state::{Process, State};
use crate::protocol::row::Who;
use crate::protocol::rule::Rule;

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Half of F goes by.
    Tick,
    /// A worker reads the row.
    Look(Who),
    /// A worker sends the write that takes the lock, since it is free as far as it knows.
    Take(Who),
    /// The leader has completed a planning cycle and sends the renewal.
    Renew(Who),
    /// A worker stops; if it leads, it sends the release of the lock.
    Stop(Who),
    /// A worker's write takes effect, or is refused.
    Land(Who),
    /// The answer reaches the worker.
    Hear(Who),
    /// The worker waits no longer; request or answer are late or lost.
    TimeOut(Who),
    /// A worker crashes and starts again under its name.
    Crash(Who),
    /// A write that nobody waits for arrives.
    LandLate,
    /// It never does.
    LoseLate,
}

impl LockModel {
    /// All that can happen next.
    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < self.bounds.time {
            actions.push(Action::Tick);
        }
        if state.late.is_some() {
            actions.extend([Action::LandLate, Action::LoseLate]);
        }
        for who in self.workers() {
            if let Some(process) = state.process(who) {
                self.of_process(state, who, process, actions);
            }
        }
    }

    fn of_process(&self, state: &State, who: Who, process: &Process, actions: &mut Vec<Action>) {
        if state.spent.crashes < self.bounds.crashes {
            actions.push(Action::Crash(who));
        }
        if let Some(call) = process.call {
            actions.push(if call.answer.is_none() { Action::Land(who) } else { Action::Hear(who) });
            if state.spent.timeouts < self.bounds.timeouts && state.late.is_none() {
                actions.push(Action::TimeOut(who));
            }
            return;
        }
        if state.spent.stops < self.bounds.stops {
            actions.push(Action::Stop(who));
        }
        // A row that has not changed since tells nothing new.
        if process.seen != Some(state.row) && process.mind.must_look(state.now) {
            actions.push(Action::Look(who));
        }
        actions.extend(self.duty(state, who, process));
    }

    /// What a worker writes now, by what it knows.
    pub(super) fn duty(&self, state: &State, who: Who, process: &Process) -> Option<Action> {
        let plans = !self.is_stuck(who) || !self.rules.has(Rule::RenewAfterCycle);
        match process.mind.duty(state.now) {
            _ if process.acted => None,
            LeaderDuty::Take => Some(Action::Take(who)),
            LeaderDuty::Lead if plans && state.spent.cycles < self.bounds.cycles => Some(Action::Renew(who)),
            LeaderDuty::Lead | LeaderDuty::Watch | LeaderDuty::Follow => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Tick => write!(f, "half of F goes by"),
            Action::Look(who) => write!(f, "{who:?} reads the leader row"),
            Action::Take(who) => write!(f, "{who:?} sends the write that takes the lock"),
            Action::Renew(who) => write!(f, "{who:?}, which leads, sends its renewal"),
            Action::Stop(who) => write!(f, "{who:?} stops, and releases the lock if it has it"),
            Action::Land(who) => write!(f, "{who:?}'s write arrives"),
            Action::Hear(who) => write!(f, "{who:?} hears the answer"),
            Action::TimeOut(who) => write!(f, "{who:?}'s call runs out of time"),
            Action::Crash(who) => write!(f, "{who:?} crashes and starts again"),
            Action::LandLate => write!(f, "a late write arrives"),
            Action::LoseLate => write!(f, "a late write is lost"),
        }
    }
}
