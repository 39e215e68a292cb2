//! Cases of spreading by number.

use super::fixture::{FIRST, LAST, check, key, moment, observe, planned, rules, snapshot, view, worker};
use crate::plan::assignment::{Count, StepAction, plan};
use crate::plan::fleet_view::FleetView;

#[test]
fn what_nobody_reads_is_assigned_evenly_and_what_cannot_be_read_yet_is_left() {
    check(
        &Count,
        "worker a, worker b, s-1 -, s-2 -, s-3 -, s-4 -, s-5 - end, s-6 - < s-1, s-7 - < s-5",
        &[
            "assign s-1 to a: free",
            "assign s-2 to b: free",
            "assign s-3 to a: free",
            "assign s-4 to b: free",
            "assign s-7 to a: free",
        ],
    );
}

#[test]
fn the_leases_of_a_silent_owner_are_assigned_with_the_reason() {
    check(
        &Count,
        "worker a, worker b silent, s-1 a, s-2 b silent",
        &["assign s-2 to a: expired, owner b silent 12.0 s"],
    );
}

#[test]
fn six_leases_are_moved_until_two_workers_have_three_each() {
    check(
        &Count,
        "worker a, worker b, s-1 a, s-2 a, s-3 a, s-4 a, s-5 a, s-6 b",
        &[
            "move s-4 from a to b: a has 5, its share is 3; b has 1",
            "move s-2 from a to b: a has 4, its share is 3; b has 2",
        ],
    );
}

#[test]
fn what_is_even_stays_where_it_is() {
    check(&Count, "worker a, worker b, s-1 a, s-2 a, s-3 b", &[]);
    check(
        &Count,
        "worker a, worker b, worker c, s-1 b, s-2 b, s-3 c, s-4 c",
        &["move s-4 from c to a: c has 2, its share is 1; a has 0"],
    );
    check(&Count, "worker a, worker b, worker c, s-1 b, s-2 c", &[]);
    check(&Count, "worker a, s-1 a, s-2 a end, s-3 a < s-1", &[]);
}

#[test]
fn a_lease_on_its_way_counts_where_it_goes_and_is_not_asked_for_again() {
    check(&Count, "worker a, worker b, s-1 a, s-2 a, s-3 b<a, s-4 b<a", &[]);
    check(
        &Count,
        "worker a, worker b, s-1 a, s-2 a, s-3 a, s-4 b<a",
        &["move s-2 from a to b: a has 3, its share is 2; b has 1"],
    );
}

#[test]
fn nothing_is_moved_to_a_worker_that_may_be_a_relic_but_what_is_free_is_given_to_it() {
    check(&Count, "worker a, worker b new, s-1 a, s-2 a", &[]);
    check(&Count, "worker a, worker b new, s-1 a, s-2 -", &["assign s-2 to b: free"]);
    check(&Count, "worker a, worker b java new, s-1 a, s-2 -", &["assign s-2 to a: free"]);
}

#[test]
fn workers_that_stop_get_nothing_and_what_they_have_is_not_taken() {
    check(&Count, "worker a, worker b stops, s-1 b, s-2 b, s-3 -", &["assign s-3 to a: free"]);
    // What b has will come free: c gets its share of that then, not from a now.
    check(&Count, "worker a, worker b stops, worker c, s-1 a, s-2 a, s-3 b, s-4 b", &[]);
}

#[test]
fn a_dead_worker_gets_nothing_although_its_row_moved_a_little_later_than_its_leases() {
    // At the last look the lease is silent for 12 s, the worker for 8 s.
    let mut fleet = FleetView::default();
    observe(&mut fleet, "worker a, worker b, s-1 b silent, s-2 -, s-3 -", [FIRST, 102, 104]);
    observe(&mut fleet, "worker a, worker b silent, s-1 b silent, s-2 -, s-3 -", (106..=LAST).step_by(2));
    let planned = plan(&Count, &snapshot(&fleet)).plan.to_string();
    assert_eq!(
        planned,
        "assign s-1 to a: expired, owner b silent 12.0 s; assign s-2 to a: free; assign s-3 to a: free"
    );
}

#[test]
fn a_lease_goes_elsewhere_although_its_silent_owner_lives_unless_there_is_nobody_else() {
    let fixture = "worker a, worker b, s-1 a, s-2 a, s-3 b silent";
    check(
        &Count,
        fixture,
        &["assign s-3 to a: expired, owner b silent 12.0 s", "move s-2 from a to b: a has 3, its share is 2; b has 0"],
    );
    check(&Count, "worker b, s-3 b silent", &["assign s-3 to b: expired, owner b silent 12.0 s"]);
    check(
        &Count,
        "worker a max=2, worker b, s-1 a, s-2 a, s-3 b silent",
        &["assign s-3 to b: expired, owner b silent 12.0 s"],
    );
}

#[test]
fn a_lease_goes_back_to_its_last_owner_if_that_lacks_leases_and_did_not_give_it_up() {
    check(&Count, "worker a, worker b, s-1 - by=b, s-2 - by=a", &["assign s-1 to b: free", "assign s-2 to a: free"]);
    check(&Count, "worker a, worker b, s-1 - by=b, s-2 b", &["assign s-1 to a: free"]);
    let mut given_up = view("worker a, worker b, s-1 a, s-2 b, s-3 b");
    observe(&mut given_up, "worker a, worker b, s-1 a, s-2 b, s-3 - by=b", [LAST + 2]);
    let planned = plan(&Count, &given_up.snapshot(rules(), moment(LAST + 2), 7)).plan.to_string();
    assert_eq!(planned, "assign s-3 to a: free, b gave it up");
}

#[test]
fn who_waits_in_a_hand_off_gets_the_lease_when_its_holder_dies() {
    check(
        &Count,
        "worker a silent, worker b, worker c, s-1 c<a silent, s-2 b, s-3 a silent",
        &["assign s-1 to c: expired, owner a silent 12.0 s", "assign s-3 to b: expired, owner a silent 12.0 s"],
    );
}

#[test]
fn a_lease_that_waits_for_a_worker_that_is_gone_is_assigned_at_once() {
    // b left, or stops, before it began; its predecessor a is written as the last owner.
    for gone in ["", ", worker b stops", ", worker b silent"] {
        let fixture = format!("worker c{gone}, s-1 b by=a");
        check(&Count, &fixture, &["assign s-1 to c: it waits for b, which is gone"]);
    }
    check(&Count, "worker c, worker b, s-1 b by=a", &[]);
    // Of these it may have begun: one that wrote its own name, and Java workers, which do not write any.
    check(&Count, "worker c, s-1 b by=b", &[]);
    check(&Count, "worker c, s-1 b java", &[]);
}

#[test]
fn capacities_weigh() {
    check(
        &Count,
        "worker a capacity=2, worker b, s-1 -, s-2 -, s-3 -, s-4 -, s-5 -, s-6 -",
        &[
            "assign s-1 to a: free",
            "assign s-2 to a: free",
            "assign s-3 to b: free",
            "assign s-4 to a: free",
            "assign s-5 to b: free",
            "assign s-6 to a: free",
        ],
    );
    // 7 by 2 to 1 is 4.67 and 2.33: the larger remainder rounds up. What has one of the roundings already stays.
    let moved_to = |fixture: &str| planned(&Count, fixture).plan.steps.len();
    assert_eq!(moved_to("worker a capacity=2, worker b, s-1 a, s-2 a, s-3 a, s-4 a, s-5 a, s-6 b, s-7 b"), 0);
    assert_eq!(moved_to("worker a capacity=2, worker b, s-1 a, s-2 a, s-3 a, s-4 a, s-5 b, s-6 b, s-7 b"), 0);
    assert_eq!(moved_to("worker a capacity=2, worker b, s-1 a, s-2 a, s-3 a, s-4 b, s-5 b, s-6 b, s-7 b"), 1);
}

#[test]
fn limits_of_workers_hold_and_the_others_have_the_rest() {
    check(
        &Count,
        "worker a max=1, worker b, s-1 -, s-2 -, s-3 -, s-4 -",
        &["assign s-1 to b: free", "assign s-2 to b: free", "assign s-3 to a: free", "assign s-4 to b: free"],
    );
    let full = planned(&Count, "worker a max=1, worker b max=1, s-1 a, s-2 -, s-3 -");
    assert_eq!((full.plan.to_string().as_str(), full.unplaced), ("assign s-2 to b: free", 1));
    // What waits for its parents, or is still being handed away, is held too.
    check(&Count, "worker a max=2, worker b, s-1 b, s-2 b, s-3 b, s-4 a < s-1, s-5 b<a", &[]);
}

#[test]
fn what_is_left_over_goes_to_the_zone_that_has_least() {
    let zones = "worker a zone=x, worker b zone=x, worker c zone=y, worker d zone=x";
    let fixture = format!("{zones}, s-1 -, s-2 -, s-3 -, s-4 -, s-5 -");
    let plan = planned(&Count, &fixture).plan;
    let of = |name: &str| plan.steps.iter().filter(|step| step.target() == Some(&worker(name))).count();
    // Four workers with one each; the fifth lease goes to c, where the seed alone would choose another.
    assert_eq!((of("a"), of("b"), of("c"), of("d")), (1, 1, 2, 1), "{plan}");
    // It is no reason to move one.
    check(&Count, &format!("{zones}, s-1 a, s-2 a, s-3 b, s-4 c, s-5 d"), &[]);
}

#[test]
fn a_lease_that_was_moved_lately_rests_where_others_will_do() {
    let before = "worker a, worker b, worker c, s-1 a, s-2 a, s-3 a, s-4 c, s-5 c, s-6 c";
    let after = "worker a, worker b, worker c, s-1 a, s-2 a, s-3 c, s-4 c, s-5 c, s-6 c";
    let mut fleet = view(before);
    observe(&mut fleet, after, [LAST + 2, LAST + 4]);
    let steps = plan(&Count, &fleet.snapshot(rules(), moment(LAST + 4), 7)).plan.steps;
    assert_eq!(steps.len(), 2);
    assert!(steps.iter().all(|step| step.lease != key("s-3")), "{steps:?}");
    // Where nothing else will do, an even spread counts for more.
    let mut fleet = view("worker a, worker b, worker c, s-1 a, s-2 a");
    observe(&mut fleet, "worker a, worker b, worker c, s-1 c, s-2 c", [LAST + 2]);
    let steps = plan(&Count, &fleet.snapshot(rules(), moment(LAST + 2), 7)).plan.steps;
    assert_eq!(steps.len(), 1, "{steps:?}");
}

#[test]
fn moves_stay_within_the_budget_and_assignments_do_not_need_one() {
    let leases = |owner: &str, count: usize| (0..count).map(|i| format!("s-{i} {owner}")).collect::<Vec<_>>().join(",");
    let moves = |count: usize| planned(&Count, &format!("worker a, worker b, {}", leases("a", count))).plan.steps.len();
    assert_eq!((moves(4), moves(30), moves(100), moves(1000)), (2, 10, 25, 250));
    let plan = planned(&Count, &format!("worker a, worker b, {}", leases("-", 1000))).plan;
    assert_eq!(plan.steps.len(), 1000);
    assert!(plan.to_string().ends_with("; and 960 more"), "{plan}");
}

#[test]
fn java_workers_take_part_once_their_row_has_moved() {
    let steps = |fixture: &str| planned(&Count, fixture).plan.steps;
    assert_eq!(steps("worker a, worker j java, s-1 a, s-2 a, s-3 a, s-4 a").len(), 2);
    // Nothing is known of it yet, and its own leases are its own affair: a does not give up any, and takes none.
    assert_eq!(steps("worker a, worker j java new, s-1 a, s-2 a, s-3 j java, s-4 j java, s-5 j java, s-6 j java"), []);
    let from_java = steps("worker a, worker j java, s-1 j java, s-2 j java");
    assert_eq!(from_java.len(), 1);
    assert!(
        matches!(&from_java[0].action, StepAction::Move { from, to } if *from == worker("j") && *to == worker("a"))
    );
}

#[test]
fn the_seed_decides_between_equals() {
    let fleet = view("worker a, worker b, worker c, worker d, s-1 -");
    let chosen = (0..32)
        .filter_map(|seed| plan(&Count, &fleet.snapshot(rules(), moment(LAST), seed)).plan.steps[0].target().cloned());
    let chosen: std::collections::BTreeSet<_> = chosen.collect();
    assert_eq!(chosen.len(), 4, "{chosen:?}");
}
