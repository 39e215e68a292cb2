//! GetRecords answers and events of subscriptions as JSON, written straight into one buffer.
//!
//! An answer can hold 10,000 records and 10 MiB. Base64 goes from the stored record into the buffer without a string
//! in between, and the buffer is large enough from the start.

use std::io::Write;

use super::read::{ChildShardWire, Records};
use crate::model::{FanOutEvent, Record, ShardDescription};

pub(super) fn encode(Records(batch): &Records) -> Vec<u8> {
    let mut out = records(&batch.records);
    if let Some(iterator) = &batch.next_iterator {
        // Base64 never has to be escaped.
        out.extend_from_slice(b",\"NextShardIterator\":\"");
        out.extend_from_slice(iterator.as_bytes());
        out.push(b'"');
    }
    finish(out, batch.millis_behind_latest, batch.child_shards.as_deref())
}

pub(super) fn encode_event(event: &FanOutEvent) -> Vec<u8> {
    let mut out = records(&event.records);
    if let Some(continuation) = event.continuation {
        append(&mut out, format_args!(",\"ContinuationSequenceNumber\":\"{continuation}\""));
    }
    finish(out, event.millis_behind_latest, event.child_shards.as_deref())
}

fn records(records: &[Record]) -> Vec<u8> {
    let mut out = Vec::with_capacity(records.iter().map(size_of).sum::<usize>() + FIXED_SIZE);
    out.extend_from_slice(b"{\"Records\":[");
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        append_record(record, &mut out);
    }
    out.push(b']');
    out
}

fn finish(mut out: Vec<u8>, millis_behind_latest: u64, children: Option<&[ShardDescription]>) -> Vec<u8> {
    append(&mut out, format_args!(",\"MillisBehindLatest\":{millis_behind_latest}"));
    if let Some(children) = children {
        out.extend_from_slice(b",\"ChildShards\":");
        let children: Vec<ChildShardWire> = children.iter().map(ChildShardWire::from).collect();
        serde_json::to_writer(&mut out, &children).expect(INFALLIBLE);
    }
    out.push(b'}');
    out
}

fn append_record(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"SequenceNumber\":\"");
    record.sequence_number.append_to(out);
    append(out, format_args!("\",\"ApproximateArrivalTimestamp\":{},\"Data\":\"", record.arrival));
    base64_simd::STANDARD.encode_append(record.payload.data_bytes(), out);
    out.push(b'"');
    // A record that was written without a key has none.
    if !record.partition_key().is_empty() {
        out.extend_from_slice(b",\"PartitionKey\":");
        serde_json::to_writer(&mut *out, record.partition_key()).expect(INFALLIBLE);
    }
    if record.encrypted {
        out.extend_from_slice(b",\"EncryptionType\":\"KMS\"");
    }
    out.push(b'}');
}

/// How much room a record takes, if its key needs no escapes.
fn size_of(record: &Record) -> usize {
    record.payload.size() * 4 / 3 + 220
}

fn append(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments).expect(INFALLIBLE);
}

const FIXED_SIZE: usize = 512;
const INFALLIBLE: &str = "writing to memory does not fail";
