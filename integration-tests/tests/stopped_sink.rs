//! A sink that stops: the worker's memory stays within its budget, and its other shards notice nothing.
//!
//! The same at full size, for minutes: `cargo run -p integration-tests --bin stopped-sink -- --help`.

use std::process::Command;

/// Runs the program, whose exit code says whether it kept to the budget, and yields what it found.
fn stopped_sink(arguments: &str) -> String {
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let output =
        Command::new(env!("CARGO_BIN_EXE_stopped-sink")).args(&arguments).output().expect("the program starts");
    let (found, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {found}\n{said}");
    found.into_owned()
}

#[test]
fn a_worker_that_polls_keeps_to_its_budget_while_its_sink_stands_still() {
    // Ten times the budget waits to be read; and all of it is read in the end.
    let found = stopped_sink(
        "--reader polling --shards 16 --stopped 12 --budget 16 --backlog 160 --record 100000 --seconds 0 --goes-on",
    );
    assert!(found.contains("mishaps=0"), "{found}");
}

#[test]
fn records_that_are_suddenly_large_do_not_break_the_budget() {
    // The first records were tiny, and each of these is a fourth of a shard's share.
    let found = stopped_sink(
        "--reader polling --plain --shards 16 --stopped 15 --budget 64 --backlog 160 --record 1000000 --seconds 0",
    );
    assert!(found.contains("mishaps=0"), "{found}");
}

#[test]
fn a_worker_that_subscribes_keeps_to_its_budget_while_its_sink_stands_still() {
    let found =
        stopped_sink("--reader fanout --shards 8 --stopped 6 --budget 32 --backlog 96 --record 100000 --seconds 0");
    assert!(found.contains("mishaps=0"), "{found}");
}
