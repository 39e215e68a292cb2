//! Fleets as text: `s-1 a` is held by a.

use std::time::Duration;

use crate::plan::assignment::{AssignmentStrategy, Planned, Rules, Snapshot, claims, plan};
use crate::plan::fleet_view::FleetView;
use crate::types::{Checkpoint, Lease, LeaseKey, Moment, Row, ShardId, Throughput, WorkerId, WorkerRow};

pub(super) fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

pub(super) fn key(name: &str) -> LeaseKey {
    LeaseKey::new(name).unwrap()
}

pub(super) fn moment(seconds: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(seconds))
}

pub(super) fn rules() -> Rules {
    Rules::from_failover_time(Duration::from_secs(10))
}

/// When a fleet was first looked at, and when it was last looked at.
pub(super) const FIRST: u64 = 100;
pub(super) const LAST: u64 = 112;

/// One line each, looked at every other second from [`FIRST`] to [`LAST`]:
///
/// - `worker a` lives and has shown life; `silent` is dead, `new` was seen once, `stops` wants no leases, `java` is a
///   Java worker; `capacity=2`, `zone=z` and `max=3` are what its row says.
/// - `s-1 a` is held by a, `s-1 -` is free, `s-1 b<a` is on its way from a to b; `silent` is a holder that does not renew,
///   `end` is processed to the end, `< s-0` names parents, `load=7` is the throughput, `by=c` the last owner (the holder
///   itself if nothing is said), `java` a row that the KCL wrote.
pub(super) fn view(fixture: &str) -> FleetView {
    let mut view = FleetView::default();
    observe(&mut view, fixture, (FIRST..=LAST).step_by(2));
    view
}

/// Looks at a fleet at the given seconds.
pub(super) fn observe(view: &mut FleetView, fixture: &str, seconds: impl IntoIterator<Item = u64>) {
    for second in seconds {
        let lines = fixture.split(['\n', ',']).map(str::trim).filter(|line| !line.is_empty());
        let new = |line: &&str| second == LAST || !line.split_whitespace().any(|word| word == "new");
        view.observe(lines.filter(new).map(|line| row(line, second)), moment(second));
    }
}

fn row(line: &str, second: u64) -> Row {
    let words: Vec<&str> = line.split_whitespace().collect();
    let has = |word: &str| words.contains(&word);
    let value = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let moves = if has("silent") { 0 } else { second };
    if words[0] == "worker" {
        let mut row = WorkerRow::new(worker(words[1]));
        if has("java") {
            row.updated = Some(crate::types::Timestamp::from_millis(moves as i64));
        } else {
            row.implementation = Some("kcl-core/test".into());
            row.heartbeat = Some(moves);
        }
        row.max_leases = value("max").map(|text| text.parse().unwrap());
        row.capacity = if has("stops") { Some(0.0) } else { value("capacity").map(|text| text.parse().unwrap()) };
        row.zone = value("zone").map(str::to_owned);
        return Row::Worker(Box::new(row));
    }
    let checkpoint = if has("end") { Checkpoint::ShardEnd } else { Checkpoint::TrimHorizon };
    let mut lease = Lease::unowned(key(words[0]), checkpoint, 1 + moves);
    match words[1].split_once('<') {
        Some((owner, holder)) if !owner.is_empty() => {
            (lease.owner, lease.checkpoint_owner) = (Some(worker(owner)), Some(worker(holder)));
        }
        _ => lease.owner = (words[1] != "-").then(|| worker(words[1])),
    }
    lease.last_owner = value("by").map(worker).or_else(|| lease.holder().cloned());
    lease.throughput = value("load").map(|text| Throughput(text.parse().unwrap()));
    if has("java") {
        (lease.own_counter, lease.last_owner) = (None, None);
    }
    if let Some(at) = words.iter().position(|word| *word == "<") {
        lease.parents = words[at + 1..].iter().map(|parent| ShardId::new(parent).unwrap()).collect();
    }
    Row::Lease(Box::new(lease))
}

pub(super) fn snapshot(view: &FleetView) -> Snapshot<'_> {
    view.snapshot(rules(), moment(LAST), 7)
}

pub(super) fn planned(strategy: &dyn AssignmentStrategy, fixture: &str) -> Planned {
    plan(strategy, &snapshot(&view(fixture)))
}

/// Compares a plan with a text of one step in each line.
pub(super) fn check(strategy: &dyn AssignmentStrategy, fixture: &str, expected: &[&str]) {
    let planned = planned(strategy, fixture);
    assert_eq!(planned.refused, [], "for {fixture}");
    let steps: Vec<String> = planned.plan.steps.iter().map(ToString::to_string).collect();
    assert_eq!(steps, expected, "for {fixture}");
}

pub(super) fn check_claims(me: &str, fixture: &str, expected: &str) {
    assert_eq!(claims(&snapshot(&view(fixture)), &worker(me)).to_string(), expected, "for {fixture}");
}
