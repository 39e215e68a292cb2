//! Records that claim to be aggregates.

use bytes::Bytes;
use kcl_core::types::{HashRange, OpenedBatch, RecordBatch, RecordEntry};
use md5::{Digest, Md5};
use prost::Message;

use super::tally::Tally;

/// The bytes as a record's data; and as the content of an aggregate, since chance does not find checksums.
pub(super) fn check(bytes: &[u8]) {
    opened(bytes);
    opened(&sealed(bytes));
}

/// Between two plain records. They must come through, the first one always.
fn opened(data: &[u8]) {
    let tally = Tally::new(usize::MAX);
    let entry = |number: &str, data: &[u8]| {
        RecordEntry::new(number.parse().expect("a number"), "carrier", Bytes::copy_from_slice(data))
    };
    let entries = vec![entry("6", b"before"), entry("7", data), entry("8", b"behind")];
    let batch = RecordBatch::new(entries, None, tally.permit(1_000));
    let whole = batch.open_aggregates(None);
    match &whole.corrupt {
        Some((corrupt, rest)) => {
            assert_eq!(corrupt.position.sequence.as_str(), "7");
            assert_eq!(numbers(rest), ["7", "8"], "it and what follows, as they came");
            assert_eq!(numbers(&whole.batch), ["6"]);
            assert!(!corrupt.error.to_string().is_empty());
            refused_rightly(data);
        }
        None => members(data, &whole),
    }
    halves(&batch, &whole);
    drop((batch, whole));
    assert_eq!(tally.used(), 0, "bytes that nobody gives back");
}

/// Every user record lies in exactly one half of the hash space.
fn halves(batch: &RecordBatch, whole: &OpenedBatch) {
    let halves = [HashRange::new(0, u128::MAX / 2), HashRange::new(u128::MAX / 2 + 1, u128::MAX)];
    let halves = halves.map(|half| batch.open_aggregates(half));
    assert!(halves.iter().all(|half| half.corrupt.is_some() == whole.corrupt.is_some()));
    if whole.corrupt.is_none() {
        let inside = |opened: &OpenedBatch| opened.batch.iter().filter(|record| record.is_aggregated()).count();
        assert_eq!(halves.iter().map(inside).sum::<usize>(), inside(whole));
        assert_eq!(halves.iter().map(|half| half.outside).sum::<u64>(), inside(whole) as u64);
    }
}

/// Holds the user records against what another decoder finds.
fn members(data: &[u8], whole: &OpenedBatch) {
    assert_eq!(whole.outside, 0, "nothing lies outside of everything");
    let users: Vec<_> = whole.batch.iter().filter(|record| record.sequence_number().as_str() == "7").collect();
    if !data.starts_with(MAGIC) {
        assert!(users.len() == 1 && users[0].data() == data && !users[0].is_aggregated(), "it is plain");
        return;
    }
    let content = AggregatedRecord::decode(content(data)).expect("what was opened can be decoded");
    assert_eq!(users.len(), content.records.len());
    for (sub, (user, expected)) in users.iter().zip(&content.records).enumerate() {
        assert_eq!(user.sub_sequence_number(), sub as u64);
        assert!(user.is_aggregated());
        assert_eq!(Some(user.data().as_ref()), expected.data.as_deref());
        let text = |index: Option<u64>, table: &[String]| {
            index.and_then(|index| table.get(usize::try_from(index).ok()?).cloned())
        };
        assert_eq!(Some(user.partition_key().to_owned()), text(expected.partition_key_index, &content.partition_keys));
        let explicit = text(expected.explicit_hash_key_index, &content.explicit_hash_keys);
        assert_eq!(user.explicit_hash_key().map(str::to_owned), explicit);
    }
}

/// What is in order must not be refused.
fn refused_rightly(data: &[u8]) {
    if data.len() < MAGIC.len() + CHECKSUM + 1 || Md5::digest(content(data))[..] != data[data.len() - CHECKSUM..] {
        return;
    }
    // Groups are no part of the format, nor of its later versions.
    let Ok(content) = AggregatedRecord::decode(content(data)) else { return };
    let within = |index: u64, table: &[String]| usize::try_from(index).is_ok_and(|index| index < table.len());
    let complete = content.records.iter().all(|user| {
        let key = user.partition_key_index.is_some_and(|index| within(index, &content.partition_keys));
        let explicit = user.explicit_hash_key_index.is_none_or(|index| within(index, &content.explicit_hash_keys));
        key && explicit && user.data.is_some()
    });
    let digits = |key: &String| key.bytes().all(|byte| byte.is_ascii_digit()) && key.parse::<u128>().is_ok();
    let in_order = complete && content.explicit_hash_keys.iter().all(digits);
    assert!(!in_order || has_groups(data), "it is in order: {content:?}");
}

/// Whether some field of a message may be a group, by its wire type; a byte of a text may look like one.
fn has_groups(data: &[u8]) -> bool {
    content(data).iter().any(|byte| matches!(byte & 7, 3 | 4))
}

fn content(data: &[u8]) -> &[u8] {
    &data[MAGIC.len()..data.len() - CHECKSUM]
}

fn sealed(content: &[u8]) -> Vec<u8> {
    [&MAGIC[..], content, &Md5::digest(content)[..]].concat()
}

fn numbers(batch: &RecordBatch) -> Vec<String> {
    batch.iter().map(|record| record.sequence_number().to_string()).collect()
}

const MAGIC: &[u8; 4] = &[0xF3, 0x89, 0x9A, 0xC2];
const CHECKSUM: usize = 16;

/// The messages as `prost` reads them, with nothing required.
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
    #[prost(uint64, optional, tag = "1")]
    partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", optional, tag = "3")]
    data: Option<Vec<u8>>,
}
