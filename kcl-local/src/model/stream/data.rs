//! Writing and reading records.

use std::borrow::Cow;

use super::{Encryption, Stream};
use crate::model::error::ServiceError;
use crate::model::position::StartingPosition;
use crate::model::record::{NewRecord, Record};
use crate::model::sequence::SequenceNumber;
use crate::model::shard::{ShardDescription, ShardId};
use crate::model::time::Timestamp;
use crate::model::token::IteratorToken;

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The shard.
    pub shard_id: ShardId,
    /// Its number.
    pub sequence_number: SequenceNumber,
    /// Whether it was encrypted.
    pub encrypted: bool,
}

/// Why one record of a batch was not taken while others may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    /// The code, such as `ProvisionedThroughputExceededException`.
    pub code: &'static str,
    /// A sentence for people.
    pub message: Cow<'static, str>,
}

/// What became of one record of a batch.
pub type PutResult = Result<Placed, EntryError>;

/// What a read returns.
#[derive(Debug, Clone)]
pub struct RecordBatch {
    /// The records, in order.
    pub records: Vec<Record>,
    /// Where to go on; `None` at the end of a closed shard.
    pub next_iterator: Option<String>,
    /// How old the newest of these records is, or 0 if there is nothing beyond them.
    pub millis_behind_latest: u64,
    /// At the end of a closed shard, the shards that go on where it ended.
    pub child_shards: Option<Vec<ShardDescription>>,
}

impl Stream {
    /// Refuses a record that the stream does not take because of its size.
    ///
    /// # Errors
    /// `InvalidArgumentException`, with the sizes.
    pub fn check_size(&self, record: &NewRecord) -> Result<(), ServiceError> {
        let (size, limit) = (record.payload.size(), self.max_record_kib as usize * 1024);
        if size > limit {
            return Err(ServiceError::invalid_argument(format!(
                "The record with partition key '{}' has {size} bytes (data and partition key), stream {} takes \
                 {limit}: raise it with UpdateMaxRecordSize, or write smaller records",
                record.payload.partition_key(),
                self.name
            )));
        }
        Ok(())
    }

    /// Numbers and stores a record, in one step.
    ///
    /// # Errors
    /// `ResourceNotFoundException` while the stream is being created, `InvalidArgumentException` for a record that is
    /// too large.
    pub fn put(&mut self, record: NewRecord, now: Timestamp) -> Result<Placed, ServiceError> {
        self.require_created()?;
        self.check_size(&record)?;
        Ok(self.append(record, now))
    }

    /// Numbers and stores the records of one call, in their order.
    ///
    /// # Errors
    /// As [`put`](Self::put), and then no record was stored.
    pub fn put_all(&mut self, records: Vec<NewRecord>, now: Timestamp) -> Result<Vec<PutResult>, ServiceError> {
        self.require_created()?;
        records.iter().try_for_each(|record| self.check_size(record))?;
        Ok(records.into_iter().map(|record| Ok(self.append(record, now))).collect())
    }

    /// An iterator that begins at `position`.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such shard, `InvalidArgumentException` if it has no such position.
    pub fn iterator(&self, shard: ShardId, position: StartingPosition, now: Timestamp) -> Result<String, ServiceError> {
        self.require_created()?;
        let ordinal = position.resolve(self.existing_shard(shard)?, &self.name, now)?;
        Ok(self.iterator_token(shard, ordinal, now))
    }

    /// Reads up to `limit` records where the iterator points.
    ///
    /// # Errors
    /// `ExpiredIteratorException`, `InvalidArgumentException` if the iterator belongs to a stream of the same name that
    /// was deleted, `ResourceNotFoundException` if its shard has expired.
    pub(crate) fn read(
        &self,
        token: &IteratorToken,
        limit: usize,
        now: Timestamp,
    ) -> Result<RecordBatch, ServiceError> {
        if token.stream.created != self.created {
            return Err(ServiceError::invalid_argument(format!(
                "Invalid ShardIterator: it belongs to a stream {} that was deleted.",
                self.name
            )));
        }
        token.check_age(now)?;
        let shard = self.existing_shard(token.shard)?;
        let read = shard.read(token.ordinal, limit, MAX_BYTES_PER_READ);
        let ended = read.at_tip && !shard.is_open();
        let newest = read.records.last().map_or(now, |record| record.arrival);
        let millis_behind_latest = if read.at_tip { 0 } else { now.since(newest).as_millis() as u64 };
        Ok(RecordBatch {
            records: read.records,
            next_iterator: (!ended).then(|| self.iterator_token(shard.id, read.next, now)),
            millis_behind_latest,
            child_shards: ended.then(|| self.shards.children_of(shard.id).map(|child| child.describe()).collect()),
        })
    }

    fn append(&mut self, record: NewRecord, now: Timestamp) -> Placed {
        let encrypted = self.encryption != Encryption::None;
        let (shard_id, sequence_number) = self.shards.append(record, now, encrypted);
        Placed { shard_id, sequence_number, encrypted }
    }

    fn iterator_token(&self, shard: ShardId, ordinal: u64, issued: Timestamp) -> String {
        IteratorToken { stream: self.key(), shard, ordinal, issued }.encode()
    }
}

/// Refuses a batch that breaks the limits of one call.
///
/// # Errors
/// `ValidationException` for no record or more than 500, `InvalidArgumentException` for more than 10 MiB.
pub fn check_batch(records: &[NewRecord]) -> Result<(), ServiceError> {
    if records.is_empty() || records.len() > MAX_RECORDS_PER_PUT {
        return Err(ServiceError::validation(format!(
            "1 validation error detected: Value at 'records' failed to satisfy constraint: Member must have length \
             between 1 and {MAX_RECORDS_PER_PUT}, it has {}",
            records.len()
        )));
    }
    let bytes: usize = records.iter().map(|record| record.payload.size()).sum();
    if bytes > MAX_BYTES_PER_PUT {
        return Err(ServiceError::invalid_argument(format!(
            "Records size exceeds 10 MB limit: {bytes} bytes of data and partition keys, {MAX_BYTES_PER_PUT} are allowed"
        )));
    }
    Ok(())
}

/// What one GetRecords returns at most.
pub(crate) const MAX_RECORDS_PER_READ: usize = 10_000;
const MAX_BYTES_PER_READ: usize = 10 * 1024 * 1024;
const MAX_RECORDS_PER_PUT: usize = 500;
const MAX_BYTES_PER_PUT: usize = 10 * 1024 * 1024;
