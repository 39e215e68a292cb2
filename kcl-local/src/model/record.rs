//! Records, before and after they have a place.

use bytes::Bytes;

use super::hash::HashKey;
use super::sequence::SequenceNumber;
use super::time::Timestamp;

/// Partition key and data of a record, in one buffer.
///
/// Cloning shares the buffer. Records that were written together share one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// The key, followed by the data.
    bytes: Bytes,
    key_length: u32,
}

impl Payload {
    /// A payload of its own.
    #[must_use]
    pub fn new(partition_key: &str, data: &[u8]) -> Self {
        let mut arena = PayloadArena::with_capacity(1, partition_key.len() + data.len());
        arena.push(partition_key, |buffer| buffer.extend_from_slice(data));
        arena.finish().remove(0)
    }

    /// Puts key and data back that stand in one buffer; `None` if the key is no text, or longer than all.
    pub(crate) fn from_parts(bytes: Bytes, key_length: u32) -> Option<Self> {
        std::str::from_utf8(bytes.get(..key_length as usize)?).ok()?;
        Some(Self { bytes, key_length })
    }

    /// The partition key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.key_length as usize]).expect("partition keys are copied from a str")
    }

    /// The data, sharing the buffer.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.bytes.slice(self.key_length as usize..)
    }

    /// The data, borrowed.
    #[must_use]
    pub fn data_bytes(&self) -> &[u8] {
        &self.bytes[self.key_length as usize..]
    }

    /// What the service counts against its limits: data and partition key.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Builds the payloads of one request in one allocation.
#[derive(Debug)]
pub(crate) struct PayloadArena {
    buffer: Vec<u8>,
    spans: Vec<Span>,
}

#[derive(Debug)]
struct Span {
    start: usize,
    key_length: u32,
    end: usize,
}

impl PayloadArena {
    pub(crate) fn with_capacity(records: usize, bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), spans: Vec::with_capacity(records) }
    }

    /// Adds one payload; `write_data` appends the data to the buffer it is given.
    pub(crate) fn push<T>(&mut self, partition_key: &str, write_data: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let start = self.buffer.len();
        self.buffer.extend_from_slice(partition_key.as_bytes());
        let written = write_data(&mut self.buffer);
        let key_length = u32::try_from(partition_key.len()).expect("a partition key is below 4 GiB");
        self.spans.push(Span { start, key_length, end: self.buffer.len() });
        written
    }

    pub(crate) fn finish(self) -> Vec<Payload> {
        let bytes = Bytes::from(self.buffer);
        let payload = |span: &Span| Payload { bytes: bytes.slice(span.start..span.end), key_length: span.key_length };
        self.spans.iter().map(payload).collect()
    }
}

/// A record on its way in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Partition key and data.
    pub payload: Payload,
    /// Where in the hash space it goes.
    pub hash_key: HashKey,
}

impl NewRecord {
    /// A record that goes where its partition key hashes to.
    #[must_use]
    pub fn new(partition_key: &str, data: impl AsRef<[u8]>) -> Self {
        Self::from_payload(Payload::new(partition_key, data.as_ref()))
    }

    /// The same from a payload that exists already.
    #[must_use]
    pub fn from_payload(payload: Payload) -> Self {
        let hash_key = HashKey::of_partition_key(payload.partition_key());
        Self { payload, hash_key }
    }

    /// Overrides where the record goes, whatever its partition key hashes to.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, hash_key: HashKey) -> Self {
        self.hash_key = hash_key;
        self
    }
}

/// A record as a reader gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number, increasing within a shard and from parent to child.
    pub sequence_number: SequenceNumber,
    /// When it arrived; never decreases within a shard.
    pub arrival: Timestamp,
    /// Partition key and data.
    pub payload: Payload,
    /// Whether the stream was encrypted when it arrived.
    pub encrypted: bool,
}

impl Record {
    /// The partition key.
    #[must_use]
    pub fn partition_key(&self) -> &str {
        self.payload.partition_key()
    }

    /// The data, sharing the buffer it was written from.
    #[must_use]
    pub fn data(&self) -> Bytes {
        self.payload.data()
    }
}
