//! Faults as an SDK client meets them, in process and over HTTP.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use common::{Scene, Way, code};
use kcl_local::{Fault, FaultPlan, FaultRule, Faults, Settings};

in_both_ways!(
    an_error_has_no_effect_and_the_sdk_tries_again,
    throttling_has_the_code_of_the_operation,
    a_connection_error_has_no_effect_and_a_lost_answer_has,
    a_late_answer_comes_when_its_time_has_come,
    bodies_are_cut_reset_and_stalled,
    an_iterator_expires_by_rule,
    a_stale_list_shows_no_young_shards,
    a_rule_for_a_shard_refuses_its_records,
    dynamodb_meets_faults_too,
);

fn set(faults: &Faults, rules: impl IntoIterator<Item = FaultRule>) {
    faults.set(FaultPlan { seed: 1, rules: rules.into_iter().collect() });
}

/// A client that shows each failure instead of trying again.
fn client(scene: &Scene) -> aws_sdk_kinesis::Client {
    let config = scene.client.config().to_builder().retry_config(RetryConfig::disabled());
    aws_sdk_kinesis::Client::from_conf(config.build())
}

macro_rules! put {
    ($client:expr) => {
        $client.put_record().stream_name("orders").partition_key("k").data(Blob::new("tea")).send()
    };
}

async fn an_error_has_no_effect_and_the_sdk_tries_again(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let fault = Fault::Error { code: "ServiceUnavailable".into(), status: 503, message: "down".into() };
    set(scene.kinesis.faults(), [FaultRule::new(fault).operation("PutRecord").calls(2..=2)]);
    let strict = client(&scene);
    put!(strict).await.unwrap();
    assert_eq!(code(put!(strict).await), "ServiceUnavailable");
    put!(strict).await.unwrap();
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 2);
    assert_eq!(scene.kinesis.faults().strikes(), [1]);
    let plan = scene.kinesis.faults().plan();
    scene.kinesis.faults().set(FaultPlan { rules: vec![plan.rules[0].clone().calls(1..=1)], ..plan });
    put!(scene.client).await.unwrap();
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 3);
    scene.kinesis.faults().clear();
    assert!(scene.kinesis.faults().strikes().is_empty());
}

async fn throttling_has_the_code_of_the_operation(scene: Scene) {
    let scene = scene.with_stream(1).await;
    set(scene.kinesis.faults(), [FaultRule::new(Fault::Throttle)]);
    let strict = client(&scene);
    assert_eq!(code(put!(strict).await), "ProvisionedThroughputExceededException");
    assert_eq!(code(strict.list_shards().stream_name("orders").send().await), "LimitExceededException");
}

async fn a_connection_error_has_no_effect_and_a_lost_answer_has(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let strict = client(&scene);
    for (fault, effect) in [(Fault::ConnectionError, 0), (Fault::LostAnswer, 1)] {
        set(scene.kinesis.faults(), [FaultRule::new(fault).operation("PutRecord").calls(1..=1)]);
        let error = put!(strict).await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
        assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), effect);
    }
    // A client that tries again writes the record a second time, as with the service.
    set(scene.kinesis.faults(), [FaultRule::new(Fault::LostAnswer).operation("PutRecord").calls(1..=1)]);
    put!(scene.client).await.unwrap();
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 3);
}

async fn a_late_answer_comes_when_its_time_has_come(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let fault = Fault::LateAnswer { delay: Duration::from_secs(5) };
    set(scene.kinesis.faults(), [FaultRule::new(fault).operation("PutRecord")]);
    let mut call = std::pin::pin!(put!(scene.client));
    // The effect is there although the answer is not: wait for it without waiting for the answer.
    while scene.kinesis.all_records("orders").unwrap().is_empty() {
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    scene.clock.advance(Duration::from_millis(4_999));
    for _ in 0..100 {
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    scene.clock.advance(Duration::from_millis(1));
    call.await.unwrap();
}

async fn bodies_are_cut_reset_and_stalled(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let strict = client(&scene);
    let list = || strict.list_shards().stream_name("orders").send();
    let rule = |fault| FaultRule::new(fault).operation("ListShards").calls(1..=1);
    set(scene.kinesis.faults(), [rule(Fault::TruncatedBody { bytes: 20 })]);
    let error = list().await.unwrap_err();
    assert!(matches!(error, SdkError::ResponseError(_)), "{error:?}");
    set(scene.kinesis.faults(), [rule(Fault::Reset { bytes: 20 })]);
    let error = list().await.unwrap_err();
    assert!(matches!(error, SdkError::ResponseError(_) | SdkError::DispatchFailure(_)), "{error:?}");
    list().await.unwrap();

    let pause = Some(Duration::from_secs(5));
    set(scene.kinesis.faults(), [rule(Fault::StalledStream { bytes: 20, pause })]);
    let mut call = std::pin::pin!(list());
    while scene.kinesis.faults().strikes() == [0] {
        assert!(futures_util::poll!(&mut call).is_pending());
        tokio::task::yield_now().await;
    }
    scene.clock.advance(Duration::from_secs(5));
    assert_eq!(call.await.unwrap().shards().len(), 1);

    set(scene.kinesis.faults(), [rule(Fault::StalledStream { bytes: 20, pause: None })]);
    let timeout = TimeoutConfig::builder().operation_timeout(Duration::from_millis(50)).build();
    let hasty = strict.config().to_builder().timeout_config(timeout).build();
    let error = aws_sdk_kinesis::Client::from_conf(hasty).list_shards().stream_name("orders").send().await;
    assert!(matches!(error, Err(SdkError::TimeoutError(_))), "{error:?}");
}

async fn an_iterator_expires_by_rule(scene: Scene) {
    let scene = scene.with_stream(2).await;
    let iterator = |shard: &str| {
        let call = scene.client.get_shard_iterator().stream_name("orders").shard_id(shard);
        call.shard_iterator_type(ShardIteratorType::Latest).send()
    };
    let rule = FaultRule::new(Fault::ExpiredIterator).operation("GetRecords").shard("shardId-000000000001");
    set(scene.kinesis.faults(), [rule]);
    for (shard, expires) in [("shardId-000000000000", false), ("shardId-000000000001", true)] {
        let token = iterator(shard).await.unwrap().shard_iterator;
        let outcome = scene.client.get_records().set_shard_iterator(token).send().await;
        let expired = outcome.is_err_and(|error| error.into_service_error().is_expired_iterator_exception());
        assert_eq!(expired, expires);
    }
}

async fn a_stale_list_shows_no_young_shards(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.clock.advance(Duration::from_secs(10));
    scene.kinesis.split_shard_evenly("orders", kcl_local::ShardId(0)).unwrap();
    scene.clock.advance(Duration::from_secs(1));
    set(scene.kinesis.faults(), [FaultRule::new(Fault::StaleList { age: Duration::from_secs(5) }).calls(1..=1)]);
    let list = || scene.client.list_shards().stream_name("orders").send();
    assert_eq!(list().await.unwrap().shards().len(), 1);
    assert_eq!(list().await.unwrap().shards().len(), 3);
    set(scene.kinesis.faults(), [FaultRule::new(Fault::StaleList { age: Duration::from_secs(5) })]);
    scene.clock.advance(Duration::from_secs(4));
    assert_eq!(list().await.unwrap().shards().len(), 3);
}

async fn a_rule_for_a_shard_refuses_its_records(scene: Scene) {
    let scene = scene.with_stream(2).await;
    let rule = FaultRule::new(Fault::Throttle).shard("shardId-000000000001");
    set(scene.kinesis.faults(), [rule]);
    let entry = |hash_key: u128| {
        let entry = PutRecordsRequestEntry::builder().partition_key("k").explicit_hash_key(hash_key.to_string());
        entry.data(Blob::new("tea")).build().unwrap()
    };
    let call = scene.client.put_records().stream_name("orders").records(entry(0)).records(entry(u128::MAX));
    let answer = call.send().await.unwrap();
    let codes: Vec<_> = answer.records.iter().map(|record| record.error_code()).collect();
    assert_eq!(codes, [None, Some("ProvisionedThroughputExceededException")]);
    let one = client(&scene).put_record().stream_name("orders").partition_key("k").data(Blob::new("tea"));
    one.clone().explicit_hash_key("0").send().await.unwrap();
    let refused = one.explicit_hash_key(u128::MAX.to_string()).send().await;
    assert_eq!(code(refused), "ProvisionedThroughputExceededException");
}

async fn dynamodb_meets_faults_too(scene: Scene) {
    let config = scene.dynamodb.config().to_builder().retry_config(RetryConfig::disabled()).build();
    let strict = aws_sdk_dynamodb::Client::from_conf(config);
    let item = |name: &str| std::collections::HashMap::from([("k".to_owned(), AttributeValue::S(name.to_owned()))]);
    let put = |name: &str| strict.put_item().table_name("leases").set_item(Some(item(name))).send();
    let is_there = async |name: &str| {
        let get = strict.get_item().table_name("leases").set_key(Some(item(name))).send().await;
        get.unwrap().item.is_some()
    };
    let one = |fault| [FaultRule::new(fault).resource("leases").operation("PutItem").calls(1..=1)];
    common::create_table(&strict).await;

    set(scene.database.faults(), one(Fault::Throttle));
    let error = put("a").await.unwrap_err().into_service_error();
    assert!(error.is_provisioned_throughput_exceeded_exception(), "{error}");
    set(scene.database.faults(), [FaultRule::new(Fault::Throttle)]);
    assert_eq!(code(strict.list_tables().send().await), "ThrottlingException");
    let down = Fault::Error { code: "InternalServerError".into(), status: 500, message: "down".into() };
    set(scene.database.faults(), one(down));
    assert!(put("a").await.unwrap_err().into_service_error().is_internal_server_error());
    set(scene.database.faults(), one(Fault::ConnectionError));
    assert!(matches!(put("a").await.unwrap_err(), SdkError::DispatchFailure(_)));
    assert!(!is_there("a").await, "none of these has an effect");

    set(scene.database.faults(), one(Fault::LostAnswer));
    assert!(matches!(put("b").await.unwrap_err(), SdkError::DispatchFailure(_)));
    assert!(is_there("b").await);
    assert_eq!(scene.database.faults().strikes(), [1]);
    set(scene.database.faults(), one(Fault::TruncatedBody { bytes: 1 }));
    put("c").await.unwrap_err();
    set(scene.database.faults(), one(Fault::Reset { bytes: 1 }));
    put("d").await.unwrap_err();
    assert!(is_there("c").await && is_there("d").await);

    let seconds = Duration::from_secs(5);
    for late in [Fault::LateAnswer { delay: seconds }, Fault::StalledStream { bytes: 1, pause: Some(seconds) }] {
        set(scene.database.faults(), one(late));
        let mut call = std::pin::pin!(put("e"));
        while scene.database.faults().strikes() == [0] {
            assert!(futures_util::poll!(&mut call).is_pending());
            tokio::task::yield_now().await;
        }
        scene.clock.advance(Duration::from_millis(4_999));
        assert!(futures_util::poll!(&mut call).is_pending());
        scene.clock.advance(Duration::from_millis(1));
        call.await.unwrap();
    }
    scene.database.faults().clear();
    put("f").await.unwrap();
}

/// The SDK finds its way whenever a connection has gone away.
#[tokio::test]
async fn connections_that_go_away_are_replaced() {
    for way in [Way::InProcess, Way::Http1, Way::Tls, Way::Cbor] {
        let scene = Scene::reached(way, Settings::default()).await.with_stream(1).await;
        set(scene.kinesis.faults(), [FaultRule::new(Fault::GoAway)]);
        for count in 1..=10 {
            put!(scene.client).await.unwrap();
            assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), count, "{way:?}");
        }
        assert_eq!(scene.kinesis.faults().strikes(), [10]);
    }
}
