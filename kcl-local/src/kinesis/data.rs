//! Records in and out.

use super::LocalKinesis;
use crate::model::stream::{Placed, PutResult, RecordBatch, check_batch};
use crate::model::token::IteratorToken;
use crate::model::{HashKey, NewRecord, Payload, Record, ServiceError, ShardId, StartingPosition, Stream, Timestamp};
use crate::store::Append;

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
        self.with_stream(stream, |stream, now| {
            let payload = record.payload.clone();
            let placed = stream.put(record, now)?;
            self.save_records(stream, [(&placed, payload)], now)?;
            Ok(placed)
        })
    }

    /// Writes up to 500 records in one call. Records of one shard keep their order, and no other record comes between.
    ///
    /// # Errors
    /// If the call as a whole is refused: see [`check_batch`] and [`put_record`](Self::put_record).
    pub fn put_records(&self, stream: &str, records: Vec<NewRecord>) -> Result<Vec<PutResult>, ServiceError> {
        check_batch(&records)?;
        let refuse = |shard| self.entry_error(shard);
        self.with_stream(stream, |stream, now| {
            let payloads = self.payloads_to_save(&records);
            let results = stream.put_all_unless(records, now, refuse)?;
            let placed =
                results.iter().zip(payloads).filter_map(|(result, payload)| Some((result.as_ref().ok()?, payload)));
            self.save_records(stream, placed, now)?;
            Ok(results)
        })
    }

    /// Refuses what [`put`](Self::put) or [`put_records`](Self::put_records) would refuse, whatever the rates.
    pub(crate) fn check_put(&self, stream: &str, records: &[NewRecord]) -> Result<(), ServiceError> {
        check_batch(records)?;
        self.with_stream(stream, |stream, _| stream.check_put(records))
    }

    /// Refuses an iterator that [`get_records`](Self::get_records) would refuse, whatever the rates.
    pub(crate) fn check_iterator(&self, iterator: &str) -> Result<(), ServiceError> {
        let token = IteratorToken::decode(iterator)?;
        self.with_stream(&token.stream.name, |stream, now| stream.check_read(&token, now))
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

    /// Shares of the payloads, which the model takes; none where nothing is saved.
    fn payloads_to_save(&self, records: &[NewRecord]) -> Vec<Payload> {
        let kept = if self.shared.store.is_some() { records } else { &[] };
        kept.iter().map(|record| record.payload.clone()).collect()
    }

    /// Called under the lock of the stream: nobody reads the records before they are saved.
    fn save_records<'a>(
        &self,
        stream: &Stream,
        placed: impl IntoIterator<Item = (&'a Placed, Payload)>,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        let Some(store) = &self.shared.store else { return Ok(()) };
        let append = |(placed, payload): (&Placed, Payload)| Append {
            shard: placed.shard_id,
            ordinal: placed.sequence_number.parts().expect("the model's own number").ordinal,
            arrival: placed.arrival,
            encrypted: placed.encrypted,
            payload,
        };
        let appends: Vec<_> = placed.into_iter().map(append).collect();
        store.append(stream, &appends, now)
    }
}
