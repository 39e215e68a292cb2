//! A stream that has a new record in every shard whenever it is asked.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::{Fetched, ListedShards, ReadError, ShardReader, SourceError, StreamSource};
use kcl_core::types::{
    BytePermit, HashRange, Position, RecordBatch, RecordEntry, SequenceNumber, Shard, ShardId, ShardRef, StreamId,
};

use crate::sim::timeline::{At, Timeline};

/// The stream, and the way there. Clones share it.
#[derive(Clone)]
pub(super) struct Stream {
    timeline: Timeline,
    random: Arc<Mutex<fastrand::Rng>>,
    shards: usize,
}

/// A reader asks this often.
const PACE: Duration = Duration::from_millis(500);

impl Stream {
    pub(super) fn new(timeline: Timeline, random: fastrand::Rng, shards: usize) -> Self {
        Stream { timeline, random: Arc::new(Mutex::new(random)), shards }
    }

    /// A call: 20 ms on average.
    async fn call(&self) {
        let time = 0.5 + self.random.lock().unwrap_or_else(PoisonError::into_inner).f64();
        self.timeline.sleep(Duration::from_millis(20).mul_f64(time)).await;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stream({} shards)", self.shards)
    }
}

#[async_trait]
impl StreamSource for Stream {
    async fn list_shards(&self, _stream: &StreamId) -> Result<ListedShards, SourceError> {
        self.call().await;
        let width = u128::MAX / self.shards as u128;
        let shard = |number: usize| {
            let start = width * number as u128;
            let end = if number + 1 == self.shards { u128::MAX } else { start + width - 1 };
            let id = ShardId::new(format!("shardId-{number:012}"));
            id.map(|id| Shard::open(id, HashRange::new(start, end)))
        };
        let shards = (0..self.shards).map(shard).collect::<Result<_, _>>();
        let shards = shards.map_err(|error| SourceError::Invalid(error.to_string()))?;
        Ok(ListedShards::new(shards, None))
    }

    fn open(&self, _shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        // At the record of a checkpoint, which the reader of a checkpoint knows already.
        let next = match position {
            Position::At(record) => record.sequence.as_str().parse().unwrap_or(1),
            Position::After(sequence) => sequence.as_str().parse().unwrap_or(0) + 1,
            _ => 1,
        };
        Box::new(Reader { stream: self.clone(), next, iterator: false, not_before: At::ZERO })
    }
}

struct Reader {
    stream: Stream,
    next: u64,
    /// The first fetch needs a call more.
    iterator: bool,
    not_before: At,
}

#[async_trait]
impl ShardReader for Reader {
    async fn ready(&mut self) {
        self.stream.timeline.sleep_until(self.not_before).await;
    }

    fn demand(&self) -> usize {
        64 << 10
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        let from = self.next;
        // Behind a checkpoint the first record is known.
        let mut to = from;
        if !self.iterator {
            self.stream.call().await;
            self.iterator = true;
            to += 1;
        }
        self.stream.call().await;
        let entry = |number: u64| {
            let sequence = SequenceNumber::new(number.to_string());
            sequence.map(|sequence| RecordEntry::new(sequence, "key", Default::default()))
        };
        let entries = (from..=to).map(entry).collect::<Result<_, _>>();
        let entries = entries.map_err(|error| ReadError::Invalid(error.to_string()))?;
        self.next = to + 1;
        self.not_before = self.stream.timeline.now() + PACE;
        let lag = Some(Duration::ZERO);
        Ok(Fetched::new(RecordBatch::new(entries, lag, permit), lag, None))
    }
}
