use proptest::prelude::*;
use prost::Message;

use super::*;

/// The messages as `prost` reads and writes them: an independent codec to compare with.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct AggregatedRecord {
    #[prost(string, repeated, tag = "1")]
    pub(crate) partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(crate) explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) records: Vec<UserRecord>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserRecord {
    #[prost(uint64, required, tag = "1")]
    pub(crate) partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    pub(crate) explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    pub(crate) data: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) tags: Vec<Tag>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Tag {
    #[prost(string, required, tag = "1")]
    pub(crate) key: String,
    #[prost(string, optional, tag = "2")]
    pub(crate) value: Option<String>,
}

/// What is read of the messages: tags are passed over, whatever is in them.
#[derive(Clone, PartialEq, Message)]
struct Read {
    #[prost(string, repeated, tag = "1")]
    partition_keys: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    explicit_hash_keys: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    records: Vec<ReadUser>,
}

#[derive(Clone, PartialEq, Message)]
struct ReadUser {
    #[prost(uint64, required, tag = "1")]
    partition_key_index: u64,
    #[prost(uint64, optional, tag = "2")]
    explicit_hash_key_index: Option<u64>,
    #[prost(bytes = "vec", required, tag = "3")]
    data: Vec<u8>,
}

pub(crate) fn sealed(content: &[u8]) -> Vec<u8> {
    [&MAGIC[..], content, &Md5::digest(content)[..]].concat()
}

pub(crate) fn encode(record: &AggregatedRecord) -> Vec<u8> {
    sealed(&record.encode_to_vec())
}

fn user(key: u64, hash_key: Option<u64>, data: &[u8]) -> UserRecord {
    UserRecord {
        partition_key_index: key,
        explicit_hash_key_index: hash_key,
        data: data.to_vec(),
        tags: vec![Tag { key: "t".into(), value: Some("v".into()) }],
    }
}

fn aggregate(keys: &[&str], hash_keys: &[&str], records: Vec<UserRecord>) -> AggregatedRecord {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    AggregatedRecord { partition_keys: owned(keys), explicit_hash_keys: owned(hash_keys), records }
}

#[test]
fn keys_data_and_hashes_are_read() {
    let data = encode(&aggregate(&["a", "b"], &["7"], vec![user(1, None, b"x"), user(0, Some(0), b"")]));
    let read = Aggregate::read(&data).unwrap();
    let [first, second] = &read.members[..] else { panic!("two user records") };
    assert_eq!(&data[first.data.clone()], b"x");
    assert!(second.data.is_empty());
    // The MD5 of "b", as the service places it.
    assert_eq!(format!("{:x}", read.hash(first)), "92eb5ffee6ae2fec3ad71c777531578f");
    assert_eq!(read.hash(second), 7);
}

#[test]
fn what_is_wrong_with_an_aggregate_is_named() {
    let read = |record: &AggregatedRecord| Aggregate::read(&encode(record)).unwrap_err().to_string();
    let no_key = aggregate(&["a"], &[], vec![user(1, None, b"")]);
    assert_eq!(read(&no_key), "user record 0 names partition key 1, but there are 1");
    let no_hash_key = aggregate(&["a"], &[], vec![user(0, Some(u64::MAX), b"")]);
    assert!(read(&no_hash_key).contains("explicit hash key"));
    for wrong in ["-1", "+1", "", "x", "340282366920938463463374607431768211456"] {
        let text = read(&aggregate(&["a"], &[wrong], vec![]));
        assert!(text.contains(wrong) && text.contains("2^128"), "{text}");
    }
    let mut flipped = encode(&no_key);
    flipped[6] ^= 1;
    assert_eq!(Aggregate::read(&flipped), Err(AggregateError::Checksum));
    assert_eq!(Aggregate::read(&flipped[..20]), Err(AggregateError::TooShort(20)));
    assert!(matches!(Aggregate::read(&sealed(&[0x0A, 0x05, b'x'])), Err(AggregateError::Malformed { at: 6, .. })));
    assert!(matches!(Aggregate::read(&sealed(&[0x0A, 0x01, 0xFF])), Err(AggregateError::Malformed { .. })));
}

fn arbitrary() -> impl Strategy<Value = AggregatedRecord> {
    let keys = prop::collection::vec(".{0,12}", 1..4);
    let hash_keys = prop::collection::vec(any::<u128>().prop_map(|key| key.to_string()), 1..3);
    (keys, hash_keys).prop_flat_map(|(keys, hash_keys)| {
        let records = (0..keys.len() as u64, prop::option::of(0..hash_keys.len() as u64), any::<Vec<u8>>())
            .prop_map(|(key, hash_key, data)| user(key, hash_key, &data));
        prop::collection::vec(records, 0..20).prop_map(move |records| AggregatedRecord {
            partition_keys: keys.clone(),
            explicit_hash_keys: hash_keys.clone(),
            records,
        })
    })
}

proptest! {
    #[test]
    fn what_another_codec_wrote_is_read(record in arbitrary()) {
        let data = encode(&record);
        let read = Aggregate::read(&data).unwrap();
        prop_assert_eq!(read.members.len(), record.records.len());
        for (member, user) in read.members.iter().zip(&record.records) {
            prop_assert_eq!(&data[member.data.clone()], &user.data[..]);
            let key = &data[read.partition_keys[member.partition_key].text.clone()];
            prop_assert_eq!(key, record.partition_keys[user.partition_key_index as usize].as_bytes());
            prop_assert_eq!(member.explicit_hash_key.map(|index| index as u64), user.explicit_hash_key_index);
        }
    }

    /// Whatever is read of damaged content, the other codec reads the same; and nothing panics.
    #[test]
    fn damaged_content_is_refused_or_read_as_another_codec_does(
        record in arbitrary(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut content = record.encode_to_vec();
        content.truncate(cut.index(content.len() + 1));
        for (index, byte) in damage {
            if !content.is_empty() {
                let index = index.index(content.len());
                content[index] = byte;
            }
        }
        let data = sealed(&content);
        if let Ok(read) = Aggregate::read(&data) {
            let expected = Read::decode(&content[..]).unwrap();
            prop_assert_eq!(read.partition_keys.len(), expected.partition_keys.len());
            prop_assert_eq!(read.explicit_hash_keys.len(), expected.explicit_hash_keys.len());
            let members: Vec<&[u8]> = read.members.iter().map(|member| &data[member.data.clone()]).collect();
            let users: Vec<&[u8]> = expected.records.iter().map(|user| &user.data[..]).collect();
            prop_assert_eq!(members, users);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read(content in any::<Vec<u8>>()) {
        let _no_panic = Aggregate::read(&content);
        let _no_panic = Aggregate::read(&sealed(&content));
    }
}
