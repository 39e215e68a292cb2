//! Records of one shard in sequence order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::buffer::{Buffer, Delivered};
use super::{Record, RecordEntry};
use crate::types::{BytePermit, RecordPosition};

/// Records of one shard in sequence order, with the lag at the time they were fetched. Cheap to clone.
#[derive(Clone)]
pub struct RecordBatch {
    pub(super) buffer: Buffer,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) lag: Option<Duration>,
    /// Records at or below this position may have been delivered before.
    pub(super) redelivered_through: Option<Arc<RecordPosition>>,
}

impl RecordBatch {
    /// Builds a batch over the entries of one response. The permit is made to fit and then belongs to the buffer.
    pub fn new(entries: Vec<RecordEntry>, lag: Option<Duration>, permit: BytePermit) -> Self {
        let size = entries.iter().map(RecordEntry::size).sum();
        let aggregates = entries.iter().any(RecordEntry::may_be_aggregate);
        RecordBatch::known(entries, size, aggregates, lag, permit)
    }

    /// As [`new`](RecordBatch::new), of entries that were looked at before.
    pub(super) fn known(
        mut entries: Vec<RecordEntry>,
        size: usize,
        aggregates: bool,
        lag: Option<Duration>,
        mut permit: BytePermit,
    ) -> Self {
        permit.resize(size);
        // What was made room for in vain goes back, unless moving all entries costs more than it brings.
        if entries.capacity() - entries.len() > entries.len() / 8 {
            entries.shrink_to_fit();
        }
        let end = entries.len();
        let delivered = Arc::new(Delivered { entries, aggregates, permit: Some(permit) });
        RecordBatch { buffer: Buffer { delivered, opened: None }, start: 0, end, lag, redelivered_through: None }
    }

    /// How many records there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The records in order.
    #[inline]
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Record> + ExactSizeIterator + '_ {
        (self.start..self.end).map(|index| self.record(index))
    }

    #[inline]
    fn record(&self, index: usize) -> Record {
        Record { buffer: self.buffer.clone(), index, redelivered_through: self.redelivered_through.clone() }
    }

    /// The record at `index`, counted from 0.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Record> {
        (index < self.len()).then(|| self.record(self.start + index))
    }

    /// The record at `index`, which is less than [`len`](RecordBatch::len).
    #[inline]
    pub(crate) fn at(&self, index: usize) -> Record {
        debug_assert!(index < self.len(), "{index} of {}", self.len());
        self.record(self.start + index)
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
        (self.start..self.end).map(|index| self.buffer.data(index).len()).sum()
    }

    /// The position that is reached when all records are completed: of the last record, or of one behind it that belongs to
    /// another shard and was dropped. `None` if the batch covers nothing.
    pub(crate) fn through(&self) -> Option<RecordPosition> {
        match &self.buffer.opened {
            Some(opened) if self.end == opened.users.len() => Some(opened.through.clone()),
            _ => (!self.is_empty()).then(|| self.buffer.position(self.end - 1)),
        }
    }

    /// The batch without the records at or below `position`.
    pub(crate) fn after(&self, position: &RecordPosition) -> RecordBatch {
        RecordBatch { start: self.buffer.first_after(self.start..self.end, position), ..self.clone() }
    }

    /// The first `count` records, and those behind them.
    pub(crate) fn split(&self, count: usize) -> (RecordBatch, RecordBatch) {
        let middle = self.end.min(self.start + count);
        (RecordBatch { end: middle, ..self.clone() }, RecordBatch { start: middle, ..self.clone() })
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

    #[inline]
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
        f.debug_struct("RecordBatch")
            .field("records", &self.len())
            .field("first", &self.first().map(|record| record.position()))
            .field("last", &self.last().map(|record| record.position()))
            .field("lag", &self.lag)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bytes::Bytes;

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
