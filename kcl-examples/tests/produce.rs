//! The program `produce`, as a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::BTreeMap;

use common::{PRODUCE, Running, Services, program, run};

#[test]
fn every_line_becomes_a_record_and_keys_keep_their_order() {
    let services = Services::with_stream(4);
    let mut input: Vec<u8> = (0..5000).flat_map(|n| format!("key={} number={n}\n", n % 7).into_bytes()).collect();
    input.extend_from_slice(b"\n\xff\xfe\nlast");
    let ended = run(services.produce(&["--key-regex", "key=(\\d)"]), &input);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let bytes = input.iter().filter(|byte| **byte != b'\n').count();
    assert!(ended.out.starts_with(&format!("produced records=5003 bytes={bytes} retried=0 seconds=")), "{}", ended.out);

    let records = services.aws.kinesis().all_records("orders").unwrap();
    assert_eq!(records.len(), 5003);
    let mut expected: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let mut data: Vec<Vec<u8>> = records.iter().map(|(_, record)| record.data().to_vec()).collect();
    for key in 0..7 {
        let key = key.to_string();
        let of_key = records.iter().filter(|(_, record)| record.partition_key() == key);
        let numbers: Vec<u32> = of_key
            .map(|(_, record)| String::from_utf8(record.data().to_vec()).unwrap())
            .map(|line| line.rsplit('=').next().unwrap().parse().unwrap())
            .collect();
        assert!(numbers.is_sorted() && numbers.len() > 700, "key {key}: {numbers:?}");
    }
    expected.sort();
    data.sort();
    assert_eq!(data, expected);
}

/// One consumer is stopped in the middle, another goes on.
#[test]
fn aggregates_arrive_as_the_records_that_went_in() {
    let services = Services::with_stream(3);
    let input: String = (0..20_000).map(|n| format!("key={} number={n}\n", n % 50)).collect();
    let ended = run(services.produce(&["--aggregate", "--key-regex", "key=([0-9]+)"]), input.as_bytes());
    assert!(ended.code == Some(0) && ended.out.starts_with("produced records=20000 "), "{ended:?}");
    let carriers = services.aws.kinesis().all_records("orders").unwrap();
    assert!(carriers.len() < 1_000, "{} records in the stream", carriers.len());

    let mut numbers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut count = |line: &serde_json::Value| {
        let data = line["data"].as_str().unwrap();
        let number = data.rsplit('=').next().unwrap().parse().unwrap();
        numbers.entry(line["partition_key"].as_str().unwrap().to_owned()).or_default().push(number);
    };
    let mut first = Running::start(services.consume("packed", &[]));
    for _ in 0..7_001 {
        count(&first.next_event("record"));
    }
    first.signal("TERM");
    let (status, rest) = first.wait();
    assert_eq!(status.code(), Some(0));
    let lines = rest.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let counted = 7_001 + lines.filter(|line| line["event"] == "record").inspect(|line| count(line)).count();
    let mut second = Running::start(services.consume("packed", &[]));
    for _ in counted..20_000 {
        count(&second.next_event("record"));
    }
    for (key, numbers) in &numbers {
        let expected: Vec<u32> = (0..20_000).filter(|n| (n % 50).to_string() == *key).collect();
        assert_eq!(*numbers, expected, "key {key}: each record once and in order, over the stop");
    }
    assert_eq!(numbers.len(), 50);
}

#[test]
fn a_stream_is_created_only_if_that_is_asked_for() {
    let services = Services::with_stream(1);
    let endpoint = services.aws.kinesis_endpoint();
    let produce = |flags: &[&str]| {
        let mut command = program(PRODUCE);
        command.args(["--stream", "fresh", "--kinesis-endpoint", &endpoint]).args(flags);
        run(command, b"one\ntwo\n")
    };
    let ended = produce(&[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("fresh") && ended.err.contains("--create-shards"), "{}", ended.err);
    for total in [2, 4] {
        let ended = produce(&["--create-shards", "3"]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(services.aws.kinesis().all_records("fresh").unwrap().len(), total);
    }
}

#[test]
fn a_rate_holds_input_back_but_loses_nothing() {
    let services = Services::with_stream(2);
    let ended = run(services.produce(&["--rate", "2000"]), "line\n".repeat(200).as_bytes());
    assert!(ended.code == Some(0) && ended.out.contains("records=200 "), "{ended:?}");
}

#[test]
fn what_cannot_be_is_said_with_the_cure() {
    let services = Services::with_stream(1);
    let mut long = b"short\n".to_vec();
    long.resize(long.len() + (1 << 20), b'x');
    for (flags, input, code, expected) in [
        (&["--input", "/does/not/exist"][..], &b""[..], 1, "/does/not/exist cannot be read"),
        (&["--input", "/"], b"", 1, "--input"),
        (&[], &long, 1, "line 2 of standard input is too long"),
        (&["--kinesis-endpoint", "localhost"], b"", 2, "http://127.0.0.1:4568"),
        (&["--rate", "fast"], b"", 2, "--rate"),
        (&["--key-regex", "("], b"", 2, "unclosed group"),
    ] {
        let mut command = program(PRODUCE);
        command.args(["--stream", "orders"]).args(flags);
        if !flags.contains(&"--kinesis-endpoint") {
            command.args(["--kinesis-endpoint", &services.aws.kinesis_endpoint()]);
        }
        let ended = run(command, input);
        assert_eq!(ended.code, Some(code), "{flags:?}: {ended:?}");
        assert!(ended.err.contains(expected), "{flags:?}: {}", ended.err);
    }
}
