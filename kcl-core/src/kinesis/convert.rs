//! From the SDK's types to ours, without copying a record's data.

use aws_sdk_kinesis::types as sdk;
use aws_smithy_types::DateTime;

use crate::types::{
    ChildShard, EncryptionType, HashRange, InvalidId, InvalidSequenceNumber, Position, RecordEntry, SequenceNumber,
    Shard, ShardEnd, ShardId, Timestamp,
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
    #[error("record {index} of an answer after {position}: {source}")]
    RecordSequence { index: usize, position: String, source: InvalidSequenceNumber },
    #[error("record {sequence} arrived after {previous}: the order of sequence numbers is broken")]
    Order { sequence: SequenceNumber, previous: SequenceNumber },
    #[error("the number to go on from: {0}")]
    Continuation(InvalidSequenceNumber),
    #[error("an event says nothing: no records, no number to go on from, no children")]
    Nothing,
}

/// The records of one answer, and the bytes that count.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub(super) entries: Vec<RecordEntry>,
    /// Data and keys: what the service's read limit counts.
    pub(super) service_bytes: usize,
    /// What the records occupy here.
    pub(super) held_bytes: usize,
}

/// Converts the records of an answer that was asked from `position` on.
///
/// # Errors
/// [`Nonsense`] if a sequence number cannot be read or if they do not grow from `position` on. Nothing is left out: it is all
/// of the answer or nothing.
pub(super) fn records(records: Vec<sdk::Record>, position: &Position) -> Result<Converted, Nonsense> {
    let mut converted = Converted { entries: Vec::with_capacity(records.len()), ..Converted::default() };
    for (index, record) in records.into_iter().enumerate() {
        let sequence = SequenceNumber::new(record.sequence_number).map_err(|source| Nonsense::RecordSequence {
            index,
            position: position_text(position),
            source,
        })?;
        check_order(&sequence, converted.entries.last().map(|entry| &entry.sequence), position)?;
        // `into_bytes` hands over the decoder's buffer; `into_inner` would copy it if it were shared.
        let data = record.data.into_bytes();
        let mut entry = RecordEntry::new(sequence, record.partition_key.unwrap_or_default(), data);
        entry.arrival = record.approximate_arrival_timestamp.as_ref().map(timestamp);
        entry.encryption = match record.encryption_type {
            Some(sdk::EncryptionType::Kms) => EncryptionType::Kms,
            _ => EncryptionType::None,
        };
        let bytes = entry.data.len() + entry.partition_key.len();
        converted.service_bytes += bytes;
        converted.held_bytes += entry.size();
        converted.entries.push(entry);
    }
    Ok(converted)
}

/// A record at or before what was delivered would be a repetition at best; and if the numbers start anew, the stream is
/// not the one that the position belongs to.
fn check_order(
    sequence: &SequenceNumber,
    previous: Option<&SequenceNumber>,
    position: &Position,
) -> Result<(), Nonsense> {
    let broken = match (previous, position) {
        (Some(previous), _) => (sequence <= previous).then_some(previous),
        (None, Position::After(delivered)) => (sequence <= delivered).then_some(delivered),
        (None, Position::At(first)) => (*sequence < first.sequence).then_some(&first.sequence),
        (None, Position::TrimHorizon | Position::AtTime(_)) => None,
    };
    match broken {
        Some(previous) => Err(Nonsense::Order { sequence: sequence.clone(), previous: previous.clone() }),
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
    let millis = (time.as_nanos() + 500_000).div_euclid(1_000_000);
    Timestamp::from_millis(i64::try_from(millis).unwrap_or(if millis < 0 { i64::MIN } else { i64::MAX }))
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

/// What the last answer of a shard says about its end.
///
/// Children that cannot be read are as good as none: the runtime then looks into a listing, which names the problem.
pub(super) fn shard_end(children: Option<Vec<sdk::ChildShard>>) -> ShardEnd {
    let children = children.unwrap_or_default().into_iter().map(child).collect::<Result<_, _>>();
    ShardEnd::with_children(children.unwrap_or_default())
}

fn child(child: sdk::ChildShard) -> Result<ChildShard, Nonsense> {
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
