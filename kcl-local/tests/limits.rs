//! Rates as the service limits them, through SDK clients.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::error::ProvideErrorMetadata;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ScalingType, ShardIteratorType};
use common::{Scene, code};
use kcl_local::{Limits, Settings};

fn settings() -> Settings {
    Settings { limits: Limits::Service, ..Settings::default() }
}

/// The same check in process and over HTTP, with limits on.
macro_rules! with_limits {
    ($($check:ident),* $(,)?) => {
        mod in_process {
            $(#[tokio::test]
            async fn $check() {
                super::$check(super::Scene::in_process(super::settings()).await).await;
            })*
        }
        mod over_http {
            $(#[tokio::test]
            async fn $check() {
                super::$check(super::Scene::over_http(super::settings()).await).await;
            })*
        }
    };
}

with_limits!(
    records_beyond_a_thousand_are_refused_one_by_one,
    bytes_beyond_a_mebibyte_are_refused,
    the_sixth_read_of_a_second_is_refused,
    a_large_answer_blocks_what_follows,
    the_control_plane_has_rates,
);

/// A client that shows each refusal instead of trying again.
fn client(scene: &Scene) -> aws_sdk_kinesis::Client {
    let retries = aws_sdk_kinesis::config::retry::RetryConfig::disabled();
    aws_sdk_kinesis::Client::from_conf(scene.client.config().to_builder().retry_config(retries).build())
}

fn entries(count: usize, hash_key: &str) -> Vec<PutRecordsRequestEntry> {
    let entry = |index| {
        let entry = PutRecordsRequestEntry::builder().partition_key(format!("{index}")).data(Blob::new("tea"));
        entry.explicit_hash_key(hash_key).build().unwrap()
    };
    (0..count).map(entry).collect()
}

async fn records_beyond_a_thousand_are_refused_one_by_one(scene: Scene) {
    let scene = scene.with_stream(2).await;
    let client = client(&scene);
    let put = |entries| client.put_records().stream_name("orders").set_records(Some(entries)).send();
    assert_eq!(put(entries(500, "0")).await.unwrap().failed_record_count, Some(0));
    assert_eq!(put(entries(499, "0")).await.unwrap().failed_record_count, Some(0));
    let mut mixed = entries(2, "0");
    mixed.extend(entries(1, &u128::MAX.to_string()));
    let answer = put(mixed.clone()).await.unwrap();
    assert_eq!(answer.failed_record_count, Some(1));
    let codes: Vec<_> = answer.records.iter().map(|record| record.error_code()).collect();
    assert_eq!(codes, [None, Some("ProvisionedThroughputExceededException"), None]);
    let message = answer.records[1].error_message().unwrap();
    assert_eq!(message, "Rate exceeded for shard shardId-000000000000 in stream orders under account 000000000000.");
    let one = client.put_record().stream_name("orders").partition_key("k").explicit_hash_key("0").data(Blob::new("x"));
    let error = one.clone().send().await.unwrap_err().into_service_error();
    assert!(error.is_provisioned_throughput_exceeded_exception(), "{error}");
    scene.clock.advance(Duration::from_millis(2));
    assert_eq!(put(mixed).await.unwrap().failed_record_count, Some(0));
    assert!(one.send().await.is_err());
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 1_004);
}

async fn bytes_beyond_a_mebibyte_are_refused(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let client = client(&scene);
    let put = |size| client.put_record().stream_name("orders").partition_key("k").data(Blob::new(vec![0; size])).send();
    put((1 << 20) - 1).await.unwrap();
    assert_eq!(code(put(512 << 10).await), "ProvisionedThroughputExceededException");
    scene.clock.advance(Duration::from_millis(501));
    put(512 << 10).await.unwrap();
}

async fn the_sixth_read_of_a_second_is_refused(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let client = client(&scene);
    let iterator = client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    let token = iterator.clone().send().await.unwrap().shard_iterator;
    let read = || client.get_records().set_shard_iterator(token.clone()).send();
    for _ in 0..5 {
        read().await.unwrap();
    }
    let error = read().await.unwrap_err().into_service_error();
    assert!(error.is_provisioned_throughput_exceeded_exception(), "{error}");
    scene.clock.advance(Duration::from_millis(200));
    read().await.unwrap();
    for _ in 0..5 {
        iterator.clone().send().await.unwrap();
    }
    assert_eq!(code(iterator.send().await), "ProvisionedThroughputExceededException");
}

async fn a_large_answer_blocks_what_follows(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let client = client(&scene);
    for _ in 0..10 {
        scene.kinesis.put_record("orders", "k", vec![b'x'; (1 << 20) - 1]).unwrap();
        scene.clock.advance(Duration::from_secs(1));
    }
    let iterator = client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator;
    let read = || client.get_records().set_shard_iterator(iterator.clone()).send();
    assert_eq!(read().await.unwrap().records.len(), 10);
    scene.clock.advance(Duration::from_millis(4_999));
    assert_eq!(code(read().await), "ProvisionedThroughputExceededException");
    scene.clock.advance(Duration::from_millis(1));
    read().await.unwrap();
}

async fn the_control_plane_has_rates(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let client = client(&scene);
    client.describe_limits().send().await.unwrap();
    assert_eq!(code(client.describe_limits().send().await), "LimitExceededException");
    scene.clock.advance(Duration::from_secs(1));
    client.describe_limits().send().await.unwrap();
    let scale = |target| {
        let call = client.update_shard_count().stream_name("orders").target_shard_count(target);
        call.scaling_type(ScalingType::UniformScaling).send()
    };
    for round in 0..10 {
        scale(1 + (round + 1) % 2).await.unwrap();
    }
    let error = scale(2).await.unwrap_err();
    assert_eq!(error.code(), Some("LimitExceededException"));
    assert!(error.message().unwrap().contains("10 calls"), "{error:?}");
}
