//! What a worker makes of an answer: the second half of the protocol, beside the conditions of its writes.

use kcl_core::testing::protocol::{self, Role};
use kcl_core::types::Epoch;

use super::LeaseModel;
use super::state::{Answer, Call, Farewell, State, Tenure};
use super::step::holder;
use super::write::Kind;
use crate::protocol::row::{Row, Who};
use crate::protocol::rule::{Broken, Rule};

impl LeaseModel {
    /// The answer to a worker's call reaches it.
    pub(super) fn hear(&self, state: &mut State, who: Who) {
        let Some(Call { write, sent, answer: Some(answer) }) = state.worker_mut(who).call.take() else { return };
        match answer {
            Answer::Applied(row, rightful) if write.begins() => self.begin(state, who, row, rightful, sent),
            Answer::Conflict(row) if write.begins() => self.refused_to_begin(state, who, &write.seen, row, sent),
            _ if write.kind == Kind::Complete => {}
            Answer::Applied(row, _) if write.kind == Kind::Renew => {
                let tenure = holder(state, who);
                tenure.since = sent;
                confirm(tenure, row);
            }
            Answer::Applied(..) => state.worker_mut(who).tenure = None,
            Answer::Conflict(row) => self.refused(state, who, row, sent),
            Answer::ReadIt => self.refused(state, who, state.row, sent),
            Answer::ChildExists(row) => {
                if !self.rules.has(Rule::EndedIfRowSays) {
                    self.believe_ended(state, who, row);
                } else if self.rules.has(Rule::ExistingChildStays) {
                    holder(state, who).child_seen = true;
                }
            }
        }
    }

    /// A tenure begins with this row. `sent` is the counter when the write was sent from which it counts.
    pub(super) fn begin(&self, state: &mut State, who: Who, row: Row, rightful: bool, sent: u8) {
        if row.counter <= state.token {
            self.broke(state, Broken::TokenNotGrown);
        }
        state.token = state.token.max(row.counter);
        state.worker_mut(who).tenure = Some(Tenure {
            rightful,
            confirmed: row,
            role: Role::Owner,
            epoch: row.epoch,
            done: row.checkpoint,
            since: sent,
            unanswered: None,
            farewell: None,
            stopped: false,
            child_seen: false,
        });
    }

    fn refused_to_begin(&self, state: &mut State, who: Who, seen: &Row, row: Row, sent: u8) {
        let looks_like_ours = row.names(who) && row.epoch == seen.epoch + 1;
        if !self.rules.has(Rule::ConflictNeverBegins) && looks_like_ours {
            state.pass_on();
            self.begin(state, who, row, true, sent);
        }
    }

    /// A write of the holder was refused. An earlier one may have been applied, a hand-off may be asked for, or the lease
    /// is gone.
    fn refused(&self, state: &mut State, who: Who, row: Row, sent: u8) {
        let tenure = holder(state, who);
        if tenure.farewell == Some(Farewell::End) {
            if row.ended() {
                state.worker_mut(who).tenure = None;
                return;
            }
            if !self.rules.has(Rule::EndedIfRowSays) && self.names(tenure, &row, who).is_some() {
                return self.believe_ended(state, who, row);
            }
        }
        match self.names(tenure, &row, who) {
            Some(role) if role == tenure.role || role == Role::CheckpointOwner => {
                tenure.role = role;
                tenure.epoch = row.epoch;
                if row.counter != tenure.confirmed.counter {
                    let earliest = tenure.unanswered.unwrap_or(tenure.since);
                    tenure.since = if self.rules.has(Rule::EarliestUnanswered) { earliest } else { sent };
                    confirm(tenure, row);
                }
                tenure.confirmed = row;
            }
            _ => {
                if self.bounds.calm && tenure.farewell.is_none() {
                    self.broke(state, Broken::MoveCostsTenure);
                }
                state.worker_mut(who).tenure = None;
            }
        }
    }

    /// In which role the row names the worker, if this is still its tenure.
    fn names(&self, tenure: &Tenure, row: &Row, who: Who) -> Option<Role> {
        let mut row = *row;
        if !self.rules.has(Rule::ConflictEpoch) {
            row.epoch = tenure.epoch;
        }
        if !self.rules.has(Rule::ConflictOwnCounter) {
            row.own_counter = row.counter;
        }
        protocol::standing(&row.lease(), who.id(), Epoch(u64::from(tenure.epoch)))
    }

    /// The old reading: a refusal that carries owner and epoch of ours means that the end was written before.
    fn believe_ended(&self, state: &mut State, who: Who, row: Row) {
        state.worker_mut(who).tenure = None;
        if !row.ended() {
            self.broke(state, Broken::FalseBelief);
        }
    }
}

fn confirm(tenure: &mut Tenure, row: Row) {
    tenure.confirmed = row;
    tenure.unanswered = None;
}
