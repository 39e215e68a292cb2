//! Records and batches: one shared buffer and a small entry per record; a [`Record`] is an owned view of it.

mod batch;
mod buffer;
mod builder;
mod entry;
mod open;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

pub use self::batch::{IntoRecords, RecordBatch};
use self::buffer::{Buffer, Delivered};
pub use self::builder::{BatchBuilder, OutOfOrder};
pub use self::entry::{EncryptionType, RecordEntry};
pub use self::open::{CorruptAggregate, OpenedBatch};
use super::{RecordPosition, SequenceNumber, Timestamp};

/// One record: an owned view into its batch's buffer (`'static`, `Send + Sync`, cheap to clone).
///
/// While any record of a batch lives, the whole buffer does; keep records for long with [`detach`](Record::detach).
#[derive(Clone)]
pub struct Record {
    buffer: Buffer,
    index: usize,
    redelivered_through: Option<Arc<RecordPosition>>,
}

impl Record {
    /// The user's bytes.
    #[inline]
    pub fn data(&self) -> &Bytes {
        self.buffer.data(self.index)
    }

    /// The partition key that the producer gave.
    pub fn partition_key(&self) -> &str {
        self.buffer.partition_key(self.index)
    }

    /// The explicit hash key, known for aggregated records only.
    pub fn explicit_hash_key(&self) -> Option<&str> {
        self.buffer.explicit_hash_key(self.index)
    }

    /// The number that the service gave the record; user records of one aggregate share it.
    pub fn sequence_number(&self) -> &SequenceNumber {
        &self.buffer.carrier(self.index).sequence
    }

    /// The index inside an aggregated record, 0 for a plain one.
    pub fn sub_sequence_number(&self) -> u64 {
        self.buffer.sub(self.index)
    }

    /// Whether the record came inside an aggregate of the Kinesis Producer Library.
    pub fn is_aggregated(&self) -> bool {
        self.buffer.is_aggregated(self.index)
    }

    /// Sequence and sub-sequence number together.
    pub fn position(&self) -> RecordPosition {
        self.buffer.position(self.index)
    }

    /// When the service took the record, if the source tells.
    pub fn arrival(&self) -> Option<Timestamp> {
        self.buffer.carrier(self.index).arrival
    }

    /// How the record is encrypted at rest.
    pub fn encryption_type(&self) -> EncryptionType {
        self.buffer.carrier(self.index).encryption
    }

    /// Whether it may have been delivered before: after a failed attempt. After a crash of an earlier owner nobody
    /// knows how far it came, so a `false` is no promise.
    pub fn maybe_redelivered(&self) -> bool {
        let order = self.buffer.order(self.index);
        self.redelivered_through.as_ref().is_some_and(|through| order <= (&through.sequence, through.sub))
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
        let carrier = self.buffer.carrier(self.index);
        let data = Bytes::copy_from_slice(self.data());
        let mut entry = RecordEntry::new(carrier.sequence.clone(), self.partition_key(), data);
        entry.explicit_hash_key = self.explicit_hash_key().map(Box::from);
        entry.sub = self.sub_sequence_number();
        entry.aggregated = self.is_aggregated();
        entry.arrival = carrier.arrival;
        entry.encryption = carrier.encryption;
        let delivered = Arc::new(Delivered { entries: vec![entry], aggregates: false, permit: None });
        let buffer = Buffer { delivered, opened: None };
        Record { buffer, index: 0, redelivered_through: self.redelivered_through.clone() }
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("sequence", self.sequence_number())
            .field("sub", &self.sub_sequence_number())
            .field("partition_key", &self.partition_key())
            .field("bytes", &self.data().len())
            .finish_non_exhaustive()
    }
}

/// The data of a record is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record's data cannot be decoded: {0}")]
pub struct DecodeError(String);
