//! Opening aggregates of the Kinesis Producer Library, with all checks, against prost and md-5.

use std::hint::black_box;

use bytes::Bytes;
use kcl_core::types::{BytePermit, HashRange, RecordBatch, RecordEntry};
use md5::{Digest, Md5};
use prost::Message;

use crate::canned::thread_cpu;
use crate::report::{Budget, Report, median};

/// The KPL's message, as its definition has it.
#[derive(Clone, PartialEq, Message)]
struct Aggregated {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<Member>,
}

#[derive(Clone, PartialEq, Message)]
struct Member {
    #[prost(uint64, required, tag = "1")]
    partition_key: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key: Option<u64>,
    #[prost(bytes = "bytes", required, tag = "3")]
    data: Bytes,
}

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// The largest record that the service took for most of its life.
const SIZE: usize = 1_000_000;

pub(crate) fn measure(report: &mut Report, rounds: usize) {
    report.title("opening an aggregate of 1 MB: checksum, hash range of each key, user records (left: prost and md-5)");
    for (name, bytes, keys) in [
        ("100 B, 16 keys", 100, Some(16)),
        ("100 B, a key each", 100, None),
        ("1 KiB, 16 keys", 1 << 10, Some(16)),
        ("1 KiB, a key each", 1 << 10, None),
    ] {
        let (data, count) = aggregate(bytes, keys);
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            theirs.push(each(count, || with_prost(&data)));
            ours.push(each(count, || with_batch(&data)));
        }
        let (theirs, ours) = (median(theirs), median(ours));
        report.row(name, "ns", theirs, ours, Budget::Percent(5.0));
        let per_second = bytes as f64 / ours * 1e3;
        report.note(&format!("{per_second:.0} MB of user data per CPU-second, {:.2} million records", 1e3 / ours));
    }
}

/// An aggregate of records of so many bytes, and how many they are.
fn aggregate(bytes: usize, keys: Option<usize>) -> (Bytes, usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut message = Aggregated::default();
    let key = |random: &mut fastrand::Rng| format!("{:036x}", random.u128(..));
    while message.encoded_len() + bytes < SIZE {
        let count = message.partition_keys.len();
        let partition_key = match keys {
            Some(keys) if count == keys => random.usize(..count),
            _ => {
                message.partition_keys.push(key(&mut random));
                count
            }
        };
        let data: Bytes = (0..bytes).map(|_| random.u8(..)).collect();
        message.records.push(Member { partition_key: partition_key as u64, explicit_hash_key: None, data });
    }
    let body = message.encode_to_vec();
    let digest = Md5::digest(&body);
    let data = [&MAGIC[..], &body, &digest].concat();
    (Bytes::from(data), message.records.len())
}

/// CPU for each of so many user records, in nanoseconds.
fn each(count: usize, open: impl Fn() -> usize) -> f64 {
    const TIMES: usize = 5;
    let begun = thread_cpu();
    for _ in 0..TIMES {
        assert_eq!(open(), count);
    }
    (thread_cpu() - begun).as_nanos() as f64 / (TIMES * count) as f64
}

/// What anybody would write: decode, compare the checksum, hash the key of each record.
fn with_prost(data: &Bytes) -> usize {
    let (body, digest) = data[4..].split_at(data.len() - 4 - 16);
    assert_eq!(Md5::digest(body)[..], *digest);
    let message = Aggregated::decode(data.slice(4..data.len() - 16)).unwrap();
    let inside = message.records.iter().filter(|record| {
        let key = &message.partition_keys[record.partition_key as usize];
        let hash = u128::from_be_bytes(Md5::digest(key).into());
        HashRange::ALL.start() <= hash && hash <= HashRange::ALL.end()
    });
    inside.fold(0, |count, record| {
        black_box(record.data.clone());
        count + 1
    })
}

fn with_batch(data: &Bytes) -> usize {
    let entry = RecordEntry::new("1".parse().unwrap(), "carrier", data.clone());
    let batch = RecordBatch::new(vec![entry], None, BytePermit::unlimited());
    let opened = batch.open_aggregates(Some(HashRange::ALL));
    assert!(opened.corrupt.is_none());
    opened.batch.iter().fold(0, |count, record| {
        black_box(record.data().clone());
        count + 1
    })
}
