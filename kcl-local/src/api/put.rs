//! PutRecord and PutRecords.

use std::borrow::Cow;
use std::cell::LazyCell;

use serde::{Deserialize, Serialize};

use super::check;
use super::wire::{Blob, Handled, Text, as_text};
use crate::kinesis::LocalKinesis;
use crate::model::record::PayloadArena;
use crate::model::stream::{Placed, PutResult};
use crate::model::{ErrorCode, HashKey, NewRecord, RecordDistribution, SequenceNumber, ServiceError, ShardId};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PutRecordRequest<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    data: Option<Blob<'a>>,
    partition_key: Option<Text<'a>>,
    explicit_hash_key: Option<Text<'a>>,
    sequence_number_for_ordering: Option<String>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PutRecordsRequest<'a> {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    records: Option<Vec<EntryWire<'a>>>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", bound(deserialize = "'de: 'a"))]
struct EntryWire<'a> {
    data: Option<Blob<'a>>,
    partition_key: Option<Text<'a>>,
    explicit_hash_key: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecordAnswer {
    #[serde(serialize_with = "as_text")]
    shard_id: ShardId,
    #[serde(serialize_with = "as_text")]
    sequence_number: SequenceNumber,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PutRecordsAnswer {
    failed_record_count: usize,
    records: Vec<ResultWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResultWire {
    #[serde(rename_all = "PascalCase")]
    Placed {
        #[serde(serialize_with = "as_text")]
        shard_id: ShardId,
        #[serde(serialize_with = "as_text")]
        sequence_number: SequenceNumber,
    },
    #[serde(rename_all = "PascalCase")]
    Refused { error_code: Cow<'static, str>, error_message: Cow<'static, str> },
}

pub(super) fn put_record(kinesis: &LocalKinesis, request: PutRecordRequest<'_>) -> Handled<PutRecordAnswer> {
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let entry = EntryWire {
        data: request.data,
        partition_key: request.partition_key,
        explicit_hash_key: request.explicit_hash_key,
    };
    if let Some(number) = &request.sequence_number_for_ordering {
        check_ordering(kinesis, &stream, number)?;
    }
    let records = decode(vec![entry], |_| String::new(), || keys_are_optional(kinesis, &stream))?;
    if request.dry_run == Some(true) {
        kinesis.check_put(&stream, &records)?;
        return Err(dry_run());
    }
    let record = records.into_iter().next().expect("one entry makes one record");
    let Placed { shard_id, sequence_number, encrypted, .. } = kinesis.put(&stream, record)?;
    Ok(PutRecordAnswer { shard_id, sequence_number, encryption_type: encrypted.then_some("KMS") })
}

pub(super) fn put_records(kinesis: &LocalKinesis, request: PutRecordsRequest<'_>) -> Handled<PutRecordsAnswer> {
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let entries = check::required(request.records, "records")?;
    let member = |index: usize| format!("records.{}.member.", index + 1);
    let records = decode(entries, member, || keys_are_optional(kinesis, &stream))?;
    if request.dry_run == Some(true) {
        kinesis.check_put(&stream, &records)?;
        return Err(dry_run());
    }
    let results = kinesis.put_records(&stream, records)?;
    let encrypted = results.iter().flatten().any(|placed| placed.encrypted);
    Ok(PutRecordsAnswer {
        failed_record_count: results.iter().filter(|result| result.is_err()).count(),
        records: results.into_iter().map(ResultWire::from).collect(),
        encryption_type: encrypted.then_some("KMS"),
    })
}

impl From<PutResult> for ResultWire {
    fn from(result: PutResult) -> Self {
        match result {
            Ok(Placed { shard_id, sequence_number, .. }) => Self::Placed { shard_id, sequence_number },
            Err(error) => Self::Refused { error_code: error.code, error_message: error.message },
        }
    }
}

/// Whether records of the stream find their shard without a key.
fn keys_are_optional(kinesis: &LocalKinesis, stream: &str) -> bool {
    kinesis.stream_summary(stream).is_ok_and(|summary| summary.distribution == RecordDistribution::Auto)
}

/// Numbers increase whether a client asks for it or not; what it asks with still has to be one.
fn check_ordering(kinesis: &LocalKinesis, stream: &str, number: &str) -> Handled<()> {
    let text = check::sequence_text(number, "sequenceNumberForOrdering")?;
    let parts = SequenceNumber::parse(text).and_then(SequenceNumber::parts);
    if parts.is_some_and(|parts| parts.arrival <= kinesis.now().as_secs()) {
        return Ok(());
    }
    Err(ServiceError::invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {stream} under account {} is invalid.",
        kinesis.settings().account.id
    )))
}

/// Decodes the records of a request into one allocation. `prefix` says where a record stands, for messages.
fn decode(
    entries: Vec<EntryWire<'_>>,
    prefix: impl Fn(usize) -> String,
    keys_are_optional: impl FnOnce() -> bool,
) -> Handled<Vec<NewRecord>> {
    let keys_are_optional = LazyCell::new(keys_are_optional);
    let bytes = entries.iter().map(EntryWire::size_hint).sum();
    let mut arena = PayloadArena::with_capacity(entries.len(), bytes);
    let mut explicit_hash_keys = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let member = |name: &str| format!("{}{name}", prefix(index));
        explicit_hash_keys.push(decode_entry(&mut arena, entry, member, || *keys_are_optional)?);
    }
    let place = |(payload, explicit): (_, Option<HashKey>)| match explicit {
        Some(hash_key) => NewRecord { payload, hash_key },
        None => NewRecord::from_payload(payload),
    };
    Ok(arena.finish().into_iter().zip(explicit_hash_keys).map(place).collect())
}

/// Decodes one record into the arena; returns its explicit hash key.
fn decode_entry(
    arena: &mut PayloadArena,
    entry: EntryWire<'_>,
    member: impl Fn(&str) -> String,
    keys_are_optional: impl FnOnce() -> bool,
) -> Handled<Option<HashKey>> {
    let missing = |name: &str| check::missing(&member(name));
    let key = match entry.partition_key {
        Some(Text(key)) if key.is_empty() || key.chars().count() > MAX_KEY_CHARACTERS => {
            let constraint = format!("Member must have length between 1 and {MAX_KEY_CHARACTERS}");
            return Err(check::violation(Some(&key), &member("partitionKey"), &constraint));
        }
        Some(Text(key)) => key,
        None if keys_are_optional() => Cow::Borrowed(""),
        None => return Err(missing("partitionKey")),
    };
    let data = entry.data.ok_or_else(|| missing("data"))?;
    let size = arena.push(&key, |buffer| {
        let before = buffer.len();
        data.append_to(buffer).map(|()| buffer.len() - before)
    });
    match size {
        None => {
            let message = format!("{} is not base64", member("data"));
            Err(ServiceError::new(ErrorCode::Serialization, message))
        }
        Some(size) if size > MAX_DATA_BYTES => Err(ServiceError::validation(format!(
            "1 validation error detected: Value at '{}' failed to satisfy constraint: Member must have length less than \
             or equal to {MAX_DATA_BYTES}, it has {size}",
            member("data")
        ))),
        Some(_) => entry.explicit_hash_key.map(|text| HashKey::parse("ExplicitHashKey", &text.0)).transpose(),
    }
}

impl EntryWire<'_> {
    /// How much room the record takes once decoded; a little more is no harm.
    fn size_hint(&self) -> usize {
        let key = self.partition_key.as_ref().map_or(0, |text| text.0.len());
        key + self.data.as_ref().map_or(0, Blob::size_hint)
    }
}

/// What a dry run ends with that found nothing wrong.
pub(super) fn dry_run() -> ServiceError {
    ServiceError::new(ErrorCode::DryRunOperation, "The request would have succeeded, DryRun is set.")
}

const MAX_KEY_CHARACTERS: usize = 256;
const MAX_DATA_BYTES: usize = 10 * 1024 * 1024;
