//! How each line is spelled: one JSON object with `event` first.

use kcl_core::types::{SequenceNumber, ShardRef, Timestamp};
use kcl_core::{Record, RecordBatch, ShardContext, WorkerEvent};
use serde::{Serialize, Serializer};

/// What each line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// The shard: there is one stream.
    Shard,
    /// The stream, too: shards of different streams have the same ids.
    StreamAndShard,
}

impl Names {
    fn stream(self, shard: &ShardRef) -> Option<&str> {
        match self {
            Names::Shard => None,
            Names::StreamAndShard => Some(shard.stream().arn().unwrap_or(shard.stream().name().as_str())),
        }
    }
}

/// A delivered batch.
#[derive(Serialize)]
struct Batch<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    shard: &'a str,
    worker: &'a str,
    records: usize,
    #[serde(serialize_with = "decimal")]
    first: &'a SequenceNumber,
    #[serde(serialize_with = "decimal")]
    last: &'a SequenceNumber,
    lag_ms: Option<u128>,
    fencing_token: u64,
}

/// A delivered record. Data that is text stands in `data`, other data in `data_base64`.
#[derive(Serialize)]
struct One<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    shard: &'a str,
    worker: &'a str,
    #[serde(serialize_with = "decimal")]
    sequence: &'a SequenceNumber,
    sub_sequence: u64,
    partition_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrival_ms: Option<i64>,
    fencing_token: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
}

#[derive(Serialize)]
struct Count {
    event: &'static str,
    total: u64,
}

#[derive(Serialize)]
struct Lease<'a> {
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<&'a str>,
    shard: &'a str,
    worker: &'a str,
    reason: &'a str,
}

/// The line of a batch; none if it is empty.
pub(super) fn batch(shard: &ShardContext, batch: &RecordBatch, names: Names) -> Vec<u8> {
    let (Some(first), Some(last)) = (batch.first(), batch.last()) else { return Vec::new() };
    let mut text = Vec::with_capacity(320);
    push(
        &mut text,
        &Batch {
            event: "batch",
            stream: names.stream(&shard.shard),
            shard: shard.shard.id().as_str(),
            worker: shard.worker.as_str(),
            records: batch.len(),
            first: first.sequence_number(),
            last: last.sequence_number(),
            lag_ms: batch.lag().map(|lag| lag.as_millis()),
            fencing_token: shard.fencing_token.0,
        },
    );
    text
}

/// The lines of the records of a batch.
pub(super) fn records(shard: &ShardContext, batch: &RecordBatch, names: Names) -> Vec<u8> {
    let mut text = Vec::with_capacity(batch.data_bytes() + batch.len() * 256);
    for record in batch.iter() {
        push(&mut text, &one(shard, &record, names));
    }
    text
}

fn one<'a>(shard: &'a ShardContext, record: &'a Record, names: Names) -> One<'a> {
    let data = std::str::from_utf8(record.data()).ok();
    One {
        event: "record",
        stream: names.stream(&shard.shard),
        shard: shard.shard.id().as_str(),
        worker: shard.worker.as_str(),
        sequence: record.sequence_number(),
        sub_sequence: record.sub_sequence_number(),
        partition_key: record.partition_key(),
        arrival_ms: record.arrival().map(Timestamp::as_millis),
        fencing_token: shard.fencing_token.0,
        data,
        data_base64: data.is_none().then(|| aws_smithy_types::base64::encode(record.data())),
    }
}

/// The line of a total.
pub(super) fn count(total: u64) -> Vec<u8> {
    let mut text = Vec::new();
    push(&mut text, &Count { event: "count", total });
    text
}

/// The line of an event of the worker; none for events that are only logged.
pub(super) fn lease(event: &WorkerEvent, names: Names) -> Option<Vec<u8>> {
    let (name, tenure, reason) = match event {
        WorkerEvent::LeaseGained { tenure, reason } => ("lease_gained", tenure, reason.as_str()),
        WorkerEvent::LeaseLost { tenure, reason } => ("lease_lost", tenure, reason.as_str()),
        WorkerEvent::LeaseReleased { tenure, reason } => ("lease_released", tenure, reason.as_str()),
        _ => return None,
    };
    let mut text = Vec::new();
    let (shard, worker) = (tenure.shard.id().as_str(), tenure.worker.as_str());
    push(&mut text, &Lease { event: name, stream: names.stream(&tenure.shard), shard, worker, reason });
    Some(text)
}

fn push(text: &mut Vec<u8>, line: &impl Serialize) {
    serde_json::to_writer(&mut *text, line).expect("texts and numbers become JSON, and a vector takes them");
    text.push(b'\n');
}

fn decimal<S: Serializer>(number: &SequenceNumber, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(number.as_str())
}
