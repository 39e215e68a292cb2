//! Records per second, in and out: 1 KiB records, 8 shards, PutRecords of 100 by 8 tasks, GetRecords without a limit by
//! 8 readers, all through the AWS SDK, client and server sharing this machine's cores.
//!
//! `cargo bench -p kcl-local [-- --records 400000]`
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use bytes::Bytes;
use kcl_local::{Addresses, DataFolder, LocalAws, LocalDynamoDb, LocalKinesis, Settings, WallClock};
use tokio::task::JoinSet;

const TASKS: usize = 8;
const BATCH: usize = 100;
const RECORD_BYTES: usize = 1024;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    // `cargo test --all-targets` runs this program too, without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let records = arguments.iter().position(|argument| argument == "--records");
    let records = records.map_or(400_000, |at| arguments[at + 1].parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let aws = LocalAws::start().await.unwrap();
        measure("loopback HTTP", client_of(&aws), aws.kinesis(), records).await;
        aws.stop().await;
        let folder = tempfile::tempdir().unwrap();
        let held = DataFolder::open(folder.path()).unwrap();
        let durable = LocalKinesis::open(&held, Settings::default(), Arc::new(WallClock)).unwrap();
        let database = LocalDynamoDb::in_memory().unwrap();
        let aws = LocalAws::start_with(durable, database, Addresses::default()).await.unwrap();
        measure("HTTP, --data", client_of(&aws), aws.kinesis(), records).await;
        aws.stop().await;
        let kinesis = LocalKinesis::new();
        let client = Client::new(&kinesis.sdk_config());
        measure("in process", client, &kinesis, records).await;
    });
}

fn client_of(aws: &LocalAws) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .retry_config(RetryConfig::disabled())
        .endpoint_url(aws.kinesis_endpoint());
    Client::from_conf(config.build())
}

async fn measure(way: &str, client: Client, kinesis: &LocalKinesis, records: usize) {
    kinesis.create_stream("throughput", TASKS as u32).unwrap();
    let batches = records / TASKS / BATCH;
    let wrote = timed(|task| write(client.clone(), task, batches)).await;
    report(way, "in ", wrote);
    let read = timed(|task| read_shard(client.clone(), task)).await;
    report(way, "out", read);
    assert_eq!(read.0, wrote.0);
}

/// Runs eight tasks; returns how many records they moved, and in what time.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
async fn timed<F: Future<Output = usize> + Send + 'static>(task: impl Fn(usize) -> F) -> (usize, Duration) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for index in 0..TASKS {
        tasks.spawn(task(index));
    }
    let records = tasks.join_all().await.into_iter().sum();
    (records, start.elapsed())
}

async fn write(client: Client, task: usize, batches: usize) -> usize {
    let data = Blob::from_maybe_shared(Bytes::from(vec![b'x'; RECORD_BYTES]));
    let mut random = fastrand::Rng::with_seed(task as u64);
    for _ in 0..batches {
        let mut entry = || {
            // Keys of the length of a UUID, spread over all shards.
            let key = format!("{:032x}-{task:03}", random.u128(..));
            PutRecordsRequestEntry::builder().partition_key(key).data(data.clone()).build().unwrap()
        };
        let entries = (0..BATCH).map(|_| entry()).collect();
        client.put_records().stream_name("throughput").set_records(Some(entries)).send().await.unwrap();
    }
    batches * BATCH
}

async fn read_shard(client: Client, shard: usize) -> usize {
    let iterator = client.get_shard_iterator().stream_name("throughput").shard_id(format!("shardId-{shard:012}"));
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let mut next = iterator.shard_iterator;
    let mut read = 0;
    loop {
        let batch = client.get_records().set_shard_iterator(next).send().await.unwrap();
        read += batch.records.len();
        if batch.millis_behind_latest == Some(0) {
            return read;
        }
        next = batch.next_shard_iterator;
    }
}

fn report(way: &str, direction: &str, (records, elapsed): (usize, Duration)) {
    let per_second = records as f64 / elapsed.as_secs_f64();
    let megabytes = per_second * RECORD_BYTES as f64 / 1e6;
    println!("{way:14} {direction} {per_second:>9.0} records/s {megabytes:>6.0} MB/s  ({records} in {elapsed:.2?})");
}
