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

/// Take a free or expired lease for oneself. Nothing may have moved since it was seen.
pub(crate) fn take(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    // KCL's rule for counting owner switches, so that its readers find what they expect.
    let switches = seen.owner.as_ref().is_some_and(|owner| owner != me) || seen.checkpoint_owner.as_ref() == Some(me);
    let mut write = begin(seen, me);
    write.condition.owner = Some(Expect::as_seen(seen.owner.as_ref()));
    write.condition.checkpoint_owner = Some(Expect::as_seen(seen.checkpoint_owner.as_ref()));
    write.change.owner = Change::Set(me.clone());
    write.change.checkpoint_owner = Change::Remove;
    write.change.owner_switches = switches.then_some(OwnerSwitches::Increment);
    write
}

/// Begin a tenure of a row that names us already, whoever wrote it: a leader, a hand-off, a predecessor with our id.
pub(crate) fn adopt(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    let mut write = begin(seen, me);
    write.condition.owner = Some(Expect::Is(me.clone()));
    write.condition.checkpoint_owner = Some(Expect::Absent);
    write
}

fn begin(seen: &Lease, me: &WorkerId) -> LeaseWrite {
    let mut write = LeaseWrite { condition: Condition::default(), change: LeaseChange::default() };
    write.condition.counter = Some(seen.counter);
    write.change.counter = Some(seen.counter + 1);
    write.change.raise_epoch = true;
    write.change.last_owner = Some(me.clone());
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
    write.change.counter = Some(confirmed.counter + 1);
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

/// Everything is processed and the shard is closed: nobody needs to hold it any more.
pub(crate) fn shard_end(
    confirmed: &Lease,
    me: &WorkerId,
    role: Role,
    epoch: Epoch,
    children: &BTreeSet<ShardId>,
) -> LeaseWrite {
    let mut write = release(confirmed, me, role, epoch, Some(Checkpoint::ShardEnd));
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
mod tests {
    use super::*;
    use crate::types::LeaseKey;

    fn worker(name: &str) -> WorkerId {
        WorkerId::new(name).unwrap()
    }

    fn lease(owner: Option<&str>) -> Lease {
        let mut lease = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 100);
        lease.owner = owner.map(worker);
        lease
    }

    fn run(row: &Lease, write: &LeaseWrite) -> Option<Lease> {
        write.condition.holds(row).then(|| write.change.apply(row))
    }

    fn at(number: &str) -> Checkpoint {
        Checkpoint::At(crate::types::RecordPosition { sequence: number.parse().unwrap(), sub: 0 })
    }

    #[test]
    fn a_tenure_begins_with_a_raised_epoch_and_counter() {
        let free = lease(None);
        let taken = run(&free, &take(&free, &worker("a"))).unwrap();
        assert_eq!((taken.counter, taken.epoch(), taken.last_written_by_us()), (101, Epoch(1), true));
        assert_eq!(taken.owner, Some(worker("a")));
        assert_eq!(taken.owner_switches, 0, "nobody was switched away");
        let again = run(&taken, &take(&taken, &worker("b"))).unwrap();
        assert_eq!((again.counter, again.epoch(), again.owner_switches), (102, Epoch(2), 1));
    }

    #[test]
    fn of_two_takers_of_one_row_only_the_first_succeeds() {
        let free = lease(None);
        let (a, b) = (take(&free, &worker("a")), take(&free, &worker("b")));
        let taken = run(&free, &a).unwrap();
        assert_eq!(run(&taken, &b), None);
        assert_eq!(run(&taken, &a), None, "nor does a repetition of the first");
    }

    #[test]
    fn a_write_that_arrives_late_cannot_put_a_checkpoint_back() {
        let me = worker("a");
        let row = lease(Some("a"));
        let early = renew(&row, &me, Role::Owner, Epoch(0), Some(at("1")));
        let later = renew(&row, &me, Role::Owner, Epoch(0), Some(at("2")));
        let stored = run(&row, &later).unwrap();
        assert_eq!(run(&stored, &early), None);
    }

    #[test]
    fn writes_of_an_earlier_tenure_are_refused_after_a_restart_with_the_same_id() {
        let me = worker("a");
        let row = lease(Some("a"));
        let old = renew(&row, &me, Role::Owner, Epoch(0), Some(at("1")));
        let adopted = run(&row, &adopt(&row, &me)).unwrap();
        assert_eq!(adopted.epoch(), Epoch(1));
        assert_eq!(run(&adopted, &old), None);
    }

    #[test]
    fn adoption_waits_for_a_pending_hand_off() {
        let mut row = lease(Some("b"));
        row.checkpoint_owner = Some(worker("a"));
        assert_eq!(run(&row, &adopt(&row, &worker("b"))), None);
        let handed = run(&row, &release(&row, &worker("a"), Role::CheckpointOwner, Epoch(0), Some(at("7")))).unwrap();
        assert_eq!((handed.owner.clone(), handed.checkpoint_owner.clone()), (Some(worker("b")), None));
        assert_eq!(handed.checkpoint, at("7"));
        assert!(run(&handed, &adopt(&handed, &worker("b"))).is_some());
    }

    #[test]
    fn the_end_of_a_shard_names_its_children_and_frees_the_row() {
        let row = lease(Some("a"));
        let children = BTreeSet::from([ShardId::new("shardId-1").unwrap()]);
        let ended = run(&row, &shard_end(&row, &worker("a"), Role::Owner, Epoch(0), &children)).unwrap();
        assert!(ended.is_ended() && ended.owner.is_none());
        assert_eq!((ended.children, ended.last_owner), (children, Some(worker("a"))));
    }

    #[test]
    fn starts_that_java_left_open_are_pinned_once() {
        let mut row = lease(None);
        row.checkpoint = Checkpoint::Latest;
        let (first, second) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
        let mut write = take(&row, &worker("a"));
        pin_start(&mut write, &row, first, None);
        let taken = run(&row, &write).unwrap();
        assert_eq!(taken.start, Some(first));
        let mut again = take(&taken, &worker("b"));
        pin_start(&mut again, &taken, second, None);
        assert_eq!(run(&taken, &again).unwrap().start, Some(first));
    }
}
