//! The SDK's decoding, held against what the SDK makes of the same body.

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_smithy_json::codec::{JsonCodec, JsonCodecSettings};
use aws_smithy_schema::codec::DynCodec;
use aws_smithy_types::base64;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AnswerTail, Body, Codec, SdkCodec};
use crate::types::{BatchBuilder, EncryptionType, Timestamp};

fn decode(body: &str) -> (AnswerTail, BatchBuilder) {
    let mut records = BatchBuilder::new();
    let tail = SdkCodec::default().get_records(Body::new(body.as_bytes()), &mut records).unwrap();
    (tail, records)
}

fn record(number: usize, data: &[u8], key: &str, millis: i64, kms: bool) -> Value {
    json!({
        "SequenceNumber": (number + 1).to_string(),
        "Data": base64::encode(data),
        "PartitionKey": key,
        "ApproximateArrivalTimestamp": millis as f64 / 1e3,
        "EncryptionType": if kms { "KMS" } else { "NONE" },
        "SomethingNew": [{ "a": 1 }, null],
    })
}

proptest! {
    #[test]
    fn records_are_those_that_the_sdk_reads(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), "\\PC{0,12}", 0_i64..2_000_000_000_000, any::<bool>()), 0..20)
    ) {
        let values: Vec<_> = parts.iter().enumerate().map(|(n, (data, key, millis, kms))| record(n, data, key, *millis, *kms)).collect();
        let body = json!({ "Records": values, "NextShardIterator": "AAA", "MillisBehindLatest": 7 }).to_string();
        let (tail, records) = decode(&body);
        let codec = JsonCodec::new(JsonCodecSettings::builder().use_json_name(false).build());
        let theirs = GetRecordsOutput::deserialize(&mut *DynCodec::create_deserializer(&codec, body.as_bytes())).unwrap();
        prop_assert_eq!(tail.next_shard_iterator, theirs.next_shard_iterator);
        prop_assert_eq!(tail.millis_behind_latest, theirs.millis_behind_latest);
        prop_assert_eq!(records.entries().len(), theirs.records.len());
        for ((ours, theirs), (_, _, millis, kms)) in records.entries().iter().zip(&theirs.records).zip(&parts) {
            prop_assert_eq!(ours.sequence.as_str(), theirs.sequence_number());
            prop_assert_eq!(&ours.data[..], theirs.data().as_ref());
            prop_assert_eq!(Some(&*ours.partition_key), theirs.partition_key());
            prop_assert_eq!(ours.arrival, Some(Timestamp::from_millis(*millis)), "to the millisecond");
            prop_assert_eq!(ours.encryption == EncryptionType::Kms, *kms);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut records = BatchBuilder::new();
        let _ = SdkCodec::default().get_records(Body::new(&bytes), &mut records);
        let _ = SdkCodec::default().event(Body::new(&bytes), &mut records);
    }
}

#[test]
fn what_is_null_is_absent() {
    let body =
        r#"{"Records": null, "NextShardIterator": null, "MillisBehindLatest": null, "ChildShards": null, "X": {}}"#;
    let (tail, records) = decode(body);
    assert_eq!((tail, records.entries().len()), (AnswerTail::default(), 0));
    let mut records = BatchBuilder::new();
    let event =
        r#"{"Records": null, "ContinuationSequenceNumber": null, "MillisBehindLatest": null, "ChildShards": null}"#;
    let tail = SdkCodec::default().event(Body::new(event.as_bytes()), &mut records).unwrap();
    assert_eq!(tail, super::EventTail::default());
}

#[test]
fn a_child_that_cannot_be_read_is_left_out() {
    let range = json!({ "StartingHashKey": "0", "EndingHashKey": "9" });
    let child = |id: &str| json!({ "ShardId": id, "ParentShards": ["shardId-0"], "HashKeyRange": range });
    let body = json!({ "Records": [], "ChildShards": [child("shardId-1"), child("")] }).to_string();
    let children = decode(&body).0.child_shards.unwrap();
    assert_eq!(children.iter().map(|child| child.id.to_string()).collect::<Vec<_>>(), ["shardId-1"]);
}
