//! Where records come from.

use std::convert::Infallible;
use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;

use crate::types::{BytePermit, Position, RecordBatch, SequenceNumber, Shard, ShardEnd, ShardRef, StreamId, Timestamp};

/// Streams: lists shards and opens them for reading.
///
/// # Contract
/// - [`list_shards`](StreamSource::list_shards) yields every shard that the stream still knows, open and closed, from
///   every page.
/// - [`open`](StreamSource::open) does no IO worth speaking of and cannot fail: a connection, an iterator or a subscription
///   is a disposable cache of a position, made when it is needed and made anew when it is lost.
#[async_trait]
pub trait StreamSource: Debug + Send + Sync + 'static {
    /// All shards of the stream, and the service's own time of the answer.
    ///
    /// # Errors
    /// [`SourceError`]; `NotFound` if there is no such stream.
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError>;

    /// Makes ready what reading the stream needs and what is better missed at the start than in the middle, such as a
    /// registered consumer. Called once before anything is opened; calling it again does no harm. Does nothing if reading
    /// needs nothing.
    ///
    /// # Errors
    /// [`SourceError`]: then the worker does not start.
    async fn prepare(&self, stream: &StreamId) -> Result<(), SourceError> {
        let _needs_nothing = stream;
        Ok(())
    }

    /// A reader of one shard from a position on.
    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader>;
}

/// A listing of all shards of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedShards {
    /// Every shard, open and closed, in order of shard id.
    pub shards: Vec<Shard>,
    /// The service's clock when it began to answer, never later: LATEST is pinned to it. Absent if the service does not
    /// say; then the worker's own clock must do.
    pub service_time: Option<Timestamp>,
    /// When the stream was created, in whole seconds: tells it from an earlier one of the same name. Absent if the source
    /// does not say.
    pub stream_created: Option<Timestamp>,
    /// The account that owns the stream. Absent if the source does not say. Needed where one table serves several streams.
    pub stream_account: Option<String>,
}

impl ListedShards {
    /// A listing.
    pub fn new(shards: Vec<Shard>, service_time: Option<Timestamp>) -> Self {
        ListedShards { shards, service_time, stream_created: None, stream_account: None }
    }

    /// The same listing, of a stream that was created then. Parts of a second are cut off.
    #[must_use]
    pub fn created(mut self, at: Timestamp) -> Self {
        self.stream_created = Some(Timestamp::from_seconds(at.as_seconds()));
        self
    }

    /// The same listing, of a stream that this account owns.
    #[must_use]
    pub fn owned_by(mut self, account: impl Into<String>) -> Self {
        self.stream_account = Some(account.into());
        self
    }
}

/// Reads one shard in order.
///
/// # Contract
/// - [`next`](ShardReader::next) yields each record once, in sequence order, none left out, from the position on. After an
///   error the same call continues where it stood: nothing is lost or repeated by it.
/// - All methods are cancel safe: a future that is dropped before it is ready has consumed nothing.
/// - Throttling, expired iterators and the end of a subscription are no errors: the reader waits or starts anew. A call that
///   was throttled may answer without records and without lag; that is not "at the tip".
/// - A reader that is well answers within a minute or two, also when nothing is new: [`ready`](ShardReader::ready) for five
///   minutes, or [`next`](ShardReader::next) for two, without a result count as hanging. The reader is then dropped and the
///   shard opened anew where everything is completed.
/// - After an answer with an end the runtime may ask again: a listing shows the shard open, or closed for the first time.
#[async_trait]
pub trait ShardReader: Send {
    /// Waits until a fetch is worth making: the read limits allow it, and at the tip the idle time has passed. No byte
    /// permit is held meanwhile. Returns within a minute or two, also when nothing is known to be new.
    async fn ready(&mut self);

    /// The bytes that the next answer is expected to hold: what to ask the budget for.
    fn demand(&self) -> usize;

    /// Fetches what comes next, bounded by the permit, which then belongs to the batch. An answer may be empty: the lag it
    /// carries is news too.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError>;

    /// Never returns. It is polled while nothing may be fetched, because user code is busy or the budget is used up, and it
    /// is dropped when that has changed. A reader to which the service pushes gives up, after a while, what it holds open
    /// there: what is pushed and not read fills a connection that others share. One that asks holds nothing.
    async fn rest(&mut self) -> Infallible {
        std::future::pending().await
    }
}

/// One answer of a reader.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Fetched {
    /// The records, perhaps none.
    pub batch: RecordBatch,
    /// How far behind the tip the answer was, if the source tells.
    pub lag: Option<Duration>,
    /// Present if nothing follows: the shard is closed, and this was its last answer.
    pub end: Option<ShardEnd>,
    /// Present if the record at which reading was to resume is no longer kept. Told once, with the first records. Whether
    /// anything is lost the runtime decides: not if the row of the lease shows that the shard was at its tip since.
    pub data_loss: Option<DataLoss>,
}

impl Fetched {
    /// An answer with records.
    pub fn new(batch: RecordBatch, lag: Option<Duration>, end: Option<ShardEnd>) -> Self {
        Fetched { batch, lag, end, data_loss: None }
    }

    /// The same, with what was found to be missing before it.
    #[must_use]
    pub fn with_data_loss(self, data_loss: Option<DataLoss>) -> Self {
        Fetched { data_loss, ..self }
    }
}

/// The record of a checkpoint is older than what the stream keeps. All records that came between it and `next` are lost.
///
/// If nothing came, nothing is lost. A worker tells the two apart by when the shard was last seen to have nothing beyond its
/// checkpoint, which it stores in the row of the lease (`k_tip`): less than 23 hours ago, and nothing is reported, since
/// no stream keeps its records for less than a day. Where the row does not say, because the source does not tell its lag, or
/// nothing was read for so long, it is reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataLoss {
    /// The last record that was completed.
    pub checkpoint: SequenceNumber,
    /// The first record that is still there.
    pub next: SequenceNumber,
}

/// Why a stream could not be listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// There is no such stream.
    #[error("stream {stream} does not exist in this account and region: {message}")]
    NotFound {
        /// The stream that was asked for.
        stream: String,
        /// The service's words.
        message: String,
    },
    /// The service asks for fewer calls.
    #[error("the stream's service throttles: {0}")]
    Throttled(String),
    /// The service cannot be reached, did not answer in time, or failed inside.
    #[error("the stream's service is not available: {0}")]
    Unavailable(String),
    /// The credentials do not allow the call.
    #[error("the stream's service refuses access: {0}")]
    Denied(String),
    /// The service refuses the request itself.
    #[error("the stream's service refuses the request: {0}")]
    Invalid(String),
    /// The stream takes no more registered consumers.
    #[error("{0}")]
    ConsumerLimit(String),
}

impl SourceError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            SourceError::Throttled(_) | SourceError::Unavailable(_) => true,
            SourceError::NotFound { .. }
            | SourceError::Denied(_)
            | SourceError::Invalid(_)
            | SourceError::ConsumerLimit(_) => false,
        }
    }
}

/// Why a shard could not be read. The runtime tries again for ever with growing delays and reports the shard as stalled
/// meanwhile; it never skips.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The shard, or its stream, is gone.
    #[error("shard {shard} is not there: {message}")]
    NotFound {
        /// The shard that was read.
        shard: String,
        /// The service's words.
        message: String,
    },
    /// The service cannot be reached, did not answer in time, or failed inside.
    #[error("the stream's service is not available: {0}")]
    Unavailable(String),
    /// The credentials do not allow the call, or the key that encrypts the stream cannot be used.
    #[error("the stream's service refuses access: {0}")]
    Denied(String),
    /// The service's answer or refusal makes no sense here.
    #[error("the shard cannot be read: {0}")]
    Invalid(String),
}
