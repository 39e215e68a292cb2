//! A leader and a worker of the Java library, as far as they write this row. They take effect at once; their own faults
//! are not ours to judge.

use std::fmt;

use super::LeaseModel;
use super::state::State;
use crate::protocol::row::{JAVA, Row, Who};

/// A step of the Java library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JavaStep {
    /// Its leader assigns the lease to its worker, which holds it from now on: it adopts by reading.
    Takes,
    /// Its leader assigns the lease of its worker to one of ours.
    Gives(Who),
    /// Its leader asks the holder to hand over.
    Asks(Who),
    /// Its worker hands over what was asked for.
    HandsOver,
    /// Its worker renews.
    Renews,
    /// Its worker stores a checkpoint.
    Checkpoints,
}

impl LeaseModel {
    pub(super) fn of_java(&self, state: &State) -> Vec<JavaStep> {
        let row = &state.row;
        let mut steps = Vec::new();
        if row.ended() {
            return steps;
        }
        if row.holder() != Some(JAVA) {
            steps.push(JavaStep::Takes);
        }
        if row.checkpoint_owner.is_none() {
            let others = self.workers().chain([JAVA]).filter(|who| row.owner.is_some_and(|owner| owner != *who));
            steps.extend(others.map(JavaStep::Asks));
        }
        if state.java_holds() {
            if row.checkpoint_owner.is_none() {
                steps.extend(self.workers().map(JavaStep::Gives));
            } else {
                steps.push(JavaStep::HandsOver);
            }
            steps.push(JavaStep::Renews);
            if row.checkpoint.0 < self.bounds.records {
                steps.push(JavaStep::Checkpoints);
            }
        }
        steps
    }

    pub(super) fn java(&self, state: &mut State, step: JavaStep) {
        state.spent.java += 1;
        let row = state.row;
        let moved = Row { counter: row.counter + 1, ..row };
        match step {
            JavaStep::Takes => {
                if !self.bounds.java_rash {
                    self.judge(state, &row);
                }
                state.row = Row { owner: Some(JAVA), checkpoint_owner: None, ..moved };
                state.pass_on();
            }
            JavaStep::Gives(to) => {
                state.row = Row { owner: Some(to), ..moved };
                state.pass_on();
            }
            JavaStep::Asks(to) => state.row = Row { owner: Some(to), checkpoint_owner: row.owner, ..row },
            JavaStep::HandsOver => {
                state.row = Row { checkpoint_owner: None, ..moved };
                state.pass_on();
            }
            JavaStep::Renews => state.row = moved,
            JavaStep::Checkpoints => {
                state.row = moved;
                state.row.checkpoint.0 += 1;
            }
        }
    }
}

impl fmt::Display for JavaStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JavaStep::Takes => write!(f, "its leader assigns the lease to it, and it begins by reading"),
            JavaStep::Gives(to) => write!(f, "its leader assigns the lease to {to:?}"),
            JavaStep::Asks(to) => write!(f, "its leader asks the holder to hand over to {to:?}"),
            JavaStep::HandsOver => write!(f, "it hands over"),
            JavaStep::Renews => write!(f, "it renews"),
            JavaStep::Checkpoints => write!(f, "it stores a checkpoint"),
        }
    }
}
