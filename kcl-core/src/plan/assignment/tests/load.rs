//! Cases of spreading by load.

use super::fixture::{LAST, check, moment, observe, planned, rules, view, worker};
use crate::plan::assignment::{Load, StepAction, plan};

#[test]
fn idle_leases_spread_by_number() {
    check(
        &Load,
        "worker a, worker b, s-1 -, s-2 -, s-3 -, s-4 -",
        &["assign s-1 to a: free", "assign s-2 to b: free", "assign s-3 to a: free", "assign s-4 to b: free"],
    );
    check(
        &Load,
        "worker a, worker b, s-1 a load=0, s-2 a load=0, s-3 a load=0, s-4 a load=0, s-5 a load=0, s-6 b load=0",
        &[
            "move s-5 from a to b: a carries 167 % of the mean load, b 33 %",
            "move s-1 from a to b: a carries 133 % of the mean load, b 67 %",
        ],
    );
}

#[test]
fn the_heavy_leases_of_a_dead_worker_go_first_and_to_those_that_carry_least() {
    check(
        &Load,
        "worker a, worker b, worker x silent, s-1 a load=100, s-2 b load=10, s-3 x silent load=20, s-4 x silent load=90",
        &["assign s-4 to b: expired, owner x silent 12.0 s", "assign s-3 to a: expired, owner x silent 12.0 s"],
    );
}

#[test]
fn a_heavy_lease_is_worth_many_light_ones() {
    // 400 and 4 times 100: even, with one lease here and four there.
    check(&Load, "worker a, worker b, s-1 a load=400, s-2 b load=100, s-3 b load=100, s-4 b load=100", &[]);
    // What carries nothing costs a little, too.
    let moves =
        planned(&Load, "worker a, worker b, s-1 a load=400, s-2 a load=0, s-3 a load=0, s-4 a load=0, s-5 b load=400")
            .plan;
    assert_eq!(moves.to_string(), "move s-4 from a to b: a carries 112 % of the mean load, b 88 %");
}

#[test]
fn within_the_band_nothing_moves() {
    check(&Load, "worker a, worker b, s-1 a load=50, s-2 a load=59, s-3 b load=50, s-4 b load=45, s-5 b load=1", &[]);
}

#[test]
fn nothing_moves_that_would_only_swap_the_roles() {
    check(&Load, "worker a, worker b, s-1 a load=500, s-2 b load=10", &[]);
    check(
        &Load,
        "worker a, worker b, worker c, s-1 a load=900, s-2 b load=20, s-3 b load=20, s-4 c load=20, s-5 c load=20",
        &[],
    );
}

#[test]
fn who_carries_too_much_in_one_lease_is_left_alone_and_the_others_are_evened_out() {
    let fixture =
        "worker a, worker b, worker c, s-1 a load=900, s-2 b load=20, s-3 b load=20, s-4 b load=20, s-5 b load=20";
    let steps = planned(&Load, fixture).plan.steps;
    let between = |from: &str, to: &str| {
        steps.iter().filter(|step| step.action == StepAction::Move { from: worker(from), to: worker(to) }).count()
    };
    assert_eq!((between("b", "c"), steps.len()), (2, 2), "{steps:?}");
}

#[test]
fn the_load_of_a_worker_counts_for_its_capacity() {
    check(&Load, "worker a capacity=2, worker b, s-1 a load=100, s-2 a load=100, s-3 b load=100", &[]);
    let steps =
        planned(&Load, "worker a capacity=3, worker b, s-1 b load=100, s-2 b load=100, s-3 b load=100, s-4 a load=100")
            .plan
            .steps;
    assert_eq!(steps.len(), 2, "{steps:?}");
}

#[test]
fn what_is_not_measured_weighs_the_mean_and_nonsense_counts_as_not_measured() {
    check(&Load, "worker a, worker b, s-1 a load=100, s-2 a, s-3 b load=100, s-4 b load=NaN", &[]);
    check(&Load, "worker a, worker b, s-1 a load=-5, s-2 a load=inf, s-3 b, s-4 b load=1e300", &[]);
}

#[test]
fn what_was_moved_lately_rests_unless_the_spread_is_gross() {
    let light = ", s-5 b load=30, s-6 b load=30, s-7 b load=30, s-8 b load=30";
    let before = format!("worker a, worker b, s-1 b load=100, s-2 b load=100, s-3 b load=100, s-4 b load=100{light}");
    let after = format!("worker a, worker b, s-1 a load=100, s-2 a load=100, s-3 a load=100, s-4 a load=100{light}");
    let steps = |wait: u64| {
        let mut fleet = view(&before);
        observe(&mut fleet, &after, (LAST + 2..=LAST + wait).step_by(2));
        plan(&Load, &fleet.snapshot(rules(), moment(LAST + wait), 7)).plan.to_string()
    };
    assert_eq!(
        (steps(4), steps(64)),
        (String::new(), "move s-4 from a to b: a carries 143 % of the mean load, b 57 %".into())
    );
}

#[test]
fn limits_hold_under_load_too() {
    check(&Load, "worker a, worker b max=1, s-1 a load=100, s-2 a load=100, s-3 a load=100, s-4 b load=100", &[]);
    let full = planned(&Load, "worker a max=1, s-1 a load=1, s-2 - load=5");
    assert_eq!((full.plan.steps.len(), full.unplaced), (0, 1));
}
