//! The SDK's own decoding.

use std::sync::LazyLock;

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types as sdk;
use aws_smithy_json::codec::{JsonCodec, JsonCodecSettings};
use aws_smithy_schema::Schema;
use aws_smithy_schema::serde::{SerdeError, ShapeDeserializer};
use aws_smithy_types::date_time::Format;
use bytes::Bytes;

use super::super::convert;
use super::{AnswerTail, Body, Codec, CodecError, EventTail};
use crate::types::{BatchBuilder, ChildShard, EncryptionType, RecordEntry, SequenceNumber};

/// The decoding of the SDK, by the protocol of the client that made the call; JSON if there was none.
///
/// Records go from the SDK's reader of the wire format straight into the batch, without a list of the SDK's records in
/// between.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SdkCodec {}

impl Codec for SdkCodec {
    fn get_records(&self, body: Body<'_>, records: &mut BatchBuilder) -> Result<AnswerTail, CodecError> {
        let mut tail = AnswerTail::default();
        read(body, GetRecordsOutput::SCHEMA, &mut |member, value| {
            match member.member_name() {
                Some("Records") => read_records(member, value, records)?,
                Some("NextShardIterator") => tail.next_shard_iterator = present(value, |v| v.read_string(member))?,
                Some("MillisBehindLatest") => tail.millis_behind_latest = present(value, |v| v.read_long(member))?,
                Some("ChildShards") => tail.child_shards = present(value, |v| read_children(member, v))?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tail)
    }

    fn event(&self, payload: Body<'_>, records: &mut BatchBuilder) -> Result<EventTail, CodecError> {
        let mut tail = EventTail::default();
        read(payload, sdk::SubscribeToShardEvent::SCHEMA, &mut |member, value| {
            match member.member_name() {
                Some("Records") => read_records(member, value, records)?,
                Some("ContinuationSequenceNumber") => {
                    tail.continuation_sequence_number = present(value, |v| v.read_string(member))?;
                }
                Some("MillisBehindLatest") => tail.millis_behind_latest = present(value, |v| v.read_long(member))?,
                Some("ChildShards") => tail.child_shards = present(value, |v| read_children(member, v))?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tail)
    }
}

type Consumer<'a> = dyn FnMut(&Schema<'_>, &mut dyn ShapeDeserializer) -> Result<(), SerdeError> + 'a;

fn read(body: Body<'_>, schema: &Schema<'_>, consumer: &mut Consumer<'_>) -> Result<(), CodecError> {
    let codec = body.sdk.unwrap_or(&*JSON);
    codec.create_deserializer(body.bytes).read_struct(schema, consumer).map_err(CodecError::new)
}

fn read_records(
    member: &Schema<'_>,
    value: &mut dyn ShapeDeserializer,
    records: &mut BatchBuilder,
) -> Result<(), SerdeError> {
    if value.is_null() {
        return value.read_null();
    }
    value.read_list(member, &mut |value| {
        let entry = read_record(value)?;
        records.push(entry).map_err(custom)
    })
}

/// Into an entry at once: the SDK's own record, in between, costs as much again.
fn read_record(value: &mut dyn ShapeDeserializer) -> Result<RecordEntry, SerdeError> {
    let (mut sequence, mut partition_key, mut data) = (String::new(), String::new(), Bytes::new());
    let (mut arrival, mut encryption) = (None, EncryptionType::None);
    value.read_struct(sdk::Record::SCHEMA, &mut |member, value| {
        match member.member_name() {
            Some("Data") => data = value.read_blob(member)?.into_bytes(),
            Some("SequenceNumber") => sequence = value.read_string(member)?,
            Some("PartitionKey") => partition_key = present(value, |v| v.read_string(member))?.unwrap_or_default(),
            Some("ApproximateArrivalTimestamp") => {
                arrival = present(value, |v| v.read_timestamp(member))?.as_ref().map(convert::timestamp);
            }
            Some("EncryptionType") => {
                let kind = present(value, |v| v.read_string(member))?;
                if kind.as_deref() == Some(sdk::EncryptionType::Kms.as_str()) {
                    encryption = EncryptionType::Kms;
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    let sequence = SequenceNumber::new(sequence).map_err(custom)?;
    let mut entry = RecordEntry::new(sequence, partition_key, data);
    (entry.arrival, entry.encryption) = (arrival, encryption);
    Ok(entry)
}

fn read_children(member: &Schema<'_>, value: &mut dyn ShapeDeserializer) -> Result<Vec<ChildShard>, SerdeError> {
    let mut children = Vec::new();
    value.read_list(member, &mut |value| {
        // One that makes no sense is as good as none: the runtime then looks into a listing, which names the problem.
        children.extend(convert::child(sdk::ChildShard::deserialize(value)?));
        Ok(())
    })?;
    Ok(children)
}

fn present<T>(
    value: &mut dyn ShapeDeserializer,
    read: impl FnOnce(&mut dyn ShapeDeserializer) -> Result<T, SerdeError>,
) -> Result<Option<T>, SerdeError> {
    if value.is_null() {
        return value.read_null().map(|()| None);
    }
    read(value).map(Some)
}

fn custom(error: impl std::fmt::Display) -> SerdeError {
    SerdeError::custom(error.to_string())
}

/// As the SDK's client sets it up.
static JSON: LazyLock<JsonCodec> = LazyLock::new(|| {
    let settings = JsonCodecSettings::builder().use_json_name(false).default_timestamp_format(Format::EpochSeconds);
    JsonCodec::new(settings.build())
});
