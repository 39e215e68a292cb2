//! The parts of a record as a source delivers it.

use bytes::Bytes;

use crate::types::{SequenceNumber, Timestamp, is_aggregate};

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

/// The parts of a record, for sources that build batches. Users read them through [`Record`](super::Record).
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
    /// It came inside an aggregate.
    pub aggregated: bool,
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
            aggregated: false,
            arrival: None,
            encryption: EncryptionType::None,
        }
    }

    /// Whether it begins like an aggregate. Offsets inside of one are kept in 32 bits; no service delivers larger ones.
    pub(super) fn may_be_aggregate(&self) -> bool {
        is_aggregate(&self.data) && u32::try_from(self.data.len()).is_ok()
    }

    /// The bytes this record holds: its data, its key and its entry.
    pub(crate) fn size(&self) -> usize {
        self.data.len() + self.partition_key.len() + self.sequence.as_str().len() + size_of::<RecordEntry>()
    }
}
