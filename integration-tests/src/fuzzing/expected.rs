//! What another decoder finds in the body of an answer, or in the payload of an event.

use kcl_core::types::{Record, SequenceNumber};
use serde::Deserialize;

/// A record as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    pub(super) sequence: String,
    partition_key: String,
    data: Vec<u8>,
}

/// Members that are there twice are refused: which of them counts is nobody's business.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Records")]
    records: Option<Vec<RecordJson>>,
    #[serde(rename = "NextShardIterator", default)]
    _next: Option<String>,
    #[serde(rename = "ContinuationSequenceNumber", default)]
    continuation: Option<String>,
    #[serde(rename = "MillisBehindLatest", default)]
    _lag: Option<i64>,
    #[serde(rename = "ChildShards", default)]
    children: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct RecordJson {
    #[serde(rename = "SequenceNumber")]
    sequence: String,
    #[serde(rename = "PartitionKey")]
    partition_key: String,
    #[serde(rename = "Data")]
    data: String,
    #[serde(rename = "ApproximateArrivalTimestamp", default)]
    arrival: Option<f64>,
    #[serde(rename = "EncryptionType", default)]
    _encryption: Option<String>,
}

/// The records of a body, and the number that it gives to go on from.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) records: Vec<Expected>,
    pub(super) continuation: Option<SequenceNumber>,
}

/// What is in a body that is as the service sends it, in every member that matters; nothing if it is not, or if a reader may
/// see it in another way. Children are left to the reader.
pub(super) fn known_of(body: &[u8]) -> Option<Known> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    if answer.children.is_some() {
        return None;
    }
    let continuation = answer.continuation.map(SequenceNumber::new).transpose().ok()?;
    let records = answer.records?.into_iter().map(expected).collect::<Option<Vec<_>>>()?;
    let in_order = records.windows(2).all(|pair| pair[0].comes_before(&pair[1]));
    in_order.then_some(Known { records, continuation })
}

fn expected(record: RecordJson) -> Option<Expected> {
    SequenceNumber::new(record.sequence.as_str()).ok()?;
    // Nobody sends times beyond some hundred thousand years.
    if record.arrival.is_some_and(|seconds| !(0.0..1e13).contains(&seconds)) {
        return None;
    }
    let data = base64_simd::STANDARD.decode_to_vec(record.data).ok()?;
    Some(Expected { sequence: record.sequence, partition_key: record.partition_key, data })
}

impl Expected {
    pub(super) fn comes_before(&self, other: &Expected) -> bool {
        self.number() < other.number()
    }

    /// As it was looked at when it was found.
    pub(super) fn number(&self) -> SequenceNumber {
        SequenceNumber::new(self.sequence.as_str()).expect("a number")
    }
}

/// A record as a reader brought it.
pub(super) fn brought(record: &Record) -> Expected {
    Expected {
        sequence: record.sequence_number().to_string(),
        partition_key: record.partition_key().to_owned(),
        data: record.data().to_vec(),
    }
}
