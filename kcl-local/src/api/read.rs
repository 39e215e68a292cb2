//! GetShardIterator and GetRecords.

use serde::{Deserialize, Serialize};

use super::put::dry_run;
use super::wire::{EpochSeconds, Handled};
use super::{check, wire};
use crate::kinesis::LocalKinesis;
use crate::model::stream::{MAX_RECORDS_PER_READ, RecordBatch};
use crate::model::{SequenceNumber, ServiceError, ShardDescription, StartingPosition};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIteratorRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<EpochSeconds>,
    dry_run: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetShardIteratorAnswer {
    shard_iterator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct GetRecordsRequest {
    shard_iterator: Option<String>,
    limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    dry_run: Option<bool>,
}

/// The answer of GetRecords, before it is encoded.
#[derive(Debug)]
pub(super) struct Records(pub(super) RecordBatch);

/// A shard that goes on where another one ended.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ChildShardWire {
    pub(super) shard_id: String,
    pub(super) parent_shards: Vec<String>,
    pub(super) hash_key_range: wire::HashRangeWire,
}

impl From<&ShardDescription> for ChildShardWire {
    fn from(shard: &ShardDescription) -> Self {
        Self {
            shard_id: shard.id.to_string(),
            parent_shards: shard.parents().map(|parent| parent.to_string()).collect(),
            hash_key_range: shard.hash_range.into(),
        }
    }
}

pub(super) fn get_shard_iterator(
    kinesis: &LocalKinesis,
    request: GetShardIteratorRequest,
) -> Handled<GetShardIteratorAnswer> {
    let kind = check::required(request.shard_iterator_type, "shardIteratorType")?;
    let shard = check::required(request.shard_id, "shardId")?;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let position = position(&kind, request.starting_sequence_number.as_deref(), request.timestamp)?;
    let shard = check::shard_id(kinesis, &shard, &stream)?;
    let shard_iterator = kinesis.shard_iterator(&stream, shard, position)?;
    if request.dry_run == Some(true) {
        return Err(dry_run());
    }
    Ok(GetShardIteratorAnswer { shard_iterator })
}

pub(super) fn get_records(kinesis: &LocalKinesis, request: GetRecordsRequest) -> Handled<Records> {
    let iterator = check::required(request.shard_iterator, "shardIterator")?;
    let most = MAX_RECORDS_PER_READ as i64;
    let limit = check::within(request.limit.unwrap_or(most), "limit", 1, most)?;
    if let Some(arn) = request.stream_arn {
        let read = kinesis.stream_of_iterator(&iterator)?;
        let named = check::stream_name(kinesis, (None, Some(arn)))?;
        if named != read {
            return Err(ServiceError::invalid_argument(format!(
                "StreamARN names stream {named}, but the ShardIterator belongs to stream {read}"
            )));
        }
    }
    if request.dry_run == Some(true) {
        kinesis.check_iterator(&iterator)?;
        return Err(dry_run());
    }
    kinesis.get_records(&iterator, limit as usize).map(Records)
}

pub(super) fn position(kind: &str, number: Option<&str>, time: Option<EpochSeconds>) -> Handled<StartingPosition> {
    match (kind, number, time) {
        ("TRIM_HORIZON", None, _) => Ok(StartingPosition::TrimHorizon),
        ("LATEST", None, _) => Ok(StartingPosition::Latest),
        ("AT_SEQUENCE_NUMBER", Some(number), _) => parse(number).map(StartingPosition::At),
        ("AFTER_SEQUENCE_NUMBER", Some(number), _) => parse(number).map(StartingPosition::After),
        ("AT_TIMESTAMP", None, Some(EpochSeconds(time))) => Ok(StartingPosition::AtTimestamp(time)),
        ("AT_TIMESTAMP", None, None) => {
            Err(ServiceError::invalid_argument("Must specify timestampInMillis for ShardIteratorType AT_TIMESTAMP"))
        }
        (kind, number, _) if TYPES.contains(&kind) => Err(ServiceError::invalid_argument(format!(
            "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER ShardIteratorType and \
             startingSequenceNumber or (2) TRIM_HORIZON or LATEST shardIteratorType and no startingSequenceNumber. \
             Request specified {kind} and {} startingSequenceNumber.",
            if number.is_some() { "also a" } else { "no" }
        ))),
        (kind, ..) => Err(check::not_one_of(kind, "shardIteratorType", &TYPES)),
    }
}

fn parse(number: &str) -> Handled<SequenceNumber> {
    let number = check::sequence_text(number, "startingSequenceNumber")?;
    SequenceNumber::parse(number).ok_or_else(|| {
        ServiceError::invalid_argument(format!(
            "StartingSequenceNumber {number} is invalid because it did not come from this stream."
        ))
    })
}

const TYPES: [&str; 5] = ["AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"];
