//! What each step does.

use kcl_core::testing::protocol::{self, Holder, Role, lineage};
use kcl_core::types::{Epoch, Lease};

use super::LineageModel;
use super::actions::Action;
use super::state::{Late, Parents, State, Tenure};
use super::world::{bit, has, members};
use crate::protocol::row::{END, Mark, Row, Who};
use crate::protocol::rule::{Broken, Rule};

impl LineageModel {
    /// Changes the state by one step.
    pub(super) fn step(&self, state: &mut State, action: Action) {
        match action {
            Action::Take(who, shard) => self.take(state, who, shard),
            Action::Check(who, shard) => self.check(state, who, shard),
            Action::Deliver(who, shard) => self.deliver(state, who, shard),
            Action::Store(who, shard) => self.store(state, who, shard),
            Action::Remake(who, shard) => self.remake(state, who, shard),
            Action::End(who, shard) => self.send_end(state, who, shard),
            Action::Land(who) => {
                if let Some(mut call) = state.worker(who).call {
                    call.answer = Some(self.land_end(state, &call.end));
                    state.worker_mut(who).call = Some(call);
                }
            }
            Action::Hear(who) => self.hear(state, who),
            Action::TimeOut(who) => {
                state.spent.timeouts += 1;
                state.give_up(who);
            }
            Action::Crash(who) => {
                state.spent.crashes += 1;
                state.give_up(who);
                *state.worker_mut(who) = Default::default();
            }
            Action::LandLate(at) => match state.unpost(at) {
                Some(Late::End(end)) => {
                    let _nobody_waits = self.land_end(state, &end);
                }
                Some(Late::Delete(shard, counter)) => self.land_removal(state, usize::from(shard), counter),
                None => {}
            },
            Action::Look => self.look(state),
            Action::Create(shard) => self.create(state, shard),
            Action::Clean(shard) => self.clean(state, shard),
            Action::Remove(shard) => {
                state.spent.hands += 1;
                state.rows[shard] = None;
                if let Some(missing) = &mut state.missing {
                    // Whoever looked before has seen the row.
                    missing.shards &= !bit(shard);
                }
                state.past[shard].removed = true;
            }
            Action::SetBack(shard) => {
                state.spent.hands += 1;
                if let Some(row) = &mut state.rows[shard] {
                    (row.checkpoint, row.counter) = (Mark(0), row.counter + 1);
                    state.clock = state.clock.max(row.counter);
                }
                (state.past[shard].stored, state.past[shard].again) = (Mark(0), true);
            }
        }
        for shard in self.world.shards() {
            state.past[shard].removed &= state.rows[shard].is_none();
            if state.past[shard].removed && !state.is_held(shard) {
                state.past[shard].stored = Mark(0);
            }
        }
    }

    fn take(&self, state: &mut State, who: Who, shard: usize) {
        state.spent.begins += 1;
        let Some(row) = state.rows[shard] else { return };
        for other in self.workers() {
            state.lose(other, shard);
        }
        if row.owner == Some(who) && !self.rules.has(Rule::BeginByWrite) {
            return self.begin(state, who, shard, row);
        }
        let seen = self.world.lease(shard, &row);
        let write =
            if row.owner == Some(who) { protocol::adopt(&seen, who.id()) } else { protocol::take(&seen, who.id()) };
        if write.condition.holds(&seen) {
            let row = Row::of(&write.change.apply(&seen));
            self.put(state, shard, row);
            self.begin(state, who, shard, row);
        }
    }

    /// A tenure begins with this row.
    pub(super) fn begin(&self, state: &mut State, who: Who, shard: usize, row: Row) {
        if state.past[shard].token.is_some_and(|token| row.counter <= token) {
            self.broke(state, Broken::TokenNotGrown);
        }
        state.past[shard].token = state.past[shard].token.max(Some(row.counter));
        let done = row.checkpoint != Mark(0);
        state.worker_mut(who).tenures[shard] = Some(Tenure { confirmed: row, parents: Parents::Open, done, end: None });
    }

    /// A row is written, by whomever.
    pub(super) fn put(&self, state: &mut State, shard: usize, row: Row) {
        let past = state.past[shard];
        if row.checkpoint < past.stored {
            self.broke(state, if past.stored == END { Broken::EndRevoked } else { Broken::CheckpointBackwards });
        }
        state.past[shard].stored = past.stored.max(row.checkpoint);
        state.clock = state.clock.max(row.counter);
        state.rows[shard] = Some(row);
    }

    /// One generation of rows is read, as they are at this moment.
    fn check(&self, state: &mut State, who: Who, shard: usize) {
        let level = match state.tenure(who, shard).map(|tenure| tenure.parents) {
            Some(Parents::Open) => self.world.parents[shard],
            Some(Parents::Missing(generation)) => {
                members(generation).fold(0, |level, missing| level | self.world.parents[missing])
            }
            Some(Parents::Over) | None => return,
        };
        let is_open = |shard: usize| state.rows[shard].is_some_and(|row| !row.ended());
        let missing =
            members(level).filter(|shard| state.rows[*shard].is_none()).fold(0, |set, shard| set | bit(shard));
        let further = members(missing).any(|shard| self.world.parents[shard] != 0);
        let parents = if !self.rules.has(Rule::ChildAfterParents) {
            Parents::Over
        } else if members(level).any(is_open) {
            Parents::Open
        } else if further && self.rules.has(Rule::AncestorsDecide) {
            Parents::Missing(missing)
        } else {
            Parents::Over
        };
        if let Some(tenure) = &mut state.worker_mut(who).tenures[shard] {
            tenure.parents = parents;
        }
    }

    fn deliver(&self, state: &mut State, who: Who, shard: usize) {
        if members(self.world.ancestors[shard]).any(|ancestor| !state.past[ancestor].delivered) {
            self.broke(state, Broken::ChildBeforeParent);
        }
        let after = |other: usize| has(self.world.ancestors[other], shard) && state.past[other].delivered;
        if !state.past[shard].again && self.world.shards().any(after) {
            self.broke(state, Broken::ChildBeforeParent);
        }
        state.past[shard].delivered = true;
        if let Some(tenure) = &mut state.worker_mut(who).tenures[shard] {
            tenure.done = true;
        }
    }

    fn store(&self, state: &mut State, who: Who, shard: usize) {
        let (Some(tenure), Some(row)) = (state.tenure(who, shard).copied(), state.rows[shard]) else { return };
        let confirmed = self.world.lease(shard, &tenure.confirmed);
        let write = holder(&confirmed, who, &tenure).renew(Some(Mark(1).checkpoint()));
        let there = self.world.lease(shard, &row);
        if !write.condition.holds(&there) {
            return state.lose(who, shard);
        }
        let row = Row::of(&write.change.apply(&there));
        self.put(state, shard, row);
        if let Some(tenure) = &mut state.worker_mut(who).tenures[shard] {
            tenure.confirmed = row;
        }
    }

    /// A holder whose row is gone makes it again where it stood, and holds it no longer.
    pub(super) fn remake(&self, state: &mut State, who: Who, shard: usize) {
        if let Some(tenure) = state.tenure(who, shard).copied() {
            let last = self.world.lease(shard, &tenure.confirmed);
            let row = Row::of(&lineage::restored(&last, u64::from(state.clock) + 1));
            state.lose(who, shard);
            self.put(state, shard, row);
        }
    }
}

/// A tenure as the library's functions want it.
pub(super) fn holder<'a>(confirmed: &'a Lease, who: Who, tenure: &Tenure) -> Holder<'a> {
    Holder::new(confirmed, who.id(), Role::Owner, Epoch(u64::from(tenure.confirmed.epoch)))
}
