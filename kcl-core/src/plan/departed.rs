//! Which workers are gone for good, so that their rows can go as well.

use std::time::Duration;

use super::fleet_view::FleetView;
use crate::settings::Timings;
use crate::types::{Moment, WorkerId, WorkerRow};

/// The rows of workers that have been silent for long and hold nothing any more. Each is removed only if it has not moved
/// since; a worker that was merely paused writes its row anew.
///
/// Ours go soon: a stopping worker that has just begun to look at the fleet cannot tell a relic from a live worker, and must
/// not name one as its successor. Java workers are left as long as the KCL leaves them, a day.
pub(crate) fn departed<'a>(view: &'a FleetView, me: &WorkerId, now: Moment, timings: &Timings) -> Vec<&'a WorkerRow> {
    let holds = |worker: &WorkerId| {
        let mut open = view.leases.values().map(|seen| &seen.lease).filter(|lease| !lease.is_ended());
        open.any(|lease| lease.owner.as_ref() == Some(worker) || lease.checkpoint_owner.as_ref() == Some(worker))
    };
    let silent = |limit: Duration, since: Moment| now.since(since) > limit;
    view.workers
        .values()
        .filter(|seen| silent(if seen.row.is_ours() { timings.leaderless } else { JAVA }, seen.since))
        .map(|seen| &seen.row)
        .filter(|row| row.worker != *me && !holds(&row.worker))
        .collect()
}

const JAVA: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Checkpoint, Lease, LeaseKey, Row};

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    fn worker(name: &str, ours: bool, heartbeat: u64) -> Row {
        let mut row = WorkerRow::new(WorkerId::new(name).unwrap());
        row.implementation = ours.then(|| "kcl-core/1".to_owned());
        row.heartbeat = Some(heartbeat);
        Row::Worker(Box::new(row))
    }

    #[test]
    fn rows_go_when_their_workers_are_silent_and_hold_nothing() {
        let mut lease = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 5);
        lease.owner = Some(WorkerId::new("holds").unwrap());
        let rows = |heartbeat| {
            [
                worker("dead", true, 1),
                worker("lives", true, heartbeat),
                worker("holds", true, 1),
                worker("java", false, 1),
                worker("me", true, 1),
                Row::Lease(Box::new(lease.clone())),
            ]
        };
        let mut view = FleetView::default();
        view.observe(rows(1), at(0));
        view.observe(rows(2), at(19));
        let (me, timings) = (WorkerId::new("me").unwrap(), Timings::from_failover_time(Duration::from_secs(10)));
        let found =
            |now| departed(&view, &me, now, &timings).iter().map(|row| row.worker.to_string()).collect::<Vec<_>>();
        assert_eq!(found(at(20)), Vec::<String>::new());
        assert_eq!(found(at(21)), ["dead"]);
        assert_eq!(found(at(90_000)), ["dead", "java", "lives"]);
    }
}
