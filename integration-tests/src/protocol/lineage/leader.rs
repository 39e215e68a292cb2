//! What leaders do: rows that are made and removed.

use kcl_core::testing::protocol::lineage;

use super::LineageModel;
use super::state::{Late, Missing, State};
use crate::protocol::row::Row;
use crate::protocol::rule::Rule;

impl LineageModel {
    pub(super) fn look(&self, state: &mut State) {
        state.spent.looks += 1;
        state.missing = Some(Missing { shards: self.duties.missing(&state.rows), counter: self.counter(state) });
    }

    /// Rows are made on the condition that there are none. Another leader that found the same may still be about to.
    pub(super) fn create(&self, state: &mut State, shard: usize) {
        if let (Some(Missing { counter, .. }), None) = (state.missing, state.rows[shard]) {
            self.put(state, shard, Row::made(None, counter));
        }
    }

    /// The row has stood still for so long that whoever ended the shard knows, or has given up. Rows that another leader
    /// found missing before, it may make no longer: its lock is older than that.
    pub(super) fn clean(&self, state: &mut State, shard: usize) {
        state.spent.cleans += 1;
        let Some(row) = state.rows[shard] else { return };
        if self.rules.has(Rule::DeleteRested) {
            for who in self.workers() {
                state.lose(who, shard);
            }
        }
        if self.rules.has(Rule::CreateChecksLock) {
            state.missing = None;
        }
        state.post(Late::Delete(shard as u8, row.counter));
    }

    pub(super) fn land_removal(&self, state: &mut State, shard: usize, counter: u8) {
        let Some(row) = state.rows[shard] else { return };
        let seen = self.world.lease(shard, &Row { counter, ..row });
        let mut condition = lineage::removal(&seen);
        if !self.rules.has(Rule::DeleteUnmoved) {
            condition.counter = None;
        }
        if !self.rules.has(Rule::DeleteEnded) {
            condition.ended = None;
        }
        if condition.holds(&self.world.lease(shard, &row)) {
            state.rows[shard] = None;
        }
    }
}
