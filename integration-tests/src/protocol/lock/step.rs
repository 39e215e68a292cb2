//! What each step does.

use std::time::Duration;

use kcl_core::types::{Expect, LeaderRow, StoreError, WorkerId, WriteOutcome};

use super::LockModel;
use super::actions::Action;
use super::row::{Lock, TIMINGS, moment};
use super::state::{Answer, Call, Process, State, Write};
use crate::protocol::row::Who;
use crate::protocol::rule::Rule;

impl LockModel {
    /// Changes the state by one step.
    pub(super) fn step(&self, state: &mut State, action: Action) {
        let now = moment(state.now);
        match action {
            Action::Tick => {
                state.now += 1;
                state.workers.iter_mut().flatten().for_each(|process| process.acted = false);
            }
            Action::Look(who) => self.look(state, who),
            Action::Take(who) => {
                let version = state.version();
                let Some(process) = state.process_mut(who) else { return };
                let (expected, row) = process.mind.change(|mind| mind.take(version, now));
                process.call = Some(call(&expected, &row));
                process.acted = true;
            }
            Action::Renew(who) => self.renew(state, who),
            Action::Stop(who) => self.stop(state, who),
            Action::Land(who) => {
                if let Some(mut call) = state.process(who).and_then(|process| process.call) {
                    call.answer = Some(self.land(state, &call.write));
                    if let Some(process) = state.process_mut(who) {
                        process.call = Some(call);
                    }
                }
            }
            Action::Hear(who) => self.hear(state, who),
            Action::TimeOut(who) => {
                state.spent.timeouts += 1;
                let Some(process) = state.process_mut(who) else { return };
                process.seen = None;
                let _unsure = process.mind.change(|mind| mind.answer(WriteOutcome::Unknown(no_answer()), now));
                let call = process.call.take();
                state.late = call.filter(|call| call.answer.is_none()).map(|call| call.write);
            }
            Action::Crash(who) => {
                state.spent.crashes += 1;
                let call = state.process_mut(who).and_then(|process| process.call.take());
                if let Some(Call { write, answer: None }) = call {
                    state.late.get_or_insert(write);
                }
                state.workers[who.index()] = Some(Process::new(who, state.now));
            }
            Action::LandLate => {
                if let Some(write) = state.late.take() {
                    let _nobody_waits = self.land(state, &write);
                }
            }
            Action::LoseLate => state.late = None,
        }
    }

    fn look(&self, state: &mut State, who: Who) {
        let (lock, now) = (state.row, state.now);
        let row = lock.map(|lock| self.seen(&lock));
        let Some(process) = state.process_mut(who) else { return };
        if process.led && !process.mind.leads(now) && !self.rules.has(Rule::TurnAfterFailure) {
            // It thinks no more of it than of a row that an earlier process left.
            *process = Process { acted: process.acted, ..Process::new(who, now) };
        }
        process.seen = Some(lock);
        // Also one whose planner hangs sees the table: then it is the harder to keep from leading.
        process.mind.change(|mind| {
            mind.observe(row, moment(now));
            mind.looked(moment(now));
        });
        process.led |= process.mind.leads(now);
    }

    /// The row as others see it.
    fn seen(&self, lock: &Lock) -> LeaderRow {
        lock.row(if self.rules.has(Rule::LockWaits) { TIMINGS.lock } else { Duration::ZERO })
    }

    /// At the end of a planning cycle, or by a timer whatever the planner does: then no cycle is counted.
    fn renew(&self, state: &mut State, who: Who) {
        state.spent.cycles += 1;
        let (now, version) = (moment(state.now), state.version());
        let standby = self.standby(state, who);
        let stuck = self.is_stuck(who);
        let Some(process) = state.process_mut(who) else { return };
        process.acted = true;
        if let Some((expected, mut row)) = process.mind.change(|mind| mind.renew(version, standby, now)) {
            if stuck {
                row.cycle = row.cycle.map(|cycle| cycle - 1);
            }
            process.call = Some(call(&expected, &row));
        }
    }

    /// Nobody waits for the answer.
    fn stop(&self, state: &mut State, who: Who) {
        state.spent.stops += 1;
        let (now, version) = (moment(state.now), state.version());
        let standby = self.standby(state, who);
        let Some(mut process) = state.workers[who.index()].take() else { return };
        let release = process.mind.change(|mind| mind.release(version, standby, now));
        if let Some((expected, row)) = release {
            state.late.get_or_insert(call(&expected, &row).write);
        }
    }

    /// The first other worker that lives.
    fn standby(&self, state: &State, who: Who) -> Option<WorkerId> {
        let other = self.workers().find(|other| *other != who && state.process(*other).is_some());
        other.map(|other| other.id().clone())
    }

    /// A write reaches the table.
    fn land(&self, state: &mut State, write: &Write) -> Answer {
        let there = state.row.map(|lock| lock.version);
        if there != write.expected && self.rules.has(Rule::LockAsSeen) {
            return state.row.map_or(Answer::Missing, Answer::Conflict);
        }
        state.row = Some(write.lock);
        Answer::Applied
    }

    fn hear(&self, state: &mut State, who: Who) {
        let now = state.now;
        let Some(process) = state.process_mut(who) else { return };
        let Some(Call { write, answer: Some(answer) }) = process.call.take() else { return };
        process.seen = match answer {
            Answer::Applied => Some(Some(write.lock)),
            Answer::Conflict(lock) => Some(Some(lock)),
            Answer::Missing => Some(None),
        };
        let outcome = match answer {
            Answer::Applied => WriteOutcome::Applied(self.seen(&write.lock)),
            Answer::Conflict(lock) => WriteOutcome::Conflict(self.seen(&lock)),
            Answer::Missing => WriteOutcome::Missing,
        };
        process.led |= process.mind.change(|mind| mind.answer(outcome, moment(now)));
    }
}

fn call(expected: &Expect<String>, row: &LeaderRow) -> Call {
    let expected = match expected {
        Expect::Is(version) => Some(version.parse().expect("the model numbers its versions")),
        Expect::Absent => None,
    };
    Call { write: Write { expected, lock: Lock::of(row) }, answer: None }
}

fn no_answer() -> StoreError {
    StoreError::Unavailable("no answer".into())
}
