//! The models of the coordination protocol, as far as they are quick. The program `protocol-model` explores more.

use integration_tests::protocol::run::{Run, all};

fn quick(asked: impl Fn(&Run) -> bool) {
    for run in all().iter().filter(|run| run.quick && asked(run)) {
        let found = run.explore(2);
        let traces: String = found.broken.iter().map(ToString::to_string).collect();
        println!("{} without {:?}: {} states, depth {}", run.name, run.without, found.states, found.depth);
        println!("  bounds: {}\n  {}\n{traces}", run.bounds, run.why);
        assert!(run.is_as_expected(&found), "{} without {:?}: {traces}", run.name, run.without);
    }
}

#[test]
fn with_every_rule_no_promise_is_broken() {
    quick(|run| run.without.is_empty());
}

#[test]
fn without_a_rule_the_promise_that_it_keeps_is_broken() {
    quick(|run| run.breaks.is_some());
}

#[test]
fn a_second_line_breaks_nothing_while_the_first_holds() {
    quick(|run| !run.without.is_empty() && run.breaks.is_none());
}
