//! Reading a shard: positions, ends, pace.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::shard::{Shard, Turn, sequence};
use super::{ARN, Fake, Reply, TestClock, by_name, shard_of, source_with};
use crate::ports::{Clock, Fetched, ReadError, ShardReader, StreamSource};
use crate::settings::ReadLimit;
use crate::types::{BytePermit, EncryptionType, HashRange, Moment, Position, RecordPosition, Timestamp};

struct Reading {
    fake: Fake,
    clock: Arc<TestClock>,
    reader: Box<dyn ShardReader>,
}

fn read(shard: Shard, limit: ReadLimit, position: Position) -> Reading {
    let fake = shard.serve();
    let clock = Arc::new(TestClock::default());
    let reader = source_with(&fake, limit, &clock).open(&shard_of(by_name()), position);
    Reading { fake, clock, reader }
}

impl Reading {
    async fn fetch(&mut self) -> Result<Fetched, ReadError> {
        self.reader.ready().await;
        self.reader.next(BytePermit::unlimited()).await
    }

    /// How long `ready` waits.
    async fn wait(&mut self) -> Duration {
        let before = self.clock.now();
        self.reader.ready().await;
        self.clock.now().since(before)
    }
}

fn numbers(fetched: &Fetched) -> Vec<String> {
    fetched.batch.iter().map(|record| record.sequence_number().to_string()).collect()
}

fn sequences(range: std::ops::RangeInclusive<usize>) -> Vec<String> {
    range.map(sequence).collect()
}

#[tokio::test(start_paused = true)]
async fn every_position_begins_where_it_says() {
    let at = |n: usize, sub| RecordPosition { sequence: sequence(n).parse().unwrap(), sub };
    let instant = Timestamp::from_millis(1_790_000_000_123);
    let cases: [(Position, Value, usize); 5] = [
        (Position::TrimHorizon, json!({ "ShardIteratorType": "TRIM_HORIZON" }), 1),
        (Position::AtTime(instant), json!({ "ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_790_000_000.123 }), 1),
        (
            Position::At(at(3, 0)),
            json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence(3) }),
            3,
        ),
        (
            Position::At(at(3, 7)),
            json!({ "ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence(3) }),
            3,
        ),
        (
            Position::After(sequence(3).parse().unwrap()),
            json!({ "ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": sequence(3) }),
            4,
        ),
    ];
    for (position, mut request, first) in cases {
        let mut reading = read(Shard::open(5), ReadLimit::Service, position);
        assert_eq!(numbers(&reading.fetch().await.unwrap()), sequences(first..=5));
        request["StreamName"] = json!("orders");
        request["ShardId"] = json!("shardId-000000000000");
        assert_eq!(reading.fake.calls()[0].body, request);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_read_by_its_arn() {
    let fake = Shard::open(1).serve();
    let clock = Arc::new(TestClock::default());
    let shard = shard_of(ARN.parse().unwrap());
    let mut reader = source_with(&fake, ReadLimit::Service, &clock).open(&shard, Position::TrimHorizon);
    reader.next(BytePermit::unlimited()).await.unwrap();
    for call in fake.calls() {
        assert_eq!((call.text("StreamARN"), call.text("StreamName")), (Some(ARN), None), "{}", call.operation);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_arrives_with_all_its_parts() {
    let mut reading = read(Shard::open(2), ReadLimit::Service, Position::TrimHorizon);
    let fetched = reading.fetch().await.unwrap();
    assert_eq!((fetched.lag, fetched.batch.lag()), (Some(Duration::ZERO), Some(Duration::ZERO)));
    let record = fetched.batch.get(1).unwrap();
    assert_eq!(&record.data()[..], b"record 2");
    assert_eq!((record.partition_key(), record.explicit_hash_key()), ("key-2", None));
    assert_eq!(record.position(), RecordPosition { sequence: sequence(2).parse().unwrap(), sub: 0 });
    assert_eq!(record.arrival(), Some(Timestamp::from_millis(1_790_000_000_123)), "rounded, not cut off");
    assert_eq!(record.encryption_type(), EncryptionType::Kms);
    assert_eq!(fetched.batch.first().unwrap().encryption_type(), EncryptionType::None);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_records_come_in_one_answer() {
    let mut reading = read(Shard::open(20_000), ReadLimit::Service, Position::TrimHorizon);
    let (mut read, mut counts) = (Vec::new(), Vec::new());
    while read.len() < 20_000 {
        let fetched = reading.fetch().await.unwrap();
        counts.push(fetched.batch.len());
        read.extend(numbers(&fetched));
    }
    assert!(read == sequences(1..=20_000), "in order and once");
    assert_eq!(counts, [10, 80, 640, 5_120, 10_000, 4_150], "no more at first than what fits if records are large");
    assert!(reading.reader.demand() > 2 << 20, "the next answer may be as large: {}", reading.reader.demand());
}

#[tokio::test(start_paused = true)]
async fn the_permit_bounds_the_number_of_records() {
    let mut reading = read(Shard::open(5_000), ReadLimit::None, Position::TrimHorizon);
    assert_eq!(reading.reader.demand(), 4 << 20, "nothing is known yet; an answer takes more while it is received");
    struct Nobody;
    impl crate::types::ByteAccount for Nobody {
        fn give_back(&self, _: usize) {}
        fn overdraw(&self, _: usize) {}
    }
    let mut fetch = async |bytes: usize| {
        let permit = BytePermit::new(bytes, Arc::new(Nobody));
        reading.reader.next(permit).await.unwrap().batch.len()
    };
    assert_eq!(fetch(20 << 10).await, 5, "a record is taken for 1 KiB at first");
    assert_eq!(fetch(400 << 10).await, 40, "up to eight times as many");
    let small = fetch(100 << 10).await;
    assert!((30..200).contains(&small), "as many as fit while they are received: {small}");
}

#[tokio::test(start_paused = true)]
async fn an_end_names_the_children_if_the_service_does() {
    let children = json!([{
        "ShardId": "shardId-000000000001",
        "ParentShards": ["shardId-000000000000"],
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "99" },
    }]);
    let mut reading = read(Shard::closed(3).with_children(children), ReadLimit::Service, Position::TrimHorizon);
    let fetched = reading.fetch().await.unwrap();
    assert_eq!(numbers(&fetched), sequences(1..=3), "the last records come with the end");
    let end = fetched.end.unwrap();
    assert_eq!(end.children.len(), 1);
    assert_eq!(end.children[0].id.as_str(), "shardId-000000000001");
    assert_eq!(end.children[0].parents[0].as_str(), "shardId-000000000000");
    assert_eq!(end.children[0].hash_range, HashRange::new(0, 99));
}

#[tokio::test(start_paused = true)]
async fn an_end_without_children_can_be_asked_again() {
    let unreadable = json!([{ "ShardId": "not a shard", "ParentShards": [] }]);
    for shard in [Shard::closed(3), Shard::closed(3).with_children(unreadable)] {
        let mut reading = read(shard, ReadLimit::Service, Position::TrimHorizon);
        let fetched = reading.fetch().await.unwrap();
        assert_eq!((fetched.batch.len(), fetched.end.unwrap().children.len()), (3, 0));
        assert_eq!(reading.wait().await, Duration::from_secs(1), "not in a hurry");
        let again = reading.fetch().await.unwrap();
        assert!(again.batch.is_empty() && again.end.is_some(), "from the position, so nothing twice");
    }
}

#[tokio::test(start_paused = true)]
async fn at_the_tip_the_idle_interval_passes_between_calls() {
    let mut reading = read(Shard::open(3), ReadLimit::Service, Position::TrimHorizon);
    assert_eq!(reading.wait().await, Duration::ZERO, "the first call waits for nothing");
    assert_eq!(reading.fetch().await.unwrap().batch.len(), 3);
    // Handling the records took some time: it counts.
    reading.clock.advance(Duration::from_millis(300));
    assert_eq!(reading.wait().await, Duration::from_millis(700));
    for _ in 0..3 {
        let fetched = reading.fetch().await.unwrap();
        assert!(fetched.batch.is_empty() && fetched.end.is_none());
        assert_eq!(fetched.lag, Some(Duration::ZERO));
        assert_eq!(reading.wait().await, Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn waits_count_from_when_a_call_was_sent() {
    let clock = Arc::new(TestClock::default());
    let slow = clock.clone();
    let fake = Fake::new(move |call| {
        if call.operation == "GetRecords" {
            slow.advance(Duration::from_millis(150));
        }
        // At the tip from the second answer on.
        let lag = if call.text("ShardIterator") == Some("1") { 500 } else { 0 };
        let next = if call.operation == "GetShardIterator" { "1" } else { "2" };
        Reply::Json(
            json!({ "ShardIterator": next, "NextShardIterator": next, "Records": [], "MillisBehindLatest": lag }),
        )
    });
    let reader = source_with(&fake, ReadLimit::Service, &clock).open(&shard_of(by_name()), Position::TrimHorizon);
    let mut reading = Reading { fake, clock, reader };
    for wait in [50, 850, 850] {
        reading.fetch().await.unwrap();
        assert_eq!(reading.wait().await, Duration::from_millis(wait));
    }
}

#[tokio::test(start_paused = true)]
async fn behind_the_tip_only_the_limits_count() {
    for (limit, expected) in [(ReadLimit::Service, 200), (ReadLimit::None, 0)] {
        let turns = [Turn::Answer(1), Turn::Answer(0), Turn::Answer(1)];
        let mut reading = read(Shard::open(9).with_turns(turns), limit, Position::TrimHorizon);
        for records in [1, 0, 1] {
            assert_eq!(reading.fetch().await.unwrap().batch.len(), records);
            assert_eq!(reading.wait().await, Duration::from_millis(expected), "{limit:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_no_lag_is_read_as_fast() {
    for lag in [json!(0), Value::Null] {
        let shard = Shard::open(20_000).with_lag(lag.clone());
        let mut reading = read(shard, ReadLimit::None, Position::TrimHorizon);
        let mut read = 0;
        while read < 20_000 {
            let fetched = reading.fetch().await.unwrap();
            read += fetched.batch.len();
            let full = fetched.batch.len().is_multiple_of(10) && read < 20_000;
            assert!(!full || reading.wait().await.is_zero(), "lag {lag}: a full answer says that more is there");
        }
        assert!(reading.fetch().await.unwrap().batch.is_empty());
        assert_eq!(reading.wait().await, Duration::from_secs(1), "lag {lag}");
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_slows_down_and_keeps_the_iterator() {
    let throttled = Turn::Reply(Reply::Error(400, "ProvisionedThroughputExceededException", "Rate exceeded for shard"));
    let key = Turn::Reply(Reply::Error(400, "KMSThrottlingException", "Rate exceeded for key"));
    let turns = [throttled.clone(), key, throttled, Turn::Answer(1)];
    let mut reading = read(Shard::open(9).with_turns(turns), ReadLimit::Service, Position::TrimHorizon);
    let mut waits = Vec::new();
    for _ in 0..3 {
        let fetched = reading.fetch().await.unwrap();
        assert!(fetched.batch.is_empty() && fetched.end.is_none() && fetched.lag.is_none());
        waits.push(reading.wait().await);
    }
    assert!(waits.windows(2).all(|pair| pair[0] < pair[1]), "{waits:?}");
    assert_eq!(numbers(&reading.fetch().await.unwrap()), sequences(1..=1));
    assert!(reading.wait().await > Duration::from_millis(200), "and goes on slower than before");
    assert_eq!((reading.fake.count("GetShardIterator"), reading.fake.count("GetRecords")), (1, 4));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_iterator_call_is_no_error_either() {
    let throttled = Reply::Error(400, "ProvisionedThroughputExceededException", "Rate exceeded");
    let shard = Shard::open(2).with_iterator_turns(vec![throttled; 3]);
    let mut reading = read(shard, ReadLimit::None, Position::TrimHorizon);
    assert!(reading.fetch().await.unwrap().batch.is_empty());
    assert_eq!(reading.fetch().await.unwrap().batch.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn next_waits_by_itself_if_nobody_called_ready() {
    let mut reading = read(Shard::open(1), ReadLimit::Service, Position::TrimHorizon);
    let started: Moment = reading.clock.now();
    for _ in 0..3 {
        reading.reader.next(BytePermit::unlimited()).await.unwrap();
    }
    assert_eq!(reading.clock.now().since(started), Duration::from_secs(2));
}
