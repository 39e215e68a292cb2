//! The stream source of one process: a reader over the model itself, or the readers of the library over `wire`.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::{Fetched, ListedShards, ReadError, ShardReader, SourceError, StreamSource};
use kcl_core::types::{
    BytePermit, ChildShard, HashRange, Position, RecordBatch, RecordEntry, SequenceNumber, Shard, ShardEnd, ShardId,
    ShardRef, StreamId, Timestamp,
};
use kcl_local::{ErrorCode, ShardDescription, ShardFilter, StartingPosition};

use super::executor::ProcessId;
use super::observation::{self, Observation};
use super::stream::{ReadFate, STREAM, Stream};
use super::timeline::At;

/// A process's way to the stream.
pub(crate) struct SimSource {
    pub(crate) stream: Arc<Stream>,
    pub(crate) process: ProcessId,
    /// What opens shards instead of the model.
    pub(crate) library: Option<KinesisSource>,
}

/// At the tip a reader asks this often.
const IDLE: Duration = Duration::from_secs(1);
/// Behind the tip it asks this often: the service allows five calls a second.
const PACE: Duration = Duration::from_millis(200);

#[async_trait]
impl StreamSource for SimSource {
    async fn list_shards(&self, _stream: &StreamId) -> Result<ListedShards, SourceError> {
        let stream = &self.stream;
        stream.timeline.sleep(stream.delay()).await;
        if stream.fate() == ReadFate::Error {
            return Err(SourceError::Unavailable("listing failed (simulated)".into()));
        }
        let listed = stream.kinesis.list_shards(STREAM, ShardFilter::FromTrimHorizon);
        let listed = listed.map_err(|error| SourceError::Unavailable(error.to_string()))?;
        let service_time = Timestamp::from_millis(stream.kinesis.now().as_millis().cast_signed());
        stream.timeline.sleep(stream.delay()).await;
        let shards = listed.iter().map(listed_shard).collect::<Result<Vec<_>, _>>()?;
        Ok(ListedShards::new(shards, Some(service_time)))
    }

    async fn prepare(&self, stream: &StreamId) -> Result<(), SourceError> {
        match &self.library {
            Some(library) => library.prepare(stream).await,
            None => Ok(()),
        }
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        if let Some(library) = &self.library {
            let (inner, shard) = (library.open(shard, position), shard.clone());
            return Box::new(Watched { inner, stream: Arc::clone(&self.stream), process: self.process, shard });
        }
        let (stream, process) = (Arc::clone(&self.stream), self.process);
        Box::new(Reader { stream, process, shard: shard.clone(), position, iterator: None, not_before: At::ZERO })
    }
}

impl fmt::Debug for SimSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimSource({})", self.process)
    }
}

/// A reader of the library, whose answers are told to the checker.
struct Watched {
    inner: Box<dyn ShardReader>,
    stream: Arc<Stream>,
    process: ProcessId,
    shard: ShardRef,
}

#[async_trait]
impl ShardReader for Watched {
    async fn ready(&mut self) {
        self.inner.ready().await;
    }

    fn demand(&self) -> usize {
        self.inner.demand()
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        let shard = observation::shard_of(self.shard.id().as_str());
        if let Some(shard) = shard
            && self.stream.hung(shard).await
        {
            return Err(ReadError::Unavailable("there was no answer for long (simulated)".into()));
        }
        let fetched = self.inner.next(permit).await?;
        // Without lag nothing was said of the shard, as while a subscription is opened again.
        if let Some(shard) = shard
            && (fetched.lag.is_some() || fetched.end.is_some())
        {
            self.stream.recorder().observe(Observation::Fetched { process: self.process, shard });
        }
        Ok(fetched)
    }

    async fn rest(&mut self) -> Infallible {
        self.inner.rest().await
    }
}

/// Reads one shard. The position is the truth; the iterator names it for a while.
struct Reader {
    stream: Arc<Stream>,
    process: ProcessId,
    shard: ShardRef,
    position: Position,
    iterator: Option<String>,
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
        let stream = Arc::clone(&self.stream);
        stream.timeline.sleep(stream.delay()).await;
        if let Some(shard) = observation::shard_of(self.shard.id().as_str())
            && stream.hung(shard).await
        {
            return Err(ReadError::Unavailable("there was no answer for long (simulated)".into()));
        }
        let fate = stream.fate();
        let mut fetched = match fate {
            ReadFate::Error => return Err(ReadError::Unavailable("the read failed (simulated)".into())),
            ReadFate::Empty => Answer::default(),
            ReadFate::Expired => {
                self.iterator = None;
                self.read()?
            }
            ReadFate::Fine | ReadFate::FalseEnd => self.read()?,
        };
        // The answer is on its way; dropped here, nothing is consumed, since only what follows moves the position.
        stream.timeline.sleep(stream.delay()).await;
        if fate == ReadFate::FalseEnd && fetched.entries.is_empty() {
            fetched.end = fetched.end.or(Some(ShardEnd::default()));
        }
        Ok(self.deliver(fetched, permit))
    }
}

#[derive(Default)]
struct Answer {
    entries: Vec<RecordEntry>,
    next: Option<String>,
    lag: Option<Duration>,
    end: Option<ShardEnd>,
}

impl Reader {
    /// What the service answers now.
    fn read(&mut self) -> Result<Answer, ReadError> {
        let kinesis = &self.stream.kinesis;
        let iterator = match self.iterator.clone() {
            Some(iterator) => iterator,
            None => self.new_iterator()?,
        };
        let batch = match kinesis.get_records(&iterator, self.stream.batch()) {
            Err(error) if error.code() == ErrorCode::ExpiredIterator => {
                kinesis.get_records(&self.new_iterator()?, self.stream.batch())
            }
            answer => answer,
        };
        let batch = batch.map_err(|error| ReadError::Unavailable(error.to_string()))?;
        let entries = batch.records.iter().map(entry).collect::<Result<_, _>>()?;
        let end = match (&batch.next_iterator, batch.child_shards) {
            (Some(_), _) => None,
            (None, children) => {
                Some(ShardEnd::with_children(children.unwrap_or_default().iter().map(child).collect::<Result<_, _>>()?))
            }
        };
        let lag = Some(Duration::from_millis(batch.millis_behind_latest));
        Ok(Answer { entries, next: batch.next_iterator, lag, end })
    }

    fn new_iterator(&self) -> Result<String, ReadError> {
        let number = |sequence: &SequenceNumber| {
            kcl_local::SequenceNumber::parse(sequence.as_str())
                .ok_or_else(|| ReadError::Invalid(format!("{sequence} is no number of this stream")))
        };
        let position = match &self.position {
            Position::TrimHorizon => StartingPosition::TrimHorizon,
            Position::AtTime(time) => {
                let millis = u64::try_from(time.as_millis()).unwrap_or(0);
                StartingPosition::AtTimestamp(kcl_local::Timestamp::from_millis(millis))
            }
            Position::At(record) => StartingPosition::At(number(&record.sequence)?),
            Position::After(sequence) => StartingPosition::After(number(sequence)?),
            other => return Err(ReadError::Invalid(format!("{other:?} is no position of this source"))),
        };
        let id = kcl_local::ShardId::parse(self.shard.id().as_str());
        let id = id.ok_or_else(|| ReadError::Invalid(format!("{} is no shard of this stream", self.shard)))?;
        self.stream
            .kinesis
            .shard_iterator(STREAM, id, position)
            .map_err(|error| ReadError::Unavailable(error.to_string()))
    }

    /// Hands out an answer and moves past it, in one step.
    fn deliver(&mut self, answer: Answer, permit: BytePermit) -> Fetched {
        let Answer { entries, next, lag, end } = answer;
        if let Some(last) = entries.last() {
            self.position = Position::After(last.sequence.clone());
        }
        let at_tip = entries.is_empty();
        self.iterator = next;
        self.not_before = self.stream.timeline.now() + if at_tip { IDLE } else { PACE };
        if let Some(shard) = observation::shard_of(self.shard.id().as_str()) {
            self.stream.recorder().observe(Observation::Fetched { process: self.process, shard });
        }
        Fetched::new(RecordBatch::new(entries, lag, permit), lag, end)
    }
}

fn entry(record: &kcl_local::Record) -> Result<RecordEntry, ReadError> {
    let invalid = |error: kcl_core::types::InvalidSequenceNumber| ReadError::Invalid(error.to_string());
    let sequence = SequenceNumber::new(record.sequence_number.to_string()).map_err(invalid)?;
    Ok(RecordEntry::new(sequence, record.partition_key(), record.data()))
}

fn child(shard: &ShardDescription) -> Result<ChildShard, ReadError> {
    let invalid = |error: kcl_core::types::InvalidId| ReadError::Invalid(error.to_string());
    let parents = shard.parents().map(shard_id).collect::<Result<_, _>>().map_err(invalid)?;
    Ok(ChildShard::new(shard_id(shard.id).map_err(invalid)?, parents, hash_range(shard)))
}

fn listed_shard(shard: &ShardDescription) -> Result<Shard, SourceError> {
    let id = |id| shard_id(id).map_err(|error| SourceError::Invalid(error.to_string()));
    let mut listed = Shard::open(id(shard.id)?, hash_range(shard));
    listed.parent = shard.parent.map(id).transpose()?;
    listed.adjacent_parent = shard.adjacent_parent.map(id).transpose()?;
    listed.starting_sequence = number(shard.starting_sequence_number);
    listed.ending_sequence = shard.ending_sequence_number.and_then(number);
    Ok(listed)
}

fn number(number: kcl_local::SequenceNumber) -> Option<SequenceNumber> {
    SequenceNumber::new(number.to_string()).ok()
}

fn shard_id(id: kcl_local::ShardId) -> Result<ShardId, kcl_core::types::InvalidId> {
    ShardId::new(id.to_string())
}

fn hash_range(shard: &ShardDescription) -> Option<HashRange> {
    HashRange::new(shard.hash_range.start.0, shard.hash_range.end.0)
}
