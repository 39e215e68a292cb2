//! Packs records into aggregates in the format of the Kinesis Producer Library, so that many small records cost one.
//!
//! Which shard a record belongs to must not depend on the records it travels with, and must not change while it waits, also
//! if the stream is resharded meanwhile. So the hash space is cut into 256 parts, a record goes to the part of its key, and
//! the aggregate and all user records in it carry the first hash key of that part: whatever shard takes the aggregate
//! takes all of them, and records of one key stay in one shard and in order.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::types::Moment;
use md5::{Digest, Md5};
use prost::Message;

use super::put::Entry;

/// Records that wait for company.
#[derive(Debug, Default)]
pub struct Aggregator {
    parts: BTreeMap<u8, Part>,
}

/// The records of one part of the hash space.
#[derive(Debug)]
struct Part {
    since: Moment,
    indices: BTreeMap<String, u64>,
    content: AggregatedRecord,
    size: usize,
}

impl Aggregator {
    /// Takes a record in. What comes out is to be put now: aggregates that are full, and records too large for one.
    pub fn add(&mut self, entry: Entry, now: Moment) -> Vec<Entry> {
        let number = part_of(&entry.key);
        let mut out = Vec::new();
        let size = entry.size() + OVERHEAD;
        let full = |part: &mut Part| part.size + size > MOST_BYTES;
        if let Some(part) = self.parts.get_mut(&number)
            && full(part)
        {
            out.extend(self.close(number));
        }
        let part = self.parts.entry(number).or_insert_with(|| Part::new(now, number));
        part.add(entry, size);
        if part.size > MOST_BYTES {
            out.extend(self.close(number));
        }
        out
    }

    /// Until when the oldest record may wait.
    pub fn due_at(&self) -> Option<Moment> {
        self.parts.values().map(|part| part.since + MOST_WAIT).min()
    }

    /// The aggregates that have waited long enough.
    pub fn due(&mut self, now: Moment) -> Vec<Entry> {
        let due = self.parts.iter().filter(|(_, part)| part.since + MOST_WAIT <= now).map(|(number, _)| *number);
        due.collect::<Vec<_>>().into_iter().filter_map(|number| self.close(number)).collect()
    }

    /// All that is left.
    pub fn finish(self) -> Vec<Entry> {
        self.parts.into_iter().map(|(number, part)| part.seal(number)).collect()
    }

    fn close(&mut self, number: u8) -> Option<Entry> {
        self.parts.remove(&number).map(|part| part.seal(number))
    }
}

impl Part {
    fn new(since: Moment, number: u8) -> Self {
        let content = AggregatedRecord { explicit_hash_keys: vec![hash_key(number)], ..AggregatedRecord::default() };
        Part { since, indices: BTreeMap::new(), content, size: OVERHEAD }
    }

    fn add(&mut self, entry: Entry, size: usize) {
        let next = self.indices.len() as u64;
        let index = *self.indices.entry(entry.key).or_insert_with_key(|key| {
            self.content.partition_keys.push(key.clone());
            next
        });
        self.content.records.push(UserRecord {
            partition_key_index: index,
            explicit_hash_key_index: Some(0),
            data: entry.data,
        });
        self.size += size;
    }

    /// One record to put. A single user record needs no aggregate around it.
    fn seal(mut self, number: u8) -> Entry {
        let records = self.content.records.len() as u64;
        let bytes = self.content.records.iter().map(|user| user.data.len() as u64).sum();
        let key = self.content.partition_keys.first().cloned().unwrap_or_default();
        let data = match self.content.records.pop() {
            Some(only) if self.content.records.is_empty() => only.data,
            last => {
                self.content.records.extend(last);
                let content = self.content.encode_to_vec();
                [&MAGIC[..], &content, &Md5::digest(&content)[..]].concat()
            }
        };
        Entry { key, data, explicit_hash_key: Some(hash_key(number)), records, bytes }
    }
}

/// The part of the hash space that the service would place this key in.
fn part_of(key: &str) -> u8 {
    Md5::digest(key.as_bytes())[0]
}

fn hash_key(number: u8) -> String {
    (u128::from(number) << 120).to_string()
}

/// The first bytes of an aggregate.
const MAGIC: &[u8; 4] = &[0xF3, 0x89, 0x9A, 0xC2];
/// An aggregate holds so many bytes at most, as the KPL's by default: beyond, little more is saved.
const MOST_BYTES: usize = 51_200;
/// A record waits so long for others, as the KPL's does by default.
const MOST_WAIT: Duration = Duration::from_millis(100);
/// At most what the format adds to a record, and to an aggregate.
const OVERHEAD: usize = 64;

#[derive(Clone, PartialEq, Message)]
struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<UserRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct UserRecord {
    #[prost(uint64, required, tag = "1")]
    partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use kcl_core::types::{BytePermit, RecordBatch, RecordEntry};

    use super::*;

    fn opened(entries: &[Entry]) -> Vec<(String, Vec<u8>)> {
        let mut records = Vec::new();
        for (number, entry) in (1..).zip(entries) {
            let sequence = u64::to_string(&number).parse().unwrap();
            let record = RecordEntry::new(sequence, entry.key.as_str(), entry.data.clone().into());
            let opened = RecordBatch::new(vec![record], None, BytePermit::unlimited()).open_aggregates(None);
            assert!(opened.corrupt.is_none());
            records
                .extend(opened.batch.iter().map(|record| (record.partition_key().to_owned(), record.data().to_vec())));
        }
        records
    }

    #[test]
    fn what_is_packed_is_unpacked_in_the_order_of_each_key() {
        let mut aggregator = Aggregator::default();
        let mut out = Vec::new();
        let lines: Vec<(String, Vec<u8>)> =
            (0..5_000).map(|n| (format!("key-{}", n % 7), vec![b'x'; n % 300])).collect();
        for (key, data) in &lines {
            out.extend(aggregator.add(Entry::new(key.clone(), data.clone()), Moment::default()));
        }
        out.extend(aggregator.finish());
        assert!(out.len() < 100 && out.iter().all(|entry| entry.size() < 60_000), "{} entries", out.len());
        assert_eq!(out.iter().map(|entry| entry.records).sum::<u64>(), 5_000);
        let unpacked = opened(&out);
        for key in 0..7 {
            let key = format!("key-{key}");
            let of = |records: &[(String, Vec<u8>)]| -> Vec<Vec<u8>> {
                records.iter().filter(|(of, _)| *of == key).map(|(_, data)| data.clone()).collect()
            };
            assert_eq!(of(&unpacked), of(&lines), "{key}");
        }
    }

    #[test]
    fn a_record_too_large_for_company_goes_alone_and_behind_those_of_its_key() {
        let mut aggregator = Aggregator::default();
        assert!(aggregator.add(Entry::new("k".into(), b"small".to_vec()), Moment::default()).is_empty());
        let out = aggregator.add(Entry::new("k".into(), vec![0; 100_000]), Moment::default());
        assert_eq!(out.iter().map(|entry| entry.data.len()).collect::<Vec<_>>(), [5, 100_000]);
        assert!(aggregator.due_at().is_none());
    }

    #[test]
    fn a_record_waits_a_moment_at_most() {
        let mut aggregator = Aggregator::default();
        let at = |millis| Moment::from_origin(Duration::from_millis(millis));
        aggregator.add(Entry::new("k".into(), b"x".to_vec()), at(5));
        assert!(aggregator.due(at(104)).is_empty());
        assert_eq!(aggregator.due_at(), Some(at(105)));
        assert_eq!(aggregator.due(at(105)).len(), 1);
    }
}
