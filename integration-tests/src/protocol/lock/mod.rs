//! The leader lock: workers that take it, renew it after each planning cycle, lose it, stop or crash; one or all whose
//! planners hang.
//!
//! What a worker knows and does is the library's own (`kcl_core::testing::protocol::lock`). Time is a number here, the same
//! for all workers: clocks that drift are left to simulation. A worker may do each of its steps at once or late, or never.

mod actions;
mod fair;
mod row;
mod scenarios;
mod state;
mod step;

use std::fmt;

use stateright::{Model, Property};

pub use actions::Action;
pub(super) use scenarios::runs;
pub use state::State;

use super::check::{Told, told};
use super::row::Who;
use super::rule::{Broken, Rule, Rules};
use state::{Process, Spent};

/// How far a run goes. Counts are for a whole history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Workers, at most three.
    pub workers: u8,
    /// Of these, the first so many have planners that hang.
    pub stuck: u8,
    /// How long it is watched, in halves of F.
    pub time: u8,
    /// Renewals.
    pub cycles: u8,
    /// Writes whose answer does not come in time, whatever became of them.
    pub timeouts: u8,
    /// Crashes, each with a restart under the same worker id.
    pub crashes: u8,
    /// Workers that stop, and give the lock up if they have it.
    pub stops: u8,
}

impl Bounds {
    const NONE: Bounds = Bounds { workers: 2, stuck: 0, time: 5, cycles: 0, timeouts: 0, crashes: 0, stops: 0 };
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { workers, stuck, time, cycles, timeouts, crashes, stops } = self;
        write!(f, "{workers} workers, {time}/2 F")?;
        let counts = [
            (stuck, "planners that hang"),
            (cycles, "renewals"),
            (timeouts, "time-outs"),
            (crashes, "crashes"),
            (stops, "stops"),
        ];
        counts.into_iter().filter(|(count, _)| **count > 0).try_for_each(|(count, what)| write!(f, ", {count} {what}"))
    }
}

/// The model of the leader lock.
#[derive(Debug, Clone, Copy)]
pub struct LockModel {
    /// How far it goes.
    pub bounds: Bounds,
    /// Which rules hold.
    pub rules: Rules,
    /// The promise that is looked at; all of them if none is named.
    pub only: Option<Broken>,
}

impl LockModel {
    fn workers(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.bounds.workers).map(Who)
    }

    /// Whether its planner hangs.
    fn is_stuck(&self, who: Who) -> bool {
        who.0 < self.bounds.stuck
    }

    /// How many believe to lead.
    fn leaders(&self, state: &State) -> usize {
        // Whoever does not look at its clock leads for as long as it knows of no other.
        let now = if self.rules.has(Rule::LeaderStops) { state.now } else { 0 };
        state.processes().filter(|process| process.mind.leads(now)).count()
    }
}

impl Told for LockModel {
    fn told_future(&self, stuck: &State) -> Vec<String> {
        told(self, stuck, self.future(stuck).unwrap_or_default(), |state, action| self.step(state, action))
    }
}

impl Model for LockModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let workers = self.workers().map(|who| Some(Process::new(who, 0))).collect();
        let mut state = State { now: 0, row: None, workers, late: None, versions: 0, spent: Spent::default() };
        state.print();
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        self.step(&mut state, action);
        state.print();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        type Holds = fn(&LockModel, &State) -> bool;
        let all: [(Broken, Holds); 2] = [
            (Broken::TwoLead, |model, state| model.leaders(state) <= 1),
            (Broken::Stuck, |model, state| model.future(state).is_none()),
        ];
        let asked = |broken: Broken| self.only.is_none_or(|only| only == broken);
        let looked_at = all.into_iter().filter(|(broken, _)| asked(*broken));
        looked_at.map(|(broken, condition)| Property::always(broken.promise(), condition)).collect()
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    /// The row, where it changes.
    fn format_step(&self, before: &State, action: Action) -> Option<String> {
        let after = self.next_state(before, action)?;
        match (action, after.row) {
            (_, Some(lock)) if before.row != after.row => Some(lock.to_string()),
            (Action::Land(_) | Action::LandLate, _) => Some("it is refused".to_owned()),
            _ => None,
        }
    }
}
