//! What each worker plans for itself while nobody plans for the fleet: what it takes, adopts and gives back, with reasons.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::fleet_view::{FleetView, ObservedLease};
use crate::types::{Lease, LeaseKey, Moment, WorkerId};

/// What a worker knows when it plans.
#[derive(Debug)]
pub(crate) struct Snapshot<'a> {
    pub(crate) view: &'a FleetView,
    pub(crate) me: &'a WorkerId,
    /// Leases with a tenure of ours, or with a write of ours under way. The second half: those that keep running.
    pub(crate) held: &'a BTreeSet<LeaseKey>,
    /// The leases among `held` that are being drained already.
    pub(crate) draining: &'a BTreeSet<LeaseKey>,
    pub(crate) now: Moment,
    pub(crate) expiry: Duration,
    pub(crate) max_leases: Option<usize>,
    pub(crate) seed: u64,
}

/// A proposal: what to do, and why. Its text is the log line and the expected value of tests.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) lease: LeaseKey,
    pub(crate) action: StepAction,
}

/// What to do with a lease, and why.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StepAction {
    /// Begin a tenure of a lease that nobody holds.
    TakeFree,
    /// Begin a tenure of a lease whose holder is silent.
    TakeExpired { owner: WorkerId, silent: Duration },
    /// Begin a tenure of a row that names us.
    Adopt,
    /// Drain and give back: this worker holds more than its share.
    Release { held: usize, share: usize },
}

/// A way to spread leases. The mechanism checks and writes what it proposes.
pub(crate) trait AssignmentStrategy: fmt::Debug + Send + Sync {
    /// What this worker should do now.
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan;
}

/// Spreads by count: of n readable leases and w live workers each holds floor(n/w) or ceil(n/w).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CountStrategy;

impl AssignmentStrategy for CountStrategy {
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan {
        let mut plan = Plan::default();
        plan.adopt(snapshot);
        let adopted = plan.steps.len();
        let kept = snapshot.held.difference(snapshot.draining).count() + adopted;
        let share = share(snapshot, kept, Liveness::Seen).min(snapshot.max_leases.unwrap_or(usize::MAX));
        if kept < share {
            plan.take(snapshot, share - kept);
        } else {
            // A lease is given up only for workers that have shown life while we watched: a relic in the table must not
            // leave shards unread until it is found dead.
            let share = self::share(snapshot, kept, Liveness::Proven);
            let share = share.min(snapshot.max_leases.unwrap_or(usize::MAX));
            plan.release(snapshot, kept, share);
        }
        plan
    }
}

/// How sure we must be that a worker lives.
#[derive(Clone, Copy, PartialEq)]
enum Liveness {
    /// Its row is there and not known to be silent.
    Seen,
    /// Its row has moved while we watched.
    Proven,
}

/// How many leases this worker should hold. Every worker computes it from about the same table: those that hold most
/// already get the larger shares, so that nothing moves without gain.
fn share(snapshot: &Snapshot<'_>, kept: usize, liveness: Liveness) -> usize {
    let Snapshot { view, me, now, expiry, .. } = *snapshot;
    let mut counts: BTreeMap<&WorkerId, usize> = view
        .workers
        .iter()
        .filter(|(_, seen)| seen.is_live(now, expiry) && (liveness == Liveness::Seen || seen.moved))
        .map(|(worker, _)| (worker, 0))
        .collect();
    let mut readable = 0;
    for seen in view.leases.values().filter(|seen| is_readable(view, &seen.lease)) {
        readable += 1;
        let holder = seen.lease.holder().filter(|_| !seen.is_expired(now, expiry));
        if let Some(count) = holder.and_then(|holder| counts.get_mut(holder)) {
            *count += 1;
        }
    }
    counts.insert(me, kept);
    let (least, larger) = (readable / counts.len(), readable % counts.len());
    let mut order: Vec<_> = counts.into_iter().collect();
    order.sort_by(|(a, has_a), (b, has_b)| has_b.cmp(has_a).then_with(|| a.cmp(b)));
    let rank = order.iter().position(|(worker, _)| *worker == me).unwrap_or(usize::MAX);
    least + usize::from(rank < larger)
}

/// Whether a lease has records to read now: its shard is not processed to the end, and no parent of it is still open.
///
/// A parent without a row does not block: rows of children are made only when their parents' rows exist or are known to
/// be over.
fn is_readable(view: &FleetView, lease: &Lease) -> bool {
    !lease.is_ended() && !is_waiting(view, lease)
}

fn is_waiting(view: &FleetView, lease: &Lease) -> bool {
    lease.parents.iter().any(|parent| {
        let parent = lease.sibling_key(parent);
        view.leases.get(&parent).is_some_and(|seen| !seen.lease.is_ended())
    })
}

impl Plan {
    /// Rows that name us without a tenure: assigned by a leader, handed over, or left by a predecessor with our id.
    fn adopt(&mut self, snapshot: &Snapshot<'_>) {
        for (key, seen) in &snapshot.view.leases {
            let names_me = seen.lease.owner.as_ref() == Some(snapshot.me) && seen.lease.checkpoint_owner.is_none();
            if names_me && !seen.lease.is_ended() && !snapshot.held.contains(key) {
                self.steps.push(Step { lease: key.clone(), action: StepAction::Adopt });
            }
        }
    }

    /// Free and expired leases, at most `most`, in an order in which workers rarely meet.
    fn take(&mut self, snapshot: &Snapshot<'_>, most: usize) {
        let Snapshot { view, me, held, now, expiry, .. } = *snapshot;
        let rivals: Vec<&WorkerId> = view
            .workers
            .iter()
            .filter(|(worker, seen)| *worker != me && seen.is_live(now, expiry))
            .map(|(worker, _)| worker)
            .collect();
        let mut candidates: Vec<(bool, usize, u64, &ObservedLease)> = view
            .leases
            .values()
            .filter(|seen| !held.contains(&seen.lease.key) && is_readable(view, &seen.lease))
            .filter(|seen| seen.lease.holder().is_none() || seen.is_expired(now, expiry))
            .map(|seen| {
                let mine = preference(snapshot.seed, me, &seen.lease.key);
                let before_me = rivals.iter().filter(|w| preference(snapshot.seed, w, &seen.lease.key) > mine).count();
                (seen.lease.last_owner.as_ref() != Some(me), before_me, u64::MAX - mine, seen)
            })
            .collect();
        candidates.sort_by_key(|(foreign, before_me, reversed, _)| (*foreign, *before_me, *reversed));
        for (.., seen) in candidates.into_iter().take(most) {
            let action = match seen.lease.holder() {
                None => StepAction::TakeFree,
                Some(owner) => StepAction::TakeExpired { owner: owner.clone(), silent: seen.silent_for(now) },
            };
            self.steps.push(Step { lease: seen.lease.key.clone(), action });
        }
    }

    /// Gives back what is above the share, beginning with the leases that others prefer most.
    fn release(&mut self, snapshot: &Snapshot<'_>, kept: usize, share: usize) {
        let mut running: Vec<&LeaseKey> = snapshot.held.difference(snapshot.draining).collect();
        running.sort_by_key(|key| preference(snapshot.seed, snapshot.me, key));
        for key in running.into_iter().take(kept.saturating_sub(share)) {
            self.steps.push(Step { lease: key.clone(), action: StepAction::Release { held: kept, share } });
        }
    }
}

/// Rendezvous hashing: how much a worker wants a lease. All workers compute the same figures, so they rarely collide.
fn preference(seed: u64, worker: &WorkerId, lease: &LeaseKey) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    for byte in worker.as_str().bytes().chain([0]).chain(lease.as_str().bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The plain FNV hash of keys that differ in their last digit differs little; this spreads it.
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { lease, action } = self;
        match action {
            StepAction::TakeFree => write!(f, "take {lease}: free"),
            StepAction::TakeExpired { owner, silent } => {
                write!(f, "take {lease}: expired, owner {owner} silent {:.1} s", silent.as_secs_f64())
            }
            StepAction::Adopt => write!(f, "adopt {lease}: the row names this worker"),
            StepAction::Release { held, share } => write!(f, "release {lease}: over share, holds {held} of {share}"),
        }
    }
}

#[cfg(test)]
#[path = "per_worker_tests.rs"]
mod tests;
