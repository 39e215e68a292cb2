//! The program `local-aws`, as a process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-aws"));
    command.args(["--kinesis-port", "0", "--dynamodb-port", "0"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Reads the five lines that say the program is ready.
fn environment(child: &mut Child) -> (BTreeMap<String, String>, BufReader<std::process::ChildStdout>) {
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut environment = BTreeMap::new();
    for _ in 0..5 {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let (name, value) = line.trim_end().strip_prefix("export ").unwrap().split_once('=').unwrap();
        environment.insert(name.to_owned(), value.to_owned());
    }
    (environment, lines)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[tokio::test]
async fn it_says_where_it_is_answers_and_ends_on_a_signal() {
    for name in ["TERM", "INT"] {
        let mut child = program().args(["--stream", "orders=3", "--stream", "events=1"]).spawn().unwrap();
        let (environment, mut rest) = environment(&mut child);
        let names: Vec<_> = environment.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "AWS_ACCESS_KEY_ID",
                "AWS_ENDPOINT_URL_DYNAMODB",
                "AWS_ENDPOINT_URL_KINESIS",
                "AWS_REGION",
                "AWS_SECRET_ACCESS_KEY",
            ]
        );
        assert_eq!(environment["AWS_REGION"], "us-east-1");
        let client = common::http_client(&environment["AWS_ENDPOINT_URL_KINESIS"]);
        let shards = client.list_shards().stream_name("orders").send().await.unwrap();
        assert_eq!(shards.shards().len(), 3);
        assert_eq!(client.list_streams().send().await.unwrap().stream_names, ["events", "orders"]);
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(0), "after SIG{name}");
        let mut text = String::new();
        rest.read_to_string(&mut text).unwrap();
        assert_eq!(text, "", "nothing else is printed");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_the_cure() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = Command::new(env!("CARGO_BIN_EXE_local-aws"))
        .args(["--kinesis-port", &port, "--dynamodb-port", "0"])
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&port) && error.contains("--kinesis-port"), "{error}");
    assert!(output.stdout.is_empty());
}

#[test]
fn streams_that_cannot_be_are_named_with_the_cure() {
    for (argument, expected) in [
        ("orders", "NAME=SHARDS"),
        ("orders=many", "'many' is not a number"),
        ("orders=0", "shardCount"),
        ("a/b=1", "a/b"),
        ("orders=20001", "20000"),
    ] {
        let output = program().args(["--stream", argument]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(error.contains(expected), "{argument}: {error}");
    }
}

fn line_of_errors(errors: &mut impl BufRead) -> String {
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    line
}

#[tokio::test]
async fn fault_rules_are_read_again_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    let refuse = "[[rule]]\noperation = \"ListShards\"\nfault = \"error\"\ncode = \"Broken\"\nstatus = 400\n";
    std::fs::write(&file, refuse).unwrap();
    let mut child = program().args(["--stream", "orders=1", "--faults"]).arg(&file).spawn().unwrap();
    let (environment, _rest) = environment(&mut child);
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let client = common::http_client(&environment["AWS_ENDPOINT_URL_KINESIS"]);
    let list = || client.list_shards().stream_name("orders").send();
    assert_eq!(common::code(list().await), "Broken");

    std::fs::write(&file, "[[rule]]\nfault = \"explode\"\n").unwrap();
    signal(&child, "HUP");
    let error = line_of_errors(&mut errors);
    assert!(error.contains("faults.toml") && error.contains("line 2") && error.contains("stay"), "{error}");
    assert_eq!(common::code(list().await), "Broken");

    std::fs::write(&file, "").unwrap();
    signal(&child, "HUP");
    assert!(line_of_errors(&mut errors).contains("0 rules"));
    list().await.unwrap();
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_fault_file_with_a_mistake_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faults.toml");
    std::fs::write(&file, "\n[[rule]]\nfault = \"reset\"\nprobability = 7.0\n").unwrap();
    let output = program().arg("--faults").arg(&file).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(error.contains("line 4") && error.contains("probability is 7"), "{error}");
}
