//! States that nobody can tell apart count as one: workers differ in nothing but their names, counters and epochs are only
//! compared, and a request that can never take effect is not there.

use super::Bounds;
use super::LeaseModel;
use super::state::{Answer, Call, Farewell, State, Tenure, Worker};
use super::write::{Kind, Write};
use crate::protocol::row::{MOST, Mark, Row, Who};
use crate::protocol::rule::Rule;

impl LeaseModel {
    /// Counters and epochs only grow, so a late request that asks for an old one is dead.
    pub(super) fn forget_the_dead(&self, state: &mut State) {
        for at in (0..state.late.len()).rev() {
            let dead = state.late[at].is_some_and(|write| match write.kind {
                Kind::Ask(_) => self.rules.has(Rule::AskEpoch) && write.seen.epoch < state.row.epoch,
                _ if write.is_holders() => {
                    self.rules.has(Rule::HolderCounter) && write.seen.counter < state.row.counter
                }
                _ => self.rules.has(Rule::SeenCounter) && write.seen.counter < state.row.counter,
            });
            if dead {
                let _it_can_do_nothing = state.unpost(at);
            }
        }
    }
}

/// Of all states that differ in nothing that counts, one.
pub(super) fn representative(state: &State, bounds: &Bounds) -> State {
    let orders: &[[u8; MOST]] = match bounds.workers {
        2 => &[[1, 0, 2]],
        3 => &[[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]],
        _ => &[],
    };
    let mut state = *state;
    if !bounds.looks_apart {
        blur(&mut state);
    }
    orders.iter().map(|order| renamed(&state, order)).fold(state, Ord::min)
}

/// Where counters and epochs begin after every step.
const BASE: u8 = 40;

/// What is compared with the row only is kept as its distance from the row, or as "older" where that is all that counts.
fn blur(state: &mut State) {
    let (counter, epoch) = (state.row.counter, state.row.epoch);
    // 0 is no number of the table's: it stands for what nobody looks at.
    let since = |value: u8, now: u8| if value == 0 { 0 } else { BASE + value - now };
    let number = |value: u8| since(value, counter);
    let row = |row: &mut Row| {
        row.counter = number(row.counter);
        row.own_counter = number(row.own_counter);
        row.epoch = since(row.epoch, epoch);
    };
    let age = |sent: u8| if sent < counter { 0 } else { BASE };
    let write = |write: &mut Write, answered: bool| {
        write.epoch = if write.is_holders() { since(write.epoch, epoch) } else { 0 };
        row(&mut write.seen);
        if answered {
            // Only a refused beginning looks at it again, and there at the epoch.
            write.seen = Row { epoch: write.seen.epoch, ..NO_ROW };
        }
    };
    let waits = state.workers.iter().filter_map(|worker| worker.call).any(|call| {
        matches!(call.answer, Some(Answer::Applied(row, _)) if call.write.begins() && row.counter <= state.token)
    });
    state.token = if waits || state.token == counter { number(state.token) } else { 0 };
    for worker in &mut state.workers {
        if let Some(tenure) = &mut worker.tenure {
            let Row { counter, checkpoint, .. } = tenure.confirmed;
            tenure.confirmed = Row { counter: number(counter), checkpoint, ..NO_ROW };
            tenure.epoch = since(tenure.epoch, epoch);
            tenure.since = age(tenure.since);
            tenure.unanswered = tenure.unanswered.map(age);
        }
        if let Some(call) = &mut worker.call {
            write(&mut call.write, call.answer.is_some());
            call.sent = age(call.sent);
            match &mut call.answer {
                Some(Answer::Applied(answer, _) | Answer::Conflict(answer) | Answer::ChildExists(answer)) => {
                    row(answer)
                }
                Some(Answer::ReadIt) | None => {}
            }
        }
    }
    for late in state.late.iter_mut().flatten() {
        write(late, false);
    }
    row(&mut state.row);
}

/// Nothing that anybody looks at.
const NO_ROW: Row =
    Row { owner: None, checkpoint_owner: None, counter: 0, own_counter: 0, epoch: 0, checkpoint: Mark(0) };

fn renamed(state: &State, order: &[u8; MOST]) -> State {
    let names = Names(order);
    let mut workers = [Worker::default(); MOST];
    for (at, worker) in state.workers.iter().enumerate() {
        workers[usize::from(order[at])] = Worker {
            tenure: worker.tenure.map(|tenure| names.tenure(&tenure)),
            call: worker.call.map(|call| names.call(&call)),
            looked: worker.looked.map(|row| names.row(&row)),
        };
    }
    let mut late = state.late.map(|slot| slot.map(|write| names.write(&write)));
    late.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
    State { row: names.row(&state.row), workers, late, leader: names.who(state.leader), ..*state }
}

struct Names<'a>(&'a [u8; MOST]);

impl Names<'_> {
    fn who(&self, who: Who) -> Who {
        self.0.get(who.index()).map_or(who, |name| Who(*name))
    }

    fn row(&self, row: &Row) -> Row {
        let name = |who: Option<Who>| who.map(|who| self.who(who));
        Row { owner: name(row.owner), checkpoint_owner: name(row.checkpoint_owner), ..*row }
    }

    fn tenure(&self, tenure: &Tenure) -> Tenure {
        let farewell = tenure.farewell.map(|farewell| match farewell {
            Farewell::HandOver(to) => Farewell::HandOver(self.who(to)),
            other => other,
        });
        Tenure { confirmed: self.row(&tenure.confirmed), farewell, ..*tenure }
    }

    fn write(&self, write: &Write) -> Write {
        let kind = match write.kind {
            Kind::HandOver(to) => Kind::HandOver(self.who(to)),
            Kind::Assign(to) => Kind::Assign(self.who(to)),
            Kind::Ask(to) => Kind::Ask(self.who(to)),
            other => other,
        };
        Write { kind, by: self.who(write.by), seen: self.row(&write.seen), ..*write }
    }

    fn call(&self, call: &Call) -> Call {
        let answer = call.answer.map(|answer| match answer {
            Answer::Applied(row, number) => Answer::Applied(self.row(&row), number),
            Answer::Conflict(row) => Answer::Conflict(self.row(&row)),
            Answer::ReadIt => Answer::ReadIt,
            Answer::ChildExists(row) => Answer::ChildExists(self.row(&row)),
        });
        Call { write: self.write(&call.write), answer, ..*call }
    }
}
