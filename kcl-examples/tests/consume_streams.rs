//! The program `consume` with several streams.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![cfg(unix)]

mod common;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use common::{CONSUME, Running, Services, program, run};
use serde_json::Value;

fn services() -> Services {
    let services = Services::with_stream(2);
    services.aws.kinesis().create_stream("clicks", 1).unwrap();
    for (stream, count) in [("orders", 30), ("clicks", 20)] {
        for number in 0..count {
            services.aws.kinesis().put_record(stream, &number.to_string(), number.to_string()).unwrap();
        }
    }
    services
}

/// `consume` of the streams that a file names, which is read again each second.
fn by_file(services: &Services, file: &Path) -> Command {
    let mut command = program(CONSUME);
    command.args(["--app", "app", "--stream-set-interval", "1s", "--streams-file"]).arg(file);
    command.args(["--kinesis-endpoint", &services.aws.kinesis_endpoint()]);
    command.args(["--dynamodb-endpoint", &services.aws.dynamodb_endpoint()]);
    command.args(["--read-limit", "none", "--idle-interval", "20ms", "--failover-time", "3s"]);
    command
}

fn text<'a>(line: &'a Value, name: &str) -> &'a str {
    line[name].as_str().unwrap_or_else(|| panic!("{line} has no {name}"))
}

#[test]
fn records_of_several_streams_come_with_their_streams() {
    let services = services();
    // One that does not exist holds the others up no more than one that does.
    for streams in ["clicks", "clicks,clocks"] {
        let app = streams.replace(',', "-");
        let mut consume = Running::start(services.consume(&app, &["--stream", streams]));
        let mut read = BTreeSet::new();
        while read.len() < 50 {
            let record = consume.next_event("record");
            read.insert([text(&record, "stream"), text(&record, "sequence")].map(str::to_owned));
        }
        let of = |stream: &str| read.iter().filter(|[of, _]| of == stream).count();
        assert_eq!((of("orders"), of("clicks")), (30, 20));
        consume.signal("TERM");
        assert_eq!(consume.wait().0.code(), Some(0));
    }
}

#[test]
fn streams_come_and_go_with_the_file_that_names_them() {
    let services = services();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("streams");
    let name = |streams: &str| {
        std::fs::write(folder.path().join("new"), streams).unwrap();
        std::fs::rename(folder.path().join("new"), &file).unwrap();
    };
    name("orders # the first\n");
    let mut consume = Running::start(by_file(&services, &file));
    let mut until = |event: &str, stream: &str| loop {
        let line = consume.next_event(event);
        if text(&line, "stream") == stream {
            return line;
        }
    };
    until("record", "orders");
    name("orders\nclicks\n");
    until("record", "clicks");
    name("clicks");
    assert_eq!(text(&until("lease_released", "orders"), "reason"), "unwanted");
    consume.signal("TERM");
    assert_eq!(consume.wait().0.code(), Some(0));
}

#[test]
fn sets_of_streams_that_cannot_be_right_are_refused() {
    let services = services();
    let mut none = by_file(&services, Path::new("/nowhere/streams"));
    none.args(["--start-timeout", "1s"]);
    let ended = run(none, b"");
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("/nowhere/streams cannot be read"), "{}", ended.err);
    for (streams, part) in [("orders,or ders", "or ders"), ("clicks,orders,clicks", "is named twice")] {
        let ended = run(services.consume("app", &["--stream", streams]), b"");
        assert!(ended.code == Some(2) && ended.err.contains(part), "{}", ended.err);
    }
}
