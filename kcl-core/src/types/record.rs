//! Records and batches: one shared buffer and a small entry per record; a [`Record`] is an owned view of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{BytePermit, RecordPosition, SequenceNumber, Timestamp};

/// How a record is encrypted at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum EncryptionType {
    /// Not encrypted by the service.
    #[default]
    None,
    /// Encrypted with a KMS key; the data arrives in the clear.
    Kms,
}

/// The parts of a record, for sources that build batches. Users read them through [`Record`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RecordEntry {
    /// The user's bytes.
    pub data: Bytes,
    /// The partition key that the producer gave.
    pub partition_key: Box<str>,
    /// The explicit hash key of an aggregated record.
    pub explicit_hash_key: Option<Box<str>>,
    /// The number that the service gave.
    pub sequence: SequenceNumber,
    /// The index inside an aggregate, 0 otherwise.
    pub sub: u64,
    /// When the service took the record.
    pub arrival: Option<Timestamp>,
    /// How it is encrypted at rest.
    pub encryption: EncryptionType,
}

impl RecordEntry {
    /// An entry with the parts that every record has.
    pub fn new(sequence: SequenceNumber, partition_key: impl Into<Box<str>>, data: Bytes) -> Self {
        RecordEntry {
            data,
            partition_key: partition_key.into(),
            explicit_hash_key: None,
            sequence,
            sub: 0,
            arrival: None,
            encryption: EncryptionType::None,
        }
    }

    /// The bytes this record holds: its data, its key and its entry.
    pub(crate) fn size(&self) -> usize {
        self.data.len() + self.partition_key.len() + self.sequence.as_str().len() + size_of::<RecordEntry>()
    }
}

struct Buffer {
    entries: Box<[RecordEntry]>,
    /// Comes back when the last record of the buffer is gone; only its drop matters.
    _permit: Option<BytePermit>,
}

/// One record: an owned view into its batch's buffer (`'static`, `Send + Sync`, cheap to clone).
///
/// While any record of a batch lives, the whole buffer does; keep records for long with [`detach`](Record::detach).
#[derive(Clone)]
pub struct Record {
    buffer: Arc<Buffer>,
    index: usize,
    redelivered_through: Option<Arc<RecordPosition>>,
}

impl Record {
    fn entry(&self) -> &RecordEntry {
        &self.buffer.entries[self.index]
    }

    /// The user's bytes.
    pub fn data(&self) -> &Bytes {
        &self.entry().data
    }

    /// The partition key that the producer gave.
    pub fn partition_key(&self) -> &str {
        &self.entry().partition_key
    }

    /// The explicit hash key, known for aggregated records only.
    pub fn explicit_hash_key(&self) -> Option<&str> {
        self.entry().explicit_hash_key.as_deref()
    }

    /// The number that the service gave the record; user records of one aggregate share it.
    pub fn sequence_number(&self) -> &SequenceNumber {
        &self.entry().sequence
    }

    /// The index inside an aggregated record, 0 for a plain one.
    pub fn sub_sequence_number(&self) -> u64 {
        self.entry().sub
    }

    /// Sequence and sub-sequence number together.
    pub fn position(&self) -> RecordPosition {
        RecordPosition { sequence: self.entry().sequence.clone(), sub: self.entry().sub }
    }

    /// When the service took the record, if the source tells.
    pub fn arrival(&self) -> Option<Timestamp> {
        self.entry().arrival
    }

    /// How the record is encrypted at rest.
    pub fn encryption_type(&self) -> EncryptionType {
        self.entry().encryption
    }

    /// Whether it may have been delivered before: after a failed attempt. After a crash of an earlier owner nobody
    /// knows how far it came, so a `false` is no promise.
    pub fn maybe_redelivered(&self) -> bool {
        let entry = self.entry();
        self.redelivered_through
            .as_ref()
            .is_some_and(|through| (&entry.sequence, entry.sub) <= (&through.sequence, through.sub))
    }

    /// Decodes the data as JSON.
    ///
    /// # Errors
    /// The decoder's error; as a failure of the handler it is permanent, since no repetition mends the data.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, DecodeError> {
        serde_json::from_slice(self.data()).map_err(|error| DecodeError(error.to_string()))
    }

    /// A copy that holds nothing but itself: the batch's buffer and its byte permit can go.
    pub fn detach(&self) -> Record {
        let mut entry = self.entry().clone();
        entry.data = Bytes::copy_from_slice(&entry.data);
        let buffer = Buffer { entries: Box::new([entry]), _permit: None };
        Record { buffer: Arc::new(buffer), index: 0, redelivered_through: self.redelivered_through.clone() }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("sequence", &self.entry().sequence)
            .field("sub", &self.entry().sub)
            .field("partition_key", &self.entry().partition_key)
            .field("bytes", &self.entry().data.len())
            .finish_non_exhaustive()
    }
}

/// The data of a record is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record's data cannot be decoded: {0}")]
pub struct DecodeError(String);

/// Records of one shard in sequence order, with the lag at the time they were fetched. Cheap to clone.
#[derive(Clone)]
pub struct RecordBatch {
    buffer: Arc<Buffer>,
    start: usize,
    end: usize,
    lag: Option<Duration>,
    /// Records at or below this position may have been delivered before.
    redelivered_through: Option<Arc<RecordPosition>>,
}

impl RecordBatch {
    /// Builds a batch over the entries of one response. The permit is made to fit and then belongs to the buffer.
    pub fn new(entries: Vec<RecordEntry>, lag: Option<Duration>, mut permit: BytePermit) -> Self {
        permit.resize(entries.iter().map(RecordEntry::size).sum());
        let end = entries.len();
        let buffer = Buffer { entries: entries.into_boxed_slice(), _permit: Some(permit) };
        RecordBatch { buffer: Arc::new(buffer), start: 0, end, lag, redelivered_through: None }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The records in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Record> + ExactSizeIterator + '_ {
        (self.start..self.end).map(|index| self.record(index))
    }

    fn record(&self, index: usize) -> Record {
        Record { buffer: self.buffer.clone(), index, redelivered_through: self.redelivered_through.clone() }
    }

    /// The record at `index`, counted from 0.
    pub fn get(&self, index: usize) -> Option<Record> {
        (index < self.len()).then(|| self.record(self.start + index))
    }

    /// The first record.
    pub fn first(&self) -> Option<Record> {
        self.get(0)
    }

    /// The last record.
    pub fn last(&self) -> Option<Record> {
        self.len().checked_sub(1).and_then(|last| self.get(last))
    }

    /// How far behind the tip of the shard the response was when it was made, if the source tells.
    pub fn lag(&self) -> Option<Duration> {
        self.lag
    }

    /// The user's bytes in all records together.
    pub fn data_bytes(&self) -> usize {
        self.buffer.entries[self.start..self.end].iter().map(|entry| entry.data.len()).sum()
    }

    /// The batch without the records at or below `position`.
    pub(crate) fn after(&self, position: &RecordPosition) -> RecordBatch {
        let entries = &self.buffer.entries[self.start..self.end];
        let skip = entries.partition_point(|e| (&e.sequence, e.sub) <= (&position.sequence, position.sub));
        RecordBatch { start: self.start + skip, ..self.clone() }
    }

    /// The batch with its records marked as delivered before, up to and including `through`.
    pub(crate) fn redelivered(self, through: RecordPosition) -> RecordBatch {
        RecordBatch { redelivered_through: Some(Arc::new(through)), ..self }
    }
}

impl IntoIterator for RecordBatch {
    type Item = Record;
    type IntoIter = IntoRecords;

    fn into_iter(self) -> IntoRecords {
        IntoRecords { batch: self }
    }
}

/// The records of a batch, one after the other.
#[derive(Debug)]
pub struct IntoRecords {
    batch: RecordBatch,
}

impl Iterator for IntoRecords {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let record = self.batch.first()?;
        self.batch.start += 1;
        Some(record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.batch.len(), Some(self.batch.len()))
    }
}

impl ExactSizeIterator for IntoRecords {}

impl fmt::Debug for RecordBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = &self.buffer.entries[self.start..self.end];
        f.debug_struct("RecordBatch")
            .field("records", &self.len())
            .field("first", &entries.first().map(|e| &e.sequence))
            .field("last", &entries.last().map(|e| &e.sequence))
            .field("lag", &self.lag)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::types::ByteAccount;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl ByteAccount for Counted {
        fn give_back(&self, bytes: usize) {
            self.0.fetch_sub(bytes, Ordering::SeqCst);
        }
        fn overdraw(&self, bytes: usize) {
            self.0.fetch_add(bytes, Ordering::SeqCst);
        }
    }

    fn batch(count: u64, permit: BytePermit) -> RecordBatch {
        let entries = (1..=count)
            .map(|n| RecordEntry::new(n.to_string().parse().unwrap(), "key", Bytes::from(format!("{{\"n\":{n}}}"))))
            .collect();
        RecordBatch::new(entries, None, permit)
    }

    #[test]
    fn the_permit_fits_the_data_and_returns_with_the_last_record() {
        let account = Arc::new(Counted(AtomicUsize::new(10)));
        let batch = batch(3, BytePermit::new(10, account.clone()));
        let held = account.0.load(Ordering::SeqCst);
        assert!(held > 30, "the account is overdrawn to what arrived, {held}");
        let kept = batch.last().unwrap();
        let detached = kept.detach();
        drop(batch);
        assert_eq!(account.0.load(Ordering::SeqCst), held);
        drop(kept);
        assert_eq!(account.0.load(Ordering::SeqCst), 0);
        assert_eq!(&detached.data()[..], b"{\"n\":3}");
    }

    #[test]
    fn what_was_completed_is_cut_off_and_what_was_tried_is_marked() {
        let batch = batch(5, BytePermit::unlimited());
        let third = batch.get(2).unwrap().position();
        let second = batch.get(1).unwrap().position();
        let rest = batch.after(&second).redelivered(third);
        let marks: Vec<_> = rest.iter().map(|r| (r.sequence_number().to_string(), r.maybe_redelivered())).collect();
        assert_eq!(marks, [("3".into(), true), ("4".into(), false), ("5".into(), false)]);
        assert_eq!(rest.into_iter().count(), 3);
    }

    #[test]
    fn data_that_is_not_json_is_an_error_and_not_a_panic() {
        let batch = batch(1, BytePermit::unlimited());
        let record = batch.first().unwrap();
        assert_eq!(record.json::<std::collections::BTreeMap<String, u32>>().unwrap()["n"], 1);
        assert!(record.json::<Vec<u32>>().is_err());
    }
}
