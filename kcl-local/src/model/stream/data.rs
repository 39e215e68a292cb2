//! Writing and reading records.

use std::borrow::Cow;

use super::{Encryption, RecordDistribution, Stream};
use crate::model::error::{ErrorCode, ServiceError};
use crate::model::hash::HashKey;
use crate::model::limits::ShardRates;
use crate::model::position::StartingPosition;
use crate::model::record::{NewRecord, Record};
use crate::model::sequence::SequenceNumber;
use crate::model::shard::{Shard, ShardDescription, ShardId};
use crate::model::time::Timestamp;
use crate::model::token::IteratorToken;

/// Where a record went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// The shard.
    pub shard_id: ShardId,
    /// Its number.
    pub sequence_number: SequenceNumber,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Whether it was encrypted.
    pub encrypted: bool,
}

/// Why one record of a batch was not taken while others may have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    /// The code, such as `ProvisionedThroughputExceededException`.
    pub code: Cow<'static, str>,
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
    /// too large, `ProvisionedThroughputExceededException` where limits are on.
    pub fn put(&mut self, record: NewRecord, now: Timestamp) -> Result<Placed, ServiceError> {
        self.check_put(std::slice::from_ref(&record))?;
        let record = self.spread(record);
        let shard = self.admit(&record, now).map_err(|shard| self.rate_exceeded(shard))?;
        Ok(self.append(shard, record, now))
    }

    /// Numbers and stores the records of one call, in their order.
    ///
    /// # Errors
    /// As [`put`](Self::put), and then no record was stored. Only rates are a matter of each record alone.
    pub fn put_all(&mut self, records: Vec<NewRecord>, now: Timestamp) -> Result<Vec<PutResult>, ServiceError> {
        self.put_all_unless(records, now, |_| None)
    }

    /// The same, but a record is refused if `refuse` has an error for its shard.
    pub(crate) fn put_all_unless(
        &mut self,
        records: Vec<NewRecord>,
        now: Timestamp,
        refuse: impl Fn(ShardId) -> Option<EntryError>,
    ) -> Result<Vec<PutResult>, ServiceError> {
        self.check_put(&records)?;
        let put = |record: NewRecord| {
            let record = self.spread(record);
            match refuse(self.shards.route(record.hash_key)) {
                Some(error) => Err(error),
                None => self.put_entry(record, now),
            }
        };
        Ok(records.into_iter().map(put).collect())
    }

    /// Refuses what neither [`put`](Self::put) nor [`put_all`](Self::put_all) would take, whatever the rates.
    ///
    /// # Errors
    /// As theirs.
    pub(crate) fn check_put(&self, records: &[NewRecord]) -> Result<(), ServiceError> {
        self.require_created()?;
        records.iter().try_for_each(|record| self.check_size(record))
    }

    /// An iterator that begins at `position`.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such shard, `InvalidArgumentException` if it has no such position,
    /// `ProvisionedThroughputExceededException` where limits are on.
    pub fn iterator(
        &mut self,
        shard: ShardId,
        position: StartingPosition,
        now: Timestamp,
    ) -> Result<String, ServiceError> {
        self.require_created()?;
        let ordinal = position.resolve(self.existing_shard(shard)?, &self.name, now)?;
        self.require_rate(shard, |rates| rates.admit_iterator(now))?;
        Ok(self.iterator_token(shard, ordinal, now))
    }

    /// Reads up to `limit` records where the iterator points.
    ///
    /// # Errors
    /// `ExpiredIteratorException`, `InvalidArgumentException` if the iterator belongs to a stream of the same name that
    /// was deleted, `ResourceNotFoundException` if its shard has expired, `ProvisionedThroughputExceededException` where
    /// limits are on.
    pub(crate) fn read(
        &mut self,
        token: &IteratorToken,
        limit: usize,
        now: Timestamp,
    ) -> Result<RecordBatch, ServiceError> {
        self.check_read(token, now)?;
        self.require_rate(token.shard, |rates| rates.admit_read(now))?;
        let shard = self.existing_shard(token.shard)?;
        let read = shard.read(token.ordinal, limit, MAX_BYTES_PER_READ);
        let ended = read.at_tip && !shard.is_open();
        let newest = read.records.last().map_or(now, |record| record.arrival);
        let millis_behind_latest = if read.at_tip { 0 } else { now.since(newest).as_millis() as u64 };
        let shard_id = shard.id;
        let batch = RecordBatch {
            records: read.records,
            next_iterator: (!ended).then(|| self.iterator_token(shard.id, read.next, now)),
            millis_behind_latest,
            child_shards: ended.then(|| self.shards.children_of(shard.id).map(|child| child.describe()).collect()),
        };
        if self.limits.are_on()
            && let Some(shard) = self.shards.find_mut(shard_id)
        {
            shard.rates.sent(batch.records.iter().map(|record| record.payload.size()).sum(), now);
        }
        Ok(batch)
    }

    /// Refuses an iterator that cannot be read, whatever the rates.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(crate) fn check_read(&self, token: &IteratorToken, now: Timestamp) -> Result<(), ServiceError> {
        if token.stream.created != self.created {
            return Err(ServiceError::invalid_argument(format!(
                "Invalid ShardIterator: it belongs to a stream {} that was deleted.",
                self.name
            )));
        }
        token.check_age(now)?;
        self.existing_shard(token.shard).map(drop)
    }

    /// Every record, shard by shard.
    #[must_use]
    pub fn all_records(&self) -> Vec<(ShardId, Record)> {
        let of_shard = |shard: &Shard| (shard.id, shard.read(0, usize::MAX, usize::MAX).records);
        let tagged = |(id, records): (ShardId, Vec<Record>)| records.into_iter().map(move |record| (id, record));
        self.shards.all().map(of_shard).flat_map(tagged).collect()
    }

    fn put_entry(&mut self, record: NewRecord, now: Timestamp) -> PutResult {
        match self.admit(&record, now) {
            Ok(shard) => Ok(self.append(shard, record, now)),
            Err(shard) => {
                let error = self.rate_exceeded(shard);
                Err(EntryError { code: error.code().as_str().into(), message: Cow::Owned(error.message().to_owned()) })
            }
        }
    }

    /// The open shard that takes records of this hash key.
    ///
    /// # Errors
    /// `ResourceNotFoundException` while the stream is being created.
    pub fn shard_of(&self, hash_key: HashKey) -> Result<ShardId, ServiceError> {
        self.require_created()?;
        Ok(self.shards.route(hash_key))
    }

    /// Gives the record its place where keys do not: each the next of a sequence that covers the hash space evenly,
    /// however the shards divide it.
    fn spread(&mut self, record: NewRecord) -> NewRecord {
        match self.distribution {
            RecordDistribution::UserPartitionKey => record,
            RecordDistribution::Auto => {
                self.spread += 1;
                record.with_explicit_hash_key(HashKey(u128::from(self.spread).wrapping_mul(GOLDEN_RATIO)))
            }
        }
    }

    /// The shard that takes the record now, or the one that would have to and cannot.
    fn admit(&mut self, record: &NewRecord, now: Timestamp) -> Result<ShardId, ShardId> {
        let id = self.shards.route(record.hash_key);
        if !self.limits.are_on() {
            return Ok(id);
        }
        let shard = self.shards.find_mut(id).expect("the routing table names existing shards");
        if shard.rates.admit_record(record.payload.size(), now) { Ok(id) } else { Err(id) }
    }

    fn require_rate(
        &mut self,
        shard: ShardId,
        admit: impl FnOnce(&mut ShardRates) -> bool,
    ) -> Result<(), ServiceError> {
        if self.limits.are_on()
            && let Some(found) = self.shards.find_mut(shard)
            && !admit(&mut found.rates)
        {
            return Err(self.rate_exceeded(shard));
        }
        Ok(())
    }

    fn rate_exceeded(&self, shard: ShardId) -> ServiceError {
        let message = format!("Rate exceeded for shard {shard} in stream {}.", self.full_name());
        ServiceError::new(ErrorCode::ProvisionedThroughputExceeded, message)
    }

    fn append(&mut self, shard_id: ShardId, record: NewRecord, now: Timestamp) -> Placed {
        let encrypted = self.encryption != Encryption::None;
        self.activity += 1;
        let (arrival, sequence_number) = self.shards.append(shard_id, record, now, encrypted);
        Placed { shard_id, sequence_number, arrival, encrypted }
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
/// 2^128 divided by the golden ratio: the multiples of no other number spread more evenly.
const GOLDEN_RATIO: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
