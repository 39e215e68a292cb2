//! What the program `consume` refuses, and what it says then.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use common::{CONSUME, Ended, Services, program, run};

/// One clear message, with the cure, and nothing on standard output.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, expected: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for part in expected {
        assert!(ended.err.contains(part), "{part:?} is missing in: {}", ended.err);
    }
    assert!(!ended.err.contains("panicked") && !ended.err.contains("backtrace"), "{}", ended.err);
    assert_eq!(ended.out, "");
}

#[test]
fn flags_that_make_no_sense() {
    for (flags, expected) in [
        (&["--frobnicate"][..], "--frobnicate"),
        (&["--start", "yesterday"], "trim-horizon, latest or an instant"),
        (&["--reader", "telepathy"], "choose polling, fanout or auto"),
        (&["--reader", "fanout", "--consumer", "or ders"], "consumer name \"or ders\""),
        (&["--lease-store", "sqlite:"], "sqlite:leases.db"),
        (&["--failover-time", "10"], "10s, 500ms"),
        (&["--read-limit", "all"], "choose service or none"),
        (&["--output", "xml"], "records, batches, counts"),
        (&["--kinesis-endpoint", "localhost:4568"], "http://127.0.0.1:4568"),
        (&["--read-ahead-bytes", "many"], "256MiB"),
        (&["--log", "loud=loud"], "log filter"),
    ] {
        let mut command = program(CONSUME);
        command.args(["--stream", "orders", "--app", "orders-app"]).args(flags);
        assert_refused(&run(command, b""), 2, &[expected]);
    }
}

#[test]
fn settings_that_make_no_sense_are_listed_together() {
    let mut command = program(CONSUME);
    command.args(["--app", "a", "--failover-time", "1ms", "--worker-id", "Leader"]);
    let expected = ["application: ", "stream: it is required", "failover_time: 1ms", "worker_id: ", "--help"];
    assert_refused(&run(command, b""), 2, &expected);
}

#[test]
fn a_file_of_settings_that_is_not_there_or_not_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kcl.toml");
    let consume = || {
        let mut command = program(CONSUME);
        command.args(["--stream", "orders", "--app", "orders-app", "--config", path.to_str().unwrap()]);
        run(command, b"")
    };
    assert_refused(&consume(), 1, &["kcl.toml cannot be read", "--config"]);
    for (text, expected) in [("failover = \"10s\"", "no such setting"), ("start = ", "line 1"), ("zone = true", "text")]
    {
        std::fs::write(&path, text).unwrap();
        assert_refused(&consume(), 2, &["kcl.toml", expected]);
    }
}

#[test]
fn a_stream_that_does_not_exist() {
    let services = Services::with_stream(1);
    services.aws.kinesis().delete_stream("orders").unwrap();
    let ended = run(services.consume("orders-app", &[]), b"");
    assert_refused(&ended, 1, &["stream orders does not exist", "check its name"]);
}

#[test]
fn endpoints_that_do_not_answer() {
    let services = Services::with_stream(1);
    let dead = "http://127.0.0.1:1";
    for (kinesis, dynamodb, expected) in [
        (dead.to_owned(), services.aws.dynamodb_endpoint(), "listing the shards of the stream"),
        (services.aws.kinesis_endpoint(), dead.to_owned(), "opening the lease table"),
    ] {
        let mut command = program(CONSUME);
        command.args(["--stream", "orders", "--app", "orders-app", "--start-timeout", "1s"]);
        command.args(["--kinesis-endpoint", &kinesis, "--dynamodb-endpoint", &dynamodb]);
        assert_refused(&run(command, b""), 1, &[expected, "check the endpoint"]);
    }
}

#[test]
fn a_table_with_another_key() {
    let services = Services::with_stream(1);
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .endpoint_url(services.aws.dynamodb_endpoint())
        .build();
    let client = aws_sdk_dynamodb::Client::from_conf(config);
    let attribute = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let create = client
        .create_table()
        .table_name("orders-app")
        .attribute_definitions(attribute.build().unwrap())
        .key_schema(key.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest);
    services.block_on(create.send()).unwrap();
    let ended = run(services.consume("orders-app", &[]), b"");
    assert_refused(&ended, 1, &["the lease table cannot be used", "leaseKey"]);
}

#[test]
fn a_folder_for_leases_that_does_not_exist() {
    let services = Services::with_stream(1);
    let ended = run(services.consume("orders-app", &["--lease-store", "sqlite:/does/not/exist/leases.db"]), b"");
    assert_refused(&ended, 1, &["/does/not/exist", "make the folder"]);
}
