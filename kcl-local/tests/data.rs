//! Records in and out, through the AWS SDK.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::time::Duration;

use aws_sdk_kinesis::error::SdkError;
use aws_sdk_kinesis::operation::get_records::GetRecordsError;
use aws_sdk_kinesis::primitives::{Blob, DateTime};
use aws_sdk_kinesis::types::{EncryptionType, PutRecordsRequestEntry, Record, ShardIteratorType};
use common::{Scene, code};
use kcl_local::{HashKey, StartingPosition};

in_both_ways!(
    a_record_comes_back_as_it_went_in,
    order_and_numbers_increase_within_a_shard,
    partition_keys_and_explicit_hash_keys_choose_the_shard,
    the_five_iterator_types_begin_where_they_say,
    iterators_with_wrong_arguments_are_refused,
    limit_and_ten_mebibytes_bound_a_read,
    lag_is_measured_to_now_and_zero_at_the_tip,
    iterators_expire_after_five_minutes,
    a_changed_iterator_is_refused,
    the_limits_of_put_records,
    records_can_grow_to_ten_mebibytes,
    encrypted_records_say_so,
    old_records_are_trimmed,
    a_stream_created_again_is_another_stream,
    streams_are_found_by_arn,
    a_dry_run_has_no_effect,
    unusual_keys_and_empty_data_survive,
);

fn entry(key: &str, data: impl Into<Vec<u8>>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data)).build().unwrap()
}

impl Scene {
    async fn put(&self, key: &str, data: &str) -> String {
        let put = self.client.put_record().stream_name("orders").partition_key(key);
        put.data(Blob::new(data)).send().await.unwrap().sequence_number
    }

    async fn iterator(&self, kind: ShardIteratorType) -> String {
        let call = self.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
        call.shard_iterator_type(kind).send().await.unwrap().shard_iterator.unwrap()
    }

    async fn read(&self, iterator: &str) -> Vec<Record> {
        self.client.get_records().shard_iterator(iterator).send().await.unwrap().records
    }
}

fn data(records: &[Record]) -> Vec<String> {
    records.iter().map(|record| String::from_utf8(record.data.as_ref().to_vec()).unwrap()).collect()
}

async fn a_record_comes_back_as_it_went_in(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let put = scene.client.put_record().stream_name("orders").partition_key("k \"1\"").data(Blob::new([0, 255, 7]));
    let put = put.send().await.unwrap();
    assert_eq!(put.shard_id, "shardId-000000000000");
    assert_eq!(put.sequence_number.len(), 56);
    assert!(put.sequence_number.starts_with("49"));

    let records = scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].sequence_number, put.sequence_number);
    assert_eq!(records[0].data.as_ref(), [0, 255, 7]);
    assert_eq!(records[0].partition_key.as_deref(), Some("k \"1\""));
    // The SDK reads JSON timestamps through a float and cuts off, so a millisecond may be missing.
    let arrival = records[0].approximate_arrival_timestamp.unwrap().to_millis().unwrap();
    assert!((1_790_000_000_122..=1_790_000_000_123).contains(&arrival), "{arrival}");
    assert_eq!(records[0].encryption_type, None);
}

async fn order_and_numbers_increase_within_a_shard(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let mut numbers = Vec::new();
    for i in 0..5 {
        numbers.push(scene.put("k", &i.to_string()).await);
        // Also when the clock goes back.
        scene.clock.set(kcl_local::Timestamp::from_millis(1_790_000_000_000 - i * 100_000));
    }
    let batch = (5..10).map(|i| entry("k", i.to_string())).collect();
    let put = scene.client.put_records().stream_name("orders").set_records(Some(batch)).send().await.unwrap();
    assert_eq!(put.failed_record_count, Some(0));
    numbers.extend(put.records.into_iter().map(|record| record.sequence_number.unwrap()));
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");

    let records = scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await;
    assert_eq!(data(&records), (0..10).map(|i| i.to_string()).collect::<Vec<_>>());
    assert!(records.iter().map(|r| r.approximate_arrival_timestamp).is_sorted());
}

async fn partition_keys_and_explicit_hash_keys_choose_the_shard(scene: Scene) {
    let scene = scene.with_stream(4).await;
    for key in ["a", "b", "c", "customer-17", "käse"] {
        let put = scene.client.put_record().stream_name("orders").partition_key(key).data(Blob::new("x"));
        let expected = HashKey::of_partition_key(key).0 / (1 << 126);
        assert_eq!(put.send().await.unwrap().shard_id, format!("shardId-{expected:012}"), "{key}");
    }
    for (hash_key, shard) in [("0", 0), ("340282366920938463463374607431768211455", 3)] {
        let put = scene.client.put_record().stream_name("orders").partition_key("a").data(Blob::new("x"));
        let put = put.explicit_hash_key(hash_key).send().await.unwrap();
        assert_eq!(put.shard_id, format!("shardId-{shard:012}"));
    }
    let put = scene.client.put_record().stream_name("orders").partition_key("a").data(Blob::new("x"));
    let outcome = put.explicit_hash_key("340282366920938463463374607431768211456").send().await;
    assert_eq!(code(outcome), "InvalidArgumentException");
}

async fn the_five_iterator_types_begin_where_they_say(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.put("k", "0").await;
    scene.clock.advance(Duration::from_secs(10));
    let second = scene.put("k", "1").await;
    scene.clock.advance(Duration::from_secs(10));
    scene.put("k", "2").await;

    let call = || scene.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let at = call().shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(&second);
    let after = call().shard_iterator_type(ShardIteratorType::AfterSequenceNumber).starting_sequence_number(&second);
    let time = |seconds| {
        let time = DateTime::from_secs_f64(1_790_000_000.123 + seconds);
        call().shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(time)
    };
    for (call, expected) in [
        (call().shard_iterator_type(ShardIteratorType::TrimHorizon), vec!["0", "1", "2"]),
        (call().shard_iterator_type(ShardIteratorType::Latest), vec![]),
        (at, vec!["1", "2"]),
        (after, vec!["2"]),
        (time(-1000.0), vec!["0", "1", "2"]),
        (time(9.5), vec!["1", "2"]),
        (time(11.0), vec!["2"]),
    ] {
        let iterator = call.send().await.unwrap().shard_iterator.unwrap();
        assert_eq!(data(&scene.read(&iterator).await), expected);
    }
    let latest = scene.iterator(ShardIteratorType::Latest).await;
    scene.put("k", "3").await;
    assert_eq!(data(&scene.read(&latest).await), ["3"]);
}

async fn iterators_with_wrong_arguments_are_refused(scene: Scene) {
    let scene = scene.with_stream(2).await;
    let number = scene.put("k", "0").await;
    let other = if scene.kinesis.all_records("orders").unwrap()[0].0.0 == 0 { 1 } else { 0 };
    let call = || scene.client.get_shard_iterator().stream_name("orders").shard_id(format!("shardId-{other:012}"));
    let at = || call().shard_iterator_type(ShardIteratorType::AtSequenceNumber);
    assert_eq!(code(at().send().await), "InvalidArgumentException");
    assert_eq!(code(at().starting_sequence_number(&number).send().await), "InvalidArgumentException");
    assert_eq!(code(at().starting_sequence_number("123").send().await), "InvalidArgumentException");
    assert_eq!(code(at().starting_sequence_number("12x").send().await), "ValidationException");
    let unknown_type = call().shard_iterator_type("YESTERDAY".into());
    assert_eq!(code(unknown_type.send().await), "ValidationException");
    let future =
        call().shard_iterator_type(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_secs(1_800_000_000));
    assert_eq!(code(future.send().await), "InvalidArgumentException");
    let no_shard = scene.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000009");
    let no_shard = no_shard.shard_iterator_type(ShardIteratorType::Latest).send().await;
    assert!(no_shard.unwrap_err().into_service_error().is_resource_not_found_exception());
}

async fn limit_and_ten_mebibytes_bound_a_read(scene: Scene) {
    let scene = scene.with_stream(1).await;
    for _ in 0..12 {
        scene.put("k", &"x".repeat(1024 * 1024 - 1)).await;
    }
    let iterator = scene.iterator(ShardIteratorType::TrimHorizon).await;
    let limited = scene.client.get_records().shard_iterator(&iterator).limit(3).send().await.unwrap();
    assert_eq!(limited.records.len(), 3);
    let rest = scene.client.get_records().shard_iterator(limited.next_shard_iterator.unwrap()).send().await.unwrap();
    assert_eq!(rest.records.len(), 9);
    let all = scene.client.get_records().shard_iterator(&iterator).send().await.unwrap();
    assert_eq!(all.records.len(), 10);
    for limit in [0, 10_001] {
        let outcome = scene.client.get_records().shard_iterator(&iterator).limit(limit).send().await;
        assert_eq!(code(outcome), "ValidationException");
    }
}

async fn lag_is_measured_to_now_and_zero_at_the_tip(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.put("k", "0").await;
    scene.put("k", "1").await;
    scene.clock.advance(Duration::from_millis(1500));
    let iterator = scene.iterator(ShardIteratorType::TrimHorizon).await;
    let first = scene.client.get_records().shard_iterator(&iterator).limit(1).send().await.unwrap();
    assert_eq!(first.millis_behind_latest, Some(1500));
    let second = scene.client.get_records().shard_iterator(first.next_shard_iterator.unwrap()).send().await.unwrap();
    assert_eq!(second.millis_behind_latest, Some(0));
    assert_eq!(second.records.len(), 1);
}

async fn iterators_expire_after_five_minutes(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let iterator = scene.iterator(ShardIteratorType::TrimHorizon).await;
    scene.clock.advance(Duration::from_secs(300));
    assert!(scene.client.get_records().shard_iterator(&iterator).send().await.is_ok());
    scene.clock.advance(Duration::from_millis(1));
    let error = scene.client.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    assert!(
        matches!(&error, SdkError::ServiceError(e) if matches!(e.err(), GetRecordsError::ExpiredIteratorException(_)))
    );
}

async fn a_changed_iterator_is_refused(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let iterator = scene.iterator(ShardIteratorType::TrimHorizon).await;
    let mut changed = iterator.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    for bad in ["nonsense", &iterator[..iterator.len() - 4], std::str::from_utf8(&changed).unwrap()] {
        let outcome = scene.client.get_records().shard_iterator(bad).send().await;
        assert!(outcome.unwrap_err().into_service_error().is_invalid_argument_exception(), "{bad}");
    }
}

async fn the_limits_of_put_records(scene: Scene) {
    let scene = scene.with_stream(2).await;
    let put = |entries: Vec<PutRecordsRequestEntry>| {
        scene.client.put_records().stream_name("orders").set_records(Some(entries)).send()
    };
    let small = |count| (0..count).map(|i| entry(&i.to_string(), "x")).collect::<Vec<_>>();
    assert_eq!(put(small(500)).await.unwrap().records.len(), 500);
    assert_eq!(code(put(small(501)).await), "ValidationException");
    assert_eq!(code(put(vec![]).await), "ValidationException");
    // Keys count: ten records of exactly 1 MiB fit, one byte more does not.
    let mebibyte = || entry("k", vec![b'x'; 1024 * 1024 - 1]);
    assert_eq!(put((0..10).map(|_| mebibyte()).collect()).await.unwrap().failed_record_count, Some(0));
    let one_more = (0..10).map(|_| mebibyte()).chain([entry("k", "")]).collect();
    assert_eq!(code(put(one_more).await), "InvalidArgumentException");
    assert_eq!(code(put(vec![entry("k", vec![b'x'; 1024 * 1024])]).await), "InvalidArgumentException");
    let long_key = "k".repeat(257);
    assert_eq!(code(put(vec![entry(&long_key, "x")]).await), "ValidationException");
    assert_eq!(scene.kinesis.all_records("orders").unwrap().len(), 510, "a refused call has stored nothing");
}

async fn records_can_grow_to_ten_mebibytes(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let large = || Blob::new(vec![7; 9 * 1024 * 1024]);
    let put = || scene.client.put_record().stream_name("orders").partition_key("k").data(large());
    assert_eq!(code(put().send().await), "InvalidArgumentException");
    let resize = |kib| scene.client.update_max_record_size().stream_arn(scene.arn()).max_record_size_in_kib(kib).send();
    assert_eq!(code(resize(10_241).await), "ValidationException");
    resize(10_240).await.unwrap();
    put().send().await.unwrap();
    let records = scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await;
    assert_eq!(records[0].data, large());
}

async fn encrypted_records_say_so(scene: Scene) {
    let scene = scene.with_stream(1).await;
    scene.put("k", "clear").await;
    let start = scene.client.start_stream_encryption().stream_name("orders").key_id("alias/aws/kinesis");
    start.encryption_type(EncryptionType::Kms).send().await.unwrap();
    let put = scene.client.put_record().stream_name("orders").partition_key("k").data(Blob::new("secret"));
    assert_eq!(put.send().await.unwrap().encryption_type, Some(EncryptionType::Kms));
    let summary = scene.client.describe_stream_summary().stream_name("orders").send().await.unwrap();
    let summary = summary.stream_description_summary.unwrap();
    assert_eq!(summary.encryption_type, Some(EncryptionType::Kms));
    assert_eq!(summary.key_id.as_deref(), Some("alias/aws/kinesis"));
    let stop = scene.client.stop_stream_encryption().stream_name("orders").key_id("alias/aws/kinesis");
    stop.encryption_type(EncryptionType::Kms).send().await.unwrap();
    scene.put("k", "clear").await;
    let records = scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await;
    let kinds: Vec<_> = records.into_iter().map(|record| record.encryption_type).collect();
    assert_eq!(kinds, [None, Some(EncryptionType::Kms), None]);
}

async fn old_records_are_trimmed(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let first = scene.put("k", "0").await;
    scene.clock.advance(Duration::from_hours(23));
    scene.put("k", "1").await;
    scene.clock.advance(Duration::from_millis(3_599_999));
    let all = || async { data(&scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await) };
    assert_eq!(all().await, ["0", "1"]);
    scene.clock.advance(Duration::from_millis(1));
    assert_eq!(all().await, ["1"]);
    // A position that was trimmed means the oldest record that is left.
    let at = scene.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let at = at.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(first);
    assert_eq!(data(&scene.read(&at.send().await.unwrap().shard_iterator.unwrap()).await), ["1"]);

    let increase = scene.client.increase_stream_retention_period().stream_name("orders");
    increase.retention_period_hours(48).send().await.unwrap();
    scene.clock.advance(Duration::from_hours(24));
    assert_eq!(all().await, ["1"]);
    let decrease = scene.client.decrease_stream_retention_period().stream_name("orders");
    decrease.clone().retention_period_hours(24).send().await.unwrap();
    assert_eq!(all().await, Vec::<String>::new());
    assert_eq!(code(decrease.clone().retention_period_hours(23).send().await), "InvalidArgumentException");
    assert_eq!(code(decrease.retention_period_hours(25).send().await), "InvalidArgumentException");
}

async fn a_stream_created_again_is_another_stream(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let number = scene.put("k", "old").await;
    let iterator = scene.iterator(ShardIteratorType::TrimHorizon).await;
    scene.client.delete_stream().stream_name("orders").send().await.unwrap();
    let gone = scene.client.get_records().shard_iterator(&iterator).send().await;
    assert!(gone.unwrap_err().into_service_error().is_resource_not_found_exception());

    // Within the same millisecond, as far as the clock knows.
    let scene = scene.with_stream(1).await;
    let old = scene.client.get_records().shard_iterator(&iterator).send().await;
    assert!(old.unwrap_err().into_service_error().is_invalid_argument_exception());
    let at = scene.client.get_shard_iterator().stream_name("orders").shard_id("shardId-000000000000");
    let at = at.shard_iterator_type(ShardIteratorType::AtSequenceNumber).starting_sequence_number(number);
    assert_eq!(code(at.send().await), "InvalidArgumentException");
    assert!(scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await.is_empty());
}

async fn streams_are_found_by_arn(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let put = scene.client.put_record().stream_arn(scene.arn()).partition_key("k").data(Blob::new("x"));
    put.send().await.unwrap();
    let put = scene.client.put_records().stream_arn(scene.arn()).records(entry("k", "y"));
    put.send().await.unwrap();
    let iterator = scene.client.get_shard_iterator().stream_arn(scene.arn()).shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
    let iterator = iterator.shard_iterator.unwrap();
    let read = |arn: String| scene.client.get_records().stream_arn(arn).shard_iterator(&iterator).send();
    assert_eq!(read(scene.arn()).await.unwrap().records.len(), 2);
    assert_eq!(code(read(scene.kinesis.stream_arn("other")).await), "InvalidArgumentException");
    let both = scene.client.put_record().stream_arn(scene.arn()).stream_name("other");
    assert_eq!(code(both.partition_key("k").data(Blob::new("x")).send().await), "InvalidArgumentException");
    let neither = scene.client.put_record().partition_key("k").data(Blob::new("x"));
    assert_eq!(code(neither.send().await), "InvalidArgumentException");
    let elsewhere = scene.arn().replace("us-east-1", "eu-west-1");
    let elsewhere = scene.client.put_record().stream_arn(elsewhere).partition_key("k").data(Blob::new("x"));
    assert_eq!(code(elsewhere.send().await), "ResourceNotFoundException");
}

async fn a_dry_run_has_no_effect(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let put = scene.client.put_record().stream_name("orders").partition_key("k").data(Blob::new("x")).dry_run(true);
    assert_eq!(code(put.send().await), "DryRunOperationException");
    assert!(scene.kinesis.all_records("orders").unwrap().is_empty());
}

async fn unusual_keys_and_empty_data_survive(scene: Scene) {
    let scene = scene.with_stream(1).await;
    let keys = ["\u{1f9c0}", "tab\there", "line\nbreak", "\\", "\"", "\u{0}", &"ä".repeat(256)];
    let entries = keys.iter().map(|key| entry(key, "")).collect();
    scene.client.put_records().stream_name("orders").set_records(Some(entries)).send().await.unwrap();
    let records = scene.read(&scene.iterator(ShardIteratorType::TrimHorizon).await).await;
    let read: Vec<_> = records.iter().map(|record| record.partition_key.as_deref().unwrap()).collect();
    assert_eq!(read, keys);
    assert!(records.iter().all(|record| record.data.as_ref().is_empty()));
    let again = scene.kinesis.shard_iterator("orders", kcl_local::ShardId(0), StartingPosition::Latest).unwrap();
    assert!(scene.read(&again).await.is_empty());
}
