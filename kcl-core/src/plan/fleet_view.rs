//! What this worker has observed of each lease and each worker, and since when.
//!
//! Life is judged by movement on the observer's own clock: a counter that has not moved for 1.1 F means death, whatever any
//! wall clock says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assignment::{LeaseState, Rules, Snapshot, WorkerState};
use super::steady::SteadyThroughput;
use crate::types::{Lease, LeaseKey, Moment, Row, Timestamp, WorkerId, WorkerRow};

/// What shows that the holder of a lease lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The counter of the lease itself moves.
    LeaseCounter(u64),
}

/// A lease, the evidence of its holder's life, and when that evidence was first seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedLease {
    pub(crate) lease: Lease,
    pub(crate) evidence: Evidence,
    pub(crate) since: Moment,
    /// When the row was last read.
    seen: Moment,
    round: u64,
    /// When the pending hand-off, of this owner and this checkpoint owner, was first seen.
    pending_since: Option<Moment>,
    /// When it was seen that another worker is to have it.
    moved_at: Option<Moment>,
    /// Its last owner was seen to give it up.
    given_up: bool,
    carried: Option<SteadyThroughput>,
}

/// A worker row, and when its sign of life was first seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedWorker {
    pub(crate) row: WorkerRow,
    sign: (Option<u64>, Option<Timestamp>),
    pub(crate) since: Moment,
    round: u64,
    /// The sign has moved while we watched: no relic of a dead process.
    pub(crate) moved: bool,
}

/// Everything observed so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct FleetView {
    /// On the heap one by one: nodes of the tree are half empty.
    pub(crate) leases: BTreeMap<LeaseKey, Box<ObservedLease>>,
    pub(crate) workers: BTreeMap<WorkerId, ObservedWorker>,
    /// Counts scans; what was not in the last one is gone.
    round: u64,
    /// Leases seen before the last restart, until the scan that follows it.
    stale: Vec<Lease>,
}

impl FleetView {
    /// Takes in a whole scan whose last page came at `now`. Rows that are gone are forgotten; the leases among them are
    /// yielded as they were.
    pub(crate) fn observe(&mut self, rows: impl IntoIterator<Item = Row>, now: Moment) -> Vec<Lease> {
        self.round += 1;
        self.observe_some(rows, now);
        let round = self.round;
        let gone: Vec<LeaseKey> =
            self.leases.iter().filter(|(_, lease)| lease.round != round).map(|(key, _)| key.clone()).collect();
        self.workers.retain(|_, worker| worker.round == round);
        let gone = gone.iter().filter_map(|key| self.leases.remove(key)).map(|seen| seen.lease).collect::<Vec<_>>();
        let stale = std::mem::take(&mut self.stale).into_iter().filter(|lease| !self.leases.contains_key(&lease.key));
        gone.into_iter().chain(stale).collect()
    }

    /// Forgets for how long anything has been as it is, and which workers live; not what the leases said, which the next
    /// whole scan compares with what is there.
    pub(crate) fn restart(&mut self) {
        self.workers.clear();
        self.stale = std::mem::take(&mut self.leases).into_values().map(|seen| seen.lease).collect();
    }

    /// Takes in rows that were read by `now`, of a scan that broke off or one by one. Nothing is forgotten: what was not
    /// read may still be there.
    pub(crate) fn observe_some(&mut self, rows: impl IntoIterator<Item = Row>, now: Moment) {
        let round = self.round;
        for row in rows {
            match row {
                Row::Lease(lease) => {
                    let before = self.leases.remove(&lease.key);
                    let key = lease.key.clone();
                    let observed = ObservedLease { round, ..observe_lease(before.map(|before| *before), *lease, now) };
                    self.leases.insert(key, Box::new(observed));
                }
                Row::Worker(row) => {
                    let before = self.workers.remove(&row.worker);
                    self.workers
                        .insert(row.worker.clone(), ObservedWorker { round, ..observe_worker(before, *row, now) });
                }
                Row::Leader(_) | Row::Other { .. } => {}
            }
        }
    }

    /// The highest counter of a lease.
    pub(crate) fn highest_counter(&self) -> u64 {
        self.leases.values().map(|seen| seen.lease.counter).max().unwrap_or(0)
    }

    /// What a plan is made from: of the leases, those that `counts` says. `seed` must be the same in the whole fleet.
    pub(crate) fn snapshot_of(
        &self,
        rules: Rules,
        now: Moment,
        seed: u64,
        counts: impl Fn(&Lease) -> bool,
    ) -> Snapshot<'_> {
        let leases = self.leases.values().filter(|seen| counts(&seen.lease)).map(|lease| lease.state(now)).collect();
        let workers = self.workers.values().map(|worker| worker.state(now, rules.expiry)).collect();
        Snapshot::new(leases, workers, rules, now, seed)
    }

    /// One of everything that was observed.
    #[cfg(test)]
    pub(crate) fn snapshot(&self, rules: Rules, now: Moment, seed: u64) -> Snapshot<'_> {
        self.snapshot_of(rules, now, seed, |_| true)
    }
}

/// What is known of a lease after its row was read; all that the time before tells is in `before`.
fn observe_lease(before: Option<ObservedLease>, lease: Lease, now: Moment) -> ObservedLease {
    let evidence = Evidence::LeaseCounter(lease.counter);
    let first = ObservedLease {
        evidence,
        since: now,
        seen: now,
        round: 0,
        pending_since: lease.checkpoint_owner.as_ref().map(|_| now),
        moved_at: None,
        given_up: false,
        carried: SteadyThroughput::observe(None, lease.throughput, now),
        lease,
    };
    let Some(before) = before else { return first };
    let (old, new) = (&before.lease, &first.lease);
    let unmoved = before.evidence == evidence && old.holder() == new.holder();
    let same_pair = old.owner == new.owner && old.checkpoint_owner == new.checkpoint_owner;
    let moves = old.owner.is_some() && new.owner.is_some() && old.owner != new.owner;
    let given_up = match (old.holder(), new.holder()) {
        (Some(holder), None) => new.last_owner.as_ref() == Some(holder),
        (None, None) => before.given_up,
        (_, Some(_)) => false,
    };
    ObservedLease {
        since: if unmoved { before.since } else { now },
        pending_since: if same_pair { before.pending_since } else { first.pending_since },
        moved_at: if moves { Some(now) } else { before.moved_at },
        given_up,
        carried: SteadyThroughput::observe(before.carried, first.lease.throughput, now),
        ..first
    }
}

fn observe_worker(before: Option<ObservedWorker>, row: WorkerRow, now: Moment) -> ObservedWorker {
    let sign = row.sign_of_life();
    match before {
        Some(before) if before.sign == sign && before.row.incarnation == row.incarnation => {
            ObservedWorker { row, ..before }
        }
        Some(_) => ObservedWorker { row, sign, since: now, round: 0, moved: true },
        None => ObservedWorker { row, sign, since: now, round: 0, moved: false },
    }
}

impl ObservedLease {
    /// How long nothing has moved.
    pub(crate) fn silent_for(&self, now: Moment) -> Duration {
        now.since(self.since)
    }

    fn state(&self, now: Moment) -> LeaseState<'_> {
        let mut state = LeaseState::new(&self.lease);
        state.silent = self.silent_for(self.seen);
        state.pending = self.pending_since.map(|since| self.seen.since(since));
        state.moved = self.moved_at.map(|at| now.since(at));
        state.given_up = self.given_up;
        state.throughput = self.carried.map(SteadyThroughput::value);
        state
    }
}

impl ObservedWorker {
    /// Whether the worker may be alive and wants leases.
    ///
    /// One of our own counts from the first sight, so that workers which start together share at once. A row that a Java
    /// worker left counts only once it has moved: Java workers never remove theirs, and it moves every 30 s if alive.
    pub(crate) fn is_live(&self, now: Moment, expiry: Duration) -> bool {
        self.row.takes_leases() && self.is_alive(now, expiry)
    }

    fn is_alive(&self, now: Moment, expiry: Duration) -> bool {
        let limit = if self.row.is_ours() { expiry } else { JAVA_WORKER_EXPIRY };
        let seen_alive = self.moved || self.row.is_ours();
        seen_alive && now.since(self.since) <= limit
    }

    fn state(&self, now: Moment, expiry: Duration) -> WorkerState<'_> {
        let mut state = WorkerState::new(&self.row);
        state.silent = now.since(self.since);
        state.live = self.is_alive(now, expiry);
        state.moved = self.moved;
        state
    }
}

/// Java workers write their row every 30 s and are taken for dead after 60 s; a tenth on top for the clocks.
const JAVA_WORKER_EXPIRY: Duration = Duration::from_secs(66);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Checkpoint, Incarnation};

    const EXPIRY: Duration = Duration::from_secs(11);

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn lease(owner: &str, counter: u64) -> Row {
        let mut lease = Lease::unowned(LeaseKey::new("s-0").unwrap(), Checkpoint::TrimHorizon, counter);
        lease.owner = Some(WorkerId::new(owner).unwrap());
        Row::Lease(Box::new(lease))
    }

    fn ours(heartbeat: u64) -> Row {
        let mut row = WorkerRow::new(WorkerId::new("w").unwrap());
        row.implementation = Some("kcl-core/1".into());
        row.heartbeat = Some(heartbeat);
        row.incarnation = Some(Incarnation::new("i").unwrap());
        Row::Worker(Box::new(row))
    }

    fn java(updated: i64) -> Row {
        let mut row = WorkerRow::new(WorkerId::new("j").unwrap());
        row.updated = Some(Timestamp::from_millis(updated));
        Row::Worker(Box::new(row))
    }

    fn only(view: &FleetView) -> &ObservedLease {
        view.leases.values().next().unwrap()
    }

    #[test]
    fn a_lease_expires_when_its_counter_stands_still_for_longer_than_the_limit() {
        let mut view = FleetView::default();
        view.observe([lease("a", 5)], at(100));
        view.observe([lease("a", 5)], at(111));
        assert!(only(&view).silent_for(at(111)) <= EXPIRY, "exactly the limit is not over it");
        assert!(only(&view).silent_for(at(112)) > EXPIRY);
        view.observe([lease("a", 6)], at(112));
        assert!(only(&view).silent_for(at(112)) <= EXPIRY);
    }

    #[test]
    fn a_new_holder_starts_its_own_time() {
        let mut view = FleetView::default();
        view.observe([lease("a", 5)], at(100));
        // A hand-off may change the holder without moving the counter.
        view.observe([lease("b", 5)], at(111));
        assert!(only(&view).silent_for(at(112)) <= EXPIRY);
    }

    fn handed(owner: &str, holder: Option<&str>, counter: u64) -> Row {
        let mut lease = Lease::unowned(LeaseKey::new("s-0").unwrap(), Checkpoint::TrimHorizon, counter);
        lease.owner = Some(WorkerId::new(owner).unwrap());
        lease.checkpoint_owner = holder.map(|holder| WorkerId::new(holder).unwrap());
        Row::Lease(Box::new(lease))
    }

    fn state(view: &FleetView, now: Moment) -> LeaseState<'_> {
        only(view).state(now)
    }

    #[test]
    fn a_hand_off_is_pending_since_this_pair_of_workers_was_first_seen() {
        let mut view = FleetView::default();
        view.observe([handed("a", None, 5)], at(100));
        assert_eq!(state(&view, at(100)).pending, None);
        view.observe([handed("b", Some("a"), 5)], at(102));
        // The holder goes on renewing; that is no progress of the hand-off.
        view.observe([handed("b", Some("a"), 9)], at(110));
        assert_eq!(state(&view, at(110)).pending, Some(Duration::from_secs(8)));
        view.observe([handed("c", Some("a"), 9)], at(112));
        assert_eq!(state(&view, at(112)).pending, Some(Duration::ZERO));
        view.observe([handed("c", None, 10)], at(114));
        assert_eq!(state(&view, at(114)).pending, None);
        view.observe([handed("b", Some("a"), 11)], at(116));
        assert_eq!(state(&view, at(116)).pending, Some(Duration::ZERO));
        let mut fresh = FleetView::default();
        fresh.observe([handed("b", Some("a"), 11)], at(120));
        assert_eq!(state(&fresh, at(120)).pending, Some(Duration::ZERO), "who comes later counts from then on");
    }

    #[test]
    fn a_lease_was_moved_when_it_was_seen_with_another_owner_and_not_when_it_was_free() {
        let mut view = FleetView::default();
        view.observe([free("a")], at(100));
        view.observe([lease("a", 5)], at(102));
        assert_eq!(state(&view, at(102)).moved, None);
        view.observe([handed("b", Some("a"), 5)], at(104));
        view.observe([handed("b", None, 6)], at(110));
        assert_eq!(state(&view, at(110)).moved, Some(Duration::from_secs(6)));
    }

    fn free(last: &str) -> Row {
        let mut lease = Lease::unowned(LeaseKey::new("s-0").unwrap(), Checkpoint::TrimHorizon, 1);
        lease.last_owner = Some(WorkerId::new(last).unwrap());
        Row::Lease(Box::new(lease))
    }

    #[test]
    fn a_lease_is_given_up_when_its_holder_was_seen_to_free_it() {
        let mut view = FleetView::default();
        view.observe([free("a")], at(100));
        assert!(!state(&view, at(100)).given_up, "nobody knows why it is free");
        view.observe([lease("a", 5)], at(102));
        view.observe([free("a")], at(104));
        view.observe([free("a")], at(106));
        assert!(state(&view, at(106)).given_up);
        view.observe([lease("b", 5)], at(108));
        view.observe([free("a")], at(110));
        assert!(!state(&view, at(110)).given_up, "b did not write that it is the last owner");
    }

    #[test]
    fn rows_of_a_scan_that_broke_off_are_taken_in_and_the_others_are_not_forgotten() {
        let mut view = FleetView::default();
        view.observe([lease("a", 5), ours(1)], at(100));
        view.observe_some([ours(2)], at(104));
        view.observe_some([], at(106));
        assert_eq!((view.leases.len(), view.workers.len()), (1, 1));
        // What was not read again was last known to stand still when it was read: age comes from reading, not from waiting.
        assert_eq!(state(&view, at(130)).silent, Duration::ZERO);
        view.observe([lease("a", 5), ours(2)], at(131));
        assert_eq!(state(&view, at(131)).silent, Duration::from_secs(31));
        view.observe([lease("a", 5)], at(131));
        assert!(view.workers.is_empty(), "a whole scan forgets what is gone, also one at the same moment");
    }

    #[test]
    fn our_workers_live_from_first_sight_and_die_when_silent() {
        let mut view = FleetView::default();
        view.observe([ours(1)], at(100));
        let worker = WorkerId::new("w").unwrap();
        assert!(view.workers[&worker].is_live(at(100), EXPIRY) && !view.workers[&worker].moved);
        view.observe([ours(2)], at(101));
        assert!(view.workers[&worker].moved);
        assert!(!view.workers[&worker].is_live(at(113), EXPIRY));
        view.observe([], at(113));
        assert!(view.workers.is_empty());
    }

    #[test]
    fn a_relic_of_a_java_worker_counts_only_once_it_moves() {
        let mut view = FleetView::default();
        view.observe([java(1)], at(100));
        let worker = WorkerId::new("j").unwrap();
        assert!(!view.workers[&worker].is_live(at(100), EXPIRY));
        view.observe([java(2)], at(130));
        assert!(view.workers[&worker].is_live(at(190), EXPIRY));
        assert!(!view.workers[&worker].is_live(at(197), EXPIRY));
    }
}
