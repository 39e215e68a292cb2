//! From a position to an iterator, which is a short-lived name of it.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_smithy_types::DateTime;

use super::errors::Fault;
use crate::types::{Position, ShardRef};

/// Asks for an iterator at `position`. The only way to one: at the start, after an expiry and after any doubt.
pub(super) async fn make(client: &Client, shard: &ShardRef, position: &Position) -> Result<String, Fault> {
    let request = client.get_shard_iterator().shard_id(shard.id().as_str());
    let request = match shard.stream().arn() {
        Some(arn) => request.stream_arn(arn),
        None => request.stream_name(shard.stream().name().as_str()),
    };
    let request = match position {
        Position::TrimHorizon => request.shard_iterator_type(ShardIteratorType::TrimHorizon),
        Position::AtTime(instant) => request
            .shard_iterator_type(ShardIteratorType::AtTimestamp)
            .timestamp(DateTime::from_millis(instant.as_millis())),
        // The whole record is read again; user records below the position are cut off by whoever opens it.
        Position::At(record) => request
            .shard_iterator_type(ShardIteratorType::AtSequenceNumber)
            .starting_sequence_number(record.sequence.as_str()),
        Position::After(sequence) => request
            .shard_iterator_type(ShardIteratorType::AfterSequenceNumber)
            .starting_sequence_number(sequence.as_str()),
    };
    let output = request.send().await.map_err(|error| Fault::of(&error))?;
    output.shard_iterator.ok_or_else(|| Fault::Unavailable("GetShardIterator answered without an iterator".to_owned()))
}
