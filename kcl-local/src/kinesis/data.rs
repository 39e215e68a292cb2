//! Records in and out.

use super::LocalKinesis;
use crate::model::stream::{Placed, PutResult, RecordBatch, check_batch};
use crate::model::token::IteratorToken;
use crate::model::{HashKey, NewRecord, Record, ServiceError, ShardId, StartingPosition};

impl LocalKinesis {
    /// Writes a record.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream, `InvalidArgumentException` for a record too large.
    pub fn put_record(
        &self,
        stream: &str,
        partition_key: &str,
        data: impl AsRef<[u8]>,
    ) -> Result<Placed, ServiceError> {
        self.put(stream, NewRecord::new(partition_key, data))
    }

    /// Writes a record that says for itself where it goes.
    ///
    /// # Errors
    /// As [`put_record`](Self::put_record).
    pub fn put(&self, stream: &str, record: NewRecord) -> Result<Placed, ServiceError> {
        self.with_stream(stream, |stream, now| stream.put(record, now))
    }

    /// Writes up to 500 records in one call. Records of one shard keep their order, and no other record comes between.
    ///
    /// # Errors
    /// If the call as a whole is refused: see [`check_batch`] and [`put_record`](Self::put_record).
    pub fn put_records(&self, stream: &str, records: Vec<NewRecord>) -> Result<Vec<PutResult>, ServiceError> {
        check_batch(&records)?;
        let refuse = |shard| self.entry_error(shard);
        self.with_stream(stream, |stream, now| stream.put_all_unless(records, now, refuse))
    }

    /// An iterator, good for five minutes.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream or shard, `InvalidArgumentException` if the shard has no
    /// such position.
    pub fn shard_iterator(
        &self,
        stream: &str,
        shard: ShardId,
        position: StartingPosition,
    ) -> Result<String, ServiceError> {
        self.with_stream(stream, |stream, now| stream.iterator(shard, position, now))
    }

    /// Reads up to `limit` records, and at most 10 MiB.
    ///
    /// # Errors
    /// `ExpiredIteratorException`, `InvalidArgumentException` for an iterator that is none.
    pub fn get_records(&self, iterator: &str, limit: usize) -> Result<RecordBatch, ServiceError> {
        let token = IteratorToken::decode(iterator)?;
        self.with_stream(&token.stream.name, |stream, now| stream.read(&token, limit, now))
    }

    /// The open shard of a stream that takes records of this hash key.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn shard_of(&self, stream: &str, hash_key: HashKey) -> Result<ShardId, ServiceError> {
        self.with_stream(stream, |stream, _| stream.shard_of(hash_key))
    }

    /// The name of the stream that an iterator reads.
    pub(crate) fn stream_of_iterator(&self, iterator: &str) -> Result<String, ServiceError> {
        Ok(IteratorToken::decode(iterator)?.stream.name)
    }

    /// Every record that a stream holds, shard by shard: for a test that wants to see what arrived. Limits do not count
    /// it.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn all_records(&self, stream: &str) -> Result<Vec<(ShardId, Record)>, ServiceError> {
        self.with_stream(stream, |stream, _| Ok(stream.all_records()))
    }
}
