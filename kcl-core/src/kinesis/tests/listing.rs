//! Listing shards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{ARN, Call, Fake, Reply, TestClock, by_name, source_with};
use crate::ports::{Clock, SourceError, StreamSource};
use crate::settings::ReadLimit;
use crate::types::{Shard, StreamId, Timestamp};

const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";

fn shard(n: usize) -> Value {
    json!({
        "ShardId": format!("shardId-{n:012}"),
        "HashKeyRange": { "StartingHashKey": (n * 10).to_string(), "EndingHashKey": (n * 10 + 9).to_string() },
        "SequenceNumberRange": { "StartingSequenceNumber": "49680426505810185045732782624289612274056794581097250866" },
    })
}

/// Serves `count` shards in pages of `size`, the last shard first, as the service promises no order.
fn pages(count: usize, size: usize) -> Fake {
    Fake::new(move |call| {
        let from: usize = call.text("NextToken").map_or(0, |token| token.parse().unwrap());
        let to = (from + size).min(count);
        let mut body = json!({ "Shards": (from..to).map(|n| shard(count - 1 - n)).collect::<Vec<_>>() });
        if to < count {
            body["NextToken"] = json!(to.to_string());
        }
        let date = if from == 0 { DATE } else { "Wed, 21 Oct 2026 07:29:59 GMT" };
        Reply::Dated(body, date)
    })
}

async fn list(fake: &Fake, stream: &StreamId) -> Result<Vec<Shard>, SourceError> {
    let clock = Arc::new(TestClock::default());
    source_with(fake, ReadLimit::Service, &clock).list_shards(stream).await.map(|listed| listed.shards)
}

fn failing(times: usize, reply: Reply) -> Fake {
    let calls = AtomicUsize::new(0);
    Fake::new(move |_: &Call| {
        if calls.fetch_add(1, Ordering::SeqCst) < times {
            reply.clone()
        } else {
            Reply::Json(json!({ "Shards": [shard(0)] }))
        }
    })
}

#[tokio::test(start_paused = true)]
async fn every_page_is_read_and_the_shards_are_in_order() {
    let arn: StreamId = ARN.parse().unwrap();
    for stream in [by_name(), arn] {
        let fake = pages(1_200, 500);
        let clock = Arc::new(TestClock::default());
        let listed = source_with(&fake, ReadLimit::Service, &clock).list_shards(&stream).await.unwrap();
        let ids: Vec<_> = listed.shards.iter().map(|shard| shard.id.to_string()).collect();
        assert_eq!(ids, (0..1_200).map(|n| format!("shardId-{n:012}")).collect::<Vec<_>>());
        let date = Timestamp::from_millis(1_792_567_680_000);
        assert_eq!(listed.service_time, Some(date), "of the first page");

        let mut calls = fake.calls();
        calls.retain(|call| call.operation == "ListShards");
        assert_eq!(calls.len(), 3);
        let named: Vec<_> = calls.iter().map(|call| (call.text("StreamName"), call.text("StreamARN"))).collect();
        let first = if stream.arn().is_some() { (None, Some(ARN)) } else { (Some("orders"), None) };
        assert_eq!(named, [first, (None, None), (None, None)], "a token stands for the stream");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_arrives_with_all_its_parts() {
    let fake = Fake::new(|_| {
        Reply::Json(json!({ "Shards": [{
            "ShardId": "shardId-000000000007",
            "ParentShardId": "shardId-000000000003",
            "AdjacentParentShardId": "shardId-000000000004",
            "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "340282366920938463463374607431768211455" },
            "SequenceNumberRange": { "StartingSequenceNumber": "11", "EndingSequenceNumber": "22" },
        }] }))
    });
    let clock = Arc::new(TestClock::default());
    let listed = source_with(&fake, ReadLimit::Service, &clock).list_shards(&by_name()).await.unwrap();
    assert_eq!(listed.service_time, None, "the server does not say");
    let shard = &listed.shards[0];
    assert_eq!(
        shard.parents().map(|id| id.as_str()).collect::<Vec<_>>(),
        ["shardId-000000000003", "shardId-000000000004"]
    );
    assert_eq!(shard.hash_range, Some(crate::types::HashRange::ALL));
    assert_eq!(shard.starting_sequence, Some("11".parse().unwrap()));
    assert!(shard.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_ends_is_an_error_that_names_it() {
    let same = Fake::new(|_| Reply::Json(json!({ "Shards": [], "NextToken": "again" })));
    let error = list(&same, &by_name()).await.unwrap_err();
    assert!(error.to_string().contains("\"again\"") && error.to_string().contains("orders"), "{error}");
    assert_eq!(same.calls().len(), 2);

    let next = AtomicUsize::new(0);
    let ever_new = Fake::new(move |_| {
        Reply::Json(json!({ "Shards": [], "NextToken": format!("token-{}", next.fetch_add(1, Ordering::SeqCst)) }))
    });
    let error = list(&ever_new, &by_name()).await.unwrap_err();
    assert!(matches!(&error, SourceError::Invalid(text) if text.contains("token-1000")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_for_a_while() {
    let throttled = Reply::Error(400, "LimitExceededException", "Rate exceeded");
    let fake = failing(4, throttled.clone());
    let clock = Arc::new(TestClock::default());
    let before = clock.now();
    let listed = source_with(&fake, ReadLimit::Service, &clock).list_shards(&by_name()).await.unwrap();
    assert_eq!((listed.shards.len(), fake.count("ListShards")), (1, 5));
    assert!(clock.now() > before);

    let error = list(&failing(usize::MAX, throttled), &by_name()).await.unwrap_err();
    assert!(matches!(&error, SourceError::Throttled(text) if text.contains("Rate exceeded")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_begins_the_listing_anew() {
    let expired = AtomicUsize::new(0);
    let fake = Fake::new(move |call| match call.text("NextToken") {
        None => Reply::Json(json!({ "Shards": [shard(0)], "NextToken": "two" })),
        Some(_) if expired.fetch_add(1, Ordering::SeqCst) == 0 => {
            Reply::Error(400, "ExpiredNextTokenException", "too late")
        }
        Some(_) => Reply::Json(json!({ "Shards": [shard(1), shard(0)] })),
    });
    assert_eq!(list(&fake, &by_name()).await.unwrap().len(), 2, "a shard on two pages is one shard");
}

#[tokio::test(start_paused = true)]
async fn failures_say_what_they_are() {
    type Expected = fn(&SourceError) -> bool;
    let cases: [(Reply, Expected, &str); 9] = [
        (
            Reply::Error(400, "ResourceNotFoundException", "Stream orders not found"),
            |error| matches!(error, SourceError::NotFound { stream, .. } if stream == "orders"),
            "Stream orders not found",
        ),
        (
            Reply::Error(400, "AccessDeniedException", "not authorized to perform kinesis:ListShards"),
            |error| matches!(error, SourceError::Denied(_)),
            "kinesis:ListShards (HTTP 400, request request-1)",
        ),
        (
            Reply::Error(400, "ExpiredTokenException", "The security token is expired"),
            |error| matches!(error, SourceError::Denied(_)),
            "ExpiredTokenException",
        ),
        (
            Reply::Error(400, "UnrecognizedClientException", "The security token is invalid"),
            |error| matches!(error, SourceError::Denied(_)),
            "security token is invalid",
        ),
        (
            Reply::Error(400, "InvalidArgumentException", "no"),
            |error| matches!(error, SourceError::Invalid(_)),
            "InvalidArgumentException: no",
        ),
        (
            Reply::Error(400, "ResourceInUseException", "being created"),
            |error| matches!(error, SourceError::Unavailable(_)),
            "being created",
        ),
        (
            Reply::Raw(500, b"<html>oops</html>".to_vec()),
            |error| matches!(error, SourceError::Unavailable(_)),
            "HTTP 500",
        ),
        (Reply::Raw(404, b"<html>".to_vec()), |error| matches!(error, SourceError::Invalid(_)), "HTTP 404"),
        (Reply::Broken, |error| matches!(error, SourceError::Unavailable(_)), "connection reset by peer"),
    ];
    for (reply, expected, part) in cases {
        let error = list(&failing(usize::MAX, reply.clone()), &by_name()).await.unwrap_err();
        assert!(expected(&error), "{reply:?}: {error:?}");
        assert!(error.to_string().contains(part), "{error} should contain {part:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_service_is_given_up() {
    let error = list(&Fake::new(|_| Reply::Silence), &by_name()).await.unwrap_err();
    assert!(matches!(&error, SourceError::Unavailable(text) if text.contains("no answer in time")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_makes_no_sense_is_an_error_that_names_it() {
    let mut odd = shard(3);
    odd["HashKeyRange"]["EndingHashKey"] = json!("many");
    let fake = Fake::new(move |_| Reply::Json(json!({ "Shards": [shard(0), odd] })));
    let error = list(&fake, &by_name()).await.unwrap_err().to_string();
    assert!(error.contains("shardId-000000000003") && error.contains("many"), "{error}");
}

/// A stream of one shard, and what is answered when it is asked for.
fn with_summary(summary: Reply) -> Fake {
    Fake::new(move |call| match call.operation.as_str() {
        "DescribeStreamSummary" => summary.clone(),
        _ => Reply::Json(json!({ "Shards": [shard(0)] })),
    })
}

#[tokio::test(start_paused = true)]
async fn a_listing_says_whose_the_stream_is_and_when_it_was_created() {
    let fake = with_summary(Reply::Json(json!({ "StreamDescriptionSummary": {
        "StreamName": "orders", "StreamARN": ARN, "StreamStatus": "ACTIVE", "RetentionPeriodHours": 24,
        "StreamCreationTimestamp": 1_792_567_680.75, "EnhancedMonitoring": [], "OpenShardCount": 1,
    } })));
    let clock = Arc::new(TestClock::default());
    let source = source_with(&fake, ReadLimit::Service, &clock);
    for stream in [by_name(), ARN.parse().unwrap()] {
        let listed = source.list_shards(&stream).await.unwrap();
        assert_eq!(listed.stream_created, Some(Timestamp::from_seconds(1_792_567_680)), "whole seconds");
        assert_eq!(listed.stream_account.as_deref(), ARN.parse::<StreamId>().unwrap().account());
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_tell_the_creation_time_is_listed_all_the_same() {
    let denied = Reply::Error(400, "AccessDeniedException", "not authorized");
    for summary in
        [denied, Reply::Error(400, "UnknownOperationException", "what?"), Reply::Silence, Reply::Json(json!({}))]
    {
        let clock = Arc::new(TestClock::default());
        let source = source_with(&with_summary(summary), ReadLimit::Service, &clock);
        let listed = source.list_shards(&by_name()).await.unwrap();
        assert_eq!((listed.shards.len(), listed.stream_created, listed.stream_account), (1, None, None));
    }
}
