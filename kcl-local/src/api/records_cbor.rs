//! GetRecords answers and events of subscriptions as CBOR, written straight into one buffer. Data goes as it is.

use super::cbor::{BYTES, MAP, TEXT, UNSIGNED, encode as encode_value, head};
use super::read::{ChildShardWire, Records};
use crate::model::{FanOutEvent, Record, ShardDescription};

pub(super) fn encode(Records(batch): &Records) -> Vec<u8> {
    let position = batch.next_iterator.as_ref().map(|iterator| ("NextShardIterator", iterator.as_str()));
    write(&batch.records, position, batch.millis_behind_latest, batch.child_shards.as_deref())
}

pub(super) fn encode_event(event: &FanOutEvent) -> Vec<u8> {
    let number = event.continuation.map(|number| number.to_string());
    let position = number.as_ref().map(|number| ("ContinuationSequenceNumber", number.as_str()));
    write(&event.records, position, event.millis_behind_latest, event.child_shards.as_deref())
}

fn write(
    records: &[Record],
    position: Option<(&str, &str)>,
    millis_behind_latest: u64,
    children: Option<&[ShardDescription]>,
) -> Vec<u8> {
    let size: usize = records.iter().map(|record| record.payload.size() + RECORD_OVERHEAD).sum();
    let mut out = Vec::with_capacity(size + FIXED_SIZE);
    head(&mut out, MAP, 2 + u64::from(position.is_some()) + u64::from(children.is_some()));
    text(&mut out, "Records");
    head(&mut out, ARRAY, records.len() as u64);
    records.iter().for_each(|record| append_record(&mut out, record));
    if let Some((name, value)) = position {
        text(&mut out, name);
        text(&mut out, value);
    }
    text(&mut out, "MillisBehindLatest");
    head(&mut out, UNSIGNED, millis_behind_latest);
    if let Some(children) = children {
        text(&mut out, "ChildShards");
        let children: Vec<ChildShardWire> = children.iter().map(ChildShardWire::from).collect();
        out.extend(encode_value(&children));
    }
    out
}

fn append_record(out: &mut Vec<u8>, record: &Record) {
    // A record that was written without a key has none.
    let key = Some(record.partition_key()).filter(|key| !key.is_empty());
    head(out, MAP, 3 + u64::from(key.is_some()) + u64::from(record.encrypted));
    text(out, "SequenceNumber");
    text(out, &record.sequence_number.to_string());
    text(out, "ApproximateArrivalTimestamp");
    out.push(TAG_1);
    head(out, UNSIGNED, record.arrival.as_millis());
    text(out, "Data");
    let data = record.payload.data_bytes();
    head(out, BYTES, data.len() as u64);
    out.extend_from_slice(data);
    if let Some(key) = key {
        text(out, "PartitionKey");
        text(out, key);
    }
    if record.encrypted {
        text(out, "EncryptionType");
        text(out, "KMS");
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, TEXT, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

const ARRAY: super::cbor::Head = 4;
const TAG_1: u8 = 0xc1;
const RECORD_OVERHEAD: usize = 160;
const FIXED_SIZE: usize = 512;
