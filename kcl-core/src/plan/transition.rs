//! Every write to a lease row, as a function from what was seen to what must hold and what changes.
//!
//! Why each condition is there: an owner-side write is conditional on the counter too, because without it a write that was
//! sent earlier and arrives late would put a newer checkpoint back. Beginning a tenure always writes, because a row that
//! was merely read may have been written by a predecessor whose writes are still under way. `k_c` records the counter that
//! this library produced, so that after a conflict a foreign write in between can be told from one of our own.

use std::collections::BTreeSet;

use crate::types::{
    Change, Checkpoint, Condition, Epoch, Expect, Lease, LeaseChange, OwnerSwitches, ShardId, Timestamp, WorkerId,
};

/// A conditional write to one row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LeaseWrite {
    pub(crate) condition: Condition,
    pub(crate) change: LeaseChange,
}

/// In which attribute of the row the holder stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `leaseOwner`.
    Owner,
    /// `checkpointOwner`: a hand-off to another worker is pending, this one still reads and checkpoints.
    CheckpointOwner,
}

/// In which role a row names this worker, if it is still the row of its tenure: it carries the epoch, and nobody foreign
/// wrote since. `None` after a refused write means that the tenure is over.
pub(crate) fn standing(row: &Lease, me: &WorkerId, epoch: Epoch) -> Option<Role> {
    let role = if row.checkpoint_owner.as_ref() == Some(me) {
        Role::CheckpointOwner
    } else if row.owner.as_ref() == Some(me) && row.checkpoint_owner.is_none() {
        Role::Owner
    } else {
        return None;
    };
    (row.epoch() == epoch && row.last_written_by_us()).then_some(role)
}

/// Take a free or expired lease for oneself. Nothing may have moved since it was seen.
pub(crate) fn take(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    let mut write = assign(seen, me);
    write.change.last_owner = Some(me.clone());
    write
}

/// Give a free or expired lease to a worker, which begins its tenure by adopting the row. Nothing may have moved since it
/// was seen: a holder that showed life meanwhile keeps its lease.
pub(crate) fn assign(seen: &Lease, to: &WorkerId) -> LeaseWrite {
    // KCL's rule for counting owner switches, so that its readers find what they expect.
    let switches = seen.owner.as_ref().is_some_and(|owner| owner != to) || seen.checkpoint_owner.as_ref() == Some(to);
    let mut write = as_seen(seen);
    write.change.raise_epoch = true;
    write.change.owner = Change::Set(to.clone());
    write.change.checkpoint_owner = Change::Remove;
    write.change.owner_switches = switches.then_some(OwnerSwitches::Increment);
    write
}

/// Free a lease that names a worker which will not begin to hold it: by that worker itself, when it stops.
pub(crate) fn free(seen: &Lease) -> LeaseWrite {
    let mut write = as_seen(seen);
    write.change.raise_epoch = true;
    write.change.owner = Change::Remove;
    write.change.checkpoint_owner = Change::Remove;
    write
}

/// Ask the holder to hand its lease over. `None` where that makes no sense: nobody holds it, a hand-off is pending, `to`
/// holds it already, or the shard has ended.
///
/// Counter and epoch stay as they are, and the counter is not asked for: the holder keeps writing under both, and one that
/// renews at this moment is asked all the same. That it has not begun another tenure meanwhile, the epoch says.
pub(crate) fn ask_to_hand_over(seen: &Lease, to: &WorkerId) -> Option<LeaseWrite> {
    let holder = seen.owner.as_ref().filter(|owner| *owner != to && seen.checkpoint_owner.is_none())?;
    if seen.is_ended() {
        return None;
    }
    let mut write = LeaseWrite { condition: Condition::default(), change: LeaseChange::default() };
    write.condition.owner = Some(Expect::Is(holder.clone()));
    write.condition.checkpoint_owner = Some(Expect::Absent);
    write.condition.epoch = Some(seen.epoch());
    // The counter may move unseen, so it does not rule out that the shard ended.
    write.condition.ended = Some(false);
    write.change.owner = Change::Set(to.clone());
    write.change.checkpoint_owner = Change::Set(holder.clone());
    Some(write)
}

/// Complete a pending hand-off in the holder's place: it is overdue, or we are the holder by name and have no tenure.
/// `None` if none is pending.
///
/// The checkpoint stays: whoever completes knows no better one. The holder must not have written since it was seen. The
/// epoch is raised, as by every write of ours that is not the holder's: after a Java leader moved the lease away and, by way
/// of a hand-off that one of us completes, back, its former holder would find its epoch and a counter of ours, and go on.
pub(crate) fn complete_hand_over(seen: &Lease) -> Option<LeaseWrite> {
    seen.checkpoint_owner.as_ref()?;
    let mut write = as_seen(seen);
    write.change.checkpoint_owner = Change::Remove;
    write.change.raise_epoch = true;
    Some(write)
}

/// Begin a tenure of a row that names us already, whoever wrote it: a leader, a hand-off, a predecessor with our id.
pub(crate) fn adopt(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    let mut write = as_seen(seen);
    write.condition.owner = Some(Expect::Is(me.clone()));
    write.condition.checkpoint_owner = Some(Expect::Absent);
    write.change.raise_epoch = true;
    write.change.last_owner = Some(me.clone());
    write
}

/// The part that all writes share which are not the holder's own: the row is as it was seen, and its counter moves on.
fn as_seen(seen: &Lease) -> LeaseWrite {
    let mut write = LeaseWrite { condition: Condition::default(), change: LeaseChange::default() };
    write.condition.counter = Some(seen.counter);
    write.condition.owner = Some(Expect::as_seen(seen.owner.as_ref()));
    write.condition.checkpoint_owner = Some(Expect::as_seen(seen.checkpoint_owner.as_ref()));
    write.change.counter = Some(seen.counter.saturating_add(1));
    write
}

/// Pin where a lease begins that says LATEST or AT_TIMESTAMP without an instant, as Java workers write it: only when a
/// tenure begins, so that all later owners begin at the same record.
pub(crate) fn pin_start(write: &mut LeaseWrite, seen: &Lease, latest: Timestamp, at_timestamp: Option<Timestamp>) {
    if seen.start.is_some() {
        return;
    }
    write.change.start = match seen.checkpoint {
        Checkpoint::Latest => Some(latest),
        Checkpoint::AtTimestamp => Some(at_timestamp.unwrap_or(latest)),
        Checkpoint::TrimHorizon | Checkpoint::At(_) | Checkpoint::ShardEnd => None,
    };
}

/// The part that all owner-side writes share: only the holder, in its own tenure, on the last row confirmed to it.
fn owner_side(confirmed: &Lease, me: &WorkerId, role: Role, epoch: Epoch) -> LeaseWrite {
    let mut write = LeaseWrite { condition: Condition::default(), change: LeaseChange::default() };
    match role {
        Role::Owner => write.condition.owner = Some(Expect::Is(me.clone())),
        Role::CheckpointOwner => write.condition.checkpoint_owner = Some(Expect::Is(me.clone())),
    }
    write.condition.epoch = Some(epoch);
    write.condition.counter = Some(confirmed.counter);
    write.change.counter = Some(confirmed.counter.saturating_add(1));
    write
}

/// Show life, and store a checkpoint on the way.
pub(crate) fn renew(
    confirmed: &Lease,
    me: &WorkerId,
    role: Role,
    epoch: Epoch,
    checkpoint: Option<Checkpoint>,
) -> LeaseWrite {
    let mut write = owner_side(confirmed, me, role, epoch);
    set_checkpoint(&mut write.change, checkpoint);
    write
}

/// Give the lease back, with the last checkpoint: to nobody, or in a hand-off to the one who waits for it.
pub(crate) fn release(
    confirmed: &Lease,
    me: &WorkerId,
    role: Role,
    epoch: Epoch,
    checkpoint: Option<Checkpoint>,
) -> LeaseWrite {
    let mut write = owner_side(confirmed, me, role, epoch);
    set_checkpoint(&mut write.change, checkpoint);
    write.change.raise_epoch = true;
    write.change.last_owner = Some(me.clone());
    match role {
        Role::Owner => write.change.owner = Change::Remove,
        Role::CheckpointOwner => write.change.checkpoint_owner = Change::Remove,
    }
    write
}

/// Give the lease to a named successor, with the last checkpoint. Where a hand-off is pending, its successor is named in
/// the row already and stays.
pub(crate) fn hand_over(
    confirmed: &Lease,
    me: &WorkerId,
    role: Role,
    epoch: Epoch,
    checkpoint: Option<Checkpoint>,
    successor: &WorkerId,
) -> LeaseWrite {
    let mut write = release(confirmed, me, role, epoch, checkpoint);
    if role == Role::Owner {
        write.change.owner = Change::Set(successor.clone());
    }
    write
}

/// Everything is processed and the shard is closed: nobody needs to hold it any more, not even one who waits for it.
pub(crate) fn shard_end(
    confirmed: &Lease,
    me: &WorkerId,
    role: Role,
    epoch: Epoch,
    children: &BTreeSet<ShardId>,
) -> LeaseWrite {
    let mut write = release(confirmed, me, role, epoch, Some(Checkpoint::ShardEnd));
    write.change.owner = Change::Remove;
    if !children.is_empty() {
        write.change.children = Some(children.clone());
    }
    write
}

/// A row that was deleted, as its holder makes it again: at the last confirmed position, held by nobody. The counter goes on
/// growing, and so do fencing tokens.
pub(crate) fn restored(last: &Lease, now: u64) -> Lease {
    let counter = now.max(last.counter + 1);
    let mut row = last.clone();
    row.owner = None;
    row.checkpoint_owner = None;
    row.counter = counter;
    row.own_counter = Some(counter);
    row.epoch = Some(Epoch(last.epoch().0 + 1));
    row
}

fn set_checkpoint(change: &mut LeaseChange, checkpoint: Option<Checkpoint>) {
    if let Some(checkpoint) = checkpoint {
        change.checkpoint = Some(checkpoint);
        change.owner_switches = Some(OwnerSwitches::Reset);
        // As in the KCL, a checkpoint replaces one that was prepared.
        change.pending = Change::Remove;
    }
}

#[cfg(test)]
#[path = "transition_tests.rs"]
mod tests;
