//! The writes of the lease protocol, as workers send them: each a function from the row that was seen to what must hold of
//! it and what changes. For checkers of the protocol, so that they explore what runs and not a copy of it.

pub mod lineage;
pub mod lock;

use std::collections::BTreeSet;

use crate::plan::transition;
use crate::types::{Checkpoint, Condition, Epoch, Lease, LeaseChange, ShardId, WorkerId};

/// A conditional write to one row: [`Condition::holds`] says whether it happens, [`LeaseChange::apply`] what comes of it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct LeaseWrite {
    /// What must hold of the row.
    pub condition: Condition,
    /// What becomes of it.
    pub change: LeaseChange,
}

impl From<transition::LeaseWrite> for LeaseWrite {
    fn from(write: transition::LeaseWrite) -> Self {
        LeaseWrite { condition: write.condition, change: write.change }
    }
}

/// In which attribute of the row the holder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// `leaseOwner`.
    Owner,
    /// `checkpointOwner`: a hand-off to another worker is pending, this one still reads and checkpoints.
    CheckpointOwner,
}

impl From<Role> for transition::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => transition::Role::Owner,
            Role::CheckpointOwner => transition::Role::CheckpointOwner,
        }
    }
}

/// In which role a row names this worker, if it is still the row of its tenure. `None` after a refused write means that the
/// tenure is over.
pub fn standing(row: &Lease, me: &WorkerId, epoch: Epoch) -> Option<Role> {
    transition::standing(row, me, epoch).map(|role| match role {
        transition::Role::Owner => Role::Owner,
        transition::Role::CheckpointOwner => Role::CheckpointOwner,
    })
}

/// One tenure, as its holder knows it: what every write of the holder is conditional on.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Holder<'a> {
    /// The last row that the store confirmed to this tenure.
    pub confirmed: &'a Lease,
    /// The holder.
    pub me: &'a WorkerId,
    /// Where the row names it.
    pub role: Role,
    /// The epoch that the write which began the tenure produced.
    pub epoch: Epoch,
}

impl<'a> Holder<'a> {
    /// A holder with all that its writes are conditional on.
    pub fn new(confirmed: &'a Lease, me: &'a WorkerId, role: Role, epoch: Epoch) -> Self {
        Holder { confirmed, me, role, epoch }
    }

    /// Show life, and store a checkpoint on the way.
    pub fn renew(&self, checkpoint: Option<Checkpoint>) -> LeaseWrite {
        transition::renew(self.confirmed, self.me, self.role.into(), self.epoch, checkpoint).into()
    }

    /// Give the lease back, with the last checkpoint: to nobody, or in a hand-off to the one who waits for it.
    pub fn release(&self, checkpoint: Option<Checkpoint>) -> LeaseWrite {
        transition::release(self.confirmed, self.me, self.role.into(), self.epoch, checkpoint).into()
    }

    /// Give the lease to a named successor, with the last checkpoint.
    pub fn hand_over(&self, checkpoint: Option<Checkpoint>, successor: &WorkerId) -> LeaseWrite {
        transition::hand_over(self.confirmed, self.me, self.role.into(), self.epoch, checkpoint, successor).into()
    }

    /// Everything is processed and the shard is closed. The rows of the children belong in the same transaction.
    pub fn shard_end(&self, children: &BTreeSet<ShardId>) -> LeaseWrite {
        transition::shard_end(self.confirmed, self.me, self.role.into(), self.epoch, children).into()
    }
}

/// Take a free or expired lease for oneself, and begin a tenure with it.
pub fn take(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    transition::take(seen, me).into()
}

/// Begin a tenure of a row that names us already.
pub fn adopt(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    transition::adopt(seen, me).into()
}

/// Give a free or expired lease to a worker, which begins its tenure by adopting the row.
pub fn assign(seen: &Lease, to: &WorkerId) -> LeaseWrite {
    transition::assign(seen, to).into()
}

/// Ask the holder to hand its lease over. `None` where that makes no sense: nobody holds it, a hand-off is pending, `to`
/// holds it already, or the shard has ended.
pub fn ask_to_hand_over(seen: &Lease, to: &WorkerId) -> Option<LeaseWrite> {
    transition::ask_to_hand_over(seen, to).map(Into::into)
}

/// Complete a pending hand-off in the holder's place. `None` if none is pending.
pub fn complete_hand_over(seen: &Lease) -> Option<LeaseWrite> {
    transition::complete_hand_over(seen).map(Into::into)
}
