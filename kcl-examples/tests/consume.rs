//! The program `consume`, as a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;

use common::{CONSUME, Running, Services, program, run};
use serde_json::Value;

/// Reads batches until so many records were delivered.
fn batches(consume: &mut Running, records: u64) -> Vec<Value> {
    let mut batches: Vec<Value> = Vec::new();
    while batches.iter().map(|batch| batch["records"].as_u64().unwrap()).sum::<u64>() < records {
        batches.push(consume.next_event("batch"));
    }
    batches
}

/// The lines of an event in what a program printed.
fn events<'a>(text: &'a str, event: &'a str) -> impl Iterator<Item = Value> + 'a {
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(move |line: &Value| line["event"] == event)
}

fn names(line: &Value) -> Vec<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn batches_tell_what_was_delivered_and_a_signal_gives_the_leases_back() {
    let services = Services::with_stream(3);
    let put = services.put(0..500);
    for signal in ["TERM", "INT"] {
        let app = format!("orders-{signal}");
        let flags = ["--worker-id", "ann", "--output", "batches", "--start", "trim-horizon", "--reader", "polling"];
        let mut consume = Running::start(services.consume(&app, &flags));
        let gained = consume.next().unwrap();
        assert_eq!((&gained["event"], &gained["worker"]), (&"lease_gained".into(), &"ann".into()), "{gained}");
        assert_eq!(names(&gained), ["event", "reason", "shard", "worker"]);
        let batches = batches(&mut consume, 500);
        consume.signal(signal);
        let (status, rest) = consume.wait();
        assert_eq!(status.code(), Some(0), "after SIG{signal}");

        let expected = ["event", "fencing_token", "first", "lag_ms", "last", "records", "shard", "worker"];
        let mut ends = BTreeSet::new();
        for batch in &batches {
            assert_eq!(names(batch), expected);
            assert!(batch["lag_ms"].is_u64() && batch["fencing_token"].is_u64(), "{batch}");
            ends.extend([&batch["first"], &batch["last"]].map(|sequence| sequence.as_str().unwrap().to_owned()));
        }
        assert!(ends.iter().all(|sequence| put.contains(sequence)));
        let released: BTreeSet<String> =
            events(&rest, "lease_released").map(|line| line["shard"].to_string()).collect();
        assert_eq!(released.len(), 3, "{rest}");
        assert!(rest.lines().all(|line| line.starts_with("{\"event\":\"")), "{rest}");
        assert!(events(&rest, "lease_released").all(|line| line["reason"] == "shutdown"), "{rest}");
    }
}

#[test]
fn a_second_worker_gets_its_share_and_all_shards_when_the_first_stops() {
    let services = Services::with_stream(4);
    let start = |id: &str| Running::start(services.consume("orders-app", &["--worker-id", id, "--output", "counts"]));
    let mut first = start("first");
    for _ in 0..4 {
        first.next_event("lease_gained");
    }
    let mut second = start("second");
    for _ in 0..2 {
        assert_eq!(first.next_event("lease_released")["reason"], "hand_over");
        second.next_event("lease_gained");
    }
    first.signal("TERM");
    for _ in 0..2 {
        second.next_event("lease_gained");
    }
    assert_eq!(first.wait().0.code(), Some(0));
}

#[test]
fn counts_end_with_the_number_of_records() {
    let services = Services::with_stream(2);
    services.put(0..300);
    let mut consume = Running::start(services.consume("orders-app", &["--output", "counts"]));
    let mut totals = Vec::new();
    while totals.last() != Some(&300) {
        totals.push(consume.next_event("count")["total"].as_u64().unwrap());
    }
    assert!(totals.is_sorted_by(|before, after| before < after), "{totals:?}");
    services.put(300..301);
    assert_eq!(consume.next_event("count")["total"], 301);
    consume.signal("TERM");
    assert_eq!(consume.wait().0.code(), Some(0));
}

#[test]
fn records_carry_text_or_bytes() {
    let services = Services::with_stream(1);
    services.aws.kinesis().put_record("orders", "a \"key\"", "text").unwrap();
    services.aws.kinesis().put_record("orders", "k", b"\xff\x00").unwrap();
    services.aws.kinesis().put_record("orders", "k", b"").unwrap();
    let mut consume = Running::start(services.consume("orders-app", &["--output", "records"]));
    let [text, bytes, empty] = std::array::from_fn(|_| consume.next_event("record"));
    assert_eq!((&text["partition_key"], &text["data"]), (&"a \"key\"".into(), &"text".into()), "{text}");
    assert_eq!((&bytes["data"], &bytes["data_base64"]), (&Value::Null, &"/wA=".into()), "{bytes}");
    assert_eq!(empty["data"], "", "{empty}");
    assert!(text["sequence"].is_string() && text["sub_sequence"] == 0, "{text}");
}

/// Delivers everything to one worker, adds 50 records, and returns how many a second worker is given.
fn delivered_after_a_restart(store: &str, expected: u64) -> u64 {
    let services = Services::with_stream(2);
    services.put(0..100);
    let start = || Running::start(services.consume("orders-app", &["--lease-store", store, "--output", "batches"]));
    let mut first = start();
    batches(&mut first, 100);
    first.signal("TERM");
    assert_eq!(first.wait().0.code(), Some(0));
    services.put(100..150);
    let mut second = start();
    batches(&mut second, expected).iter().map(|batch| batch["records"].as_u64().unwrap()).sum()
}

#[test]
fn a_checkpoint_is_kept_in_the_file_and_not_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("leases.db").display());
    assert_eq!(delivered_after_a_restart(&file, 50), 50);
    assert_eq!(delivered_after_a_restart("memory", 150), 150);
}

#[test]
fn what_a_closed_pipe_did_not_take_is_delivered_again() {
    for format in ["batches", "records"] {
        let services = Services::with_stream(1);
        let start = || Running::start(services.consume("orders-app", &["--output", format]));
        // Reads up to this record; returns how many were delivered.
        let read_until = |consume: &mut Running, last: &String| {
            let mut delivered = 0;
            loop {
                let Some(line) = consume.next() else { panic!("it ended before record {last}") };
                match line["event"].as_str().unwrap() {
                    "batch" => delivered += line["records"].as_u64().unwrap(),
                    "record" => delivered += 1,
                    _ => {}
                }
                if [&line["sequence"], &line["last"]].iter().any(|sequence| *sequence == last) {
                    return delivered;
                }
            }
        };
        let early = services.put(0..20);
        let mut first = start();
        assert_eq!(read_until(&mut first, &early[19]), 20);
        first.stop_reading();
        // Only a worker with something to print finds out.
        let late = services.put(20..40);
        assert_eq!(first.wait().0.code(), Some(1), "{format}");
        assert!(read_until(&mut start(), &late[19]) >= 20, "{format}");
    }
}

#[test]
fn a_closed_pipe_ends_counts_too() {
    let services = Services::with_stream(1);
    services.put(0..1);
    let mut consume = Running::start(services.consume("orders-app", &["--output", "counts"]));
    consume.next_event("count");
    consume.stop_reading();
    services.put(1..2);
    assert_eq!(consume.wait().0.code(), Some(1));
}

#[test]
fn flags_come_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kcl.toml");
    std::fs::write(&path, "application = \"from-file\"\nworker_id = \"from-file\"\nfailover_time = \"5s\"\n").unwrap();
    let mut command = program(CONSUME);
    command.args(["--stream", "orders", "--failover-time", "1s", "--config", path.to_str().unwrap()]);
    command.args(["--kinesis-endpoint", "http://127.0.0.1:1", "--lease-store", "memory", "--start-timeout", "1s"]);
    command.env("KCL_WORKER_ID", "from-environment").env("KCL_FAILOVER_TIME", "3s");
    let ended = run(command, b"");
    for expected in ["application=from-file", "worker_id=from-environment", "failover_time=1s"] {
        assert!(ended.err.contains(expected), "{expected}: {}", ended.err);
    }
}
