//! Putting lines through the AWS SDK, and what was put where.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use kcl_core::types::SequenceNumber;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::input;
use crate::waiting::{a_little_later, within};

/// What a shard holds: the number of each record, in order.
pub(crate) type Put = BTreeMap<String, Vec<SequenceNumber>>;

/// Puts one call after the other, so that the numbers of each shard grow. Clones put into the same stream.
#[derive(Clone)]
pub(crate) struct Feed {
    client: Client,
    stream: &'static str,
    lines: Arc<Vec<Vec<u8>>>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The next line.
    next: usize,
    put: Put,
}

impl Feed {
    pub(crate) fn new(endpoint: &str, stream: &'static str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = Client::from_conf(config.build());
        Feed { client, stream, lines: Arc::new(input::lines()), state: Arc::default() }
    }

    /// Puts the next lines, in calls as large as the service allows; after the last line comes the first one again.
    pub(crate) async fn put(&self, count: usize) {
        let state = &mut *self.state.lock().await;
        let end = state.next + count;
        while state.next < end {
            let numbers = state.next..end.min(state.next + CALL);
            state.next = numbers.end;
            let entries = numbers.map(|number| {
                let entry = PutRecordsRequestEntry::builder().partition_key(format!("key-{}", number % 997));
                entry.data(Blob::new(self.lines[number % self.lines.len()].as_slice())).build().unwrap()
            });
            self.call(entries.collect(), &mut state.put).await;
        }
    }

    /// Puts one record into each of as many shards of equal size.
    pub(crate) async fn put_into_each(&self, shards: usize, data: &[u8]) {
        let state = &mut *self.state.lock().await;
        let entries = (0..shards).map(|shard| {
            let place = u128::MAX / shards as u128 * shard as u128 + 1;
            let entry = PutRecordsRequestEntry::builder().partition_key("any").explicit_hash_key(place.to_string());
            entry.data(Blob::new(data)).build().unwrap()
        });
        self.call(entries.collect(), &mut state.put).await;
    }

    async fn call(&self, entries: Vec<PutRecordsRequestEntry>, put: &mut Put) {
        let call = self.client.put_records().stream_name(self.stream).set_records(Some(entries));
        let answer = call.send().await.unwrap();
        assert_eq!(answer.failed_record_count(), Some(0), "a server without limits takes everything");
        for placed in answer.records() {
            let number = placed.sequence_number().unwrap().parse().unwrap();
            put.entry(placed.shard_id().unwrap().to_owned()).or_default().push(number);
        }
    }

    /// Puts a few lines over and over, until it is stopped.
    #[expect(clippy::disallowed_methods, reason = "it ends with the test, if it is not stopped before")]
    pub(crate) fn trickle(&self) -> Trickle {
        let stop = CancellationToken::new();
        let (feed, stopped) = (self.clone(), stop.clone());
        let task = tokio::spawn(async move {
            // Never in the middle of a call: what was put and is not noted would look like a record that nobody put.
            while !stopped.is_cancelled() {
                feed.put(FEW).await;
                a_little_later().await;
            }
        });
        Trickle { stop, task }
    }

    /// Splits a shard in the middle.
    pub(crate) async fn split(&self, shard: &str) {
        let listed = self.client.list_shards().stream_name(self.stream).send().await.unwrap();
        let found = listed.shards().iter().find(|found| found.shard_id() == shard).unwrap();
        let range = found.hash_key_range().unwrap();
        let [from, to] = [range.starting_hash_key(), range.ending_hash_key()].map(|key| key.parse::<u128>().unwrap());
        let call = self.client.split_shard().stream_name(self.stream).shard_to_split(shard);
        call.new_starting_hash_key((from + (to - from) / 2).to_string()).send().await.unwrap();
    }

    /// Merges two shards that lie side by side.
    pub(crate) async fn merge(&self, shard: &str, adjacent: &str) {
        let call = self.client.merge_shards().stream_name(self.stream).shard_to_merge(shard);
        call.adjacent_shard_to_merge(adjacent).send().await.unwrap();
    }

    /// What was put so far.
    pub(crate) async fn so_far(&self) -> Put {
        self.state.lock().await.put.clone()
    }
}

/// Records that keep coming.
pub(crate) struct Trickle {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Trickle {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        within("the last record is put", self.task).await.unwrap();
    }
}

/// The most records that one call takes.
const CALL: usize = 500;
const FEW: usize = 40;
