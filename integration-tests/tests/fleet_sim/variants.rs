//! Every protocol that is broken on purpose is caught, by a promise that it breaks.

use integration_tests::sim::{self, Faults, Options, Variant};

/// How many seeds it may take.
const SEEDS: u64 = 300;

/// Runs seeds from the first on until one shows the variant. What it shows must be one of these promises, and the sound
/// protocol must keep them all in the same run.
fn is_caught(variant: Variant, promises: &[&str]) {
    let sound = Options { faults: Faults::all(), ..Options::default() };
    let broken = Options { variant: Some(variant), ..sound.clone() };
    let found = (1..=SEEDS).find_map(|seed| Some((seed, sim::run(seed, &broken).violation?)));
    let Some((seed, violation)) = found else { panic!("{variant} shows in none of {SEEDS} seeds") };
    let is_of_its_kind = promises.iter().any(|promise| violation.promise.starts_with(promise));
    assert!(is_of_its_kind, "seed {seed} shows {variant} by another promise: {violation}");
    assert_eq!(sim::run(seed, &sound).violation, None, "seed {seed} without {variant}");
}

/// Who may write and deliver, and where things stand.
const OWNERSHIP: &[&str] = &["P1", "P2", "P3", "records come in order"];
/// Everything is read, and in time.
const LIVENESS: &[&str] = &["P4"];

#[test]
fn a_condition_on_the_owner_alone_is_caught() {
    is_caught(Variant::OwnerAlone, OWNERSHIP);
}

#[test]
fn a_condition_without_the_counter_is_caught() {
    is_caught(Variant::NoCounter, OWNERSHIP);
}

#[test]
fn a_tenure_that_begins_by_reading_is_caught() {
    is_caught(Variant::TenureByReading, OWNERSHIP);
}

#[test]
fn a_deadline_that_counts_from_the_last_send_is_caught() {
    is_caught(Variant::DeadlineFromLastSend, &["P2"]);
}

#[test]
fn a_conflict_on_take_that_is_read_as_success_is_caught() {
    is_caught(Variant::TakeConflictAsSuccess, OWNERSHIP);
}

#[test]
fn a_child_that_cancels_the_end_of_its_parent_is_caught() {
    is_caught(Variant::ChildCancelsShardEnd, LIVENESS);
}

#[test]
fn a_merge_child_that_is_made_while_another_parent_has_no_row_is_caught() {
    is_caught(Variant::EarlyMergeChild, &["records come in order"]);
}

/// Whoever's clock jumps stops too early, too late, or never looks again.
#[test]
fn expiry_by_the_wall_clock_is_caught() {
    is_caught(Variant::WallClockExpiry, &["P2", "P4", "P7", "a worker that is asked to stop stops"]);
}

#[test]
fn observers_that_wait_f_are_caught() {
    is_caught(Variant::ObserversWaitF, &["P2"]);
}

#[test]
fn a_lock_that_is_renewed_by_a_stuck_planner_is_caught() {
    is_caught(Variant::LockByStuckPlanner, LIVENESS);
}

#[test]
fn hand_offs_without_a_deadline_are_caught() {
    is_caught(Variant::HandOffWithoutDeadline, LIVENESS);
}
