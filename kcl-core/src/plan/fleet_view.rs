//! What this worker has observed of each lease and each worker, and since when.
//!
//! Life is judged by movement on the observer's own clock: a counter that has not moved for 1.1 F means death, whatever any
//! wall clock says.

use std::collections::BTreeMap;
use std::time::Duration;

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
}

/// A worker row, and when its sign of life was first seen.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ObservedWorker {
    pub(crate) row: WorkerRow,
    sign: (Option<u64>, Option<Timestamp>),
    pub(crate) since: Moment,
    /// The sign has moved while we watched: no relic of a dead process.
    pub(crate) moved: bool,
}

/// Everything observed so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct FleetView {
    pub(crate) leases: BTreeMap<LeaseKey, ObservedLease>,
    pub(crate) workers: BTreeMap<WorkerId, ObservedWorker>,
}

impl FleetView {
    /// Takes in a whole scan that was complete at `now`. Rows that are gone are forgotten.
    ///
    /// `now` is the moment after the last page came: ages are then never overestimated.
    pub(crate) fn observe(&mut self, rows: impl IntoIterator<Item = Row>, now: Moment) {
        let mut before = std::mem::take(self);
        for row in rows {
            match row {
                Row::Lease(lease) => {
                    let seen = before.leases.remove(&lease.key);
                    self.leases.insert(lease.key.clone(), observe_lease(seen, *lease, now));
                }
                Row::Worker(row) => {
                    let seen = before.workers.remove(&row.worker);
                    self.workers.insert(row.worker.clone(), observe_worker(seen, *row, now));
                }
                Row::Leader(_) | Row::Other { .. } => {}
            }
        }
    }
}

fn observe_lease(seen: Option<ObservedLease>, lease: Lease, now: Moment) -> ObservedLease {
    let evidence = Evidence::LeaseCounter(lease.counter);
    let unmoved = seen.filter(|seen| seen.evidence == evidence && seen.lease.holder() == lease.holder());
    let since = unmoved.map_or(now, |seen| seen.since);
    ObservedLease { lease, evidence, since }
}

fn observe_worker(seen: Option<ObservedWorker>, row: WorkerRow, now: Moment) -> ObservedWorker {
    let sign = row.sign_of_life();
    match seen {
        Some(seen) if seen.sign == sign && seen.row.incarnation == row.incarnation => ObservedWorker { row, ..seen },
        Some(_) => ObservedWorker { row, sign, since: now, moved: true },
        None => ObservedWorker { row, sign, since: now, moved: false },
    }
}

impl ObservedLease {
    /// How long nothing has moved.
    pub(crate) fn silent_for(&self, now: Moment) -> Duration {
        now.since(self.since)
    }

    /// Whether its holder must be taken for dead.
    pub(crate) fn is_expired(&self, now: Moment, expiry: Duration) -> bool {
        self.lease.holder().is_some() && self.silent_for(now) > expiry
    }
}

impl ObservedWorker {
    /// Whether the worker may be alive and wants leases.
    ///
    /// One of our own counts from the first sight, so that workers which start together share at once. A row that a Java
    /// worker left counts only once it has moved: Java workers never remove theirs, and it moves every 30 s if alive.
    pub(crate) fn is_live(&self, now: Moment, expiry: Duration) -> bool {
        let limit = if self.row.is_ours() { expiry } else { JAVA_WORKER_EXPIRY };
        let seen_alive = self.moved || self.row.is_ours();
        self.row.takes_leases() && seen_alive && now.since(self.since) <= limit
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
        assert!(!only(&view).is_expired(at(111), EXPIRY), "exactly the limit is not over it");
        assert!(only(&view).is_expired(at(112), EXPIRY));
        view.observe([lease("a", 6)], at(112));
        assert!(!only(&view).is_expired(at(112), EXPIRY));
    }

    #[test]
    fn a_new_holder_starts_its_own_time() {
        let mut view = FleetView::default();
        view.observe([lease("a", 5)], at(100));
        // A hand-off may change the holder without moving the counter.
        view.observe([lease("b", 5)], at(111));
        assert!(!only(&view).is_expired(at(112), EXPIRY));
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
