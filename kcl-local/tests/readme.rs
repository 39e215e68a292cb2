//! What the README shows is what there is: its code stands in these tests, word for word, and does what it says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::error::Error;
use std::process::Command;
use std::sync::Arc;

use kcl_local::{
    Addresses, LocalDynamoDb, LocalKinesis, ManualClock, Settings, ShardFilter, Timestamp, WallClock, parse_faults,
};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::test]
async fn three_lines_in_a_test() -> Outcome {
    let kinesis = kcl_local::LocalKinesis::new();
    kinesis.create_stream("orders", 2)?;
    let client = aws_sdk_kinesis::Client::new(&kinesis.sdk_config());

    let shards = client.list_shards().stream_name("orders").send().await?;
    assert_eq!(shards.shards().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_table_in_a_test() -> Outcome {
    let dynamodb = kcl_local::LocalDynamoDb::in_memory()?;
    let client = aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config());

    assert!(client.list_tables().send().await?.table_names().is_empty());
    Ok(())
}

#[tokio::test]
async fn two_ports_in_a_test() -> Outcome {
    let aws = kcl_local::LocalAws::start().await?;
    let endpoint = aws.kinesis_endpoint();
    aws.kinesis().create_stream("orders", 2)?;
    aws.stop().await;

    assert!(endpoint.starts_with("http://127.0.0.1:"));
    Ok(())
}

#[tokio::test]
async fn two_ports_behind_tls() -> Outcome {
    let (kinesis, dynamodb) = (LocalKinesis::new(), LocalDynamoDb::in_memory()?);
    let tls = kcl_local::Tls::generate()?;
    let aws = kcl_local::LocalAws::start_tls(kinesis, dynamodb, Addresses::default(), tls.clone()).await?;
    let trusted = tls.ca_pem();

    assert!(trusted.starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(aws.kinesis_endpoint().starts_with("https://"));
    Ok(())
}

#[test]
fn a_clock_that_a_test_moves() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
    let kinesis = LocalKinesis::with_clock(clock.clone());

    kinesis.create_stream("orders", 1).unwrap();
    kinesis.put_record("orders", "k", "tea").unwrap();
    clock.advance(std::time::Duration::from_hours(25));
    assert!(kinesis.all_records("orders").unwrap().is_empty());
}

#[tokio::test]
async fn faults_by_rule() -> Outcome {
    let kinesis = LocalKinesis::new();
    kinesis.create_stream("orders", 2)?;
    let client = aws_sdk_kinesis::Client::new(&kinesis.sdk_config());
    let put = async || {
        let entry = aws_sdk_kinesis::types::PutRecordsRequestEntry::builder().partition_key("k");
        let entry = entry.data(aws_sdk_kinesis::primitives::Blob::new("tea")).build().unwrap();
        client.put_records().stream_name("orders").records(entry).send().await
    };

    use kcl_local::{Fault, FaultPlan, FaultRule};

    let lost = FaultRule::new(Fault::LostAnswer).operation("PutRecords").calls(2..=2);
    let slow = FaultRule::new(Fault::Throttle).operation("GetRecords").shard("shardId-000000000001").probability(0.1);
    kinesis.faults().set(FaultPlan { seed: 7, rules: vec![lost, slow] });
    put().await?;
    put().await?;
    assert_eq!(kinesis.faults().strikes()[0], 1);
    kinesis.faults().clear();

    assert_eq!(kinesis.all_records("orders")?.len(), 3, "the SDK has tried again");
    Ok(())
}

#[test]
fn data_that_stays() -> Outcome {
    let directory = tempfile::tempdir()?;
    std::env::set_current_dir(&directory)?;
    let folder = kcl_local::DataFolder::open("data")?;
    let kinesis = LocalKinesis::open(&folder, Settings::default(), Arc::new(WallClock))?;
    let dynamodb = LocalDynamoDb::open(&folder, Arc::new(WallClock))?;

    kinesis.create_stream("orders", 1)?;
    drop((kinesis, dynamodb, folder));
    let folder = kcl_local::DataFolder::open("data")?;
    let kinesis = LocalKinesis::open(&folder, Settings::default(), Arc::new(WallClock))?;
    assert_eq!(kinesis.list_shards("orders", ShardFilter::AtLatest)?.len(), 1);
    Ok(())
}

const README: &str = include_str!("../README.md");

fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(fence.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Without comments and space.
fn essence(code: &str) -> String {
    let lines = code.lines().map(|line| line.split("//").next().unwrap());
    lines.flat_map(str::chars).filter(|letter| !letter.is_whitespace()).collect()
}

#[test]
fn the_code_of_the_readme_stands_in_these_tests() {
    // An address in a text looks like a comment; no block of the README has one.
    let tests = essence(include_str!("readme.rs"));
    let blocks = blocks("rust");
    assert_eq!(blocks.len(), 7);
    for block in blocks {
        for paragraph in block.split("// ...\n") {
            assert!(tests.contains(&essence(paragraph)), "{paragraph}");
        }
    }
}

#[test]
fn the_fault_rules_of_the_readme_can_be_read() {
    for block in blocks("toml") {
        assert_eq!(parse_faults(block).unwrap().rules.len(), 2);
    }
    let table = README.split("| fault | what the client sees").nth(1).unwrap();
    let rows: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), 11);
    for row in rows {
        let mut cells = row.split(" | ");
        let name = cells.next().unwrap().trim_start_matches("| ").trim_matches('`');
        let members = cells.last().unwrap().trim_matches(['|', ' ']).split(", ").filter(|member| !member.is_empty());
        let value = |member: &str| match member.trim_matches('`') {
            "bytes" => "bytes = 7".to_owned(),
            "status" => "status = 503".to_owned(),
            member @ ("delay" | "age") => format!("{member} = \"5s\""),
            member => format!("{member} = \"x\""),
        };
        let rule = format!("[[rule]]\nfault = \"{name}\"\n{}", members.map(value).collect::<Vec<_>>().join("\n"));
        parse_faults(&rule).unwrap_or_else(|error| panic!("{rule}: {error}"));
    }
}

#[test]
fn the_options_of_the_readme_are_those_of_the_program() {
    let help = Command::new(env!("CARGO_BIN_EXE_local-aws")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in ["--host", "--kinesis-port", "--dynamodb-port", "--data", "--tls", "--limits", "--faults", "--stream"]
    {
        assert!(help.contains(option), "{option} is not in the help");
        assert!(README.contains(option), "{option} is not in the README");
    }
}
