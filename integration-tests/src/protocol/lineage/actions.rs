//! What can happen next.

use super::LineageModel;
use super::state::{LATE, Late, Parents, State};
use super::world::{Set, has, members};
use crate::protocol::row::{Mark, Who};
use crate::protocol::rule::Rule;

/// One step of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A worker takes a free or silent lease, or adopts one that names it. Whoever held it knows that its time is over.
    Take(Who, usize),
    /// A holder looks whether the parents are over, one generation at a time.
    Check(Who, usize),
    /// The record is processed.
    Deliver(Who, usize),
    /// It is checkpointed.
    Store(Who, usize),
    /// A holder finds that its row is gone, and makes it again.
    Remake(Who, usize),
    /// Everything is read: the end is sent, with the rows of the children.
    End(Who, usize),
    /// That transaction arrives.
    Land(Who),
    /// Its answer reaches the worker.
    Hear(Who),
    /// The worker waits no longer; request or answer are late or lost.
    TimeOut(Who),
    /// A worker crashes and starts again under its name.
    Crash(Who),
    /// A request that nobody waits for takes effect.
    LandLate(usize),
    /// The leader compares the listing with the table, and finds rows missing.
    Look,
    /// The leader makes one of them.
    Create(usize),
    /// The leader sends the removal of a row that nobody needs.
    Clean(usize),
    /// Somebody removes a row by hand.
    Remove(usize),
    /// Somebody sets an ended shard back by hand, for it to be read again.
    SetBack(usize),
}

impl LineageModel {
    /// All that can happen next.
    pub(super) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        for who in self.workers() {
            self.of_worker(state, who, actions);
        }
        actions.extend((0..state.late.iter().flatten().count()).map(Action::LandLate));
        self.of_leader(state, actions);
        if state.spent.hands < self.bounds.hands {
            self.of_hands(state, actions);
        }
    }

    fn of_worker(&self, state: &State, who: Who, actions: &mut Vec<Action>) {
        let worker = state.worker(who);
        if let Some(call) = worker.call {
            actions.push(if call.answer.is_none() { Action::Land(who) } else { Action::Hear(who) });
            if state.spent.timeouts < self.bounds.timeouts {
                actions.push(Action::TimeOut(who));
            }
        }
        for shard in self.world.shards() {
            if worker.tenures[shard].is_some() {
                actions.extend(self.of_holder(state, who, shard));
            } else if state.spent.begins < self.bounds.begins && self.can_be_taken(state, shard) {
                actions.push(Action::Take(who, shard));
            }
        }
        let busy = worker.call.is_some() || worker.tenures.iter().any(Option::is_some);
        if busy && state.spent.crashes < self.bounds.crashes {
            actions.push(Action::Crash(who));
        }
    }

    /// What the holder of a shard does next.
    pub(super) fn of_holder(&self, state: &State, who: Who, shard: usize) -> Option<Action> {
        let tenure = state.tenure(who, shard)?;
        let leaf = self.world.is_leaf(shard);
        let busy = state.worker(who).call.is_some();
        if state.rows[shard].is_none() && tenure.end.is_none() {
            Some(Action::Remake(who, shard))
        } else if tenure.parents != Parents::Over {
            Some(Action::Check(who, shard))
        } else if !tenure.done {
            Some(Action::Deliver(who, shard))
        } else if leaf {
            (tenure.confirmed.checkpoint == Mark(0)).then_some(Action::Store(who, shard))
        } else {
            (!busy).then_some(Action::End(who, shard))
        }
    }

    /// Whether a planner gives the lease to somebody: its shard can be read, as far as the rows of its parents say.
    pub(super) fn can_be_taken(&self, state: &State, shard: usize) -> bool {
        let Some(row) = &state.rows[shard] else { return false };
        let nothing_left = row.ended() || self.world.is_leaf(shard) && row.checkpoint != Mark(0);
        let open = |parent: usize| state.rows[parent].is_some_and(|row| !row.ended());
        let waits = members(self.world.parents[shard]).any(open);
        !(nothing_left || waits && self.rules.has(Rule::ChildAfterParents))
    }

    fn of_leader(&self, state: &State, actions: &mut Vec<Action>) {
        if state.spent.looks < self.bounds.looks {
            let missing = self.duties.missing(&state.rows);
            if missing != 0 && state.missing.is_none_or(|seen| seen.shards != missing) {
                actions.push(Action::Look);
            }
        }
        actions.extend(self.to_be_made(state).map(Action::Create));
        if state.spent.cleans < self.bounds.cleans && state.late[LATE - 1].is_none() {
            actions.extend(members(self.duties.removable(&state.rows)).map(Action::Clean));
        }
    }

    /// Rows that the leader found missing. While a holder lives that would make the row again, it is left to that one.
    pub(super) fn to_be_made<'a>(&self, state: &'a State) -> impl Iterator<Item = usize> + use<'a> {
        let shards: Set = state.missing.map_or(0, |missing| missing.shards);
        let waits = self.rules.has(Rule::CreateWaits);
        members(shards).filter(move |shard| state.rows[*shard].is_none() && !(waits && state.is_held(*shard)))
    }

    /// By hand only rows are removed that prove nothing of others: the rows of the parents are there and
    /// stay, those of the children are not. And only shards are set back whose children all have begun.
    fn of_hands(&self, state: &State, actions: &mut Vec<Action>) {
        for shard in self.world.shards() {
            let Some(row) = &state.rows[shard] else { continue };
            let children = || members(self.world.children[shard]);
            let proves = |other: usize| state.rows[other].is_none() == has(self.world.parents[shard], other);
            let family = self.world.parents[shard] | self.world.children[shard];
            let goes = |late: &Late| matches!(late, Late::Delete(other, _) if has(family, usize::from(*other)));
            if !row.ended() && !members(family).any(proves) && !state.late.iter().flatten().any(goes) {
                actions.push(Action::Remove(shard));
            }
            if row.ended() && children().all(|child| state.rows[child].is_some_and(|row| row.checkpoint != Mark(0))) {
                actions.push(Action::SetBack(shard));
            }
        }
    }
}

impl Action {
    /// In words.
    pub(super) fn tell(&self, names: &[&str]) -> String {
        match *self {
            Action::Take(who, shard) => format!("{who:?} takes {}", names[shard]),
            Action::Check(who, shard) => format!("{who:?} looks for rows before {}", names[shard]),
            Action::Deliver(who, shard) => format!("{who:?} processes the record of {}", names[shard]),
            Action::Store(who, shard) => format!("{who:?} stores its checkpoint of {}", names[shard]),
            Action::Remake(who, shard) => format!("{who:?} finds the row of {} gone and makes it again", names[shard]),
            Action::End(who, shard) => {
                format!("{who:?} has read all of {} and sends SHARD_END with its children", names[shard])
            }
            Action::Land(who) => format!("{who:?}'s transaction arrives"),
            Action::Hear(who) => format!("{who:?} hears the answer"),
            Action::TimeOut(who) => format!("{who:?}'s call runs out of time"),
            Action::Crash(who) => format!("{who:?} crashes and starts again"),
            Action::LandLate(_) => "a late request arrives".to_owned(),
            Action::Look => "the leader compares the listing with the table".to_owned(),
            Action::Create(shard) => format!("the leader makes the row of {}, which it found missing", names[shard]),
            Action::Clean(shard) => format!("the leader sends the removal of the row of {}", names[shard]),
            Action::Remove(shard) => format!("somebody removes the row of {} by hand", names[shard]),
            Action::SetBack(shard) => format!("somebody sets {} back by hand, to be read again", names[shard]),
        }
    }
}
