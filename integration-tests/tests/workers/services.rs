//! Kinesis and DynamoDB in this process, reached without a socket, and workers on them.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::settings::ReadLimit;
use kcl_core::{Settings, Worker, WorkerBuilder, WorkerHandle};
use kcl_local::{LocalDynamoDb, LocalKinesis};

use crate::items::{Item, key_of};
use crate::log::Log;
use crate::waiting::{a_little_later, within};

pub(crate) const STREAM: &str = "orders";
pub(crate) const APPLICATION: &str = "orders-app";

#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) kinesis: LocalKinesis,
    dynamodb: aws_sdk_dynamodb::Client,
    client: aws_sdk_kinesis::Client,
}

impl Services {
    /// Both services, reached through their connectors, and a stream.
    pub(crate) fn new(shards: u32) -> Self {
        let (kinesis, dynamodb) = (LocalKinesis::new(), LocalDynamoDb::in_memory().unwrap());
        kinesis.create_stream(STREAM, shards).unwrap();
        let dynamodb = aws_sdk_dynamodb::Client::new(&dynamodb.sdk_config());
        let client = aws_sdk_kinesis::Client::new(&kinesis.sdk_config());
        Services { kinesis, dynamodb, client }
    }

    /// Both services, reached through clients of one's own.
    pub(crate) fn over(
        kinesis: LocalKinesis,
        client: aws_sdk_kinesis::Client,
        dynamodb: aws_sdk_dynamodb::Client,
    ) -> Self {
        Services { kinesis, dynamodb, client }
    }

    pub(crate) fn settings(worker: &str) -> Settings {
        Settings::new(APPLICATION, STREAM)
            .worker_id(worker)
            .failover_time(Duration::from_secs(3))
            .read_limit(ReadLimit::None)
            .idle_interval(Duration::from_millis(20))
    }

    pub(crate) fn builder(&self, settings: Settings) -> WorkerBuilder {
        Worker::builder(settings).kinesis_client(self.client.clone()).dynamodb_client(self.dynamodb.clone())
    }

    pub(crate) async fn start(&self, worker: &str, log: &Log) -> WorkerHandle {
        let worker = self.builder(Self::settings(worker)).processor(log.processors()).build().unwrap();
        worker.start().await.unwrap()
    }

    /// Puts records that spread over all shards.
    pub(crate) fn put(&self, count: usize) {
        for number in 0..count {
            self.kinesis.put_record(STREAM, &format!("key-{number}"), format!("record {number}")).unwrap();
        }
    }

    /// All rows of the application's table by key; none if there is no table.
    pub(crate) async fn rows(&self) -> BTreeMap<String, Item> {
        let answer = self.dynamodb.scan().table_name(APPLICATION).consistent_read(true).send().await;
        let items = answer.map(|answer| answer.items.unwrap_or_default()).unwrap_or_default();
        items.into_iter().map(|item| (key_of(&item), item)).collect()
    }

    /// How many leases that are not ended each worker reads: in a hand-off the old owner. Free ones under `-`.
    pub(crate) async fn owners(&self) -> BTreeMap<String, usize> {
        let ended = AttributeValue::S("SHARD_END".to_owned());
        let mut owners = BTreeMap::new();
        for row in self.rows().await.values().filter(|row| row.contains_key("leaseCounter")) {
            if row["checkpoint"] != ended {
                let holder = row.get("checkpointOwner").or_else(|| row.get("leaseOwner"));
                let owner = holder.map_or("-", |owner| owner.as_s().unwrap());
                *owners.entry(owner.to_owned()).or_default() += 1;
            }
        }
        owners
    }

    /// The keys of all rows but the leader's.
    pub(crate) async fn keys(&self) -> Vec<String> {
        self.rows().await.into_keys().filter(|key| key != "Leader").collect()
    }

    /// Waits until the leases are shared so.
    pub(crate) async fn until_owners(&self, expected: &[(&str, usize)]) {
        let expected: BTreeMap<String, usize> =
            expected.iter().map(|(owner, count)| ((*owner).to_owned(), *count)).collect();
        let shared = async {
            while self.owners().await != expected {
                a_little_later().await;
            }
        };
        within(&format!("leases are shared as {expected:?}"), shared).await;
    }

    /// Waits until there is such a row.
    pub(crate) async fn until_row(&self, key: &str) {
        let there = async {
            while !self.rows().await.contains_key(key) {
                a_little_later().await;
            }
        };
        within(&format!("there is a row {key}"), there).await;
    }

    /// Waits until a shard has a checkpoint.
    pub(crate) async fn until_stored(&self, shard: &str) {
        let begin = AttributeValue::S("TRIM_HORIZON".to_owned());
        let stored = async {
            while self.rows().await[shard]["checkpoint"] == begin {
                a_little_later().await;
            }
        };
        within(&format!("{shard} has a checkpoint"), stored).await;
    }

    /// Holds what was delivered against what the stream has: the same records, those of each shard in order and once.
    pub(crate) fn assert_read_once(&self, log: &Log) {
        let mut put = BTreeMap::<String, Vec<String>>::new();
        for (shard, record) in self.kinesis.all_records(STREAM).unwrap() {
            put.entry(shard.to_string()).or_default().push(record.sequence_number.to_string());
        }
        for (shard, numbers) in put {
            assert_eq!(log.numbers(&shard), numbers, "{shard}");
        }
    }
}
