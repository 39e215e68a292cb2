//! Whether work goes on: from any state, once faults stop and every worker does its duty at each moment.

use super::actions::Action;
use super::state::State;
use super::{Bounds, LockModel};
use crate::protocol::row::Who;
use crate::protocol::rule::Rule;

/// Longer than all turns together: 12 F.
const ENOUGH: u8 = 24;

impl LockModel {
    /// How the world goes on if no planning cycle ever completes; where all planners hang, if not every worker helps itself.
    pub(super) fn future(&self, state: &State) -> Option<Vec<Action>> {
        let unbounded = LockModel { bounds: Bounds { cycles: u8::MAX, ..self.bounds }, ..*self };
        let mut future = Future { model: unbounded, state: state.clone(), actions: Vec::new() };
        future.goes_nowhere().then_some(future.actions)
    }
}

struct Future {
    model: LockModel,
    state: State,
    actions: Vec<Action>,
}

impl Future {
    fn goes_nowhere(&mut self) -> bool {
        let model = self.model;
        let hung = model.workers().all(|who| self.state.process(who).is_none() || model.is_stuck(who));
        if self.state.late.is_some() {
            self.does(Action::LandLate);
        }
        for _ in 0..ENOUGH {
            if hung && self.claims() {
                return false;
            }
            self.does(Action::Tick);
            let before = self.state.row.map(|lock| lock.cycle);
            for who in model.workers() {
                self.round(who);
            }
            if before.is_some() && self.state.row.map(|lock| lock.cycle) > before {
                return false;
            }
        }
        true
    }

    fn does(&mut self, action: Action) {
        self.model.step(&mut self.state, action);
        self.actions.push(action);
    }

    fn claims(&self) -> bool {
        let claims = self.model.rules.has(Rule::ClaimLeaderless);
        self.state.processes().all(|process| claims && process.mind.may_claim(self.state.now))
    }

    fn round(&mut self, who: Who) {
        self.settle(who);
        if self.state.process(who).is_some_and(|process| process.mind.must_look(self.state.now)) {
            self.does(Action::Look(who));
        }
        let duty = self.state.process(who).and_then(|process| self.model.duty(&self.state, who, process));
        if let Some(action) = duty {
            self.does(action);
        }
        self.settle(who);
    }

    fn settle(&mut self, who: Who) {
        let Some(call) = self.state.process(who).and_then(|process| process.call) else { return };
        if call.answer.is_none() {
            self.does(Action::Land(who));
        }
        self.does(Action::Hear(who));
    }
}
