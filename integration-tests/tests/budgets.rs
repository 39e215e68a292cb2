//! What is promised about the time that coordination takes and the writes it costs, on a seed or two for each promise; the
//! benchmark `coordination` tries many. Time is virtual, so nothing here depends on the machine.

use integration_tests::budgets::{BUDGETS, cost};

#[test]
fn every_budget_holds() {
    for budget in BUDGETS {
        // Four workers and one more; larger and smaller fleets are the benchmark's.
        let seeds = if budget.name == "join" { 5..=5 } else { 3..=4 };
        let figures = budget.measure(seeds).unwrap();
        for limit in budget.limits {
            assert!(limit.holds(&figures), "{}: {limit} {}, but {figures:?}", budget.event, budget.unit);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let crash = &BUDGETS[0];
    assert_eq!(crash.measure([7]), crash.measure([7]));
}

#[test]
fn a_fleet_at_rest_writes_what_was_computed() {
    let cost = cost(1, 20, 2).unwrap();
    let holders = cost.renewals + cost.checkpoints + cost.changes;
    assert!((17.5..=18.2).contains(&(holders / 20.0)), "{cost:?}");
    assert!((27.0..=30.5).contains(&(cost.worker_rows / 2.0)), "{cost:?}");
    assert_eq!((cost.failed, cost.changes), (0.0, 0.0), "{cost:?}");
}
