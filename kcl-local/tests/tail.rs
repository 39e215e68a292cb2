//! The failure that other doubles have: records lost, repeated or reordered while many write and one reads.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use common::http_client;
use kcl_local::{LocalAws, LocalKinesis, ShardFilter};

const WRITERS: usize = 8;
const BATCHES: usize = 25;
const BATCH: usize = 16;
const TOTAL: usize = WRITERS * BATCHES * BATCH;
const RUNS: usize = 15;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_in_process() {
    for run in 0..RUNS {
        let kinesis = LocalKinesis::new();
        let client = Client::new(&kinesis.sdk_config());
        tail(client, kinesis, 1 + run % 4, Reshard::Never).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_over_http() {
    for run in 0..RUNS {
        let aws = LocalAws::start().await.unwrap();
        tail(http_client(&aws.kinesis_endpoint()), aws.kinesis().clone(), 1 + run % 4, Reshard::Never).await;
        aws.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_through_splits_and_merges() {
    for _ in 0..RUNS {
        let aws = LocalAws::start().await.unwrap();
        tail(http_client(&aws.kinesis_endpoint()), aws.kinesis().clone(), 2, Reshard::AllTheTime).await;
        aws.stop().await;
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Reshard {
    Never,
    AllTheTime,
}

/// Writes with eight tasks while reading, and checks what was read.
async fn tail(client: Client, kinesis: LocalKinesis, shards: usize, reshard: Reshard) {
    kinesis.create_stream("orders", shards as u32).unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(client.clone(), kinesis.clone(), writer, reshard));
    }
    let read = read(&client).await;
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(read.len(), TOTAL);
    let mut by_writer: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (key, value) in read {
        by_writer.entry(key).or_default().push(value);
    }
    for (key, values) in by_writer {
        assert_eq!(values, (0..BATCHES * BATCH).collect::<Vec<_>>(), "records of {key}");
    }
}

async fn write(client: Client, kinesis: LocalKinesis, writer: usize, reshard: Reshard) {
    for batch in 0..BATCHES {
        let entry = |i: usize| {
            let data = (batch * BATCH + i).to_string();
            PutRecordsRequestEntry::builder()
                .partition_key(format!("writer-{writer}"))
                .data(Blob::new(data))
                .build()
                .unwrap()
        };
        let entries = (0..BATCH).map(entry).collect();
        let put = client.put_records().stream_name("orders").set_records(Some(entries)).send().await.unwrap();
        assert_eq!(put.failed_record_count, Some(0));
        if reshard == Reshard::AllTheTime && writer == 0 {
            let open = kinesis.list_shards("orders", ShardFilter::AtLatest).unwrap();
            if open.len() < 6 {
                kinesis.split_shard_evenly("orders", open[batch % open.len()].id).unwrap();
            } else {
                kinesis.update_shard_count("orders", 3).unwrap();
            }
        }
    }
}

/// Reads every shard from its beginning, a child only after all its parents, until all that was written was seen.
async fn read(client: &Client) -> Vec<(String, usize)> {
    let listed = client.list_shards().stream_name("orders").send().await.unwrap();
    let mut iterators = VecDeque::new();
    let mut started = BTreeSet::new();
    let mut ended = BTreeSet::new();
    let mut waiting: Vec<(String, Vec<String>)> = Vec::new();
    for shard in listed.shards.unwrap().into_iter().filter(|shard| shard.parent_shard_id.is_none()) {
        waiting.push((shard.shard_id, vec![]));
    }
    let mut read = Vec::new();
    while read.len() < TOTAL {
        for (shard, _) in waiting.extract_if(.., |(_, parents)| parents.iter().all(|parent| ended.contains(parent))) {
            if started.insert(shard.clone()) {
                iterators.push_back((shard.clone(), first_iterator(client, &shard).await));
            }
        }
        let (shard, iterator) = iterators.pop_front().expect("some shard is always open");
        let batch = client.get_records().shard_iterator(iterator).limit(50).send().await.unwrap();
        for record in batch.records {
            let value = std::str::from_utf8(record.data.as_ref()).unwrap().parse().unwrap();
            read.push((record.partition_key.unwrap(), value));
        }
        match batch.next_shard_iterator {
            Some(next) => iterators.push_back((shard, next)),
            None => {
                ended.insert(shard);
                let children = batch.child_shards.expect("a shard that ended has children");
                waiting.extend(children.into_iter().map(|child| (child.shard_id, child.parent_shards)));
            }
        }
    }
    read
}

async fn first_iterator(client: &Client, shard: &str) -> String {
    let call = client.get_shard_iterator().stream_name("orders").shard_id(shard);
    call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator.unwrap()
}
