//! Records that find their shard in other ways than by key, calls that only ask, and tags of consumers, through the SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{
    PutRecordsRequestEntry, RecordDistributionStrategy, ScalingType, ShardIteratorType, StartingPosition, StreamMode,
    StreamModeDetails,
};
use common::{Scene, code};
use kcl_local::{NewStream, ShardFilter, ShardId};

in_both_ways!(
    auto_spreads_records_evenly_whatever_their_keys,
    a_provisioned_stream_goes_by_keys,
    shards_of_an_on_demand_stream_are_the_services_business,
    a_dry_run_of_each_call_says_what_would_happen,
    a_number_for_ordering_has_to_be_one,
    consumers_have_tags_of_their_own,
    consumers_are_named_without_contradiction,
    tags_have_letters_that_are_allowed,
    warm_throughput_needs_an_account_that_has_it,
);

async fn auto_spreads_records_evenly_whatever_their_keys(scene: Scene) {
    let create = scene.client.create_stream().stream_name("orders").stream_mode_details(on_demand());
    create.record_distribution_strategy(RecordDistributionStrategy::Auto).send().await.unwrap();
    let put = |data: &str| scene.client.put_record().stream_name("orders").data(Blob::new(data));
    for _ in 0..200 {
        put("without a key").send().await.unwrap();
        put("with one").partition_key("k").explicit_hash_key("0").send().await.unwrap();
    }
    let records = scene.kinesis.all_records("orders").unwrap();
    for shard in 0..4 {
        let count = records.iter().filter(|(id, _)| *id == ShardId(shard)).count();
        assert!((90..=110).contains(&count), "{shard} has {count}");
    }
    let iterator = scene.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator;
    let read = scene.client.get_records().set_shard_iterator(iterator).send().await.unwrap();
    let keys = read.records.iter().map(|record| record.partition_key.as_deref());
    assert!(keys.clone().any(|key| key.is_none()) && keys.clone().any(|key| key == Some("k")));

    let strategy = async || {
        let summary = scene.client.describe_stream_summary().stream_name("orders").send().await.unwrap();
        summary.stream_description_summary.unwrap().record_distribution_strategy
    };
    assert_eq!(strategy().await, Some(RecordDistributionStrategy::Auto));
    let update = scene.client.update_stream_record_distribution_strategy().stream_arn(scene.arn());
    update.record_distribution_strategy(RecordDistributionStrategy::UserPartitionKey).send().await.unwrap();
    assert_eq!(strategy().await, Some(RecordDistributionStrategy::UserPartitionKey));
    assert_eq!(code(put("without a key").send().await), "ValidationException");
    let placed = put("with one").partition_key("k").explicit_hash_key("0").send().await.unwrap();
    assert_eq!(placed.shard_id, "shardId-000000000000");
}

async fn a_provisioned_stream_goes_by_keys(scene: Scene) {
    let auto = RecordDistributionStrategy::Auto;
    let create =
        scene.client.create_stream().stream_name("a").shard_count(1).record_distribution_strategy(auto.clone());
    assert_eq!(code(create.send().await), "InvalidArgumentException");
    let scene = scene.with_stream(1).await;
    let update = scene.client.update_stream_record_distribution_strategy().stream_arn(scene.arn());
    assert_eq!(code(update.record_distribution_strategy(auto).send().await), "InvalidArgumentException");
    let summary = scene.client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    assert_eq!(summary.stream_description_summary.unwrap().record_distribution_strategy, None);
}

async fn shards_of_an_on_demand_stream_are_the_services_business(scene: Scene) {
    scene.kinesis.create_stream_with(NewStream::on_demand("orders")).unwrap();
    let client = &scene.client;
    let split = client.split_shard().stream_name("orders").shard_to_split("shardId-000000000000");
    assert_eq!(code(split.new_starting_hash_key("7").send().await), "ValidationException");
    let merge = client.merge_shards().stream_name("orders").shard_to_merge("shardId-000000000000");
    assert_eq!(code(merge.adjacent_shard_to_merge("shardId-000000000001").send().await), "ValidationException");
    let scale = client.update_shard_count().stream_name("orders").target_shard_count(8);
    assert_eq!(code(scale.scaling_type(ScalingType::UniformScaling).send().await), "ValidationException");
    // A test takes the part of the service.
    scene.kinesis.update_shard_count("orders", 8).unwrap();
    assert_eq!(scene.kinesis.list_shards("orders", ShardFilter::AtLatest).unwrap().len(), 8);
}

async fn a_dry_run_of_each_call_says_what_would_happen(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let client = &scene.client;
    let would = "DryRunOperationException";
    let put = |size| client.put_record().stream_name("orders").partition_key("k").data(Blob::new(vec![0; size]));
    assert_eq!(code(put(9).dry_run(true).send().await), would);
    assert_eq!(code(put(2 << 20).dry_run(true).send().await), "InvalidArgumentException");
    put(9).dry_run(false).send().await.unwrap();
    let entry = PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new("x")).build().unwrap();
    let batch = client.put_records().stream_name("orders").records(entry).dry_run(true);
    assert_eq!(code(batch.send().await), would);
    let iterator = client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon);
    assert_eq!(code(iterator.clone().dry_run(true).send().await), would);
    let token = iterator.send().await.unwrap().shard_iterator;
    let read = || client.get_records().set_shard_iterator(token.clone()).dry_run(true).send();
    assert_eq!(code(read().await), would);
    scene.kinesis.register_consumer("orders", "c").unwrap();
    let consumer = scene.kinesis.consumer("orders", "c").unwrap();
    let arn = scene.kinesis.consumer_arn("orders", &consumer);
    let subscribe = |dry_run| {
        let latest = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
        let call = client.subscribe_to_shard().consumer_arn(&arn).shard_id("shardId-000000000000");
        call.starting_position(latest).dry_run(dry_run).send()
    };
    assert_eq!(code(subscribe(true).await), would);
    subscribe(false).await.unwrap();
    assert_eq!(code(subscribe(true).await), "ResourceInUseException");
    scene.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(code(read().await), "ExpiredIteratorException");
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 1);
}

async fn a_number_for_ordering_has_to_be_one(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let put = |number: &str| {
        let put = scene.client.put_record().stream_name("orders").partition_key("k").data(Blob::new("x"));
        put.sequence_number_for_ordering(number).send()
    };
    let first = scene.kinesis.put_record("orders", "k", "x").unwrap().sequence_number.to_string();
    let second = put(&first).await.unwrap().sequence_number;
    assert!(first < second);
    assert_eq!(code(put("012").await), "ValidationException");
    assert_eq!(code(put("12").await), "InvalidArgumentException");
    scene.clock.set(kcl_local::Timestamp::from_millis(1_780_000_000_000));
    assert_eq!(code(put(&second).await), "InvalidArgumentException");
}

async fn consumers_have_tags_of_their_own(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let register =
        scene.client.register_stream_consumer().stream_arn(scene.arn()).consumer_name("c").tags("team", "tea");
    let arn = register.send().await.unwrap().consumer.unwrap().consumer_arn;
    let tags = async |arn: &str| {
        let listed = scene.client.list_tags_for_resource().resource_arn(arn).send().await.unwrap();
        listed.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value.unwrap())).collect::<Vec<_>>()
    };
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(tags(&arn).await, [pair("team", "tea")]);
    scene.client.tag_resource().resource_arn(&arn).tags("team", "coffee").tags("a", "b").send().await.unwrap();
    assert_eq!(tags(&arn).await, [pair("a", "b"), pair("team", "coffee")]);
    scene.client.untag_resource().resource_arn(&arn).tag_keys("a").send().await.unwrap();
    assert_eq!(tags(&arn).await, [pair("team", "coffee")]);
    assert_eq!(tags(&scene.arn()).await, []);
    let absent = arn.replace("/consumer/c", "/consumer/d");
    let absent = scene.client.list_tags_for_resource().resource_arn(absent).send().await;
    assert_eq!(code(absent), "ResourceNotFoundException");
}

async fn consumers_are_named_without_contradiction(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let register =
        |name: &str| scene.client.register_stream_consumer().stream_arn(scene.arn()).consumer_name(name).send();
    let arn = register("c").await.unwrap().consumer.unwrap().consumer_arn;
    register("d").await.unwrap();
    let describe = || scene.client.describe_stream_consumer().consumer_arn(&arn);
    describe().stream_arn(scene.arn()).consumer_name("c").send().await.unwrap();
    assert_eq!(code(describe().consumer_name("d").send().await), "InvalidArgumentException");
    let list = || scene.client.list_stream_consumers().stream_arn(scene.arn()).max_results(1);
    let token = list().send().await.unwrap().next_token.unwrap();
    let both = list().next_token(&token).stream_creation_timestamp(DateTime::from_secs(1_790_000_000)).send().await;
    assert_eq!(code(both), "InvalidArgumentException");
    scene.clock.advance(std::time::Duration::from_secs(301));
    assert_eq!(code(list().next_token(&token).send().await), "ExpiredNextTokenException");
}

async fn tags_have_letters_that_are_allowed(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let add = |key: &str, value: &str| scene.client.add_tags_to_stream().stream_name("orders").tags(key, value).send();
    add("größe: a/b", "_.:/=+-@%").await.unwrap();
    assert_eq!(code(add("a!", "b").await), "InvalidArgumentException");
    assert_eq!(code(add("a", "b<").await), "InvalidArgumentException");
}

async fn warm_throughput_needs_an_account_that_has_it(scene: Scene) {
    let create = scene.client.create_stream().stream_name("orders").stream_mode_details(on_demand());
    assert_eq!(code(create.warm_throughput_mibps(7).send().await), "InvalidArgumentException");
    let scene = scene.with_stream(1).await;
    let mode = scene.client.update_stream_mode().stream_arn(scene.arn()).stream_mode_details(on_demand());
    assert_eq!(code(mode.warm_throughput_mibps(7).send().await), "InvalidArgumentException");
    let settings = scene.client.describe_account_settings().send().await.unwrap();
    assert_eq!(settings.minimum_throughput_billing_commitment.unwrap().status.as_str(), "DISABLED");
}

fn on_demand() -> StreamModeDetails {
    StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap()
}
