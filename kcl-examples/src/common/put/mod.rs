//! Putting records: in batches, several calls at a time, in the order of each partition key.
//!
//! A record goes to the lane of its key, and a lane makes one call at a time: so two records of one key never overtake each
//! other between calls. A lane that is idle sends what it has at once; while it waits for an answer, more comes together for
//! the next call. Records that a call did not take are put again before anything else of their lane. Within one call the
//! service promises no order: if it refuses a record and takes a later one with the same key, the later one comes first.

mod call;
mod lane;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use futures_util::future::try_join_all;
use kcl_core::types::StreamId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use call::{ATTEMPT, Caller};
use lane::Lane;

/// A record to put.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its partition key.
    pub key: String,
    /// Its data.
    pub data: Vec<u8>,
    /// Where it goes in place of the hash of its key.
    pub explicit_hash_key: Option<String>,
    /// How many records it stands for: more than one if it is an aggregate.
    pub records: u64,
    /// The bytes of their data.
    pub bytes: u64,
}

impl Entry {
    /// A record that stands for itself.
    pub fn new(key: String, data: Vec<u8>) -> Self {
        let bytes = data.len() as u64;
        Entry { key, data, explicit_hash_key: None, records: 1, bytes }
    }

    /// What the service counts.
    pub fn size(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

/// What was put so far. Clones share the numbers.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    records: AtomicU64,
    bytes: AtomicU64,
    retried: AtomicU64,
}

impl Totals {
    /// How many records the service took.
    pub fn records(&self) -> u64 {
        self.shared.records.load(Ordering::Relaxed)
    }

    /// The bytes of their data.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// How often a record was put again because a call did not take it.
    pub fn retried(&self) -> u64 {
        self.shared.retried.load(Ordering::Relaxed)
    }

    fn placed(&self, entry: &Entry) {
        self.shared.records.fetch_add(entry.records, Ordering::Relaxed);
        self.shared.bytes.fetch_add(entry.bytes, Ordering::Relaxed);
    }

    fn again(&self, entries: &[Entry]) {
        self.shared.retried.fetch_add(entries.iter().map(|entry| entry.records).sum(), Ordering::Relaxed);
    }
}

/// The way in: where records are handed over.
#[derive(Debug)]
pub struct Feed {
    lanes: Vec<mpsc::Sender<Queued>>,
    room: Arc<Semaphore>,
}

/// A record that waits, with the room it takes up.
#[derive(Debug)]
struct Queued {
    entry: Entry,
    _room: OwnedSemaphorePermit,
}

/// Putting has failed; whoever runs [`Putting::run`] knows why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("records are no longer put")]
pub struct Stopped;

impl Feed {
    /// Hands over a record, and waits if many are under way.
    ///
    /// # Errors
    /// [`Stopped`] if putting has failed.
    pub async fn push(&self, entry: Entry) -> Result<(), Stopped> {
        let size = u32::try_from(entry.size()).map_err(|_| Stopped)?;
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_| Stopped)?;
        let mut hash = DefaultHasher::new();
        entry.explicit_hash_key.as_ref().unwrap_or(&entry.key).hash(&mut hash);
        let lane = (hash.finish() % self.lanes.len() as u64) as usize;
        self.lanes[lane].send(Queued { entry, _room: room }).await.map_err(|_| Stopped)
    }
}

/// The calls.
#[derive(Debug)]
pub struct Putting {
    lanes: Vec<Lane>,
}

/// Puts records to a stream in this many lanes.
pub fn to_stream(
    client: &aws_sdk_kinesis::Client,
    stream: &StreamId,
    lanes: usize,
    totals: &Totals,
) -> (Feed, Putting) {
    let room = Arc::new(Semaphore::new(ROOM));
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT).operation_timeout(ATTEMPT).build();
    // Repetition is decided here, where it is known which records of a call were taken.
    let config = client.config().to_builder().retry_config(RetryConfig::disabled()).timeout_config(timeouts);
    let client = aws_sdk_kinesis::Client::from_conf(config.build());
    let (senders, lanes) = (0..lanes.max(1) as u64)
        .map(|number| {
            let (sender, receiver) = mpsc::channel(WAITING);
            (sender, Lane::new(receiver, Caller::new(client.clone(), stream.clone(), totals.clone(), number)))
        })
        .unzip();
    (Feed { lanes: senders, room }, Putting { lanes })
}

impl Putting {
    /// Puts until `feeding`, which owns the feed, has ended and everything is taken. `placed` hears of each record, its
    /// shard and its sequence number; they are then counted already.
    ///
    /// # Errors
    /// If the service refuses for good, or has taken nothing for some time; else what `feeding` failed with: what it had
    /// handed over by then is put.
    pub async fn run(
        self,
        feeding: impl Future<Output = anyhow::Result<()>>,
        placed: impl Fn(&str, &str),
    ) -> anyhow::Result<()> {
        let placed = &placed;
        let mut putting = std::pin::pin!(try_join_all(self.lanes.into_iter().map(|lane| lane.run(placed))));
        tokio::select! {
            // First: if putting fails, feeding fails too, but does not know why, or waits for input for ever.
            biased;
            put = &mut putting => put.map(drop),
            fed = feeding => putting.await.and(fed),
        }
    }
}

/// Bytes under way in all lanes together.
const ROOM: usize = 64 << 20;
/// Records that wait in a lane: enough for the next call.
const WAITING: usize = 500;
