//! Collecting the records of one answer while it is decoded.

use std::time::Duration;

use super::{RecordBatch, RecordEntry};
use crate::types::{BytePermit, SequenceNumber};

/// The records of one answer, in the order of their shard: what a decoder writes into.
///
/// Nothing is left out: a record that does not follow the one before it is an error, and then the whole answer is.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    entries: Vec<RecordEntry>,
    service_bytes: usize,
    held_bytes: usize,
    aggregates: bool,
}

/// A record at or before the one that it came after. It would be a repetition at best; and if the numbers start anew, the
/// stream is not the one that was read before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {sequence} arrived after {previous}: the order of sequence numbers is broken")]
#[non_exhaustive]
pub struct OutOfOrder {
    /// The number of the record.
    pub sequence: SequenceNumber,
    /// The one before it.
    pub previous: SequenceNumber,
}

impl OutOfOrder {
    pub(crate) fn new(sequence: SequenceNumber, previous: SequenceNumber) -> Self {
        OutOfOrder { sequence, previous }
    }
}

impl BatchBuilder {
    /// No records yet.
    pub fn new() -> Self {
        BatchBuilder::default()
    }

    /// Makes room for so many more records, if their number is known.
    pub fn reserve(&mut self, records: usize) {
        self.entries.reserve_exact(records);
    }

    /// Adds the next record.
    ///
    /// # Errors
    /// [`OutOfOrder`] if its sequence number is not above that of the record before it.
    pub fn push(&mut self, entry: RecordEntry) -> Result<(), OutOfOrder> {
        if let Some(last) = self.entries.last()
            && entry.sequence <= last.sequence
        {
            return Err(OutOfOrder::new(entry.sequence, last.sequence.clone()));
        }
        self.service_bytes += entry.data.len() + entry.partition_key.len();
        self.held_bytes += entry.size();
        self.aggregates |= entry.may_be_aggregate();
        self.entries.push(entry);
        Ok(())
    }

    /// Forgets all records, as before decoding in another way.
    pub fn clear(&mut self) {
        *self = BatchBuilder::new();
    }

    /// The records so far.
    pub fn entries(&self) -> &[RecordEntry] {
        &self.entries
    }

    /// Data and partition keys: what the read limit of the service counts.
    pub fn service_bytes(&self) -> usize {
        self.service_bytes
    }

    /// The bytes that the records occupy in memory: data, keys, numbers and entries.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// The batch of these records; the permit is made to fit and then belongs to its buffer.
    pub fn finish(self, lag: Option<Duration>, permit: BytePermit) -> RecordBatch {
        RecordBatch::known(self.entries, self.held_bytes, self.aggregates, lag, permit)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(number: &str) -> RecordEntry {
        RecordEntry::new(number.parse().unwrap(), "key", Bytes::from_static(b"0123456789"))
    }

    #[test]
    fn records_are_counted_in_the_services_bytes_and_in_those_held() {
        let mut records = BatchBuilder::new();
        for number in ["9", "10", "11"] {
            records.push(entry(number)).unwrap();
        }
        assert_eq!(records.service_bytes(), 3 * 13);
        assert_eq!(records.held_bytes(), 3 * (13 + size_of::<RecordEntry>()) + 5);
        let batch = records.finish(None, BytePermit::unlimited());
        assert_eq!((batch.len(), batch.data_bytes()), (3, 30));
    }

    #[test]
    fn a_record_that_does_not_follow_is_refused() {
        let mut records = BatchBuilder::new();
        records.push(entry("10")).unwrap();
        for late in ["10", "9"] {
            let error = records.push(entry(late)).unwrap_err();
            assert!(error.to_string().contains(&format!("record {late} arrived after 10")), "{error}");
        }
        records.clear();
        records.push(entry("9")).unwrap();
        assert_eq!(records.entries().len(), 1);
    }
}
