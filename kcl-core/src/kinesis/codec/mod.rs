//! How the bodies of answers become records.
//!
//! A [`Codec`] reads the body of a `GetRecords` answer, and the payload of a `SubscribeToShard` event. It is given nothing
//! but the bodies of answers that succeeded: requests, signing, retries, time-outs, the framing of events with its
//! checksums, and all errors of the service stay the SDK's. It plugs into the SDK client's protocol (`hook`), around the one
//! that the client has, so a client with a protocol of its own keeps it: a codec for another encoding than JSON is used together with a
//! client whose protocol asks for that encoding.
//!
//! [`SdkCodec`] is the SDK's own decoding. It is what a worker uses that was given no other, and a codec may pass on to it
//! whatever it does not want to read by itself.
//!
//! # A codec of one's own
//!
//! ```
//! use bytes::Bytes;
//! use kcl_core::kinesis::codec::{AnswerTail, Body, Codec, CodecError, EventTail, SdkCodec};
//! use kcl_core::types::{BatchBuilder, RecordEntry, SequenceNumber, Timestamp};
//!
//! /// `GetRecords` through serde; events as the SDK reads them.
//! #[derive(Debug)]
//! struct Serde;
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "PascalCase")]
//! struct Answer<'a> {
//!     #[serde(borrow)]
//!     records: Vec<Record<'a>>,
//!     next_shard_iterator: Option<String>,
//!     millis_behind_latest: Option<i64>,
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(rename_all = "PascalCase")]
//! struct Record<'a> {
//!     sequence_number: &'a str,
//!     partition_key: &'a str,
//!     data: &'a str,
//!     approximate_arrival_timestamp: Option<f64>,
//! }
//!
//! impl Codec for Serde {
//!     fn get_records(&self, body: Body<'_>, records: &mut BatchBuilder) -> Result<AnswerTail, CodecError> {
//!         // Whatever is out of the ordinary, such as children at the end of a shard, goes the general way.
//!         if body.windows(13).any(|word| word == b"\"ChildShards\"") {
//!             return SdkCodec::default().get_records(body, records);
//!         }
//!         let answer: Answer<'_> = serde_json::from_slice(&body).map_err(CodecError::new)?;
//!         records.reserve(answer.records.len());
//!         for record in answer.records {
//!             let data = base64_simd::STANDARD.decode_to_vec(record.data).map_err(CodecError::new)?;
//!             let sequence = SequenceNumber::new(record.sequence_number)?;
//!             let mut entry = RecordEntry::new(sequence, record.partition_key, Bytes::from(data));
//!             let millis = record.approximate_arrival_timestamp.map(|seconds| (seconds * 1e3).round() as i64);
//!             entry.arrival = millis.map(Timestamp::from_millis);
//!             records.push(entry)?;
//!         }
//!         let mut tail = AnswerTail::default();
//!         tail.next_shard_iterator = answer.next_shard_iterator;
//!         tail.millis_behind_latest = answer.millis_behind_latest;
//!         Ok(tail)
//!     }
//!
//!     fn event(&self, payload: Body<'_>, records: &mut BatchBuilder) -> Result<EventTail, CodecError> {
//!         SdkCodec::default().event(payload, records)
//!     }
//! }
//!
//! let body = br#"{"NextShardIterator": "AAA", "Records":
//!     [{"SequenceNumber": "7", "PartitionKey": "k", "Data": "aGVsbG8=", "ApproximateArrivalTimestamp": 1.5}]}"#;
//! let (mut ours, mut theirs) = (BatchBuilder::new(), BatchBuilder::new());
//! let tail = Serde.get_records(Body::new(body), &mut ours)?;
//! SdkCodec::default().get_records(Body::new(body), &mut theirs)?;
//! assert_eq!(tail.next_shard_iterator.as_deref(), Some("AAA"));
//! assert_eq!(ours.entries()[0].data, "hello");
//! assert_eq!(ours.entries()[0].arrival, theirs.entries()[0].arrival);
//! # Ok::<(), CodecError>(())
//! ```

mod hook;
mod sdk;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Deref;

use aws_smithy_schema::codec::DynCodec;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::BodyExt;

pub(super) use self::hook::{Decoded, Failed, Outcome, Tail, decoded_by, decoding};
pub use self::sdk::SdkCodec;
use crate::types::{BatchBuilder, ChildShard, InvalidId, InvalidSequenceNumber, OutOfOrder};

/// Decodes the bodies of answers that succeeded.
///
/// # Contract
/// - Every record of the body is pushed once, in the order of the body. An error refuses the body as a whole; what was
///   pushed before it is forgotten, and the same records are asked for again. Nothing is ever skipped.
/// - A body that says nothing (`{}`) is no error here: the reader judges it.
/// - Called on the task that reads the shard, so it must not block; and for several shards at once.
/// - Members that are not known are passed over. A member that is absent is `None` and not a default: the absence of an
///   iterator is the end of a shard.
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// Decodes the body of a `GetRecords` answer (`GetRecordsOutput` of the service's API).
    ///
    /// # Errors
    /// [`CodecError`]: the body is not what the service sends. The reader tells it with the position and the index of the
    /// record that was not pushed any more.
    fn get_records(&self, body: Body<'_>, records: &mut BatchBuilder) -> Result<AnswerTail, CodecError>;

    /// Decodes the payload of one event of a subscription (`SubscribeToShardEvent`). Its frame was checked and removed.
    ///
    /// # Errors
    /// As of [`get_records`](Codec::get_records).
    fn event(&self, payload: Body<'_>, records: &mut BatchBuilder) -> Result<EventTail, CodecError>;
}

/// What a `GetRecords` answer says besides its records. Absent is what the body did not have, or had as `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnswerTail {
    /// `NextShardIterator`: with what to ask next. Absent at the end of the shard.
    pub next_shard_iterator: Option<String>,
    /// `MillisBehindLatest`: how far the answer is behind the tip, in milliseconds.
    pub millis_behind_latest: Option<i64>,
    /// `ChildShards`, at the end of the shard. Those that cannot be read may be left out: the runtime compares them with a
    /// listing.
    pub child_shards: Option<Vec<ChildShard>>,
}

/// What an event says besides its records. Absent is what the payload did not have, or had as `null`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventTail {
    /// `ContinuationSequenceNumber`: from where a later subscription goes on. Absent, or empty, at the end of the shard.
    pub continuation_sequence_number: Option<String>,
    /// `MillisBehindLatest`, in milliseconds.
    pub millis_behind_latest: Option<i64>,
    /// `ChildShards`, as in [`AnswerTail`].
    pub child_shards: Option<Vec<ChildShard>>,
}

/// A body that cannot be decoded. The text is for people: what was expected and what was found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(String);

impl CodecError {
    /// An error in these words.
    pub fn new(words: impl fmt::Display) -> Self {
        CodecError(words.to_string())
    }
}

impl From<InvalidSequenceNumber> for CodecError {
    fn from(error: InvalidSequenceNumber) -> Self {
        CodecError::new(error)
    }
}

impl From<InvalidId> for CodecError {
    fn from(error: InvalidId) -> Self {
        CodecError::new(error)
    }
}

impl From<OutOfOrder> for CodecError {
    fn from(error: OutOfOrder) -> Self {
        CodecError::new(error)
    }
}

/// The bytes to decode. Reads as a slice; cheap to copy.
#[derive(Clone, Copy)]
pub struct Body<'a> {
    bytes: &'a [u8],
    /// The body that holds them, if they can be shared.
    shared: Option<&'a SdkBody>,
    /// How the client's protocol reads them.
    sdk: Option<&'a dyn DynCodec>,
}

impl<'a> Body<'a> {
    /// A body of these bytes, to try a codec without a client.
    pub fn new(bytes: &'a [u8]) -> Self {
        Body { bytes, shared: None, sdk: None }
    }

    /// The bytes.
    pub fn as_slice(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes as a buffer that records may be slices of. That of a `GetRecords` answer is shared; of others it is a copy.
    ///
    /// While one record of it lives, the whole body does, and the byte budget counts the records only: of an encoding with
    /// much around the data, such as base64, rather decode into a buffer of its own.
    pub fn to_bytes(&self) -> Bytes {
        self.share().unwrap_or_else(|| Bytes::copy_from_slice(self.bytes))
    }

    /// A body that is complete is ready at once, and clones of it share its buffer.
    fn share(&self) -> Option<Bytes> {
        let body = self.shared?.try_clone()?;
        let collected = body.collect().now_or_never()?.ok()?;
        Some(collected.to_bytes())
    }
}

impl Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes
    }
}

impl fmt::Debug for Body<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.bytes.len())
    }
}
