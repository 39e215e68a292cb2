//! What a worker may do without a leader, and who goes on when it stops.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{check_claims, key, snapshot, view, worker};
use crate::plan::assignment::{Count, Load, claims, successors};
use crate::types::LeaseKey;

#[test]
fn a_worker_without_a_leader_takes_its_share_of_what_is_free_or_silent() {
    check_claims("a", "worker a, s-1 -, s-2 - end, s-3 - < s-1", "assign s-1 to a: free");
    check_claims("a", "worker a, worker b, s-1 b, s-2 b", "");
    check_claims("a", "worker a, worker b silent, s-1 b silent", "assign s-1 to a: expired, owner b silent 12.0 s");
    check_claims("a", "worker a, worker b silent, s-1 c by=b", "assign s-1 to a: it waits for c, which is gone");
    // Adopted, not taken.
    check_claims("a", "worker a, s-1 a silent", "");
    check_claims("a", "worker a max=1, s-1 a, s-2 -", "");
    check_claims("c", "worker a, s-1 -", "");
}

#[test]
fn a_worker_first_claims_what_it_had_last() {
    check_claims("a", "worker a, worker b, s-1 - by=b, s-2 - by=a", "assign s-2 to a: free");
}

#[test]
fn workers_that_claim_at_the_same_time_rarely_meet_and_leave_nothing() {
    let leases: Vec<String> = (0..60).map(|i| format!("s-{i} x silent")).collect();
    let fleet = view(&format!("worker x silent, worker a, worker b, worker c, {}", leases.join(",")));
    let mut claimed: BTreeMap<LeaseKey, usize> = BTreeMap::new();
    for me in ["a", "b", "c"] {
        let plan = claims(&snapshot(&fleet), &worker(me));
        assert_eq!(plan.steps.len(), 20, "{me}");
        plan.steps.into_iter().for_each(|step| *claimed.entry(step.lease).or_default() += 1);
    }
    let met = claimed.values().filter(|count| **count > 1).count();
    assert!(met <= 6, "{met} of 60 are claimed twice or more");
}

#[test]
fn unread_is_what_can_be_read_and_has_no_live_holder() {
    let unread = |fixture: &str| {
        let (count, longest) = snapshot(&view(fixture)).unread();
        (count, longest.as_secs())
    };
    assert_eq!(unread("worker a, s-1 a, s-2 a end, s-3 - < s-1"), (0, 0), "held, over, and not to be read yet");
    assert_eq!(unread("worker a, worker b silent, s-1 -, s-2 b silent, s-3 a"), (2, 12));
}

fn successors_of(leaving: &str, leases: &[&str], fixture: &str) -> Vec<String> {
    let leases: BTreeSet<LeaseKey> = leases.iter().map(|lease| key(lease)).collect();
    let fleet = view(fixture);
    let found = successors(&Count, &snapshot(&fleet), &worker(leaving), &leases);
    found.into_iter().map(|(lease, to)| format!("{lease} {to}")).collect()
}

#[test]
fn the_leases_of_a_worker_that_stops_go_to_those_that_have_fewest() {
    let fixture = "worker a, worker b, worker c, s-1 a, s-2 a, s-3 a, s-4 b, s-5 b, s-6 c";
    assert_eq!(successors_of("a", &["s-1", "s-2", "s-3"], fixture), ["s-1 c", "s-2 b", "s-3 c"]);
    // Only those asked about: s-3 has ended its life here already, or is on its way.
    assert_eq!(successors_of("a", &["s-1"], fixture), ["s-1 c"]);
}

#[test]
fn the_dead_the_stopping_and_the_full_succeed_nobody() {
    assert_eq!(successors_of("a", &["s-1"], "worker a, s-1 a"), [""; 0]);
    let fixture = "worker a, worker b stops, worker c silent, worker d max=1, s-1 a, s-2 d, s-3 d < s-1";
    assert_eq!(successors_of("a", &["s-1"], fixture), [""; 0]);
    assert_eq!(successors_of("a", &["s-2"], "worker a, worker b, s-1 a, s-2 a end"), [""; 0]);
}

#[test]
fn a_worker_that_was_seen_once_succeeds_only_where_nobody_has_shown_life() {
    assert_eq!(successors_of("a", &["s-1"], "worker a, worker b new, worker c, s-1 a, s-2 c"), ["s-1 c"]);
    assert_eq!(successors_of("a", &["s-1"], "worker a, worker b new, s-1 a"), ["s-1 b"]);
}

#[test]
fn successors_are_chosen_as_the_strategy_would() {
    let fleet = view("worker a, worker b, worker c, s-1 a load=10, s-2 b load=900, s-3 c load=10, s-4 c load=10");
    let leases = BTreeSet::from([key("s-1")]);
    let by = |strategy: &dyn crate::plan::assignment::AssignmentStrategy| {
        successors(strategy, &snapshot(&fleet), &worker("a"), &leases)[&key("s-1")].clone()
    };
    assert_eq!((by(&Count), by(&Load)), (worker("b"), worker("c")));
}
