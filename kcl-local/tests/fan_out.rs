//! Registered consumers and SubscribeToShard, in process and over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::{
    ConsumerStatus, ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};
use common::{Scene, code};
use futures_util::poll;
use kcl_local::{Fault, FaultPlan, FaultRule, Limits, Settings, ShardId};

in_both_ways!(
    consumers_are_registered_listed_and_removed,
    every_position_begins_where_it_says,
    an_idle_subscription_shows_signs_of_life_and_ends_after_five_minutes,
    a_later_subscription_takes_over_after_five_seconds,
    a_shard_ends_with_its_children,
    a_consumer_that_is_removed_takes_its_subscriptions_along,
    new_records_come_without_delay,
    what_cannot_be_subscribed_to_is_refused,
    a_subscription_can_break,
);

async fn register(scene: &Scene, name: &str) -> String {
    let answer = scene.client.register_stream_consumer().stream_arn(scene.arn()).consumer_name(name).send().await;
    answer.unwrap().consumer.unwrap().consumer_arn
}

fn at(kind: ShardIteratorType) -> StartingPosition {
    StartingPosition::builder().r#type(kind).build().unwrap()
}

fn at_number(kind: ShardIteratorType, number: &str) -> StartingPosition {
    StartingPosition::builder().r#type(kind).sequence_number(number).build().unwrap()
}

async fn subscribe(scene: &Scene, arn: &str, position: StartingPosition) -> SubscribeToShardOutput {
    let call = scene.client.subscribe_to_shard().consumer_arn(arn).shard_id("shardId-000000000000");
    call.starting_position(position).send().await.unwrap()
}

async fn next(subscription: &mut SubscribeToShardOutput) -> Option<SubscribeToShardEvent> {
    match subscription.event_stream.recv().await.unwrap()? {
        SubscribeToShardEventStream::SubscribeToShardEvent(event) => Some(event),
        other => panic!("{other:?}"),
    }
}

fn data(event: &SubscribeToShardEvent) -> Vec<String> {
    event.records.iter().map(|record| String::from_utf8(record.data.as_ref().to_vec()).unwrap()).collect()
}

async fn consumers_are_registered_listed_and_removed(scene: Scene) {
    let scene = scene.with_stream(1).await;
    for index in 0..20 {
        let arn = register(&scene, &format!("consumer-{index:02}")).await;
        assert_eq!(arn, format!("{}/consumer/consumer-{index:02}:1790000000", scene.arn()));
    }
    let register =
        |name: &str| scene.client.register_stream_consumer().stream_arn(scene.arn()).consumer_name(name).send();
    assert_eq!(code(register("consumer-00").await), "ResourceInUseException");
    assert_eq!(code(register("one-too-many").await), "LimitExceededException");
    let list =
        |token| scene.client.list_stream_consumers().stream_arn(scene.arn()).max_results(12).set_next_token(token);
    let first = list(None).send().await.unwrap();
    let second = list(first.next_token.clone()).send().await.unwrap();
    assert_eq!((first.consumers().len(), second.consumers().len(), second.next_token), (12, 8, None));
    let summary = scene.client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    assert_eq!(summary.stream_description_summary.unwrap().consumer_count, Some(20));

    let describe =
        || scene.client.describe_stream_consumer().stream_arn(scene.arn()).consumer_name("consumer-07").send();
    let described = describe().await.unwrap().consumer_description.unwrap();
    assert_eq!(described.consumer_status, ConsumerStatus::Active);
    assert_eq!(described.stream_arn, scene.arn());
    assert_eq!(code(scene.client.delete_stream().stream_name("orders").send().await), "ResourceInUseException");
    scene.client.deregister_stream_consumer().consumer_arn(described.consumer_arn).send().await.unwrap();
    assert_eq!(code(describe().await), "ResourceNotFoundException");
    scene.client.delete_stream().stream_name("orders").enforce_consumer_deletion(true).send().await.unwrap();
}

async fn every_position_begins_where_it_says(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let mut numbers = Vec::new();
    for index in 0..4 {
        let placed = scene.kinesis.put_record("orders", "k", format!("{index}")).unwrap();
        numbers.push(placed.sequence_number.to_string());
        scene.clock.advance(Duration::from_secs(1));
    }
    let time = DateTime::from_millis(common::start_of_time().as_millis() as i64 + 2_000);
    let by_time = StartingPosition::builder().r#type(ShardIteratorType::AtTimestamp).timestamp(time).build().unwrap();
    for (position, expected) in [
        (at(ShardIteratorType::TrimHorizon), vec!["0", "1", "2", "3"]),
        (at_number(ShardIteratorType::AtSequenceNumber, &numbers[1]), vec!["1", "2", "3"]),
        (at_number(ShardIteratorType::AfterSequenceNumber, &numbers[1]), vec!["2", "3"]),
        (by_time, vec!["2", "3"]),
        (at(ShardIteratorType::Latest), vec![]),
    ] {
        let mut subscription = subscribe(&scene, &arn, position).await;
        let event = next(&mut subscription).await.unwrap();
        assert_eq!(data(&event), expected);
        assert_eq!(event.continuation_sequence_number, *numbers.last().unwrap());
        assert_eq!(event.millis_behind_latest, 0);
        drop(subscription);
        scene.clock.advance(Duration::from_secs(5));
    }
    // What an empty shard gives can be gone on from as well.
    let position = at_number(ShardIteratorType::AfterSequenceNumber, &numbers[3]);
    let mut subscription = subscribe(&scene, &arn, position).await;
    let continuation = next(&mut subscription).await.unwrap().continuation_sequence_number;
    scene.kinesis.put_record("orders", "k", "4").unwrap();
    scene.clock.advance(Duration::from_secs(5));
    let position = at_number(ShardIteratorType::AfterSequenceNumber, &continuation);
    let mut subscription = subscribe(&scene, &arn, position).await;
    assert_eq!(data(&next(&mut subscription).await.unwrap()), ["4"]);
}

async fn an_idle_subscription_shows_signs_of_life_and_ends_after_five_minutes(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::Latest)).await;
    for _ in 0..60 {
        assert_eq!(data(&next(&mut subscription).await.unwrap()), [""; 0]);
        scene.clock.advance(Duration::from_secs(5));
    }
    assert!(next(&mut subscription).await.is_none());
}

async fn new_records_come_without_delay(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::Latest)).await;
    next(&mut subscription).await.unwrap();
    for index in 0..20 {
        let mut waiting = std::pin::pin!(next(&mut subscription));
        assert!(poll!(&mut waiting).is_pending());
        scene.kinesis.put_record("orders", "k", format!("{index}")).unwrap();
        assert_eq!(data(&waiting.await.unwrap()), [index.to_string()]);
    }
}

async fn a_later_subscription_takes_over_after_five_seconds(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let (arn, other) = (register(&scene, "c").await, register(&scene, "d").await);
    let mut first = subscribe(&scene, &arn, at(ShardIteratorType::Latest)).await;
    next(&mut first).await.unwrap();
    subscribe(&scene, &other, at(ShardIteratorType::Latest)).await;
    let again = || {
        let call = scene.client.subscribe_to_shard().consumer_arn(&arn).shard_id("shardId-000000000000");
        call.starting_position(at(ShardIteratorType::Latest)).send()
    };
    scene.clock.advance(Duration::from_millis(4_999));
    assert_eq!(code(again().await), "ResourceInUseException");
    scene.clock.advance(Duration::from_millis(1));
    let mut second = again().await.unwrap();
    next(&mut second).await.unwrap();
    let ended = loop {
        match first.event_stream.recv().await {
            Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => assert!(event.records.is_empty()),
            ended => break ended,
        }
    };
    assert!(ended.unwrap_err().into_service_error().is_resource_in_use_exception());
}

async fn a_shard_ends_with_its_children(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::TrimHorizon)).await;
    next(&mut subscription).await.unwrap();
    scene.kinesis.put_record("orders", "k", "last").unwrap();
    assert_eq!(data(&next(&mut subscription).await.unwrap()), ["last"]);
    let event = {
        let mut waiting = std::pin::pin!(next(&mut subscription));
        assert!(poll!(&mut waiting).is_pending());
        scene.kinesis.split_shard_evenly("orders", ShardId(0)).unwrap();
        waiting.await.unwrap()
    };
    let children: Vec<_> = event.child_shards().iter().map(|child| child.shard_id.as_str()).collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert_eq!(event.child_shards()[0].parent_shards, ["shardId-000000000000"]);
    assert!(next(&mut subscription).await.is_none());
    scene.clock.advance(Duration::from_secs(5));
    let mut late = subscribe(&scene, &arn, at(ShardIteratorType::TrimHorizon)).await;
    let event = next(&mut late).await.unwrap();
    assert_eq!((data(&event), event.child_shards().len()), (vec!["last".to_owned()], 2));
    assert!(next(&mut late).await.is_none());
}

async fn a_consumer_that_is_removed_takes_its_subscriptions_along(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::Latest)).await;
    next(&mut subscription).await.unwrap();
    scene.client.deregister_stream_consumer().consumer_arn(arn).send().await.unwrap();
    let error = subscription.event_stream.recv().await.unwrap_err().into_service_error();
    assert!(error.is_resource_not_found_exception(), "{error:?}");
}

async fn what_cannot_be_subscribed_to_is_refused(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let subscribe = |arn: &str, shard: &str, position| {
        scene.client.subscribe_to_shard().consumer_arn(arn).shard_id(shard).starting_position(position).send()
    };
    let latest = || at(ShardIteratorType::Latest);
    let shard = "shardId-000000000000";
    assert_eq!(code(subscribe(&arn, "shardId-000000000007", latest()).await), "ResourceNotFoundException");
    assert_eq!(code(subscribe(&format!("{arn}1"), shard, latest()).await), "ResourceNotFoundException");
    let unknown = arn.replace("consumer/c", "consumer/d");
    assert_eq!(code(subscribe(&unknown, shard, latest()).await), "ResourceNotFoundException");
    let without_second = arn.rsplit_once(':').unwrap().0;
    assert_eq!(code(subscribe(without_second, shard, latest()).await), "ValidationException");
    let nowhere = at(ShardIteratorType::AtSequenceNumber);
    assert_eq!(code(subscribe(&arn, shard, nowhere).await), "InvalidArgumentException");
}

async fn a_subscription_can_break(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let arn = register(&scene, "c").await;
    let reset = FaultRule::new(Fault::Reset { bytes: 400 }).operation("SubscribeToShard").shard("shardId-000000000000");
    scene.kinesis.faults().set(FaultPlan { seed: 0, rules: vec![reset] });
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::Latest)).await;
    let broke = loop {
        match subscription.event_stream.recv().await {
            Ok(Some(_)) => drop(scene.kinesis.put_record("orders", "k", "x").unwrap()),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broke);
}

#[tokio::test]
async fn statuses_take_their_time() {
    let settings = Settings { transition: Duration::from_secs(10), consumer_limit: 50, ..Settings::default() };
    let scene = Scene::in_process(settings).await.with_stream(1).await;
    scene.clock.advance(Duration::from_secs(10));
    let arn = register(&scene, "c").await;
    let status = || async {
        let described = scene.client.describe_stream_consumer().consumer_arn(&arn).send().await;
        described.map(|answer| answer.consumer_description.unwrap().consumer_status)
    };
    assert_eq!(status().await.unwrap(), ConsumerStatus::Creating);
    let call = scene.client.subscribe_to_shard().consumer_arn(&arn).shard_id("shardId-000000000000");
    assert_eq!(code(call.starting_position(at(ShardIteratorType::Latest)).send().await), "ResourceInUseException");
    scene.clock.advance(Duration::from_secs(10));
    assert_eq!(status().await.unwrap(), ConsumerStatus::Active);
    scene.client.deregister_stream_consumer().consumer_arn(&arn).send().await.unwrap();
    assert_eq!(status().await.unwrap(), ConsumerStatus::Deleting);
    scene.clock.advance(Duration::from_secs(10));
    assert_eq!(code(status().await), "ResourceNotFoundException");
}

#[tokio::test]
async fn limits_space_events_out() {
    let settings = Settings { limits: Limits::Service, ..Settings::default() };
    let scene = Scene::in_process(settings).await.with_stream(1).await;
    for _ in 0..6 {
        scene.kinesis.put_record("orders", "k", vec![b'x'; (1 << 20) - 1]).unwrap();
        scene.clock.advance(Duration::from_secs(1));
    }
    let arn = register(&scene, "c").await;
    let mut subscription = subscribe(&scene, &arn, at(ShardIteratorType::TrimHorizon)).await;
    for _ in 0..3 {
        assert_eq!(next(&mut subscription).await.unwrap().records.len(), 2);
        let mut waiting = std::pin::pin!(next(&mut subscription));
        scene.clock.advance(Duration::from_millis(999));
        assert!(poll!(&mut waiting).is_pending());
        scene.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn paused_time_takes_a_subscription_to_its_end() {
    let clock = kcl_local::TokioClock::starting_at(common::start_of_time());
    let kinesis = kcl_local::LocalKinesis::with_clock(std::sync::Arc::new(clock));
    kinesis.create_stream("orders", 1).unwrap();
    kinesis.register_consumer("orders", "c").unwrap();
    let begun = kinesis.now();
    let latest = kcl_local::StartingPosition::Latest;
    let mut subscription = kinesis.subscribe_to_shard("orders", "c", ShardId(0), latest).unwrap();
    let mut events = 0;
    while let Some(event) = subscription.next().await {
        assert!(event.unwrap().records.is_empty());
        events += 1;
    }
    assert_eq!(events, 60);
    assert_eq!(kinesis.now().since(begun), Duration::from_mins(5));
}
