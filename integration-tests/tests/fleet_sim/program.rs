//! The program: its arguments, its last line, its exit codes.

use std::process::{Command, Output};

fn fleet_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_fleet-sim")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_range_includes_both_ends_and_the_last_line_counts() {
    let output = fleet_sim(&["--seeds", "2..4", "--faults", "none", "--workers", "2", "--shards", "2", "--jobs", "2"]);
    let text = text(&output);
    let last = text.lines().last().unwrap();
    assert!(output.status.success(), "{text}");
    assert!(last.starts_with("seeds=3 violations=0 events="), "{text}");
}

#[test]
fn a_violation_is_told_with_the_command_that_shows_it_again_and_ends_with_1() {
    let first = fleet_sim(&["--seeds", "1..60", "--break", "owner-alone"]);
    assert_eq!(first.status.code(), Some(1));
    let found = text(&first);
    let replay =
        found.lines().find_map(|line| line.trim().strip_prefix("again: cargo run --release --bin fleet-sim -- "));
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let mut arguments: Vec<&str> = replay.unwrap().split(' ').collect();
    *arguments.last_mut().unwrap() = log.to_str().unwrap();
    let again = fleet_sim(&arguments);
    assert_eq!(again.status.code(), Some(1));
    assert_eq!(text(&again).lines().next(), found.lines().next());
    assert!(std::fs::read_to_string(log).unwrap().contains("VIOLATION"));
}

#[test]
fn the_broken_variants_are_listed() {
    let output = fleet_sim(&["--break", "list"]);
    assert!(output.status.success());
    let text = text(&output);
    assert!(text.lines().any(|line| line.starts_with("owner-alone ")), "{text}");
}

#[test]
fn what_makes_no_sense_is_refused_with_2() {
    for wrong in [["--seeds", "5..2"], ["--faults", "rain"], ["--break", "everything"], ["--workers", "0"]] {
        assert_eq!(fleet_sim(&wrong).status.code(), Some(2), "{wrong:?}");
    }
}
