//! Every protocol that is broken on purpose is caught.

use integration_tests::sim::{self, Faults, Options, Variant};

/// How many seeds it may take.
const SEEDS: u64 = 300;

/// The first seed that shows the variant, beginning with `first`: a seed in which the sound protocol keeps every promise.
fn catch(variant: Variant, faults: &str, first: u64) -> Option<u64> {
    let faults: Faults = faults.parse().unwrap();
    let sound = Options { faults, ..Options::default() };
    let broken = Options { variant: Some(variant), ..sound.clone() };
    let shows =
        |seed: &u64| sim::run(*seed, &broken).violation.is_some() && sim::run(*seed, &sound).violation.is_none();
    (first..first + SEEDS).find(shows)
}

fn is_caught(variant: Variant, faults: &str, first: u64) {
    let seed = catch(variant, faults, first);
    assert!(seed.is_some(), "{variant} shows in none of {SEEDS} seeds from {first} on");
}

#[test]
fn a_condition_on_the_owner_alone_is_caught() {
    is_caught(Variant::OwnerAlone, "all", 1);
}

#[test]
fn a_condition_without_the_counter_is_caught() {
    is_caught(Variant::NoCounter, "all", 1);
}

#[test]
fn a_tenure_that_begins_by_reading_is_caught() {
    is_caught(Variant::TenureByReading, "all", 1);
}

#[test]
fn a_conflict_on_take_that_is_read_as_success_is_caught() {
    is_caught(Variant::TakeConflictAsSuccess, "all", 1);
}
