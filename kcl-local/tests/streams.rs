//! Streams as a whole, through the AWS SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    MetricsName, ScalingType, ShardIteratorType, StreamMode, StreamModeDetails, StreamStatus,
};
use common::{Scene, code};
use kcl_local::Settings;

in_both_ways!(
    a_new_stream_is_described_as_it_was_created,
    an_on_demand_stream_has_four_shards,
    streams_that_cannot_be_are_refused,
    streams_that_are_not_there_are_not_found,
    streams_are_listed_by_name_in_pages,
    limits_count_what_there_is,
    tags_come_and_go,
    metrics_are_remembered,
);

fn mode(mode: StreamMode) -> StreamModeDetails {
    StreamModeDetails::builder().stream_mode(mode).build().unwrap()
}

async fn a_new_stream_is_described_as_it_was_created(scene: Scene) {
    let create = scene.client.create_stream().stream_name("orders").shard_count(2).tags("team", "tea");
    create.max_record_size_in_kib(2048).send().await.unwrap();
    let description = scene.client.describe_stream().stream_name("orders").send().await.unwrap();
    let description = description.stream_description.unwrap();
    assert_eq!(description.stream_name, "orders");
    assert_eq!(description.stream_arn, "arn:aws:kinesis:us-east-1:000000000000:stream/orders");
    assert_eq!(description.stream_status, StreamStatus::Active);
    assert_eq!(description.retention_period_hours, 24);
    assert_eq!(description.stream_creation_timestamp.secs(), 1_790_000_000);
    assert_eq!(description.stream_mode_details, Some(mode(StreamMode::Provisioned)));
    assert_eq!((description.shards.len(), description.has_more_shards), (2, false));
    let summary = scene.client.describe_stream_summary().stream_arn(scene.arn()).send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!((summary.open_shard_count, summary.consumer_count), (2, Some(0)));
    assert_eq!(summary.max_record_size_in_kib, Some(2048));
    let tags = scene.client.list_tags_for_stream().stream_name("orders").send().await.unwrap();
    assert_eq!((tags.tags[0].key.as_str(), tags.tags[0].value.as_deref()), ("team", Some("tea")));
}

async fn an_on_demand_stream_has_four_shards(scene: Scene) {
    let create = scene.client.create_stream().stream_name("orders").stream_mode_details(mode(StreamMode::OnDemand));
    create.send().await.unwrap();
    let summary = scene.client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!(summary.open_shard_count, 4);
    assert_eq!(summary.stream_mode_details, Some(mode(StreamMode::OnDemand)));
}

async fn streams_that_cannot_be_are_refused(scene: Scene) {
    let create = |name: &str| scene.client.create_stream().stream_name(name);
    assert_eq!(code(create("a/b").shard_count(1).send().await), "ValidationException");
    assert_eq!(code(create(&"a".repeat(129)).shard_count(1).send().await), "ValidationException");
    assert_eq!(code(create("a").shard_count(0).send().await), "ValidationException");
    assert_eq!(code(create("a").send().await), "ValidationException");
    let unknown = create("a").stream_mode_details(mode("SOMETIMES".into()));
    assert_eq!(code(unknown.send().await), "ValidationException");
    let limit = create("a").shard_count(20_001).send().await;
    assert!(limit.unwrap_err().into_service_error().is_limit_exceeded_exception());
    create("a").shard_count(1).send().await.unwrap();
    let again = create("a").shard_count(1).send().await;
    assert!(again.unwrap_err().into_service_error().is_resource_in_use_exception());
}

async fn streams_that_are_not_there_are_not_found(scene: Scene) {
    let client = &scene.client;
    let not_found = "ResourceNotFoundException";
    assert_eq!(code(client.describe_stream().stream_name("x").send().await), not_found);
    assert_eq!(code(client.describe_stream_summary().stream_name("x").send().await), not_found);
    assert_eq!(code(client.list_shards().stream_name("x").send().await), not_found);
    assert_eq!(code(client.delete_stream().stream_name("x").send().await), not_found);
    let put = client.put_record().stream_name("x").partition_key("k").data(Blob::new(""));
    assert!(put.send().await.unwrap_err().into_service_error().is_resource_not_found_exception());
    let split = client.split_shard().stream_name("x").shard_to_split("shardId-000000000000").new_starting_hash_key("1");
    assert_eq!(code(split.send().await), not_found);
    let scale = client.update_shard_count().stream_name("x").target_shard_count(2);
    assert_eq!(code(scale.scaling_type(ScalingType::UniformScaling).send().await), not_found);
    let iterator = client.get_shard_iterator().stream_name("x").shard_id("shardId-000000000000");
    assert_eq!(code(iterator.shard_iterator_type(ShardIteratorType::Latest).send().await), not_found);
    let retention = client.increase_stream_retention_period().stream_name("x").retention_period_hours(48);
    assert_eq!(code(retention.send().await), not_found);
}

async fn streams_are_listed_by_name_in_pages(scene: Scene) {
    for name in ["c", "a", "b", "d"] {
        scene.kinesis.create_stream(name, 1).unwrap();
    }
    let first = scene.client.list_streams().limit(3).send().await.unwrap();
    assert_eq!(first.stream_names, ["a", "b", "c"]);
    assert!(first.has_more_streams);
    assert_eq!(first.stream_summaries()[2].stream_name, "c");
    let rest = scene.client.list_streams().next_token(first.next_token.unwrap()).send().await.unwrap();
    assert_eq!((rest.stream_names, rest.has_more_streams), (vec!["d".to_owned()], false));
    let after = scene.client.list_streams().exclusive_start_stream_name("b").send().await.unwrap();
    assert_eq!(after.stream_names, ["c", "d"]);
}

async fn limits_count_what_there_is(scene: Scene) {
    scene.kinesis.create_stream("a", 3).unwrap();
    scene.kinesis.create_stream_with(kcl_local::NewStream::on_demand("b")).unwrap();
    let limits = scene.client.describe_limits().send().await.unwrap();
    assert_eq!((limits.shard_limit, limits.open_shard_count), (20_000, 7));
    assert_eq!((limits.on_demand_stream_count, limits.on_demand_stream_count_limit), (1, 50));
}

async fn tags_come_and_go(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let add = |key: &str, value: &str| scene.client.add_tags_to_stream().stream_name("orders").tags(key, value).send();
    add("b", "2").await.unwrap();
    add("a", "1").await.unwrap();
    scene.client.tag_resource().resource_arn(scene.arn()).tags("c", "3").send().await.unwrap();
    let first = scene.client.list_tags_for_stream().stream_name("orders").limit(2).send().await.unwrap();
    assert_eq!(first.tags.iter().map(|tag| tag.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(first.has_more_tags);
    let rest = scene.client.list_tags_for_stream().stream_arn(scene.arn()).exclusive_start_tag_key("b").send().await;
    assert_eq!(rest.unwrap().tags.len(), 1);
    scene.client.remove_tags_from_stream().stream_name("orders").tag_keys("a").send().await.unwrap();
    scene.client.untag_resource().resource_arn(scene.arn()).tag_keys("b").send().await.unwrap();
    let left = scene.client.list_tags_for_resource().resource_arn(scene.arn()).send().await.unwrap();
    assert_eq!(left.tags()[0].key, "c");
    assert_eq!(code(add(&"k".repeat(129), "").await), "ValidationException");
    for i in 1..50 {
        add(&format!("t{i}"), "").await.unwrap();
    }
    assert_eq!(code(add("one too many", "").await), "InvalidArgumentException");
}

async fn metrics_are_remembered(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let enable = scene.client.enable_enhanced_monitoring().stream_name("orders");
    let enabled = enable.shard_level_metrics(MetricsName::IncomingBytes).send().await.unwrap();
    assert_eq!(enabled.desired_shard_level_metrics(), [MetricsName::IncomingBytes]);
    assert!(enabled.current_shard_level_metrics().is_empty());
    let disable = scene.client.disable_enhanced_monitoring().stream_name("orders");
    let disabled = disable.shard_level_metrics(MetricsName::All).send().await.unwrap();
    assert!(disabled.desired_shard_level_metrics().is_empty());
}

#[tokio::test]
async fn a_stream_that_takes_time_shows_its_states() {
    let transition = Duration::from_secs(5);
    let scene = Scene::in_process(Settings { transition, ..Settings::default() }).await;
    let status = || async {
        let described = scene.client.describe_stream().stream_name("orders").send().await;
        described.map(|described| described.stream_description.unwrap().stream_status)
    };
    scene.client.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
    assert_eq!(status().await.unwrap(), StreamStatus::Creating);
    let put = || scene.client.put_record().stream_name("orders").partition_key("k").data(Blob::new("x")).send();
    assert_eq!(code(put().await), "ResourceNotFoundException");
    assert_eq!(code(scene.client.list_shards().stream_name("orders").send().await), "ResourceInUseException");
    scene.clock.advance(transition);
    assert_eq!(status().await.unwrap(), StreamStatus::Active);

    let split = || scene.kinesis.split_shard_evenly("orders", kcl_local::ShardId(0));
    split().unwrap();
    assert_eq!(status().await.unwrap(), StreamStatus::Updating);
    assert_eq!(put().await.unwrap().shard_id, "shardId-000000000000");
    assert_eq!(split().unwrap_err().code(), kcl_local::ErrorCode::ResourceInUse);
    scene.clock.advance(transition);
    assert_eq!(status().await.unwrap(), StreamStatus::Active);
    assert_ne!(put().await.unwrap().shard_id, "shardId-000000000000");

    scene.client.delete_stream().stream_name("orders").send().await.unwrap();
    assert_eq!(status().await.unwrap(), StreamStatus::Deleting);
    let again = scene.client.create_stream().stream_name("orders").shard_count(1).send().await;
    assert_eq!(code(again), "ResourceInUseException");
    scene.clock.advance(transition);
    assert_eq!(code(status().await), "ResourceNotFoundException");
    scene.client.create_stream().stream_name("orders").shard_count(1).send().await.unwrap();
}
