//! The models of the coordination protocol, as far as they are quick. The program `protocol-model` explores more.

use std::collections::BTreeSet;
use std::fs;

use integration_tests::protocol::rule::Rule;
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

/// Alone; or, a second line, together with the first, after it was shown that it breaks nothing alone.
#[test]
fn there_is_no_rule_whose_absence_goes_unpunished() {
    let runs = all();
    let taken_out = |breaks: bool| {
        let some = runs.iter().filter(move |run| run.quick && run.breaks.is_some() == breaks);
        some.map(|run| run.without).collect::<BTreeSet<&[Rule]>>()
    };
    let (punished, harmless) = (taken_out(true), taken_out(false));
    for rule in Rule::ALL {
        let alone = punished.contains(&[rule][..]);
        let second_line = harmless.contains(&[rule][..]) && punished.iter().any(|rules| rules.contains(&rule));
        assert!(alone || second_line, "nothing comes of taking out {rule}");
    }
}

#[test]
fn the_written_protocol_names_every_switch() {
    let written = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md")).unwrap();
    for rule in Rule::ALL {
        assert!(written.contains(&format!("`{rule}`")), "docs/protocol.md does not say where {rule} belongs");
    }
}
