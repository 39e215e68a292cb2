//! Data that outlives its process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_local::{
    DataError, DataFolder, LocalDynamoDb, LocalKinesis, ManualClock, NewRecord, NewStream, Retention, SequenceNumber,
    Settings, ShardFilter, ShardId, StartingPosition, StreamStatus, Timestamp,
};

fn open(path: &Path, clock: &Arc<ManualClock>) -> LocalKinesis {
    open_with(path, Settings::default(), clock)
}

fn open_with(path: &Path, settings: Settings, clock: &Arc<ManualClock>) -> LocalKinesis {
    LocalKinesis::open(&DataFolder::open(path).unwrap(), settings, clock.clone()).unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(common::start_of_time()))
}

fn numbers(kinesis: &LocalKinesis) -> Vec<(ShardId, SequenceNumber)> {
    kinesis.all_records("orders").unwrap().into_iter().map(|(shard, record)| (shard, record.sequence_number)).collect()
}

#[test]
fn everything_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let kinesis = open(folder.path(), &clock);
    kinesis.create_stream_with(NewStream { max_record_kib: 2048, ..NewStream::provisioned("orders", 2) }).unwrap();
    kinesis.create_stream_with(NewStream::on_demand("events")).unwrap();
    kinesis.add_tags("orders", BTreeMap::from([("team".into(), "tea".into())])).unwrap();
    kinesis.change_retention("orders", Retention::Increase(48)).unwrap();
    let records = (0..50).map(|index| NewRecord::new(&format!("key-{index}"), format!("data-{index}"))).collect();
    kinesis.put_records("orders", records).unwrap();
    let iterator = kinesis.shard_iterator("orders", ShardId(0), StartingPosition::TrimHorizon).unwrap();
    kinesis.split_shard_evenly("orders", ShardId(1)).unwrap();
    kinesis.put_record("orders", "ä", [0, 255]).unwrap();
    let before = (kinesis.stream_summaries(), kinesis.all_records("orders").unwrap());
    let shards = kinesis.list_shards("orders", ShardFilter::FromTrimHorizon).unwrap();
    let first = kinesis.get_records(&iterator, 3).unwrap();
    drop(kinesis);

    let kinesis = open(folder.path(), &clock);
    assert_eq!((kinesis.stream_summaries(), kinesis.all_records("orders").unwrap()), before);
    assert_eq!(kinesis.list_shards("orders", ShardFilter::FromTrimHorizon).unwrap(), shards);
    assert_eq!(kinesis.tags("orders").unwrap().len(), 1);
    let again = kinesis.get_records(&iterator, 3).unwrap();
    assert_eq!(again.records, first.records);
    let next = first.next_iterator.unwrap();
    assert!(kinesis.get_records(&next, 1).unwrap().records[0].sequence_number > again.records[2].sequence_number);
}

#[test]
fn numbers_increase_over_a_restart_also_if_the_clock_went_back() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let kinesis = open(folder.path(), &clock);
    kinesis.create_stream("orders", 1).unwrap();
    kinesis.put_record("orders", "k", "1").unwrap();
    drop(kinesis);
    clock.set(Timestamp::from_millis(1_700_000_000_000));
    let kinesis = open(folder.path(), &clock);
    kinesis.put_record("orders", "k", "2").unwrap();
    kinesis.split_shard_evenly("orders", ShardId(0)).unwrap();
    drop(kinesis);
    clock.set(Timestamp::from_millis(1_600_000_000_000));
    let kinesis = open(folder.path(), &clock);
    kinesis.put_record("orders", "k", "3").unwrap();
    let numbers: Vec<_> = numbers(&kinesis).into_iter().map(|(_, number)| number).collect();
    assert_eq!(numbers.len(), 3);
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    let arrivals: Vec<_> =
        kinesis.all_records("orders").unwrap().into_iter().map(|(_, record)| record.arrival).collect();
    assert!(arrivals.is_sorted());
}

#[test]
fn numbers_go_on_where_every_record_has_expired() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let kinesis = open(folder.path(), &clock);
    kinesis.create_stream("orders", 1).unwrap();
    let old: Vec<_> = (0..5).map(|_| kinesis.put_record("orders", "k", "old").unwrap().sequence_number).collect();
    clock.advance(Duration::from_hours(25));
    kinesis.put_record("orders", "k", "new").unwrap();
    clock.advance(Duration::from_hours(25));
    let last = kinesis.put_record("orders", "k", "last").unwrap().sequence_number;
    drop(kinesis);
    clock.advance(Duration::from_hours(25));
    let kinesis = open(folder.path(), &clock);
    assert!(kinesis.all_records("orders").unwrap().is_empty());
    let placed = kinesis.put_record("orders", "k", "again").unwrap().sequence_number;
    assert!(placed > last && last > old[4]);
    assert_eq!(placed.parts().unwrap().ordinal, 8);
}

#[test]
fn transitions_and_deletions_survive() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let settings = Settings { transition: Duration::from_secs(10), ..Settings::default() };
    let kinesis = open_with(folder.path(), settings.clone(), &clock);
    kinesis.create_stream("orders", 1).unwrap();
    drop(kinesis);
    let kinesis = open_with(folder.path(), settings.clone(), &clock);
    assert_eq!(kinesis.stream_status("orders"), Ok(StreamStatus::Creating));
    clock.advance(Duration::from_secs(10));
    let created = kinesis.stream_summary("orders").unwrap().created;
    kinesis.split_shard_evenly("orders", ShardId(0)).unwrap();
    clock.advance(Duration::from_secs(10));
    kinesis.put_record("orders", "k", "to a child").unwrap();
    drop(kinesis);
    // Although the clock says that the split is not over yet, its children have records.
    clock.set(common::start_of_time());
    let kinesis = open_with(folder.path(), settings.clone(), &clock);
    assert_eq!(kinesis.all_records("orders").unwrap().len(), 1);
    kinesis.delete_stream("orders").unwrap();
    clock.advance(Duration::from_secs(10));
    drop(kinesis);
    let kinesis = open_with(folder.path(), settings.clone(), &clock);
    assert!(kinesis.stream_summary("orders").is_err());
    drop(kinesis);
    clock.set(common::start_of_time());
    let kinesis = open_with(folder.path(), settings, &clock);
    kinesis.create_stream("orders", 1).unwrap();
    clock.advance(Duration::from_secs(10));
    assert!(kinesis.stream_summary("orders").unwrap().created > created);
    assert!(kinesis.all_records("orders").unwrap().is_empty());
}

#[test]
fn a_folder_has_one_instance() {
    let folder = tempfile::tempdir().unwrap();
    let kinesis = open(folder.path(), &clock());
    let error = DataFolder::open(folder.path()).unwrap_err();
    assert!(matches!(error, DataError::Held { .. }) && error.to_string().contains("another instance"), "{error}");
    let output = Command::new(env!("CARGO_BIN_EXE_local-aws")).arg("--data").arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("held by another instance"));
    drop(kinesis);
    let held = DataFolder::open(folder.path()).unwrap();
    let database = LocalDynamoDb::open(&held, clock()).unwrap();
    drop(held);
    assert!(DataFolder::open(folder.path()).is_err());
    drop(database);
    DataFolder::open(folder.path()).unwrap();
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    let kinesis = open(folder.path(), &clock());
    kinesis.create_stream("orders", 1).unwrap();
    for index in 0..20 {
        kinesis.put_record("orders", "k", format!("{index}")).unwrap();
    }
    // As kill -9 would leave it: the log is still there.
    for name in ["kinesis.sqlite3", "kinesis.sqlite3-wal"] {
        std::fs::copy(folder.path().join(name), copy.path().join(name)).unwrap();
    }
    let log = copy.path().join("kinesis.sqlite3-wal");
    let whole = std::fs::metadata(&log).unwrap().len();
    assert!(DataFolder::open(copy.path()).unwrap().torn_tails().is_empty());
    std::fs::File::options().write(true).open(&log).unwrap().set_len(whole - 100).unwrap();
    let held = DataFolder::open(copy.path()).unwrap();
    let torn = held.torn_tails();
    assert_eq!(torn.len(), 1);
    assert_eq!(torn[0].file, log);
    assert!(torn[0].bytes > 0 && torn[0].bytes < whole, "{torn:?}");
    let kinesis = LocalKinesis::open(&held, Settings::default(), clock()).unwrap();
    let data: Vec<_> = kinesis.all_records("orders").unwrap().iter().map(|(_, record)| record.data()).collect();
    assert_eq!(data, (0..19).map(|index| index.to_string()).collect::<Vec<_>>());
    kinesis.put_record("orders", "k", "after").unwrap();
}

fn start(folder: &Path) -> (Child, BTreeMap<String, String>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local-aws"));
    command.args(["--kinesis-port", "0", "--dynamodb-port", "0", "--stream", "orders=2", "--data"]).arg(folder);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let variable = |line: std::io::Result<String>| {
        let line = line.unwrap();
        let (name, value) = line.strip_prefix("export ").unwrap().split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let environment = lines.take(5).map(variable).collect();
    (child, environment)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_under_load_loses_nothing_acknowledged_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        let (mut child, environment) = start(folder.path());
        let client = common::http_client(&environment["AWS_ENDPOINT_URL_KINESIS"]);
        let strict = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        let strict = aws_sdk_kinesis::Client::from_conf(strict);
        let mut writers = tokio::task::JoinSet::new();
        let (progress, mut batches) = tokio::sync::mpsc::channel(1_000);
        for writer in 0..4 {
            let (client, progress) = (strict.clone(), progress.clone());
            writers.spawn(async move {
                let mut acknowledged = Vec::new();
                for batch in 0.. {
                    let entry = |index| {
                        let text = format!("{round}-{writer}-{batch}-{index}");
                        PutRecordsRequestEntry::builder().partition_key(&text).data(Blob::new(text)).build().unwrap()
                    };
                    let entries = (0..20).map(entry).collect();
                    let Ok(answer) = client.put_records().stream_name("orders").set_records(Some(entries)).send().await
                    else {
                        break;
                    };
                    let number = |index: usize| answer.records[index].sequence_number().unwrap().to_owned();
                    acknowledged
                        .extend((0..20).map(|index| (format!("{round}-{writer}-{batch}-{index}"), number(index))));
                    let _ = progress.try_send(());
                }
                acknowledged
            });
        }
        for _ in 0..40 {
            batches.recv().await.unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(writers.join_all().await.into_iter().flatten());
    }
    let held = DataFolder::open(folder.path()).unwrap();
    let kinesis = LocalKinesis::open(&held, Settings::default(), Arc::new(kcl_local::WallClock)).unwrap();
    let mut by_number = BTreeMap::new();
    let mut texts = std::collections::BTreeSet::new();
    for (_, record) in kinesis.all_records("orders").unwrap() {
        assert!(texts.insert(record.partition_key().to_owned()), "{} is there twice", record.partition_key());
        by_number.insert(record.sequence_number.to_string(), record.partition_key().to_owned());
    }
    assert!(acknowledged.len() >= 2_400);
    for (text, number) in acknowledged {
        assert_eq!(by_number.get(&number), Some(&text));
    }
}

/// Counts an item up, one by one, until the server is gone; returns the last number that was acknowledged.
async fn count_up(dynamodb: aws_sdk_dynamodb::Client, key: String, mut count: u64, progress: Progress) -> u64 {
    loop {
        let update = dynamodb.update_item().table_name("leases").key("k", AttributeValue::S(key.clone()));
        let update = update.update_expression("SET n = :next").condition_expression("n = :seen");
        let number = |number: u64| AttributeValue::N(number.to_string());
        let update = update.expression_attribute_values(":seen", number(count));
        if update.expression_attribute_values(":next", number(count + 1)).send().await.is_err() {
            return count;
        }
        count += 1;
        let _ = progress.try_send(());
    }
}

type Progress = tokio::sync::mpsc::Sender<()>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_survive_kill_9_under_load() {
    let folder = tempfile::tempdir().unwrap();
    let mut counts = BTreeMap::new();
    for round in 0..3 {
        let (mut child, environment) = start(folder.path());
        let client = common::dynamodb_client(&environment["AWS_ENDPOINT_URL_DYNAMODB"]);
        let strict = client.config().to_builder().retry_config(RetryConfig::disabled()).build();
        let strict = aws_sdk_dynamodb::Client::from_conf(strict);
        if round == 0 {
            common::create_table(&strict).await;
        }
        let items = strict.scan().table_name("leases").send().await.unwrap().items.unwrap();
        for item in items {
            let key = item["k"].as_s().unwrap().clone();
            let count: u64 = item["n"].as_n().unwrap().parse().unwrap();
            // The last write may have been carried out without an answer.
            let acknowledged = counts.insert(key, count).unwrap();
            assert!(count == acknowledged || count == acknowledged + 1, "{count} after {acknowledged}");
        }
        assert_eq!(counts.len(), if round == 0 { 0 } else { 4 });
        let (progress, mut updates) = tokio::sync::mpsc::channel(1_000);
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..4 {
            let key = format!("writer-{writer}");
            if round == 0 {
                let put = strict.put_item().table_name("leases").item("k", AttributeValue::S(key.clone()));
                put.item("n", AttributeValue::N("0".to_owned())).send().await.unwrap();
            }
            let count = counts.get(&key).copied().unwrap_or(0);
            let counting = count_up(strict.clone(), key.clone(), count, progress.clone());
            writers.spawn(async move { (key, counting.await) });
        }
        for _ in 0..60 {
            updates.recv().await.unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        counts = writers.join_all().await.into_iter().collect();
    }
    assert!(counts.values().sum::<u64>() >= 180, "{counts:?}");
}
