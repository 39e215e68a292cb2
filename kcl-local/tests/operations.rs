//! Every operation in every way: one history, told by the methods of the handle and by SDK clients that reach the service in
//! process, over HTTP/1.1, HTTP/2 and TLS, with JSON and with the binary encoding. Each way sees the same at each step.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::pin::Pin;
use std::time::Duration;

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{
    EncryptionType, MetricsName, PutRecordsRequestEntry, RecordDistributionStrategy, ScalingType, ShardIteratorType,
    StartingPosition as Position, StreamMode as Mode, StreamModeDetails, SubscribeToShardEventStream,
};
use common::{Scene, WAYS, code};
use kcl_local::{
    Encryption, HashKey, NewRecord, NewStream, RecordDistribution, Retention, Settings, ShardDescription, ShardFilter,
    ShardId, StartingPosition, StreamMode, StreamSummary,
};

type Told<'a> = Pin<Box<dyn Future<Output = String> + 'a>>;

/// An operation, by a client and in code. Both tell what they saw; of an operation without an answer, what has changed.
struct Row {
    operation: &'static str,
    by_client: for<'a> fn(&'a Scene) -> Told<'a>,
    in_code: fn(&Scene) -> String,
}

macro_rules! rows {
    ($($operation:literal: |$scene:ident| $by_client:expr, $in_code:expr;)*) => {
        [$(Row {
            operation: $operation,
            by_client: |$scene| Box::pin(async move { $by_client }),
            in_code: |$scene| {
                let _ = $scene;
                $in_code
            },
        }),*]
    };
}

const SHARD: &str = "shardId-000000000000";

fn history() -> impl Iterator<Item = Row> {
    streams().into_iter().chain(records()).chain(consumers()).chain(settings()).chain(shards())
}

fn streams() -> [Row; 12] {
    rows! {
        "CreateStream": |scene| {
            let create = scene.client.create_stream().stream_name("orders").shard_count(2);
            create.max_record_size_in_kib(2048).tags("team", "tea").send().await.unwrap();
            summary(scene)
        }, {
            let tags = BTreeMap::from([("team".to_owned(), "tea".to_owned())]);
            let new = NewStream { max_record_kib: 2048, tags, ..NewStream::provisioned("orders", 2) };
            scene.kinesis.create_stream_with(new).unwrap();
            summary(scene)
        };
        "DescribeStream": |scene| {
            let described = scene.client.describe_stream().stream_name("orders").send().await.unwrap();
            let described = described.stream_description.unwrap();
            let shards: Vec<_> = described.shards.iter().map(shard_of_client).collect();
            tell((described.stream_arn, described.stream_status.as_str(), described.retention_period_hours, shards))
        }, {
            let summary = the_summary(scene);
            let shards: Vec<_> = listed(scene).iter().map(shard_of_code).collect();
            tell((scene.arn(), summary.status.as_str(), summary.retention_hours, shards))
        };
        "DescribeStreamSummary": |scene| {
            let summary = scene.client.describe_stream_summary().stream_arn(scene.arn()).send().await.unwrap();
            let summary = summary.stream_description_summary.unwrap();
            // In whole seconds: the SDK reads JSON timestamps through a float and cuts off.
            let created = summary.stream_creation_timestamp.secs();
            let mode = summary.stream_mode_details.unwrap().stream_mode;
            tell((created, mode.as_str(), summary.open_shard_count, summary.max_record_size_in_kib.unwrap()))
        }, {
            let summary = the_summary(scene);
            tell((summary.created.as_secs(), summary.mode.as_str(), summary.open_shards, summary.max_record_kib))
        };
        "ListStreams": |scene| {
            let listed = scene.client.list_streams().send().await.unwrap();
            assert_eq!(listed.stream_summaries()[0].stream_arn, scene.arn());
            tell(listed.stream_names)
        }, tell(scene.kinesis.stream_summaries().iter().map(|stream| &stream.name).collect::<Vec<_>>());
        "DescribeLimits": |scene| {
            let limits = scene.client.describe_limits().send().await.unwrap();
            tell((limits.shard_limit, limits.open_shard_count, limits.on_demand_stream_count))
        }, {
            let kinesis = &scene.kinesis;
            tell((kinesis.settings().shard_limit, kinesis.open_shard_count(), kinesis.on_demand_stream_count()))
        };
        "DescribeAccountSettings": |scene| {
            let settings = scene.client.describe_account_settings().send().await.unwrap();
            tell(settings.minimum_throughput_billing_commitment.unwrap().status.as_str())
        }, tell("DISABLED");
        "AddTagsToStream": |scene| {
            scene.client.add_tags_to_stream().stream_name("orders").tags("a", "b").send().await.unwrap();
            tags(scene)
        }, {
            scene.kinesis.add_tags("orders", BTreeMap::from([("a".to_owned(), "b".to_owned())])).unwrap();
            tags(scene)
        };
        "ListTagsForStream": |scene| {
            let listed = scene.client.list_tags_for_stream().stream_name("orders").send().await.unwrap();
            tell(listed.tags.into_iter().map(|tag| (tag.key, tag.value.unwrap())).collect::<BTreeMap<_, _>>())
        }, tags(scene);
        "RemoveTagsFromStream": |scene| {
            scene.client.remove_tags_from_stream().stream_name("orders").tag_keys("a").send().await.unwrap();
            tags(scene)
        }, {
            scene.kinesis.remove_tags("orders", ["a"]).unwrap();
            tags(scene)
        };
        "TagResource": |scene| {
            scene.client.tag_resource().resource_arn(scene.arn()).tags("c", "d").send().await.unwrap();
            tags(scene)
        }, {
            scene.kinesis.add_tags("orders", BTreeMap::from([("c".to_owned(), "d".to_owned())])).unwrap();
            tags(scene)
        };
        "ListTagsForResource": |scene| {
            let listed = scene.client.list_tags_for_resource().resource_arn(scene.arn()).send().await.unwrap();
            let tags = listed.tags.unwrap().into_iter();
            tell(tags.map(|tag| (tag.key, tag.value.unwrap())).collect::<BTreeMap<_, _>>())
        }, tags(scene);
        "UntagResource": |scene| {
            scene.client.untag_resource().resource_arn(scene.arn()).tag_keys("c").send().await.unwrap();
            tags(scene)
        }, {
            scene.kinesis.remove_tags("orders", ["c"]).unwrap();
            tags(scene)
        };
    }
}

fn records() -> [Row; 4] {
    rows! {
        "PutRecord": |scene| {
            let put = scene.client.put_record().stream_name("orders").partition_key("käse").explicit_hash_key("0");
            let put = put.data(Blob::new(NO_TEXT)).send().await.unwrap();
            tell((put.shard_id, put.sequence_number))
        }, {
            let record = NewRecord::new("käse", NO_TEXT).with_explicit_hash_key(HashKey(0));
            let placed = scene.kinesis.put("orders", record).unwrap();
            tell((placed.shard_id.to_string(), placed.sequence_number.to_string()))
        };
        "PutRecords": |scene| {
            let entry = |data: &str| {
                PutRecordsRequestEntry::builder().partition_key("k").data(Blob::new(data)).build().unwrap()
            };
            let put = scene.client.put_records().stream_arn(scene.arn()).records(entry("1")).records(entry(""));
            let put = put.send().await.unwrap();
            tell(put.records.into_iter().map(|it| (it.shard_id.unwrap(), it.sequence_number.unwrap())).collect::<Vec<_>>())
        }, {
            let records = vec![NewRecord::new("k", "1"), NewRecord::new("k", "")];
            let placed = scene.kinesis.put_records("orders", records).unwrap().into_iter().map(Result::unwrap);
            tell(placed.map(|it| (it.shard_id.to_string(), it.sequence_number.to_string())).collect::<Vec<_>>())
        };
        "GetShardIterator": |scene| tell(iterator(scene).await), {
            tell(scene.kinesis.shard_iterator("orders", ShardId(0), StartingPosition::TrimHorizon).unwrap())
        };
        "GetRecords": |scene| {
            let read = scene.client.get_records().shard_iterator(iterator(scene).await).send().await.unwrap();
            let records = read.records.into_iter();
            let records = records.map(|it| (it.sequence_number, it.partition_key.unwrap(), it.data.into_inner()));
            tell((records.collect::<Vec<_>>(), read.millis_behind_latest.unwrap(), read.next_shard_iterator.unwrap()))
        }, {
            let start = scene.kinesis.shard_iterator("orders", ShardId(0), StartingPosition::TrimHorizon).unwrap();
            let read = scene.kinesis.get_records(&start, 10).unwrap();
            let records = read.records.iter();
            let records =
                records.map(|it| (it.sequence_number.to_string(), it.partition_key(), it.data().to_vec()));
            tell((records.collect::<Vec<_>>(), read.millis_behind_latest, read.next_iterator.unwrap()))
        };
    }
}

fn consumers() -> [Row; 5] {
    rows! {
        "RegisterStreamConsumer": |scene| {
            let register = scene.client.register_stream_consumer().stream_arn(scene.arn()).consumer_name("c");
            let consumer = register.send().await.unwrap().consumer.unwrap();
            tell((consumer.consumer_arn, consumer.consumer_status.as_str()))
        }, {
            let consumer = scene.kinesis.register_consumer("orders", "c").unwrap();
            tell((scene.kinesis.consumer_arn("orders", &consumer), consumer.status.as_str()))
        };
        "DescribeStreamConsumer": |scene| {
            let described = scene.client.describe_stream_consumer().consumer_arn(consumer_arn(scene)).send().await;
            let described = described.unwrap().consumer_description.unwrap();
            tell((described.consumer_name, described.consumer_creation_timestamp.secs()))
        }, {
            let consumer = scene.kinesis.consumer("orders", "c").unwrap();
            tell((consumer.name, consumer.created.as_secs()))
        };
        "ListStreamConsumers": |scene| {
            let listed = scene.client.list_stream_consumers().stream_arn(scene.arn()).send().await.unwrap();
            tell(listed.consumers.unwrap().into_iter().map(|consumer| consumer.consumer_name).collect::<Vec<_>>())
        }, {
            tell(scene.kinesis.consumers("orders").unwrap().into_iter().map(|consumer| consumer.name).collect::<Vec<_>>())
        };
        "SubscribeToShard": |scene| {
            let start = Position::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
            let subscribe = scene.client.subscribe_to_shard().consumer_arn(consumer_arn(scene)).shard_id(SHARD);
            let mut subscription = subscribe.starting_position(start).send().await.unwrap();
            match subscription.event_stream.recv().await.unwrap().unwrap() {
                SubscribeToShardEventStream::SubscribeToShardEvent(event) => {
                    let records = event.records.into_iter();
                    let records = records.map(|it| (it.sequence_number, it.data.into_inner())).collect::<Vec<_>>();
                    tell((records, event.continuation_sequence_number, event.millis_behind_latest))
                }
                other => panic!("{other:?}"),
            }
        }, {
            let start = StartingPosition::TrimHorizon;
            let mut subscription = scene.kinesis.subscribe_to_shard("orders", "c", ShardId(0), start).unwrap();
            let event = futures_util::FutureExt::now_or_never(subscription.next()).unwrap().unwrap().unwrap();
            let records = event.records.iter();
            let records = records.map(|it| (it.sequence_number.to_string(), it.data().to_vec())).collect::<Vec<_>>();
            tell((records, event.continuation.unwrap().to_string(), event.millis_behind_latest))
        };
        "DeregisterStreamConsumer": |scene| {
            let deregister = scene.client.deregister_stream_consumer().stream_arn(scene.arn()).consumer_name("c");
            deregister.send().await.unwrap();
            tell(scene.kinesis.consumers("orders").unwrap())
        }, {
            scene.kinesis.deregister_consumer("orders", "c").unwrap();
            tell(scene.kinesis.consumers("orders").unwrap())
        };
    }
}

fn settings() -> [Row; 9] {
    rows! {
        "IncreaseStreamRetentionPeriod": |scene| {
            let increase = scene.client.increase_stream_retention_period().stream_name("orders");
            increase.retention_period_hours(72).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_retention("orders", Retention::Increase(72)).unwrap();
            summary(scene)
        };
        "DecreaseStreamRetentionPeriod": |scene| {
            let decrease = scene.client.decrease_stream_retention_period().stream_name("orders");
            decrease.retention_period_hours(48).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_retention("orders", Retention::Decrease(48)).unwrap();
            summary(scene)
        };
        "StartStreamEncryption": |scene| {
            let start = scene.client.start_stream_encryption().stream_name("orders").key_id("alias/k");
            start.encryption_type(EncryptionType::Kms).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_encryption("orders", Encryption::Kms { key_id: "alias/k".to_owned() }).unwrap();
            summary(scene)
        };
        "StopStreamEncryption": |scene| {
            let stop = scene.client.stop_stream_encryption().stream_name("orders").key_id("alias/k");
            stop.encryption_type(EncryptionType::Kms).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_encryption("orders", Encryption::None).unwrap();
            summary(scene)
        };
        "EnableEnhancedMonitoring": |scene| {
            let enable = scene.client.enable_enhanced_monitoring().stream_name("orders");
            enable.shard_level_metrics(MetricsName::IncomingBytes).send().await.unwrap();
            summary(scene)
        }, {
            let enable = |metrics: &mut BTreeSet<String>| assert!(metrics.insert("IncomingBytes".to_owned()));
            scene.kinesis.change_metrics("orders", enable).unwrap();
            summary(scene)
        };
        "DisableEnhancedMonitoring": |scene| {
            let disable = scene.client.disable_enhanced_monitoring().stream_name("orders");
            disable.shard_level_metrics(MetricsName::All).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_metrics("orders", BTreeSet::clear).unwrap();
            summary(scene)
        };
        "UpdateMaxRecordSize": |scene| {
            let update = scene.client.update_max_record_size().stream_arn(scene.arn());
            update.max_record_size_in_kib(10_240).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_max_record("orders", 10_240).unwrap();
            summary(scene)
        };
        "UpdateStreamMode": |scene| {
            let on_demand = StreamModeDetails::builder().stream_mode(Mode::OnDemand).build().unwrap();
            let update = scene.client.update_stream_mode().stream_arn(scene.arn());
            update.stream_mode_details(on_demand).send().await.unwrap();
            summary(scene)
        }, {
            scene.kinesis.change_mode("orders", StreamMode::OnDemand).unwrap();
            summary(scene)
        };
        "UpdateStreamRecordDistributionStrategy": |scene| {
            let update = scene.client.update_stream_record_distribution_strategy().stream_arn(scene.arn());
            update.record_distribution_strategy(RecordDistributionStrategy::Auto).send().await.unwrap();
            let told = summary(scene);
            scene.kinesis.change_mode("orders", StreamMode::Provisioned).unwrap();
            told
        }, {
            scene.kinesis.change_distribution("orders", RecordDistribution::Auto).unwrap();
            let told = summary(scene);
            scene.kinesis.change_mode("orders", StreamMode::Provisioned).unwrap();
            told
        };
    }
}

fn shards() -> [Row; 5] {
    rows! {
        "SplitShard": |scene| {
            let split = scene.client.split_shard().stream_name("orders").shard_to_split(SHARD);
            split.new_starting_hash_key("7").send().await.unwrap();
            tell(listed(scene))
        }, {
            scene.kinesis.split_shard("orders", ShardId(0), HashKey(7)).unwrap();
            tell(listed(scene))
        };
        "MergeShards": |scene| {
            let merge = scene.client.merge_shards().stream_name("orders").shard_to_merge("shardId-000000000003");
            merge.adjacent_shard_to_merge("shardId-000000000001").send().await.unwrap();
            tell(listed(scene))
        }, {
            scene.kinesis.merge_shards("orders", ShardId(3), ShardId(1)).unwrap();
            tell(listed(scene))
        };
        "UpdateShardCount": |scene| {
            let update = scene.client.update_shard_count().stream_name("orders").target_shard_count(3);
            let updated = update.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
            tell((updated.current_shard_count.unwrap(), updated.target_shard_count.unwrap()))
        }, tell((scene.kinesis.update_shard_count("orders", 3).unwrap(), 3));
        "ListShards": |scene| {
            let shards = scene.client.list_shards().stream_name("orders").send().await.unwrap();
            tell(shards.shards().iter().map(shard_of_client).collect::<Vec<_>>())
        }, tell(listed(scene).iter().map(shard_of_code).collect::<Vec<_>>());
        "DeleteStream": |scene| {
            scene.client.delete_stream().stream_name("orders").send().await.unwrap();
            tell(scene.kinesis.stream_summaries())
        }, {
            scene.kinesis.delete_stream("orders").unwrap();
            tell(scene.kinesis.stream_summaries())
        };
    }
}

const NO_TEXT: [u8; 4] = [0, 255, 128, 7];

fn tell(what: impl Debug) -> String {
    format!("{what:?}")
}

fn the_summary(scene: &Scene) -> StreamSummary {
    scene.kinesis.stream_summary("orders").unwrap()
}

fn summary(scene: &Scene) -> String {
    tell((the_summary(scene), scene.kinesis.tags("orders").unwrap()))
}

fn tags(scene: &Scene) -> String {
    tell(scene.kinesis.tags("orders").unwrap())
}

fn listed(scene: &Scene) -> Vec<ShardDescription> {
    scene.kinesis.list_shards("orders", ShardFilter::FromTrimHorizon).unwrap()
}

fn consumer_arn(scene: &Scene) -> String {
    scene.kinesis.consumer_arn("orders", &scene.kinesis.consumer("orders", "c").unwrap())
}

async fn iterator(scene: &Scene) -> String {
    let call = scene.client.get_shard_iterator().stream_name("orders").shard_id(SHARD);
    call.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator.unwrap()
}

fn shard_of_client(shard: &aws_sdk_kinesis::types::Shard) -> Vec<Option<String>> {
    let (keys, numbers) = (shard.hash_key_range.clone().unwrap(), shard.sequence_number_range.clone().unwrap());
    vec![
        Some(shard.shard_id.clone()),
        shard.parent_shard_id.clone(),
        shard.adjacent_parent_shard_id.clone(),
        Some(keys.starting_hash_key),
        Some(keys.ending_hash_key),
        Some(numbers.starting_sequence_number),
        numbers.ending_sequence_number,
    ]
}

fn shard_of_code(shard: &ShardDescription) -> Vec<Option<String>> {
    vec![
        Some(shard.id.to_string()),
        shard.parent.map(|id| id.to_string()),
        shard.adjacent_parent.map(|id| id.to_string()),
        Some(shard.hash_range.start.to_string()),
        Some(shard.hash_range.end.to_string()),
        Some(shard.starting_sequence_number.to_string()),
        shard.ending_sequence_number.map(|number| number.to_string()),
    ]
}

#[tokio::test]
async fn every_operation_does_the_same_in_every_way() {
    let reference = Scene::in_process(Settings::default()).await;
    let mut scenes = Vec::new();
    for way in WAYS {
        scenes.push((way, Scene::reached(way, Settings::default()).await));
    }
    for row in history() {
        let expected = (row.in_code)(&reference);
        for (way, scene) in &scenes {
            assert_eq!((row.by_client)(scene).await, expected, "{} by {way:?}", row.operation);
        }
        reference.clock.advance(Duration::from_millis(1_500));
        scenes.iter().for_each(|(_, scene)| scene.clock.advance(Duration::from_millis(1_500)));
    }
}

/// What the service has beyond these, by a call of each.
async fn refusals(scene: &Scene) -> Vec<(&'static str, String)> {
    let client = &scene.client;
    let arn = scene.arn();
    let channel = "arn:aws:kinesis:us-east-1:000000000000:channel/c";
    let roles =
        client.create_channel().channel_name("c").service_execution_role_arn("arn:aws:iam::000000000000:role/r");
    vec![
        ("CreateChannel", code(roles.set_stream_configuration_list(Some(vec![])).send().await)),
        ("DeleteChannel", code(client.delete_channel().channel_arn(channel).send().await)),
        ("DescribeChannel", code(client.describe_channel().channel_arn(channel).send().await)),
        ("ListChannels", code(client.list_channels().send().await)),
        ("UpdateChannel", code(client.update_channel().channel_arn(channel).send().await)),
        ("PutResourcePolicy", code(client.put_resource_policy().resource_arn(&arn).policy("{}").send().await)),
        ("GetResourcePolicy", code(client.get_resource_policy().resource_arn(&arn).send().await)),
        ("DeleteResourcePolicy", code(client.delete_resource_policy().resource_arn(&arn).send().await)),
        ("UpdateAccountSettings", code(client.update_account_settings().send().await)),
        (
            "UpdateStreamWarmThroughput",
            code(client.update_stream_warm_throughput().stream_arn(&arn).warm_throughput_mibps(7).send().await),
        ),
    ]
}

#[tokio::test]
async fn what_is_not_modelled_is_refused_and_named_in_the_readme() {
    let readme = include_str!("../README.md");
    for way in WAYS {
        let scene = Scene::reached(way, Settings::default()).await.with_stream(1).await;
        for (operation, code) in refusals(&scene).await {
            assert_eq!(code, "UnknownOperationException", "{operation} by {way:?}");
            assert!(readme.contains(&format!("`{operation}`")), "{operation}");
        }
    }
}

/// The names of all operations that the SDK has, from the client itself.
#[tokio::test]
async fn no_operation_of_the_sdk_is_forgotten() {
    let scene = Scene::in_process(Settings::default()).await;
    let mut known: BTreeSet<_> = history().map(|row| row.operation).collect();
    known.extend(refusals(&scene).await.into_iter().map(|(operation, _)| operation));
    // As of version 1.130 of the SDK. Another one that has more shows here when it is built against.
    assert_eq!(known.len(), 45);
}
