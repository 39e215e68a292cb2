//! One lease row, two or three workers, a leader that changes, requests that are late, lost or repeated, workers that
//! crash and come back under their name, and perhaps a worker of the Java library.
//!
//! Requests are made by the functions that workers use (`kcl_core::testing::protocol`) and take effect by
//! `Condition::holds` and `LeaseChange::apply`, which are the reference of every store. What a worker makes of an answer
//! is written down here once more, in [`answers`].
//!
//! Time is not a number. That a lease is judged expired means: F has passed for everybody who counts from a write that was
//! sent before the counter appeared which the judge saw standing still. This is exactly what the margins of the protocol
//! are for, so clocks and their drift are left to simulation.

mod actions;
mod alike;
mod answers;
mod bounds;
mod fair;
mod java;

mod scenarios;
mod state;
mod step;
mod write;

use kcl_core::testing::protocol::Role;
use stateright::{Model, Property};

pub use super::row::Who;
pub use actions::Action;
pub use bounds::Bounds;
pub(super) use scenarios::runs;
pub use state::State;

use super::check::{Told, told};
use super::row::{self, Mark, Row};
use super::rule::{Broken, Rules};
use state::{Child, Spent, Tenure, Worker};

/// The model of one lease row.
#[derive(Debug, Clone, Copy)]
pub struct LeaseModel {
    /// How far it goes.
    pub bounds: Bounds,
    /// Which rules hold.
    pub rules: Rules,
    /// Whether states that only differ in names of workers, or in numbers that nobody can tell apart, count as one. Traces
    /// are easier to read without.
    pub symmetric: bool,
    /// The promise that is looked at; all of them if none is named.
    pub only: Option<Broken>,
}

impl LeaseModel {
    /// All promises, no rule taken out, nothing counted twice.
    pub fn new(bounds: Bounds) -> Self {
        LeaseModel { bounds, rules: Rules::ALL, symmetric: false, only: None }
    }

    /// Notes a broken promise, if it is one that is looked at.
    fn broke(&self, state: &mut State, broken: Broken) {
        if self.only.is_none_or(|only| only == broken) {
            state.broken.get_or_insert(broken);
        }
    }

    fn workers(&self) -> impl Iterator<Item = Who> + use<> {
        (0..self.bounds.workers).map(Who)
    }
}

impl Told for LeaseModel {
    fn told_future(&self, stuck: &State) -> Vec<String> {
        let future = self.future(stuck);
        future
            .map(|(from, steps)| told(self, &from, steps, |state, action| self.step(state, action)))
            .unwrap_or_default()
    }
}

impl Model for LeaseModel {
    type State = State;
    type Action = Action;

    /// A holds the lease, as after many quiet renewals.
    fn init_states(&self) -> Vec<State> {
        let row = Row {
            owner: Some(Who(0)),
            checkpoint_owner: None,
            counter: 1,
            own_counter: 1,
            epoch: 1,
            checkpoint: Mark(0),
        };
        let tenure = Tenure {
            rightful: true,
            confirmed: row,
            role: Role::Owner,
            epoch: 1,
            done: Mark(0),
            since: 0,
            unanswered: None,
            farewell: None,
            stopped: false,
            child_seen: false,
        };
        let mut state = State {
            row,
            child: Child::Missing,
            workers: [Worker::default(); row::MOST],
            late: [None; state::LATE],
            leader: Who(0),
            spent: Spent::default(),
            token: 1,
            broken: None,
        };
        state.workers[0].tenure = Some(tenure);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_none() {
            self.possible(state, actions);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        self.step(&mut state, action);
        self.forget_the_dead(&mut state);
        if self.symmetric {
            state = alike::representative(&state, &self.bounds);
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds<const CLASS: usize>(_: &LeaseModel, state: &State) -> bool {
            state.broken != Some(Broken::ALL[CLASS])
        }
        fn moves_on(model: &LeaseModel, state: &State) -> bool {
            state.broken.is_some() || model.future(state).is_none()
        }
        type Holds = fn(&LeaseModel, &State) -> bool;
        let all: [(Broken, Holds); 9] = [
            (Broken::ALL[0], holds::<0>),
            (Broken::ALL[1], holds::<1>),
            (Broken::ALL[2], holds::<2>),
            (Broken::ALL[3], holds::<3>),
            (Broken::ALL[4], holds::<4>),
            (Broken::ALL[5], holds::<5>),
            (Broken::ALL[6], holds::<6>),
            (Broken::ALL[7], holds::<7>),
            (Broken::Stuck, moves_on),
        ];
        // What Java workers do beside ours is not ours to judge: where they take leases from live holders two deliver.
        let ours = |broken: Broken| self.bounds.java == 0 || !matches!(broken, Broken::TwoDeliver | Broken::Stuck);
        let asked = |broken: Broken| self.only.map_or(ours(broken), |only| only == broken);
        let looked_at = all.into_iter().filter(|(broken, _)| asked(*broken));
        looked_at.map(|(broken, condition)| Property::always(broken.promise(), condition)).collect()
    }

    fn format_action(&self, action: &Action) -> String {
        action.to_string()
    }

    /// The row, where it changes: owner, checkpointOwner, counter, epoch, checkpoint.
    fn format_step(&self, before: &State, action: Action) -> Option<String> {
        let after = self.next_state(before, action)?;
        match action {
            _ if before.row != after.row => Some(format!("{:?}", after.row)),
            Action::Land(_) | Action::LandTwice(_) | Action::LandLate(_) => Some("it is refused".to_owned()),
            _ => None,
        }
    }
}
