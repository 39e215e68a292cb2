//! Requests to the table: made by the library's own functions, bent where a rule is taken out.

use std::fmt;

use kcl_core::testing::protocol::{self, Holder, LeaseWrite, Role};
use kcl_core::types::{Epoch, Expect};

use crate::protocol::row::{Mark, Row, Who};
use crate::protocol::rule::{Rule, Rules};

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Take for oneself.
    Take,
    /// Adopt what names the sender.
    Adopt,
    /// Renew, perhaps with a checkpoint.
    Renew,
    /// Give back.
    Release,
    /// Give to a successor.
    HandOver(Who),
    /// End the shard; `true`: and make the row of its child.
    End(bool),
    /// The leader gives a free or expired lease to a worker.
    Assign(Who),
    /// The leader asks for a hand-off to a worker.
    Ask(Who),
    /// Complete a pending hand-off.
    Complete,
}

/// A request: what for, by whom, and all that its condition is made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Write {
    /// What it is for.
    pub kind: Kind,
    /// Who sent it.
    pub by: Who,
    /// The row that the sender saw, or that was confirmed to its tenure.
    pub seen: Row,
    /// Where the row names the holder.
    pub role: Role,
    /// The epoch of the holder's tenure.
    pub epoch: u8,
    /// What is to be stored.
    pub checkpoint: Option<Mark>,
    /// Whether a holder sent it whose writes may be stored. Nothing on the wire.
    pub rightful: bool,
}

impl Write {
    /// A request of a worker that holds nothing.
    pub fn by(by: Who, kind: Kind, seen: Row) -> Write {
        Write { kind, by, seen, role: Role::Owner, epoch: 0, checkpoint: None, rightful: false }
    }

    /// Whether it begins a tenure of its sender.
    pub fn begins(&self) -> bool {
        matches!(self.kind, Kind::Take | Kind::Adopt)
    }

    /// Whether the holder sent it under its tenure.
    pub fn is_holders(&self) -> bool {
        matches!(self.kind, Kind::Renew | Kind::Release | Kind::HandOver(_) | Kind::End(_))
    }

    /// The row after this request, or nothing if its condition does not hold.
    pub fn apply(&self, row: &Row, rules: Rules) -> Option<Row> {
        let mut write = self.request()?;
        let before = row.lease();
        self.bend(&mut write, rules);
        if !write.condition.holds(&before) {
            return None;
        }
        if write.condition.counter.is_none() && write.change.counter.is_some() {
            // Without a condition on the counter a new value cannot be known: then it is an addition.
            write.change.counter = Some(before.counter + 1);
        }
        Some(Row::of(&write.change.apply(&before)))
    }

    /// As the library sends it.
    fn request(&self) -> Option<LeaseWrite> {
        let seen = self.seen.lease();
        let me = self.by.id();
        let holder = Holder::new(&seen, me, self.role, Epoch(u64::from(self.epoch)));
        let checkpoint = self.checkpoint.map(Mark::checkpoint);
        match self.kind {
            Kind::Take => Some(protocol::take(&seen, me)),
            Kind::Adopt => Some(protocol::adopt(&seen, me)),
            Kind::Renew => Some(holder.renew(checkpoint)),
            Kind::Release => Some(holder.release(checkpoint)),
            Kind::HandOver(successor) => Some(holder.hand_over(checkpoint, successor.id())),
            Kind::End(_) => Some(holder.shard_end(&Default::default())),
            Kind::Assign(to) => Some(protocol::assign(&seen, to.id())),
            Kind::Ask(to) => protocol::ask_to_hand_over(&seen, to.id()),
            Kind::Complete => protocol::complete_hand_over(&seen),
        }
    }

    fn bend(&self, write: &mut LeaseWrite, rules: Rules) {
        let condition = &mut write.condition;
        if self.is_holders() {
            if !rules.has(Rule::HolderCounter) {
                condition.counter = None;
            }
            if !rules.has(Rule::HolderEpoch) {
                condition.epoch = None;
            }
            if !rules.has(Rule::HolderName) {
                (condition.owner, condition.checkpoint_owner) = (None, None);
            }
        }
        if matches!(self.kind, Kind::Take | Kind::Assign(_) | Kind::Complete | Kind::Adopt) {
            if !rules.has(Rule::SeenCounter) {
                condition.counter = None;
            }
            if !rules.has(Rule::SeenOwners) && self.kind != Kind::Adopt {
                (condition.owner, condition.checkpoint_owner) = (None, None);
            }
        }
        if self.kind == Kind::Adopt && !rules.has(Rule::AdoptNotPending) {
            condition.checkpoint_owner = None;
        }
        if let Kind::Ask(_) = self.kind {
            if !rules.has(Rule::AskHolder) {
                condition.owner = None;
            }
            if !rules.has(Rule::AskEpoch) {
                condition.epoch = None;
            }
            if !rules.has(Rule::AskNotPending) && condition.checkpoint_owner == Some(Expect::Absent) {
                condition.checkpoint_owner = None;
            }
            if !rules.has(Rule::AskNotEnded) {
                condition.ended = None;
            }
            if !rules.has(Rule::AskKeepsEpoch) {
                write.change.raise_epoch = true;
            }
        } else if !rules.has(if self.kind == Kind::Complete { Rule::CompleteRaisesEpoch } else { Rule::RaiseEpoch }) {
            write.change.raise_epoch = false;
        }
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = self.by;
        let rides = |f: &mut fmt::Formatter<'_>| match self.checkpoint {
            Some(checkpoint) => write!(f, " with checkpoint {checkpoint:?}"),
            None => Ok(()),
        };
        match self.kind {
            Kind::Take => write!(f, "{by:?}'s take")?,
            Kind::Adopt => write!(f, "{by:?}'s adoption")?,
            Kind::Renew => write!(f, "{by:?}'s renewal")?,
            Kind::Release => write!(f, "{by:?}'s release")?,
            Kind::HandOver(to) => write!(f, "{by:?}'s hand-over to {to:?}")?,
            Kind::End(true) => write!(f, "{by:?}'s SHARD_END with its child")?,
            Kind::End(false) => write!(f, "{by:?}'s SHARD_END")?,
            Kind::Assign(to) => write!(f, "leader {by:?}'s assignment to {to:?}")?,
            Kind::Ask(to) => write!(f, "leader {by:?}'s request to hand over to {to:?}")?,
            Kind::Complete => write!(f, "{by:?}'s completion")?,
        }
        rides(f)?;
        write!(f, " (counter {})", self.seen.counter)
    }
}
