//! Cases of spreading by number.

use super::fixture::{check, check_claims};
use crate::plan::assignment::Count;

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
    check(&Count, "worker a, worker b, s-1 a, s-2 a, s-3 b", &[]);
}

#[test]
fn a_worker_without_a_leader_takes_its_share_of_what_is_free() {
    check_claims("a", "worker a, s-1 -, s-2 - end, s-3 - < s-1", "assign s-1 to a: free");
    check_claims("a", "worker a, worker b, s-1 b, s-2 b", "");
}
