//! The frame around strategies: what a wrong one may not do.

use super::fixture::{key, moment, observe, planned, rules, view, worker};
use crate::plan::assignment::{AssignmentStrategy, Count, Plan, Snapshot, Step, plan};

/// Proposes always the same.
#[derive(Debug)]
struct Stubborn(Vec<Step>);

impl AssignmentStrategy for Stubborn {
    fn propose(&self, _: &Snapshot<'_>) -> Plan {
        Plan::from(self.0.clone())
    }
}

fn assign(lease: &str, to: &str) -> Step {
    Step::assign(&key(lease), &worker(to), "just so")
}

fn hand_over(lease: &str, from: &str, to: &str) -> Step {
    Step::hand_over(&key(lease), &worker(from), &worker(to), "just so")
}

fn refused(fixture: &str, steps: &[Step]) -> Vec<String> {
    planned(&Stubborn(steps.to_vec()), fixture).refused.iter().map(ToString::to_string).collect()
}

const FLEET: &str = "worker a, worker b, worker dead silent, worker full max=1, worker leaving stops, worker new new, \
                     s-1 a, s-2 -, s-3 full, s-4 b<a, s-5 - end, s-6 - < s-1, s-7 -, s-8 a";

#[test]
fn steps_that_break_no_rule_are_kept_in_their_order() {
    let steps = [assign("s-7", "new"), hand_over("s-1", "a", "b"), assign("s-2", "b")];
    let planned = planned(&Stubborn(steps.to_vec()), FLEET);
    assert_eq!((planned.plan.steps, planned.refused, planned.unplaced), (steps.to_vec(), vec![], 0));
}

#[test]
fn steps_that_break_a_rule_are_refused_with_the_rule() {
    for (step, rule) in [
        (assign("s-9", "a"), "refused to assign s-9 to a: just so: there is no such lease"),
        (assign("s-2", "nobody"), "refused to assign s-2 to nobody: just so: there is no such worker"),
        (assign("s-2", "dead"), "refused to assign s-2 to dead: just so: the worker is dead or stops"),
        (assign("s-2", "leaving"), "refused to assign s-2 to leaving: just so: the worker is dead or stops"),
        (assign("s-2", "full"), "refused to assign s-2 to full: just so: the worker holds as many leases as it may"),
        (assign("s-1", "b"), "refused to assign s-1 to b: just so: it is held, or there is nothing to read yet"),
        (assign("s-4", "b"), "refused to assign s-4 to b: just so: it is held, or there is nothing to read yet"),
        (assign("s-5", "b"), "refused to assign s-5 to b: just so: it is held, or there is nothing to read yet"),
        (assign("s-6", "b"), "refused to assign s-6 to b: just so: it is held, or there is nothing to read yet"),
        (hand_over("s-1", "a", "a"), "refused to move s-1 from a to a: just so: it is there already"),
        (
            hand_over("s-1", "b", "full"),
            "refused to move s-1 from b to full: just so: the worker that it is to come from does not hold it, or hands it \
             over already",
        ),
        (
            hand_over("s-4", "a", "b"),
            "refused to move s-4 from a to b: just so: the worker that it is to come from does not hold it, or hands it \
             over already",
        ),
        (hand_over("s-1", "a", "new"), "refused to move s-1 from a to new: just so: the worker has not shown life yet"),
        (Step::complete(&key("s-4"), "just so"), "refused to complete s-4: just so: no hand-off of it is overdue"),
    ] {
        assert_eq!(refused(FLEET, &[step]), [rule]);
    }
}

#[test]
fn a_lease_has_one_step_and_limits_count_over_the_whole_plan() {
    assert_eq!(
        refused(FLEET, &[assign("s-2", "a"), assign("s-2", "b")]),
        ["refused to assign s-2 to b: just so: the lease has a step already"]
    );
    let fixture = "worker a, worker b max=1, s-1 a, s-2 -";
    assert_eq!(
        refused(fixture, &[hand_over("s-1", "a", "b"), assign("s-2", "b")]),
        ["refused to assign s-2 to b: just so: the worker holds as many leases as it may"]
    );
}

#[test]
fn the_budget_of_moves_holds_for_every_strategy() {
    let leases: Vec<String> = (0..20).map(|i| format!("s-{i} a")).collect();
    let moves: Vec<Step> = (0..20).map(|i| hand_over(&format!("s-{i}"), "a", "b")).collect();
    let refused = refused(&format!("worker a, worker b, {}", leases.join(",")), &moves);
    assert_eq!(refused.len(), 10);
    assert!(refused[0].ends_with("the moves of one plan are used up"), "{refused:?}");
}

#[test]
fn overdue_hand_offs_are_completed_whatever_the_strategy_says() {
    let fixture = "worker a, worker b, s-1 b<a, s-2 b";
    let at = |seconds: u64, strategy: &dyn AssignmentStrategy| {
        let mut fleet = view(fixture);
        observe(&mut fleet, fixture, (114..=100 + seconds).step_by(2));
        plan(strategy, &fleet.snapshot(rules(), moment(100 + seconds), 7))
    };
    let idle = Stubborn(Vec::new());
    assert_eq!(at(44, &idle).plan.to_string(), "", "44 s are the limit, and not over it");
    let completed = "complete s-1: a was asked 46.0 s ago to hand it over to b";
    assert_eq!(at(46, &idle).plan.to_string(), completed);
    let twice = at(46, &Stubborn(vec![Step::complete(&key("s-1"), "too")]));
    assert_eq!((twice.plan.to_string().as_str(), twice.refused), (completed, vec![]));
}

#[test]
fn an_overdue_hand_off_to_a_worker_that_is_gone_becomes_an_assignment_to_another() {
    let mut fleet = view("worker a, worker b, s-1 b<a, s-2 a");
    observe(&mut fleet, "worker a, s-1 b<a, s-2 a", (114..=146).step_by(2));
    let planned = plan(&Count, &fleet.snapshot(rules(), moment(146), 7));
    assert_eq!(planned.plan.to_string(), "assign s-1 to a: it waits for b, which is gone");
}

#[test]
fn leases_that_nobody_can_take_are_counted() {
    assert_eq!(planned(&Count, "worker a silent, s-1 -, s-2 a silent, s-3 - end").unplaced, 2);
}
