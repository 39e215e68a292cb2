use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64_simd::STANDARD as BASE64;
use bytes::Bytes;
use serde::Deserialize;

use crate::types::aggregate_codec::{AggregatedRecord, UserRecord, encode};
use crate::types::{ByteAccount, BytePermit, HashRange, OpenedBatch, RecordBatch, RecordEntry};

fn entry(sequence: u64, data: impl Into<Bytes>) -> RecordEntry {
    RecordEntry::new(sequence.to_string().parse().unwrap(), "carrier", data.into())
}

fn batch(entries: Vec<RecordEntry>) -> RecordBatch {
    RecordBatch::new(entries, None, BytePermit::unlimited())
}

/// An aggregate of records with these explicit hash keys; the data is the index.
fn aggregate(hash_keys: &[u128]) -> Vec<u8> {
    let user = |index: usize| UserRecord {
        explicit_hash_key_index: Some(index as u64),
        data: index.to_string().into_bytes(),
        ..UserRecord::default()
    };
    encode(&AggregatedRecord {
        partition_keys: vec!["user".into()],
        explicit_hash_keys: hash_keys.iter().map(u128::to_string).collect(),
        records: (0..hash_keys.len()).map(user).collect(),
    })
}

fn texts(opened: &OpenedBatch) -> Vec<String> {
    let text = |data: &Bytes| String::from_utf8_lossy(data).into_owned();
    opened.batch.iter().map(|record| format!("{} {}", record.position(), text(record.data()))).collect()
}

#[test]
fn user_records_follow_each_other_between_plain_ones() {
    let batch = batch(vec![entry(1, "plain"), entry(2, aggregate(&[5, 6, 7])), entry(3, "plain")]);
    let opened = batch.open_aggregates(None);
    assert_eq!(texts(&opened), ["1 plain", "2 0", "2.1 1", "2.2 2", "3 plain"]);
    let user = opened.batch.get(2).unwrap();
    assert_eq!((user.partition_key(), user.explicit_hash_key()), ("user", Some("6")));
    assert!(user.is_aggregated() && !opened.batch.first().unwrap().is_aggregated());
    assert_eq!(opened.batch.first().unwrap().partition_key(), "carrier");
    let kept = user.detach();
    assert_eq!((kept.position(), kept.partition_key(), kept.is_aggregated()), (user.position(), "user", true));
    let rest = opened.batch.after(&user.position());
    assert_eq!(rest.iter().map(|record| record.position().to_string()).collect::<Vec<_>>(), ["2.2", "3"]);
    assert_eq!(opened.batch.open_aggregates(None).batch.len(), 5, "opening twice changes nothing");
}

#[test]
fn user_records_of_another_shard_are_left_out_one_by_one_and_passed() {
    let batch = batch(vec![entry(1, aggregate(&[5, 60, 7])), entry(2, aggregate(&[70, 80]))]);
    let opened = batch.open_aggregates(HashRange::new(0, 9));
    assert_eq!(texts(&opened), ["1 0", "1.2 2"]);
    assert_eq!(opened.outside, 3);
    assert_eq!(opened.batch.through().unwrap().to_string(), "2.1");
    let (first, second) = opened.batch.split(1);
    assert_eq!(first.through().unwrap().to_string(), "1");
    assert_eq!(second.through().unwrap().to_string(), "2.1");
}

#[test]
fn opening_stops_before_a_corrupt_aggregate() {
    let mut damaged = aggregate(&[1]);
    damaged[7] ^= 1;
    let batch = batch(vec![entry(1, "plain"), entry(2, damaged), entry(3, aggregate(&[1]))]);
    let opened = batch.open_aggregates(None);
    assert_eq!(texts(&opened), ["1 plain"]);
    assert_eq!(opened.batch.through().unwrap().to_string(), "1");
    let (corrupt, rest) = opened.corrupt.unwrap();
    let text = corrupt.to_string();
    assert!(text.contains("record 2") && text.contains("checksum"), "{text}");
    assert_eq!(rest.iter().map(|record| record.position().to_string()).collect::<Vec<_>>(), ["2", "3"]);
    let again = rest.open_aggregates(None);
    assert!(again.batch.is_empty() && again.batch.through().is_none() && again.corrupt.is_some());
}

#[derive(Default)]
struct Counted(AtomicUsize);

impl ByteAccount for Counted {
    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::SeqCst);
    }
    fn overdraw(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::SeqCst);
    }
}

#[test]
fn the_entries_of_user_records_count_against_the_budget_until_the_last_is_gone() {
    let account = Arc::new(Counted::default());
    let batch = RecordBatch::new(vec![entry(1, aggregate(&[1; 100]))], None, BytePermit::new(0, account.clone()));
    let unopened = account.0.load(Ordering::SeqCst);
    let record = batch.open_aggregates(None).batch.last().unwrap();
    assert!(account.0.load(Ordering::SeqCst) >= unopened + 100 * 32);
    drop(batch);
    assert!(account.0.load(Ordering::SeqCst) > unopened, "one record holds them all");
    drop(record);
    assert_eq!(account.0.load(Ordering::SeqCst), 0);
}

#[derive(Deserialize)]
struct Case {
    name: String,
    data: String,
    users: Vec<(String, Option<String>, String)>,
}

fn decoded(text: &str) -> Vec<u8> {
    BASE64.decode_to_vec(text).unwrap()
}

/// `tests/data/kpl/README.md` says who made them.
#[test]
fn aggregates_of_other_implementations_are_opened() {
    let python = include_str!("../../../tests/data/kpl/python.json");
    let node = include_str!("../../../tests/data/kpl/node.json");
    for case in [python, node].into_iter().flat_map(|text| serde_json::from_str::<Vec<Case>>(text).unwrap()) {
        let Case { name, data, users } = case;
        let opened = batch(vec![entry(1, decoded(&data))]).open_aggregates(None);
        let found: Vec<_> = opened
            .batch
            .iter()
            .map(|record| {
                let hash_key = record.explicit_hash_key().map(str::to_owned);
                (record.partition_key().to_owned(), hash_key, record.data().to_vec())
            })
            .collect();
        let expected: Vec<_> = users.into_iter().map(|(key, hash_key, data)| (key, hash_key, decoded(&data))).collect();
        assert_eq!(found, expected, "{name}");
    }
}
