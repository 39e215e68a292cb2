//! From the SDK's types to ours.

use aws_sdk_kinesis::types as sdk;
use aws_smithy_types::DateTime;

use super::codec::{CodecError, Decoded, Failed, Outcome};
use crate::types::{
    ChildShard, HashRange, InvalidId, InvalidSequenceNumber, OutOfOrder, Position, SequenceNumber, Shard, ShardId,
    Timestamp,
};

/// Why a shard in a listing, or an answer with records, makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Nonsense {
    #[error(transparent)]
    Id(#[from] InvalidId),
    #[error("in shard {shard}: {source}")]
    ShardSequence { shard: ShardId, source: InvalidSequenceNumber },
    #[error("in shard {shard}: {start:?} to {end:?} is no range of hash keys")]
    Range { shard: ShardId, start: String, end: String },
    #[error("record {index} of an answer after {position} cannot be decoded: {error}")]
    Undecodable { index: usize, position: String, error: CodecError },
    #[error(transparent)]
    Order(#[from] OutOfOrder),
    #[error("the SDK did not hand an answer to the codec")]
    NotHandedOver,
    #[error("the number to go on from: {0}")]
    Continuation(InvalidSequenceNumber),
    #[error("an event says nothing: no records, no number to go on from, no children")]
    Nothing,
}

/// The records of an answer that was asked for from `position` on; within the answer their order was looked at when it was
/// decoded.
///
/// # Errors
/// [`Nonsense`] if it could not be decoded, or if its first record lies before the position. Nothing is left out: it is all
/// of the answer or nothing.
pub(super) fn decoded(answer: Option<Outcome>, position: &Position) -> Result<Decoded, Nonsense> {
    let decoded = answer.ok_or(Nonsense::NotHandedOver)?.map_err(|Failed { index, error }| {
        let position = position_text(position);
        Nonsense::Undecodable { index, position, error }
    })?;
    if let Some(first) = decoded.records.entries().first() {
        check_order(&first.sequence, position)?;
    }
    Ok(decoded)
}

/// A record at or before what was delivered would be a repetition at best; and if the numbers start anew, the stream is
/// not the one that the position belongs to.
fn check_order(first: &SequenceNumber, position: &Position) -> Result<(), OutOfOrder> {
    let broken = match position {
        Position::After(delivered) => (first <= delivered).then_some(delivered),
        Position::At(wanted) => (*first < wanted.sequence).then_some(&wanted.sequence),
        Position::TrimHorizon | Position::AtTime(_) => None,
    };
    match broken {
        Some(previous) => Err(OutOfOrder::new(first.clone(), previous.clone())),
        None => Ok(()),
    }
}

/// The position as error texts name it.
fn position_text(position: &Position) -> String {
    match position {
        Position::TrimHorizon => "TRIM_HORIZON".to_owned(),
        Position::AtTime(instant) => instant.to_string(),
        Position::At(record) => record.to_string(),
        Position::After(sequence) => sequence.to_string(),
    }
}

/// To the nearest millisecond: the SDK carries timestamps through an `f64`, so `.123` arrives as `.122999`.
pub(super) fn timestamp(time: &DateTime) -> Timestamp {
    let millis = i64::from((time.subsec_nanos() + 500_000) / 1_000_000);
    Timestamp::from_millis(time.secs().saturating_mul(1_000).saturating_add(millis))
}

/// A shard of a listing.
///
/// # Errors
/// [`Nonsense`] if an id, a hash key or a sequence number cannot be read.
pub(super) fn shard(shard: sdk::Shard) -> Result<Shard, Nonsense> {
    let id = ShardId::new(shard.shard_id)?;
    let hash_range = match shard.hash_key_range {
        Some(range) => hash_range(&id, range)?,
        None => None,
    };
    let number = |text: String| {
        SequenceNumber::new(text).map_err(|source| Nonsense::ShardSequence { shard: id.clone(), source })
    };
    let (starting, ending) = match shard.sequence_number_range {
        Some(range) => (Some(number(range.starting_sequence_number)?), range.ending_sequence_number.map(number)),
        None => (None, None),
    };
    let ending_sequence = ending.transpose()?;
    let parent = shard.parent_shard_id.map(ShardId::new).transpose()?;
    let adjacent_parent = shard.adjacent_parent_shard_id.map(ShardId::new).transpose()?;
    Ok(Shard { parent, adjacent_parent, starting_sequence: starting, ending_sequence, ..Shard::open(id, hash_range) })
}

/// A child that the last answer of a shard names.
///
/// # Errors
/// [`Nonsense`] if an id or a hash key cannot be read.
pub(super) fn child(child: sdk::ChildShard) -> Result<ChildShard, Nonsense> {
    let id = ShardId::new(child.shard_id)?;
    let parents = child.parent_shards.into_iter().map(ShardId::new).collect::<Result<_, _>>()?;
    let hash_range = match child.hash_key_range {
        Some(range) => hash_range(&id, range)?,
        None => None,
    };
    Ok(ChildShard::new(id, parents, hash_range))
}

/// `None` for a range of a single key, which [`HashRange`] does not hold.
fn hash_range(shard: &ShardId, range: sdk::HashKeyRange) -> Result<Option<HashRange>, Nonsense> {
    match (range.starting_hash_key.parse::<u128>(), range.ending_hash_key.parse::<u128>()) {
        (Ok(start), Ok(end)) if start <= end => Ok(HashRange::new(start, end)),
        _ => Err(Nonsense::Range { shard: shard.clone(), start: range.starting_hash_key, end: range.ending_hash_key }),
    }
}
