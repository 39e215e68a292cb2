//! Cases as text: a table of leases and workers in, the plan out.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::types::{Checkpoint, Row, ShardId, WorkerRow};

const EXPIRY: Duration = Duration::from_secs(11);

fn moment(seconds: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(seconds))
}

/// `s-1 a` is held by a, `s-1 -` is free, `s-1 a silent` is held by a dead worker, `s-1 a end` is ended,
/// `s-2 - < s-1` has the parent s-1; `worker a` lives, `worker a silent` is dead.
fn view(fixture: &str) -> FleetView {
    let mut view = FleetView::default();
    let rows = |round: u64| fixture.lines().map(str::trim).filter(|l| !l.is_empty()).map(move |line| row(line, round));
    view.observe(rows(0), moment(100));
    for round in 1..=6 {
        view.observe(rows(round), moment(100 + 2 * round));
    }
    view
}

fn row(line: &str, round: u64) -> Row {
    let words: Vec<&str> = line.split_whitespace().collect();
    let moves = if words.contains(&"silent") { 0 } else { round };
    if words[0] == "worker" {
        let mut row = WorkerRow::new(WorkerId::new(words[1]).unwrap());
        row.implementation = Some("kcl-core/test".into());
        row.heartbeat = Some(moves);
        return Row::Worker(Box::new(row));
    }
    let checkpoint = if words.contains(&"end") { Checkpoint::ShardEnd } else { Checkpoint::TrimHorizon };
    let mut lease = Lease::unowned(LeaseKey::new(words[0]).unwrap(), checkpoint, 1 + moves);
    lease.owner = (words[1] != "-").then(|| WorkerId::new(words[1]).unwrap());
    if let Some(at) = words.iter().position(|word| *word == "<") {
        lease.parents = words[at + 1..].iter().map(|parent| ShardId::new(parent).unwrap()).collect();
    }
    Row::Lease(Box::new(lease))
}

fn propose(me: &str, held: &[&str], view: &FleetView) -> Plan {
    let held: BTreeSet<LeaseKey> = held.iter().map(|key| LeaseKey::new(key).unwrap()).collect();
    CountStrategy.propose(&Snapshot {
        view,
        me: &WorkerId::new(me).unwrap(),
        held: &held,
        draining: &BTreeSet::new(),
        now: moment(112),
        expiry: EXPIRY,
        max_leases: None,
        seed: 7,
    })
}

fn check(me: &str, held: &[&str], fixture: &str, expected: &str) {
    assert_eq!(propose(me, held, &view(fixture)).to_string(), expected, "for {fixture}");
}

#[test]
fn alone_it_takes_everything_that_can_be_read() {
    check("a", &[], "worker a\n s-1 -\n s-2 - end\n s-3 - < s-1", "take s-1: free");
    check("a", &[], "worker a\n s-2 - end\n s-3 - < s-2", "take s-3: free");
    check("a", &[], "worker a\n s-3 - < s-2", "take s-3: free");
}

#[test]
fn nothing_is_taken_from_a_live_owner() {
    check("a", &[], "worker a\n worker b\n s-1 b\n s-2 b", "");
}

#[test]
fn what_is_above_the_share_is_released_for_workers_that_live() {
    check("a", &["s-1", "s-2"], "worker a\n worker b\n s-1 a\n s-2 a", "release s-2: over share, holds 2 of 1");
    check("a", &["s-1", "s-2"], "worker a\n worker b silent\n s-1 a\n s-2 a", "");
}

#[test]
fn the_leases_of_a_silent_owner_are_taken_with_the_reason() {
    let fixture = "worker a\n worker b silent\n s-1 a\n s-2 b silent";
    check("a", &["s-1"], fixture, "take s-2: expired, owner b silent 12.0 s");
}

#[test]
fn rows_that_name_this_worker_are_adopted() {
    check("a", &[], "worker a\n s-1 a silent", "adopt s-1: the row names this worker");
}

fn simulate(leases: usize, workers: &[&str], holders: &[usize]) -> Vec<usize> {
    let mut owners: Vec<Option<usize>> = (0..leases).map(|i| holders.get(i).copied()).collect();
    for _ in 0..20 {
        for (index, me) in workers.iter().enumerate() {
            let mut fixture: String = workers.iter().map(|w| format!("worker {w}\n")).collect();
            for (lease, owner) in owners.iter().enumerate() {
                fixture += &format!("s-{lease} {}\n", owner.map_or("-", |w| workers[w]));
            }
            let held: Vec<String> =
                (0..leases).filter(|l| owners[*l] == Some(index)).map(|l| format!("s-{l}")).collect();
            let held: Vec<&str> = held.iter().map(String::as_str).collect();
            for step in propose(me, &held, &view(&fixture)).steps {
                let lease: usize = step.lease.as_str()[2..].parse().unwrap();
                owners[lease] = match step.action {
                    StepAction::Release { .. } => None,
                    _ => Some(index),
                };
            }
        }
    }
    (0..workers.len()).map(|w| owners.iter().filter(|o| **o == Some(w)).count()).collect()
}

#[test]
fn six_leases_spread_evenly_over_two_and_three_workers() {
    assert_eq!(simulate(6, &["a", "b"], &[]), [3, 3]);
    assert_eq!(simulate(6, &["a", "b", "c"], &[0, 0, 0, 1, 1, 1]), [2, 2, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_start_ends_in_floor_and_ceil(leases in 0usize..12, holders in prop::collection::vec(0usize..4, 0..12)) {
        let workers = ["a", "b", "c", "d"];
        let mut counts = simulate(leases, &workers, &holders[..holders.len().min(leases)]);
        counts.sort();
        let (least, most) = (counts[0], counts[3]);
        prop_assert_eq!(counts.iter().sum::<usize>(), leases);
        prop_assert!(most - least <= 1, "{:?}", counts);
    }
}
