//! Where a read begins.

use super::error::ServiceError;
use super::sequence::SequenceNumber;
use super::shard::{Shard, ShardId};
use super::time::Timestamp;

/// The five kinds of iterators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartingPosition {
    /// The oldest record that is still kept.
    TrimHorizon,
    /// After the newest record.
    Latest,
    /// The record with this number.
    At(SequenceNumber),
    /// The record after the one with this number.
    After(SequenceNumber),
    /// The first record that arrived at this time or later.
    AtTimestamp(Timestamp),
}

impl StartingPosition {
    /// The ordinal of the first record to read.
    ///
    /// # Errors
    /// `InvalidArgumentException` for a sequence number of another shard, and for a time in the future.
    pub(crate) fn resolve(self, shard: &Shard, stream: &str, now: Timestamp) -> Result<u64, ServiceError> {
        match self {
            Self::TrimHorizon => Ok(shard.first_ordinal()),
            Self::Latest => Ok(shard.next_ordinal()),
            Self::At(number) => ordinal(number, shard, stream),
            Self::After(number) => ordinal(number, shard, stream).map(|ordinal| ordinal.saturating_add(1)),
            Self::AtTimestamp(time) if time > now => Err(ServiceError::invalid_argument(format!(
                "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. \
                 timestampInMillis: {}, currentTimestampInMillis: {}",
                time.as_millis(),
                now.as_millis()
            ))),
            Self::AtTimestamp(time) => Ok(shard.first_ordinal_at_or_after(time)),
        }
        .map(|ordinal| ordinal.min(shard.next_ordinal()))
    }
}

fn ordinal(number: SequenceNumber, shard: &Shard, stream: &str) -> Result<u64, ServiceError> {
    let foreign = || {
        ServiceError::invalid_argument(format!(
            "StartingSequenceNumber {number} used in GetShardIterator on shard {} in stream {stream} is invalid because \
             it did not come from this stream.",
            shard.id
        ))
    };
    let parts = number.parts().ok_or_else(foreign)?;
    if parts.shard_index != shard.id.0 {
        return Err(ServiceError::invalid_argument(format!(
            "Invalid StartingSequenceNumber. It encodes {}, while it was used in a call to a shard with {}",
            ShardId(parts.shard_index),
            shard.id
        )));
    }
    if parts.shard_created != shard.created_second {
        return Err(foreign());
    }
    Ok(parts.ordinal)
}
