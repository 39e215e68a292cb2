//! Whether everything can still be read: from any state, once faults stop and everybody does its duty.

use super::LineageModel;
use super::actions::Action;
use super::state::{Parents, State};
use crate::protocol::row::{Mark, Who};

/// More steps than any history within the bounds needs.
const ENOUGH: usize = 100;

impl LineageModel {
    /// From where and how the world goes on if something is never read: with all workers as they are, or with one alone that holds nothing.
    pub(super) fn future(&self, state: &State) -> Option<(State, Vec<Action>)> {
        let mut left = *state;
        for who in self.workers() {
            left.give_up(who);
            *left.worker_mut(who) = Default::default();
        }
        self.goes_nowhere(*state, &self.workers().collect::<Vec<_>>()).or_else(|| self.goes_nowhere(left, &[Who(0)]))
    }

    fn goes_nowhere(&self, mut state: State, alive: &[Who]) -> Option<(State, Vec<Action>)> {
        let (from, mut actions) = (state, Vec::new());
        while actions.len() < ENOUGH {
            if self.is_read(&state) {
                return None;
            }
            let Some(action) = self.duty(&state, alive) else { break };
            self.step(&mut state, action);
            actions.push(action);
            // What is broken on the way is found by the search; here only the end counts.
            state.broken = None;
        }
        Some((from, actions))
    }

    fn is_read(&self, state: &State) -> bool {
        self.world.shards().all(|shard| {
            let open = state.rows[shard]
                .is_some_and(|row| if self.world.is_leaf(shard) { row.checkpoint == Mark(0) } else { !row.ended() });
            state.past[shard].delivered && !open
        })
    }

    /// What is to be done next, by somebody who is alive.
    fn duty(&self, state: &State, alive: &[Who]) -> Option<Action> {
        if state.late[0].is_some() {
            return Some(Action::LandLate(0));
        }
        let answer = alive.iter().find_map(|who| {
            let call = state.worker(*who).call?;
            Some(if call.answer.is_none() { Action::Land(*who) } else { Action::Hear(*who) })
        });
        answer
            .or_else(|| self.each(alive).find_map(|(who, shard)| self.work(state, who, shard)))
            .or_else(|| {
                self.each(alive)
                    .find(|(_, shard)| self.is_free(state, *shard))
                    .map(|(who, shard)| Action::Take(who, shard))
            })
            .or_else(|| self.to_be_made(state).next().map(Action::Create))
            .or_else(|| (self.duties.missing(&state.rows) != 0).then_some(Action::Look))
    }

    fn each<'a>(&'a self, alive: &'a [Who]) -> impl Iterator<Item = (Who, usize)> + 'a {
        alive.iter().flat_map(|who| self.world.shards().map(|shard| (*who, shard)))
    }

    /// What a holder does, unless it waits for parents.
    fn work(&self, state: &State, who: Who, shard: usize) -> Option<Action> {
        let action = self.of_holder(state, who, shard)?;
        let Action::Check(..) = action else { return Some(action) };
        let mut later = *state;
        for _ in self.world.shards() {
            self.step(&mut later, action);
        }
        let passes = later.tenure(who, shard).is_some_and(|tenure| tenure.parents == Parents::Over);
        passes.then_some(action)
    }

    fn is_free(&self, state: &State, shard: usize) -> bool {
        self.can_be_taken(state, shard) && !state.is_held(shard)
    }
}
