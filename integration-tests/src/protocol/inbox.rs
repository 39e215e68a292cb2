//! How a worker hears of a change: a leader changes a row and puts its key into the worker's inbox; the worker looks at
//! the row, and its next heartbeat removes the key.

use stateright::{Model, Property};

use super::check::Told;
use super::rule::{Broken, Rule, Rules};
use super::run::{Run, to_the_break, wholly};

/// How many times the row is changed.
const CHANGES: u8 = 3;

/// A heartbeat that removes the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Beat {
    /// It is on its way.
    Sent,
    /// It took effect, and the worker has not heard of it.
    Landed,
}

/// The row, the inbox, and what the worker knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// How often the row was changed.
    changed: u8,
    /// Changes whose notice is still to be written.
    untold: u8,
    /// The key is in the inbox.
    noted: bool,
    /// The worker has read the key there.
    heard: bool,
    /// The worker looked at the row after it heard: the next heartbeat removes the key.
    handled: bool,
    beat: Option<Beat>,
    /// The worker is to look once more.
    again: bool,
    /// The change up to which the worker has seen the row.
    seen: u8,
    /// The worker's own row.
    row: WorkersRow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum WorkersRow {
    Ours,
    /// The worker has left.
    Gone,
    /// An item without a kind, which other libraries read as a lease.
    Strange,
}

/// A step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The leader changes the row.
    Change,
    /// The leader puts the key into the inbox.
    Notify,
    /// The worker reads its inbox.
    ReadInbox,
    /// The worker looks at the row of the lease.
    Look,
    /// The worker sends a heartbeat that removes the key.
    Beat,
    /// The heartbeat takes effect.
    Land,
    /// The heartbeat is lost.
    Lose,
    /// The worker hears that its heartbeat took effect.
    Confirm,
    /// The worker waits no longer for the answer, and will send the same heartbeat again.
    GiveUp,
    /// The worker leaves and removes its row.
    Leave,
}

/// The model.
#[derive(Debug, Clone, Copy)]
pub struct InboxModel {
    /// Which rules hold.
    pub rules: Rules,
    /// Whether the worker may leave.
    pub leaves: bool,
}

impl Told for InboxModel {}

impl Model for InboxModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            changed: 0,
            untold: 0,
            noted: false,
            heard: false,
            handled: false,
            beat: None,
            again: false,
            seen: 0,
            row: WorkersRow::Ours,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.changed < CHANGES {
            actions.push(Action::Change);
        }
        if state.untold > 0 {
            actions.push(Action::Notify);
        }
        if state.row != WorkersRow::Ours {
            return;
        }
        if state.noted && !state.heard && state.beat.is_none() {
            actions.push(Action::ReadInbox);
        }
        if state.heard && !state.handled || state.again {
            actions.push(Action::Look);
        }
        match state.beat {
            None if state.handled => actions.push(Action::Beat),
            None => {}
            Some(Beat::Sent) => actions.extend([Action::Land, Action::Lose]),
            Some(Beat::Landed) => actions.extend([Action::Confirm, Action::GiveUp]),
        }
        if self.leaves {
            actions.push(Action::Leave);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = *before;
        match action {
            Action::Change => {
                state.changed += 1;
                state.untold += 1;
            }
            Action::Notify => {
                state.untold -= 1;
                match state.row {
                    WorkersRow::Ours => state.noted = true,
                    WorkersRow::Gone if !self.rules.has(Rule::NoticeNeedsRow) => state.row = WorkersRow::Strange,
                    WorkersRow::Gone | WorkersRow::Strange => {}
                }
            }
            Action::ReadInbox => state.heard = true,
            Action::Look => {
                state.seen = state.changed;
                state.again = false;
                state.handled |= state.heard;
            }
            Action::Beat => state.beat = Some(Beat::Sent),
            Action::Land => {
                state.beat = Some(Beat::Landed);
                state.noted = false;
            }
            Action::Lose | Action::GiveUp => state.beat = None,
            Action::Confirm => {
                (state.beat, state.heard, state.handled) = (None, false, false);
                state.again = self.rules.has(Rule::LookTwice);
            }
            Action::Leave => {
                state.row = WorkersRow::Gone;
                (state.noted, state.heard, state.handled, state.again, state.beat) = (false, false, false, false, None);
            }
        }
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(Broken::NoticeLost.promise(), |_, state: &State| {
                let at_rest = state.untold == 0 && !state.noted && !state.heard && state.beat.is_none() && !state.again;
                state.row != WorkersRow::Ours || !at_rest || state.seen == state.changed
            }),
            Property::always(Broken::StrangeRow.promise(), |_, state: &State| state.row != WorkersRow::Strange),
        ]
    }

    fn format_action(&self, action: &Action) -> String {
        let text = match action {
            Action::Change => "the leader changes the row",
            Action::Notify => "the leader puts the key into the worker's inbox",
            Action::ReadInbox => "the worker reads its inbox",
            Action::Look => "the worker looks at the row",
            Action::Beat => "the worker sends a heartbeat that removes the key",
            Action::Land => "the heartbeat takes effect",
            Action::Lose => "the heartbeat is lost",
            Action::Confirm => "the worker hears that its heartbeat took effect",
            Action::GiveUp => "the answer to the heartbeat does not come",
            Action::Leave => "the worker leaves and removes its row",
        };
        text.to_owned()
    }

    fn format_step(&self, _: &State, _: Action) -> Option<String> {
        None
    }
}

pub(super) fn runs() -> Vec<Run> {
    let name = "inbox";
    let model = |rules| InboxModel { rules, leaves: true };
    let bounds = format!("{CHANGES} changes, heartbeats and answers lost at any time, a worker that leaves");
    let without = |rules: &'static [Rule], breaks, why| {
        Run::without((name, bounds.clone()), rules, Some(breaks), why, to_the_break(model(Rules::without(rules))))
    };
    vec![
        without(
            &[Rule::LookTwice],
            Broken::NoticeLost,
            "a second change, whose notice finds the key still there, goes with the heartbeat that removes it",
        ),
        without(
            &[Rule::NoticeNeedsRow],
            Broken::StrangeRow,
            "the worker has left; an item with an inbox and nothing else is a lease to the Java library",
        ),
        Run::whole(name, bounds.clone(), true, wholly(model(Rules::ALL))),
    ]
}
