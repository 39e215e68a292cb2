//! A codec that reads everything by itself, through serde, and marks what it read.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_types::base64;
use bytes::Bytes;
use kcl_core::kinesis::codec::{AnswerTail, Body, Codec, CodecError, EventTail};
use kcl_core::types::{BatchBuilder, ChildShard, HashRange, RecordEntry, SequenceNumber, ShardId, Timestamp};
use serde::Deserialize;

/// What every record has in front that went through it.
pub(crate) const MARK: &str = "marked ";

#[derive(Debug, Clone, Default)]
pub(crate) struct Marking {
    /// How many bodies with records are still to be refused, after their first record.
    pub(crate) refuses: Arc<AtomicUsize>,
    /// The bodies that came, as text.
    pub(crate) answers: Arc<Mutex<Vec<String>>>,
    pub(crate) events: Arc<Mutex<Vec<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wire<'a> {
    #[serde(borrow, default)]
    records: Vec<WireRecord<'a>>,
    next_shard_iterator: Option<String>,
    continuation_sequence_number: Option<String>,
    millis_behind_latest: Option<i64>,
    child_shards: Option<Vec<WireChild>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRecord<'a> {
    sequence_number: &'a str,
    partition_key: &'a str,
    data: &'a str,
    approximate_arrival_timestamp: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireChild {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: WireRange,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WireRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl Codec for Marking {
    fn get_records(&self, body: Body<'_>, records: &mut BatchBuilder) -> Result<AnswerTail, CodecError> {
        self.answers.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
        let wire = self.read(&body, records)?;
        let mut tail = AnswerTail::default();
        tail.next_shard_iterator = wire.next_shard_iterator;
        tail.millis_behind_latest = wire.millis_behind_latest;
        tail.child_shards = children(wire.child_shards)?;
        Ok(tail)
    }

    fn event(&self, payload: Body<'_>, records: &mut BatchBuilder) -> Result<EventTail, CodecError> {
        self.events.lock().unwrap().push(String::from_utf8_lossy(&payload).into_owned());
        let wire = self.read(&payload, records)?;
        let mut tail = EventTail::default();
        tail.continuation_sequence_number = wire.continuation_sequence_number;
        tail.millis_behind_latest = wire.millis_behind_latest;
        tail.child_shards = children(wire.child_shards)?;
        Ok(tail)
    }
}

impl Marking {
    fn read<'a>(&self, body: &'a [u8], records: &mut BatchBuilder) -> Result<Wire<'a>, CodecError> {
        let mut wire: Wire<'a> = serde_json::from_slice(body).map_err(CodecError::new)?;
        records.reserve(wire.records.len());
        for record in wire.records.drain(..) {
            let mut data = MARK.as_bytes().to_vec();
            data.extend(base64::decode(record.data).map_err(CodecError::new)?);
            let sequence = SequenceNumber::new(record.sequence_number)?;
            let mut entry = RecordEntry::new(sequence, record.partition_key, Bytes::from(data));
            let millis = (record.approximate_arrival_timestamp * 1e3).round() as i64;
            entry.arrival = Some(Timestamp::from_millis(millis));
            records.push(entry)?;
            let refuses = self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            if refuses.is_ok() {
                return Err(CodecError::new("refused by the test"));
            }
        }
        Ok(wire)
    }
}

fn children(children: Option<Vec<WireChild>>) -> Result<Option<Vec<ChildShard>>, CodecError> {
    let child = |child: WireChild| {
        let number = |key: &str| key.parse::<u128>().map_err(CodecError::new);
        let range = child.hash_key_range;
        let range = HashRange::new(number(&range.starting_hash_key)?, number(&range.ending_hash_key)?);
        let parents = child.parent_shards.into_iter().map(ShardId::new).collect::<Result<_, _>>()?;
        Ok(ChildShard::new(ShardId::new(child.shard_id)?, parents, range))
    };
    children.map(|children| children.into_iter().map(child).collect()).transpose()
}
