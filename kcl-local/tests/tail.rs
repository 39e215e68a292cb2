//! The failure that other doubles have: records lost, repeated or reordered while many write and one reads.
//!
//! `KCL_LOCAL_TAIL_RUNS=15 cargo test -p kcl-local --test tail` repeats each more often.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    ChildShard, PutRecordsRequestEntry, Record, ShardIteratorType, StartingPosition, SubscribeToShardEventStream,
};
use common::{WAYS, Way};
use kcl_local::{LocalDynamoDb, LocalKinesis, ShardFilter};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const WRITERS: usize = 8;
const BATCHES: usize = 25;
const BATCH: usize = 16;
const TOTAL: usize = WRITERS * BATCHES * BATCH;

macro_rules! eight_writers {
    ($($name:ident: $way:expr;)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for run in 0..runs() {
                tail($way, 1 + run % 4, Reshard::Never, Reader::Polling).await;
            }
        })*
    };
}

eight_writers! {
    eight_writers_in_process: Way::InProcess;
    eight_writers_over_http1: Way::Http1;
    eight_writers_over_http2: Way::Http2;
    eight_writers_over_tls: Way::Tls;
    eight_writers_with_the_binary_encoding: Way::Cbor;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_through_splits_and_merges() {
    for run in 0..runs().max(WAYS.len()) {
        tail(WAYS[run % WAYS.len()], 2, Reshard::AllTheTime, Reader::Polling).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_writers_through_splits_and_merges_by_fan_out() {
    for run in 0..runs().max(WAYS.len()) {
        tail(WAYS[run % WAYS.len()], 2, Reshard::AllTheTime, Reader::FanOut).await;
    }
}

fn runs() -> usize {
    std::env::var("KCL_LOCAL_TAIL_RUNS").map_or(2, |runs| runs.parse().unwrap())
}

#[derive(Clone, Copy, PartialEq)]
enum Reshard {
    Never,
    AllTheTime,
}

#[derive(Clone, Copy, PartialEq)]
enum Reader {
    Polling,
    FanOut,
}

/// Writes with eight tasks while reading, and checks what was read.
async fn tail(way: Way, shards: usize, reshard: Reshard, reader: Reader) {
    let kinesis = LocalKinesis::new();
    let (client, server) = way.reach(&kinesis, &LocalDynamoDb::in_memory().unwrap()).await;
    kinesis.create_stream("orders", shards as u32).unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(client.clone(), kinesis.clone(), writer, reshard));
    }
    let read = match reader {
        Reader::Polling => poll(&client).await,
        Reader::FanOut => subscribe(&client, &kinesis).await,
    };
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(read.len(), TOTAL, "{way:?}");
    let mut by_writer: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (key, value) in read {
        by_writer.entry(key).or_default().push(value);
    }
    for (key, values) in by_writer {
        assert_eq!(values, (0..BATCHES * BATCH).collect::<Vec<_>>(), "records of {key}, {way:?}");
    }
    drop(server);
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

/// The shards that a consumer has not begun, because it has not come to the end of all their parents.
#[derive(Default)]
struct Lineage {
    waiting: BTreeMap<String, Vec<String>>,
    ended: BTreeSet<String>,
}

impl Lineage {
    async fn of_stream(client: &Client) -> Self {
        let listed = client.list_shards().stream_name("orders").send().await.unwrap().shards.unwrap();
        let roots = listed.into_iter().filter(|shard| shard.parent_shard_id.is_none());
        Self { waiting: roots.map(|shard| (shard.shard_id, vec![])).collect(), ended: BTreeSet::new() }
    }

    fn end(&mut self, shard: String, children: Vec<ChildShard>) {
        assert!(self.ended.insert(shard), "a shard ends once");
        // Each of two merged parents names their child.
        self.waiting.extend(children.into_iter().map(|child| (child.shard_id, child.parent_shards)));
    }

    fn begin(&mut self) -> Vec<String> {
        let ended = &self.ended;
        let ready = |_: &String, parents: &mut Vec<String>| parents.iter().all(|parent| ended.contains(parent));
        self.waiting.extract_if(.., ready).map(|(shard, _)| shard).collect()
    }
}

fn keep(read: &mut Vec<(String, usize)>, records: Vec<Record>) {
    for record in records {
        let value = std::str::from_utf8(record.data.as_ref()).unwrap().parse().unwrap();
        read.push((record.partition_key.unwrap(), value));
    }
}

/// Reads every shard from its beginning, a child only after all its parents, until all that was written was seen.
async fn poll(client: &Client) -> Vec<(String, usize)> {
    let mut lineage = Lineage::of_stream(client).await;
    let mut iterators = VecDeque::new();
    let mut read = Vec::new();
    while read.len() < TOTAL {
        for shard in lineage.begin() {
            let start = client.get_shard_iterator().stream_name("orders").shard_id(&shard);
            let start = start.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
            iterators.push_back((shard, start.shard_iterator.unwrap()));
        }
        let (shard, iterator) = iterators.pop_front().expect("some shard is always open");
        let batch = client.get_records().shard_iterator(iterator).limit(50).send().await.unwrap();
        keep(&mut read, batch.records);
        match batch.next_shard_iterator {
            Some(next) => iterators.push_back((shard, next)),
            None => lineage.end(shard, batch.child_shards.expect("a shard that ended has children")),
        }
    }
    read
}

enum Pushed {
    Records(Vec<Record>),
    End(String, Vec<ChildShard>),
}

/// The same by subscriptions, one for each open shard.
async fn subscribe(client: &Client, kinesis: &LocalKinesis) -> Vec<(String, usize)> {
    let consumer = kinesis.register_consumer("orders", "c").unwrap();
    let arn = kinesis.consumer_arn("orders", &consumer);
    let (sender, mut pushed) = mpsc::channel(10);
    let mut lineage = Lineage::of_stream(client).await;
    let mut subscriptions = JoinSet::new();
    let mut read = Vec::new();
    while read.len() < TOTAL {
        for shard in lineage.begin() {
            subscriptions.spawn(follow(client.clone(), arn.clone(), shard, sender.clone()));
        }
        match pushed.recv().await.unwrap() {
            Pushed::Records(records) => keep(&mut read, records),
            Pushed::End(shard, children) => lineage.end(shard, children),
        }
    }
    read
}

async fn follow(client: Client, arn: String, shard: String, pushed: mpsc::Sender<Pushed>) {
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
    let call = client.subscribe_to_shard().consumer_arn(arn).shard_id(&shard).starting_position(start);
    let mut subscription = call.send().await.unwrap();
    loop {
        match subscription.event_stream.recv().await.unwrap().expect("a subscription ends with its shard") {
            SubscribeToShardEventStream::SubscribeToShardEvent(event) => {
                // Nobody listens any more once all has been read.
                let _ = pushed.send(Pushed::Records(event.records)).await;
                if let Some(children) = event.child_shards.filter(|children| !children.is_empty()) {
                    let _ = pushed.send(Pushed::End(shard, children)).await;
                    return;
                }
            }
            other => panic!("{other:?}"),
        }
    }
}
