//! Whatever is sent, every operation answers, with success or with an error of its own, and nothing that was there is harmed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::world::config;
use hyper::Request;
use kcl_local::{LocalDynamoDb, LocalKinesis, ManualClock, Service, Timestamp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const OPERATIONS: [&str; 36] = [
    "CreateStream",
    "DeleteStream",
    "DescribeStream",
    "DescribeStreamSummary",
    "ListStreams",
    "DescribeLimits",
    "DescribeAccountSettings",
    "AddTagsToStream",
    "ListTagsForStream",
    "RemoveTagsFromStream",
    "TagResource",
    "ListTagsForResource",
    "UntagResource",
    "PutRecord",
    "PutRecords",
    "GetShardIterator",
    "GetRecords",
    "ListShards",
    "SplitShard",
    "MergeShards",
    "UpdateShardCount",
    "RegisterStreamConsumer",
    "DeregisterStreamConsumer",
    "DescribeStreamConsumer",
    "ListStreamConsumers",
    "SubscribeToShard",
    "IncreaseStreamRetentionPeriod",
    "DecreaseStreamRetentionPeriod",
    "StartStreamEncryption",
    "StopStreamEncryption",
    "EnableEnhancedMonitoring",
    "DisableEnhancedMonitoring",
    "UpdateMaxRecordSize",
    "UpdateStreamMode",
    "UpdateStreamRecordDistributionStrategy",
    "CreateChannel",
];

const MEMBERS: [&str; 36] = [
    "StreamName",
    "StreamARN",
    "ResourceARN",
    "ConsumerARN",
    "ConsumerName",
    "ShardCount",
    "StreamModeDetails",
    "Tags",
    "TagKeys",
    "Limit",
    "MaxResults",
    "NextToken",
    "ExclusiveStartShardId",
    "ExclusiveStartStreamName",
    "StreamCreationTimestamp",
    "Data",
    "PartitionKey",
    "ExplicitHashKey",
    "SequenceNumberForOrdering",
    "Records",
    "ShardId",
    "ShardIteratorType",
    "StartingSequenceNumber",
    "Timestamp",
    "ShardIterator",
    "ShardFilter",
    "StartingPosition",
    "ShardToSplit",
    "NewStartingHashKey",
    "ShardToMerge",
    "AdjacentShardToMerge",
    "TargetShardCount",
    "ScalingType",
    "RetentionPeriodHours",
    "ShardLevelMetrics",
    "MaxRecordSizeInKiB",
];

/// Values that some member has, and values that none has.
fn value() -> impl Strategy<Value = Value> {
    let texts = prop::sample::select(vec![
        "orders",
        "other",
        "arn:aws:kinesis:us-east-1:000000000000:stream/orders",
        "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/c:1790000000",
        "shardId-000000000000",
        "shardId-000000000009",
        "shardId-99999999999999999999",
        "TRIM_HORIZON",
        "LATEST",
        "AT_TIMESTAMP",
        "AFTER_SEQUENCE_NUMBER",
        "AFTER_SHARD_ID",
        "ON_DEMAND",
        "AUTO",
        "UNIFORM_SCALING",
        "KMS",
        "ALL",
        "0",
        "170141183460469231731687303715884105728",
        "340282366920938463463374607431768211455",
        "49678866211184446118386155765263744434302934018048",
        "dGVh",
        "",
        "\u{0}",
        "ä\u{1f600}",
    ]);
    let leaf = prop_oneof![
        8 => texts.prop_map(Value::from),
        2 => any::<String>().prop_map(Value::from),
        2 => (-3..60_i64).prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => prop_oneof![Just(0.5), Just(1e300), Just(-1e300), Just(1_790_000_000.123)].prop_map(|number| json!(number)),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let names =
            prop::sample::select(vec!["Type", "StreamMode", "Data", "PartitionKey", "ShardId", "Timestamp", "a"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names, inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn body() -> impl Strategy<Value = Value> {
    let member = (prop::sample::select(MEMBERS.to_vec()), value());
    prop::collection::vec(member, 0..8).prop_map(|members| {
        let mut object = Map::from_iter([("StreamName".to_owned(), json!("orders"))]);
        object.extend(members.into_iter().map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object)
    })
}

fn service() -> LocalKinesis {
    let kinesis = LocalKinesis::with_clock(Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_123))));
    kinesis.create_stream("orders", 2).unwrap();
    kinesis.put_record("orders", "k", "tea").unwrap();
    kinesis.register_consumer("orders", "c").unwrap();
    kinesis
}

/// The status, which is one of two; an error has a code.
fn call(service: &impl Service, target: &str, content_type: &str, body: Vec<u8>) -> u16 {
    let request =
        Request::post("http://localhost/").header("x-amz-target", target).header("content-type", content_type);
    let response = service.answer(request.body(Bytes::from(body)).unwrap());
    let status = response.status().as_u16();
    assert!([200, 400].contains(&status), "{target}: {status} {:?}", response.body());
    assert_eq!(status == 400, response.headers().contains_key("x-amzn-errortype"), "{target}");
    status
}

proptest! {
    #![proptest_config(config(1_500, "tests/hostile.regressions"))]

    #[test]
    fn every_body_gets_an_answer(operation in prop::sample::select(OPERATIONS.to_vec()), body in body()) {
        let kinesis = service();
        let target = format!("Kinesis_20131202.{operation}");
        call(&kinesis, &target, "application/x-amz-json-1.1", body.to_string().into_bytes());
        // The service goes on.
        kinesis.create_stream("after", 1).unwrap();
        kinesis.put_record("after", "k", "tea").unwrap();
    }

    #[test]
    fn bytes_that_are_no_body_are_refused_or_understood(
        operation in prop::sample::select(OPERATIONS.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        is_cbor in any::<bool>(),
    ) {
        let kinesis = service();
        let content_type = if is_cbor { "application/x-amz-cbor-1.1" } else { "application/x-amz-json-1.1" };
        call(&kinesis, &format!("Kinesis_20131202.{operation}"), content_type, bytes);
    }
}

#[test]
fn a_table_call_without_sense_is_refused() {
    let database = LocalDynamoDb::in_memory().unwrap();
    for operation in ["CreateTable", "PutItem", "UpdateItem", "Query", "Scan", "TransactWriteItems", "DescribeTable"] {
        for body in ["", "{}", "[]", "null", "{\"TableName\":7}", "{\"TableName\":\"leases\",\"Item\":[]}", "\u{0}"] {
            let target = format!("DynamoDB_20120810.{operation}");
            assert_eq!(call(&database, &target, "application/x-amz-json-1.0", body.into()), 400, "{operation} {body}");
        }
    }
}
