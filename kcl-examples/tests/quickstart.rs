//! The program `quickstart`, as a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;

use common::{Ended, QUICKSTART, program, run};

fn quickstart(flags: &[&str], input: &[u8]) -> Ended {
    let mut command = program(QUICKSTART);
    // Long enough for a machine that is busy with other tests.
    command.args(["--failover-time", "10s"]).args(flags);
    run(command, input)
}

/// The one line on standard output, by name.
fn summary(ended: &Ended) -> BTreeMap<&str, f64> {
    let line = ended.out.strip_suffix('\n').unwrap_or_else(|| panic!("{ended:?}"));
    let numbers = line.strip_prefix("summary ").unwrap_or_else(|| panic!("{ended:?}"));
    let number = |part: &str| part.split_once('=').map(|(_, number)| number.parse().unwrap()).unwrap();
    numbers.split(' ').map(|part| (part.split('=').next().unwrap(), number(part))).collect()
}

/// All is read, some of it perhaps twice.
#[track_caller]
fn assert_complete(ended: &Ended, put: f64) {
    let summary = summary(ended);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((summary["put"], summary["distinct"], summary["missing"]), (put, put, 0.0), "{ended:?}");
    assert_eq!(summary["read"], put + summary["duplicated"], "{ended:?}");
}

#[test]
fn a_line_is_bytes_empty_lines_count_and_the_last_one_needs_no_newline() {
    let input = b"one\n\n\n\xff\xfe\x00 no text\nrepeated\nrepeated\nrepeated\r\nlast";
    let ended = quickstart(&["--input", "-"], input);
    assert_complete(&ended, 8.0);
    let summary = summary(&ended);
    assert_eq!((summary["duplicated"], summary["workers"], summary["shards"]), (0.0, 2.0, 6.0));
    assert_complete(&quickstart(&["--input", "-"], b"\n"), 1.0);
    assert_complete(&quickstart(&["--input", "-"], b""), 0.0);
}

#[test]
fn any_number_of_workers_shares_any_number_of_shards() {
    let input: Vec<u8> = (0..3000).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    for (workers, shards) in [(1, 1), (3, 2), (5, 40)] {
        let (workers, shards) = (workers.to_string(), shards.to_string());
        let ended = quickstart(&["--input", "-", "--workers", &workers, "--shards", &shards], &input);
        assert_complete(&ended, 3000.0);
        assert_eq!(summary(&ended)["workers"].to_string(), workers);
        assert_eq!(summary(&ended)["shards"].to_string(), shards);
    }
}

#[test]
fn a_file_is_read_and_the_key_expression_picks_the_shard() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input.log");
    std::fs::write(&path, "user=ann 1\nuser=ann 2\nuser=ann 3").unwrap();
    let ended = quickstart(&["--input", path.to_str().unwrap(), "--key-regex", "user=([a-z]+)"], b"");
    assert_complete(&ended, 3.0);
    let last = ended.err.lines().filter(|line| line.starts_with("shard=")).rev().take(6);
    assert_eq!(last.filter(|line| line.contains(" records=3 ")).count(), 1, "{}", ended.err);
}

#[test]
fn without_input_lines_are_made_up() {
    let ended = quickstart(&["--records", "700", "--rate", "1000000"], b"");
    assert_complete(&ended, 700.0);
    assert!(ended.err.lines().any(|line| line.starts_with("progress put=")), "{}", ended.err);
}

#[test]
fn the_shards_of_a_killed_worker_are_taken_over_and_nothing_is_missing() {
    let mut command = program(QUICKSTART);
    command.args(["--records", "3000", "--rate", "3000", "--workers", "3"]);
    command.args(["--kill-after", "200ms", "--failover-time", "2s"]);
    let ended = run(command, b"");
    assert_complete(&ended, 3000.0);
    let killed = ended.err.lines().find_map(|line| line.strip_prefix("killed ")).unwrap();
    let victim = killed.split(':').next().unwrap();
    let last = ended.err.lines().filter(|line| line.starts_with("shard=")).rev().take(6);
    assert!(last.clone().all(|line| !line.contains(&format!("owner={victim} "))), "{}", ended.err);
    assert!(last.clone().all(|line| !line.contains("owner=- ")), "{}", ended.err);
}

#[test]
fn shards_are_read_by_whatever_reader_was_chosen() {
    let input: Vec<u8> = (0..1000).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    for reader in ["fanout", "auto", "polling"] {
        assert_complete(&quickstart(&["--input", "-", "--reader", reader], &input), 1000.0);
    }
    let mut command = program(QUICKSTART);
    command.args(["--records", "2000", "--rate", "2000", "--workers", "3", "--reader", "fanout"]);
    command.args(["--kill-after", "200ms", "--failover-time", "2s"]);
    assert_complete(&run(command, b""), 2000.0);
}

#[test]
fn what_cannot_be_is_said_with_the_cure() {
    let mut long = b"short\n".to_vec();
    long.resize(long.len() + (1 << 20) + 1, b'x');
    for (flags, input, code, expected) in [
        (&["--input", "/does/not/exist"][..], &b""[..], 1, "/does/not/exist cannot be read"),
        (&["--input", "/"], b"", 1, "--input"),
        (&["--input", "-"], &long, 1, "line 2 of standard input is too long"),
        (&["--workers", "1", "--kill-after", "1s"], b"", 2, "--workers 2"),
        (&["--kill-after", "1"], b"", 2, "10s, 500ms"),
        (&["--shards", "0"], b"", 2, "--shards"),
        (&["--shards", "20001"], b"", 2, "20000"),
        (&["--failover-time", "1ms"], b"", 2, "failover_time"),
        (&["--reader", "efo"], b"", 2, "choose polling, fanout or auto"),
        (&["--key-regex", "("], b"", 2, "unclosed group"),
        (&["--log", "kcl_core=loud"], b"", 2, "log filter"),
        (&["--input", "-", "--records", "3"], b"", 2, "--records"),
    ] {
        let mut command = program(QUICKSTART);
        command.args(flags);
        let ended = run(command, input);
        assert_eq!(ended.code, Some(code), "{flags:?}: {ended:?}");
        assert!(ended.err.contains(expected), "{flags:?}: {}", ended.err);
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
    }
}
