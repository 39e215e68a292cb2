//! Bytes from outside, whatever they are: inputs in order, what chance makes of them, and what was once wrong. The same
//! functions are driven by coverage in the folder `fuzz`.

use integration_tests::fuzzing::Target;

/// Runs the corpus of a target, and so many inputs that chance makes of it: always the same ones.
fn holds(target: Target, inputs: u64) {
    for bytes in target.corpus() {
        target.check(&bytes);
    }
    let chance = target.inputs();
    for seed in 0..inputs {
        println!("{target}: seed {seed}");
        target.check(&chance.of_seed(seed));
    }
}

#[test]
fn whatever_claims_to_be_an_aggregate_is_opened_rightly_or_refused() {
    holds(Target::Aggregates, 1_500);
}

#[test]
fn whatever_get_records_answers_becomes_its_records_or_an_error() {
    holds(Target::Polls, 500);
}

#[test]
fn whatever_a_subscription_pushes_becomes_its_records_or_an_error() {
    holds(Target::Subscriptions, 500);
}

#[test]
fn whatever_a_row_has_it_is_read_or_named_and_hides_no_other() {
    holds(Target::Rows, 1_000);
}

#[test]
fn what_is_nested_without_end_is_refused() {
    let nested = |open: &str, depth: usize| open.repeat(depth).into_bytes();
    for depth in [100, 10_000, 1_000_000] {
        for open in ["[", "{\"a\":"] {
            let body = [b"{\"Records\":[],\"Unknown\":", nested(open, depth).as_slice()].concat();
            Target::Polls.check(&body);
            Target::Subscriptions.check(&[&[1], body.as_slice()].concat());
        }
        for open in ["{\"L\":[", "{\"M\":{\"a\":"] {
            Target::Rows.check(&[b"{\"a\":", nested(open, depth).as_slice()].concat());
        }
    }
}
