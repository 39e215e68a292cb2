//! What each step does.

use kcl_core::testing::protocol::Role;

use super::LeaseModel;
use super::actions::Action;
use super::state::{Answer, Call, Child, Farewell, State, Tenure};
use super::write::{Kind, Write};
use crate::protocol::row::{END, Mark, Row, Who};
use crate::protocol::rule::{Broken, Rule};

impl LeaseModel {
    /// Changes the state by one step.
    pub(super) fn step(&self, state: &mut State, action: Action) {
        match action {
            Action::Look(who) => state.worker_mut(who).looked = Some(state.row),
            Action::Take(who) => {
                state.spent.begins += 1;
                let seen = self.seen(state, who);
                self.judge(state, &seen);
                self.call(state, who, Write::by(who, Kind::Take, seen));
            }
            Action::Adopt(who) => {
                state.spent.begins += 1;
                let seen = self.seen(state, who);
                if self.rules.has(Rule::BeginByWrite) {
                    self.call(state, who, Write::by(who, Kind::Adopt, seen));
                } else {
                    state.pass_on();
                    self.begin(state, who, seen, true, state.row.counter);
                }
            }
            Action::Deliver(who) => self.deliver(state, who),
            Action::Renew(who) => self.renew(state, who),
            Action::Learn(who) => {
                let row = state.row;
                if let Some(tenure) = &mut state.worker_mut(who).tenure {
                    (tenure.role, tenure.confirmed) = (Role::CheckpointOwner, row);
                }
            }
            Action::Leave(who, farewell) => {
                if farewell != Farewell::End && holder(state, who).role == Role::Owner {
                    state.spent.stops += 1;
                }
                holder(state, who).farewell = Some(farewell);
                self.leave(state, who);
            }
            Action::LeaveAgain(who) => self.leave(state, who),
            Action::Complete(who) => self.call(state, who, Write::by(who, Kind::Complete, state.row)),
            Action::Land(who) => self.land_call(state, who),
            Action::LandTwice(who) => {
                state.spent.duplicates += 1;
                if let Some(call) = state.worker(who).call {
                    state.post(call.write);
                }
                self.land_call(state, who);
            }
            Action::Hear(who) => self.hear(state, who),
            Action::TimeOut(who) => {
                state.spent.timeouts += 1;
                self.give_up_call(state, who);
            }
            Action::Crash(who) => {
                state.spent.crashes += 1;
                self.give_up_call(state, who);
                *state.worker_mut(who) = Default::default();
            }
            Action::LandLate(at) => {
                if let Some(write) = state.unpost(at) {
                    let _nobody_waits = self.land(state, &write);
                }
            }
            Action::Ask(to) => self.plan(state, Kind::Ask(to)),
            Action::Assign(to) => {
                let cold = state.spent.leaders > 0 && !self.rules.has(Rule::NewLeaderWatches);
                if !cold {
                    self.judge(state, &state.row.clone());
                }
                self.plan(state, Kind::Assign(to));
            }
            Action::CompleteOverdue => {
                self.end_of_time_to_hand_over(state);
                self.plan(state, Kind::Complete);
            }
            Action::Lead(who) => {
                state.spent.leaders += 1;
                state.leader = who;
            }
            Action::MakeChild => state.child = Child::Made,
            // Harmless in itself; the next record of the parent is the broken promise.
            Action::StartChild => state.child = Child::Started,
            Action::Java(step) => self.java(state, step),
        }
        if self.bounds.java == 0 && self.workers().filter(|who| state.delivers(*who)).count() > 1 {
            self.broke(state, Broken::TwoDeliver);
        }
    }

    fn seen(&self, state: &State, who: Who) -> Row {
        state.worker(who).looked.filter(|_| self.bounds.looks_apart).unwrap_or(state.row)
    }

    fn call(&self, state: &mut State, who: Who, write: Write) {
        let sent = state.row.counter;
        state.worker_mut(who).call = Some(Call { write, sent, answer: None });
    }

    fn plan(&self, state: &mut State, kind: Kind) {
        state.spent.moves += 1;
        let write = Write::by(state.leader, kind, state.row);
        state.post(write);
    }

    /// Somebody judges the row silent that it saw: whoever counts from a write that was sent before this counter appeared
    /// has no time left.
    pub(super) fn judge(&self, state: &mut State, seen: &Row) {
        if !self.rules.has(Rule::HolderStops) || !self.rules.has(Rule::ObserverWaits) {
            return;
        }
        for who in self.workers() {
            let worker = state.worker(who);
            if worker.tenure.is_some_and(|tenure| tenure.since < seen.counter) {
                self.lose(state, who);
            } else if worker.call.is_some_and(|call| call.sent < seen.counter) {
                self.give_up_call(state, who);
            }
        }
    }

    /// The holder of a pending hand-off has learned of it, and its time is over; or it has not, and then it could not
    /// renew since.
    fn end_of_time_to_hand_over(&self, state: &mut State) {
        let Some(who) = state.row.checkpoint_owner.filter(|who| *who != crate::protocol::row::JAVA) else { return };
        match &mut state.worker_mut(who).tenure {
            Some(tenure) if tenure.role == Role::CheckpointOwner => {
                tenure.stopped |= self.rules.has(Rule::HandOverDeadline);
            }
            Some(_) if self.rules.has(Rule::HolderStops) => self.lose(state, who),
            // It was asked before it heard that its tenure began, and now that tenure is over.
            None if self.rules.has(Rule::HolderStops) => self.give_up_call(state, who),
            _ => {}
        }
    }

    /// A worker stops working under its tenure.
    pub(super) fn lose(&self, state: &mut State, who: Who) {
        self.give_up_call(state, who);
        state.worker_mut(who).tenure = None;
    }

    /// A worker waits no longer for an answer. The request may still arrive.
    fn give_up_call(&self, state: &mut State, who: Who) {
        let Some(call) = state.worker_mut(who).call.take() else { return };
        if let Some(tenure) = &mut state.worker_mut(who).tenure {
            tenure.unanswered.get_or_insert(call.sent);
        }
        let room = state.late.iter().flatten().count() < usize::from(self.bounds.late);
        if call.answer.is_none() && room {
            state.post(call.write);
        }
    }

    fn deliver(&self, state: &mut State, who: Who) {
        if state.child == Child::Started {
            self.broke(state, Broken::ChildBeforeParent);
        }
        holder(state, who).done.0 += 1;
    }

    fn renew(&self, state: &mut State, who: Who) {
        let tenure = *holder(state, who);
        let news = (tenure.done > tenure.confirmed.checkpoint).then_some(tenure.done);
        if news.is_none() {
            state.spent.renewals += 1;
        }
        self.call(state, who, holders(who, &tenure, Kind::Renew, news));
    }

    fn leave(&self, state: &mut State, who: Who) {
        let tenure = *holder(state, who);
        let news = (tenure.done > tenure.confirmed.checkpoint).then_some(tenure.done);
        let write = match tenure.farewell {
            Some(Farewell::HandOver(to)) => holders(who, &tenure, Kind::HandOver(to), news),
            Some(Farewell::End) => {
                let with_child = self.rules.has(Rule::EndWithChildren) && !tenure.child_seen;
                holders(who, &tenure, Kind::End(with_child), None)
            }
            _ => holders(who, &tenure, Kind::Release, news),
        };
        self.call(state, who, write);
    }

    fn land_call(&self, state: &mut State, who: Who) {
        let Some(mut call) = state.worker(who).call else { return };
        call.answer = Some(self.land(state, &call.write));
        state.worker_mut(who).call = Some(call);
    }

    /// A request reaches the table.
    fn land(&self, state: &mut State, write: &Write) -> Answer {
        let before = state.row;
        let Some(after) = write.apply(&before, self.rules) else {
            return if write.kind == Kind::End(true) { Answer::ReadIt } else { Answer::Conflict(before) };
        };
        if write.kind == Kind::End(true) {
            if state.child != Child::Missing {
                return Answer::ChildExists(before);
            }
            state.child = Child::Made;
        }
        state.row = after;
        if after.checkpoint < before.checkpoint {
            self.broke(state, if before.checkpoint == END { Broken::EndRevoked } else { Broken::CheckpointBackwards });
        }
        if after.ended() && after.holder().is_some() {
            self.broke(state, Broken::EndRevoked);
        }
        if write.is_holders() && !write.rightful {
            self.broke(state, Broken::LostTenureWrote);
        }
        if !matches!(write.kind, Kind::Renew | Kind::Ask(_)) {
            state.pass_on();
        }
        Answer::Applied(after, write.begins())
    }
}

/// The tenure of a worker that has one.
pub(super) fn holder(state: &mut State, who: Who) -> &mut Tenure {
    state.worker_mut(who).tenure.as_mut().expect("only holders do what holders do")
}

fn holders(who: Who, tenure: &Tenure, kind: Kind, checkpoint: Option<Mark>) -> Write {
    Write {
        kind,
        by: who,
        seen: tenure.confirmed,
        role: tenure.role,
        epoch: tenure.epoch,
        checkpoint,
        rightful: tenure.rightful,
    }
}
