//! Whatever happens between and during the calls, each record comes once.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::poll;
use proptest::prelude::*;
use serde_json::json;

use super::shard::{Shard, Turn, sequence};
use super::{Fake, KinesisClients, Reply, TestClock, by_name, settings, shard_of, source_with};
use crate::kinesis::KinesisSource;
use crate::ports::{Fetched, ReadError, ShardReader, StreamSource};
use crate::settings::ReadLimit;
use crate::types::{BytePermit, Position};

fn open(fake: &Fake) -> Box<dyn ShardReader> {
    let clock = Arc::new(TestClock::default());
    source_with(fake, ReadLimit::Service, &clock).open(&shard_of(by_name()), Position::TrimHorizon)
}

async fn fetch(reader: &mut Box<dyn ShardReader>) -> Result<Fetched, ReadError> {
    reader.ready().await;
    reader.next(BytePermit::unlimited()).await
}

/// Reads to the end, going on after errors.
async fn read_all(reader: &mut Box<dyn ShardReader>) -> Vec<String> {
    let mut delivered = Vec::new();
    for _ in 0..1_000 {
        let Ok(fetched) = fetch(reader).await else { continue };
        delivered.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
        if fetched.end.is_some() {
            return delivered;
        }
    }
    panic!("no end after {} records", delivered.len());
}

/// Polls a future at most so many times, then drops it.
async fn polled<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    for _ in 0..times {
        if let Poll::Ready(value) = poll!(future.as_mut()) {
            return Some(value);
        }
        // Polled again whether or not anything happened, or a future that waits for others would never be dropped. Time
        // passes meanwhile, as much as between two calls to a shard.
        tokio::time::advance(Duration::from_millis(200)).await;
    }
    None
}

fn all(count: usize) -> Vec<String> {
    (1..=count).map(sequence).collect()
}

/// One answer's worth of JSON, cut off in the middle of a record.
fn truncated() -> Vec<u8> {
    let body =
        json!({ "Records": [{ "SequenceNumber": sequence(1), "Data": "AAAA", "PartitionKey": "k" }] }).to_string();
    body.as_bytes()[..body.len() - 20].to_vec()
}

fn turn() -> impl Strategy<Value = Turn> {
    let error = |status, code| Turn::Reply(Reply::Error(status, code, "scripted"));
    prop_oneof![
        6 => (0_usize..7).prop_map(Turn::Answer),
        3 => Just(Turn::Expired),
        1 => Just(error(400, "InvalidArgumentException")),
        1 => Just(error(400, "ProvisionedThroughputExceededException")),
        1 => Just(error(400, "AccessDeniedException")),
        1 => Just(error(400, "ResourceNotFoundException")),
        1 => Just(error(500, "InternalFailureException")),
        1 => Just(Turn::Reply(Reply::Raw(500, b"<html><body>Internal Server Error</body></html>".to_vec()))),
        1 => Just(Turn::Reply(Reply::Raw(503, Vec::new()))),
        1 => Just(Turn::Reply(Reply::Raw(200, truncated()))),
        1 => Just(Turn::Reply(Reply::Raw(200, Vec::new()))),
        1 => Just(Turn::Reply(Reply::Broken)),
    ]
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_calls_meet_each_record_comes_once(turns in prop::collection::vec(turn(), 0..25), count in 0_usize..40) {
        let delivered = paused().block_on(async {
            let fake = Shard::closed(count).with_turns(turns.clone()).serve();
            read_all(&mut open(&fake)).await
        });
        prop_assert_eq!(delivered, all(count));
    }

    #[test]
    fn futures_dropped_anywhere_lose_nothing(
        turns in prop::collection::vec(turn(), 0..12),
        drops in prop::collection::vec((0_usize..12, 0_usize..12), 0..30),
        count in 0_usize..20,
    ) {
        let delivered = paused().block_on(async {
            let fake = Shard::closed(count).with_turns(turns.clone()).serve();
            let mut reader = open(&fake);
            let mut delivered = Vec::new();
            for &(ready, next) in &drops {
                polled(ready, reader.ready()).await;
                if let Some(Ok(fetched)) = polled(next, reader.next(BytePermit::unlimited())).await {
                    delivered.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
                }
            }
            delivered.extend(read_all(&mut reader).await);
            delivered
        });
        prop_assert_eq!(delivered, all(count));
    }
}

#[tokio::test(start_paused = true)]
async fn an_expiry_between_any_two_calls_loses_and_repeats_nothing() {
    let count = 12;
    for expiry in 0..8 {
        let mut turns = vec![Turn::Answer(2); expiry];
        turns.push(Turn::Expired);
        turns.extend(vec![Turn::Answer(2); 8]);
        let fake = Shard::closed(count).with_turns(turns).serve();
        assert_eq!(read_all(&mut open(&fake)).await, all(count), "expiry at call {expiry}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_await_of_a_fetch_can_be_its_last() {
    let mut completed = 0;
    for times in 0..40 {
        let fake = Shard::closed(5).with_turns([Turn::Answer(2), Turn::Expired, Turn::Answer(2)]).serve();
        let mut reader = open(&fake);
        let first = fetch(&mut reader).await.unwrap();
        let mut delivered: Vec<_> = first.batch.iter().map(|record| record.sequence_number().to_string()).collect();
        if let Some(Ok(fetched)) = polled(times, reader.next(BytePermit::unlimited())).await {
            delivered.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
            completed += 1;
        }
        delivered.extend(read_all(&mut reader).await);
        assert_eq!(delivered, all(5), "dropped after {times} polls");
    }
    assert!(completed > 0, "the last ones are not dropped at all");
}

#[tokio::test(start_paused = true)]
async fn failures_say_what_they_are_and_reading_goes_on() {
    type Expected = fn(&ReadError) -> bool;
    let unavailable: Expected = |error| matches!(error, ReadError::Unavailable(_));
    let denied: Expected = |error| matches!(error, ReadError::Denied(_));
    let error = |status, code| Reply::Error(status, code, "the service's words");
    let cases: [(Reply, Expected, &str); 15] = [
        (
            error(500, "InternalFailureException"),
            unavailable,
            "InternalFailureException: the service's words (HTTP 500",
        ),
        (error(503, "SomethingNew"), unavailable, "SomethingNew"),
        (Reply::Raw(500, b"<html>oops</html>".to_vec()), unavailable, "HTTP 500"),
        (Reply::Raw(500, Vec::new()), unavailable, "HTTP 500"),
        (Reply::Raw(200, truncated()), |e| matches!(e, ReadError::Invalid(_)), "cannot be decoded"),
        (Reply::Raw(200, Vec::new()), unavailable, "says nothing"),
        (Reply::Raw(200, b"{}".to_vec()), unavailable, "says nothing"),
        (
            Reply::Broken,
            unavailable,
            "check endpoint, region and network): dispatch failure: io error: connection reset",
        ),
        (Reply::Silence, unavailable, "no answer in time"),
        (
            error(400, "ResourceNotFoundException"),
            |e| matches!(e, ReadError::NotFound { .. }),
            "orders/shardId-000000000000",
        ),
        (error(400, "AccessDeniedException"), denied, "the service's words"),
        (error(400, "KMSDisabledException"), denied, "KMSDisabledException"),
        (error(400, "ExpiredTokenException"), denied, "ExpiredTokenException"),
        (Reply::Raw(403, b"<html>".to_vec()), denied, "HTTP 403"),
        (error(400, "UnknownOperationException"), |e| matches!(e, ReadError::Invalid(_)), "UnknownOperationException"),
    ];
    for (reply, expected, part) in cases {
        let turns = [Turn::Answer(2), Turn::Reply(reply.clone())];
        let fake = Shard::closed(5).with_turns(turns).serve();
        let mut reader = open(&fake);
        assert_eq!(fetch(&mut reader).await.unwrap().batch.len(), 2);
        let error = fetch(&mut reader).await.unwrap_err();
        assert!(expected(&error), "{reply:?}: {error:?}");
        assert!(error.to_string().contains(part), "{error} should contain {part:?}");
        assert_eq!(read_all(&mut reader).await, all(5)[2..], "after {reply:?}");
        assert_eq!(fake.count("GetShardIterator"), 1, "one failure is no reason to doubt the iterator");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bad_argument_is_tried_once_more_with_a_new_iterator() {
    let bad = Turn::Reply(Reply::Error(400, "InvalidArgumentException", "Invalid ShardIterator."));
    let fake = Shard::closed(3).with_turns([Turn::Answer(1), bad.clone(), bad.clone(), bad]).serve();
    let mut reader = open(&fake);
    fetch(&mut reader).await.unwrap();
    for _ in 0..2 {
        let error = fetch(&mut reader).await.unwrap_err();
        assert!(matches!(&error, ReadError::Invalid(text) if text.contains("Invalid ShardIterator.")), "{error}");
    }
    assert_eq!(read_all(&mut reader).await, all(3)[1..]);
}

#[tokio::test(start_paused = true)]
async fn an_iterator_that_only_fails_is_replaced() {
    // A server that answers a spoilt iterator with a page of HTML.
    let oops = Turn::Reply(Reply::Raw(500, b"<html>".to_vec()));
    let fake = Shard::closed(3).with_turns([Turn::Answer(1), oops.clone(), oops]).serve();
    assert_eq!(read_all(&mut open(&fake)).await, all(3));
    assert_eq!(fake.count("GetShardIterator"), 2);
}

#[tokio::test(start_paused = true)]
async fn records_that_make_no_sense_are_an_error_and_none_is_skipped() {
    let record = |sequence: &str| json!({ "SequenceNumber": sequence, "Data": "AAAA", "PartitionKey": "k" });
    let cases = [
        (vec![record(&sequence(1)), record("twelve")], "\"twelve\""),
        (vec![record(&sequence(1)), json!({ "Data": "AAAA", "PartitionKey": "k" })], "record 1 of an answer"),
        (vec![record(&sequence(2)), record(&sequence(1))], "order"),
        (vec![record(&sequence(1)), record(&sequence(1))], "order"),
    ];
    for (records, part) in cases {
        let answer = json!({ "Records": records, "NextShardIterator": "2", "MillisBehindLatest": 0 });
        let fake = Shard::closed(3).with_turns([Turn::Reply(Reply::Json(answer))]).serve();
        let mut reader = open(&fake);
        let error = fetch(&mut reader).await.unwrap_err();
        assert!(matches!(&error, ReadError::Invalid(text) if text.contains(part)), "{error} should contain {part:?}");
        assert_eq!(read_all(&mut reader).await, all(3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_delivered_before_is_refused() {
    let old = json!({ "SequenceNumber": sequence(2), "Data": "AAAA", "PartitionKey": "k" });
    let answer = json!({ "Records": [old], "NextShardIterator": "9", "MillisBehindLatest": 0 });
    let fake = Shard::closed(4).with_turns([Turn::Answer(3), Turn::Reply(Reply::Json(answer))]).serve();
    let mut reader = open(&fake);
    fetch(&mut reader).await.unwrap();
    assert!(matches!(fetch(&mut reader).await, Err(ReadError::Invalid(_))));
    assert_eq!(read_all(&mut reader).await, all(4)[3..]);
}

#[tokio::test(start_paused = true)]
async fn calls_in_flight_are_bounded_over_all_shards() {
    let fake = Shard::open(1).serve();
    let clock = Arc::new(TestClock::default());
    let clients = KinesisClients::from_client(&fake.client());
    let source = KinesisSource::with_calls_in_flight(clients, settings(ReadLimit::Service), clock, 0);
    let mut first = source.open(&shard_of(by_name()), Position::TrimHorizon);
    let mut second = source.open(&shard_of(by_name()), Position::TrimHorizon);
    {
        let mut waiting = std::pin::pin!(first.next(BytePermit::unlimited()));
        assert!(polled(1, waiting.as_mut()).await.is_none());
        assert!(polled(20, second.next(BytePermit::unlimited())).await.is_none(), "one at a time, at least one");
        assert_eq!(waiting.await.unwrap().batch.len(), 1);
    }
    assert_eq!(second.next(BytePermit::unlimited()).await.unwrap().batch.len(), 1);
}
