//! What is on the wire: headers, bodies and refusals, without an SDK in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kcl_local::{
    Addresses, Fault, FaultPlan, FaultRule, LocalAws, LocalDynamoDb, LocalKinesis, ManualClock, Service,
    StartingPosition, Timestamp, TokioClock,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;

fn request(target: &str, body: impl Into<Bytes>) -> Request<Bytes> {
    let request = Request::post("http://localhost/").header("x-amz-target", format!("Kinesis_20131202.{target}"));
    request.header("content-type", "application/x-amz-json-1.1").body(body.into()).unwrap()
}

fn service() -> LocalKinesis {
    let kinesis = LocalKinesis::with_clock(Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_123))));
    kinesis.create_stream("orders", 1).unwrap();
    kinesis
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap()
}

fn refused(kinesis: &LocalKinesis, request: Request<Bytes>) -> String {
    let response = kinesis.answer(request);
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let code = json_of(&response)["__type"].as_str().unwrap().to_owned();
    assert_eq!(response.headers()["x-amzn-errortype"], code);
    assert!(response.headers().contains_key("x-amzn-requestid"));
    assert!(!json_of(&response)["message"].as_str().unwrap().is_empty());
    code
}

#[test]
fn every_answer_has_the_time_of_the_model_and_an_id() {
    let kinesis = service();
    let first = kinesis.answer(request("ListShards", r#"{"StreamName":"orders"}"#));
    assert_eq!(first.headers()["date"], "Mon, 21 Sep 2026 14:13:20 GMT");
    assert_eq!(first.headers()["content-type"], "application/x-amz-json-1.1");
    let second = kinesis.answer(request("Nothing", "{}"));
    assert_eq!(second.headers()["date"], "Mon, 21 Sep 2026 14:13:20 GMT");
    assert_ne!(first.headers()["x-amzn-requestid"], second.headers()["x-amzn-requestid"]);
}

#[test]
fn malformed_bodies_are_refused() {
    let kinesis = service();
    for body in ["", "{", "[]", "null", "\"x\"", "{\"StreamName\":7}", "{\"StreamName\":\"orders\"} x", "\u{feff}{}"] {
        assert_eq!(refused(&kinesis, request("ListShards", body.to_owned())), "SerializationException", "{body}");
    }
    assert_eq!(refused(&kinesis, request("ListShards", vec![0xff, 0xfe])), "SerializationException");
    let body = r#"{"StreamName":"orders","PartitionKey":"k","Data":"not base64!"}"#;
    assert_eq!(refused(&kinesis, request("PutRecord", body)), "SerializationException");
    let body = r#"{"StreamName":"orders","MaxResults":"many"}"#;
    assert_eq!(refused(&kinesis, request("ListShards", body)), "SerializationException");
    assert_eq!(refused(&kinesis, request("ListShards", "{}")), "InvalidArgumentException");
    assert_eq!(refused(&kinesis, request("PutRecord", r#"{"StreamName":"orders"}"#)), "ValidationException");
}

#[test]
fn unknown_operations_and_encodings_are_refused() {
    let kinesis = service();
    assert_eq!(refused(&kinesis, request("SellShards", "{}")), "UnknownOperationException");
    let without_target = Request::post("http://localhost/").body(Bytes::new()).unwrap();
    assert_eq!(refused(&kinesis, without_target), "UnknownOperationException");
    let mut other_service = request("ListShards", "{}");
    other_service.headers_mut().insert("x-amz-target", "DynamoDB_20120810.ListTables".parse().unwrap());
    assert_eq!(refused(&kinesis, other_service), "UnknownOperationException");
    let mut xml = request("ListShards", "{}");
    xml.headers_mut().insert("content-type", "application/xml".parse().unwrap());
    assert_eq!(refused(&kinesis, xml), "SerializationException");
    let get = Request::get("http://localhost/").body(Bytes::new()).unwrap();
    assert_eq!(kinesis.answer(get).status(), StatusCode::OK);
    let delete = Request::delete("http://localhost/").body(Bytes::new()).unwrap();
    assert_eq!(kinesis.answer(delete).status(), StatusCode::NOT_FOUND);
}

#[test]
fn the_answer_of_get_records_is_json_in_every_detail() {
    let kinesis = service();
    let put = request("PutRecord", r#"{"StreamName":"orders","PartitionKey":"a\"\\\u00e4\n","Data":"AAH/"}"#);
    let number = json_of(&kinesis.answer(put))["SequenceNumber"].clone();
    let iterator = kinesis.shard_iterator("orders", kcl_local::ShardId(0), StartingPosition::TrimHorizon).unwrap();
    kinesis.split_shard_evenly("orders", kcl_local::ShardId(0)).unwrap();
    let answer = json_of(&kinesis.answer(request("GetRecords", json!({ "ShardIterator": iterator }).to_string())));
    let middle = (1_u128 << 127) - 1;
    assert_eq!(
        answer,
        json!({
            "Records": [{
                "SequenceNumber": number,
                "ApproximateArrivalTimestamp": 1_790_000_000.123,
                "Data": "AAH/",
                "PartitionKey": "a\"\\ä\n",
            }],
            "MillisBehindLatest": 0,
            "ChildShards": [
                {
                    "ShardId": "shardId-000000000001",
                    "ParentShards": ["shardId-000000000000"],
                    "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": middle.to_string() },
                },
                {
                    "ShardId": "shardId-000000000002",
                    "ParentShards": ["shardId-000000000000"],
                    "HashKeyRange": {
                        "StartingHashKey": (middle + 1).to_string(),
                        "EndingHashKey": u128::MAX.to_string(),
                    },
                },
            ],
        })
    );
}

#[test]
fn dynamodb_refuses_like_dynamodb() {
    let database = LocalDynamoDb::in_memory().unwrap();
    let call = |target: &str, body: &str| {
        let request = Request::post("http://localhost/").header("x-amz-target", format!("DynamoDB_20120810.{target}"));
        let response = database.answer(request.body(Bytes::from(body.to_owned())).unwrap());
        (
            response.status().as_u16(),
            response.headers().get("x-amzn-errortype").map(|code| code.to_str().unwrap().to_owned()),
        )
    };
    assert_eq!(call("ListTables", "{}"), (200, None));
    assert_eq!(call("Nothing", "{}"), (400, Some("UnknownOperationException".into())));
    assert_eq!(call("ListTables", "{"), (400, Some("SerializationException".into())));
    assert_eq!(call("DescribeTable", r#"{"TableName":"absent"}"#), (400, Some("ResourceNotFoundException".into())));
    let bad_value = r#"{"TableName":"absent","Item":{"a":{}}}"#;
    assert_eq!(call("PutItem", bad_value), (400, Some("ValidationException".into())));
}

#[test]
fn answers_of_dynamodb_have_their_checksum() {
    let database = LocalDynamoDb::in_memory().unwrap();
    let call = |target: &str| {
        let request = Request::post("http://localhost/").header("x-amz-target", format!("DynamoDB_20120810.{target}"));
        let response = database.answer(request.body(Bytes::from("{}")).unwrap());
        (response.headers()["x-amz-crc32"].to_str().unwrap().to_owned(), response.into_body())
    };
    // By zlib's crc32.
    assert_eq!(call("ListTables"), ("1315925753".to_owned(), Bytes::from(r#"{"TableNames":[]}"#)));
    let (checksum, body) = call("Nothing");
    assert_eq!(body, r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#);
    assert_eq!(checksum, "1368724161");
}

#[tokio::test]
async fn either_port_answers_both_services() {
    let aws = start().await;
    for endpoint in [aws.kinesis_endpoint(), aws.dynamodb_endpoint()] {
        let client = common::http_client(&endpoint);
        assert_eq!(client.list_shards().stream_name("orders").send().await.unwrap().shards().len(), 1);
        let tables = common::dynamodb_client(&endpoint).list_tables().send().await.unwrap();
        assert!(tables.table_names().is_empty());
    }
}

async fn start() -> LocalAws {
    LocalAws::start_with(service(), LocalDynamoDb::in_memory().unwrap(), Addresses::default()).await.unwrap()
}

async fn connect(aws: &LocalAws) -> TokioIo<TcpStream> {
    let address = aws.kinesis_endpoint()["http://".len()..].to_owned();
    TokioIo::new(TcpStream::connect(address).await.unwrap())
}

async fn read(response: Response<hyper::body::Incoming>) -> (StatusCode, Bytes) {
    (response.status(), response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let aws = start().await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(connect(&aws).await).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async { connection.await.unwrap() });
    for _ in 0..3 {
        let call = request("ListShards", r#"{"StreamName":"orders"}"#).map(Full::new);
        let (status, body) = read(sender.send_request(call).await.unwrap()).await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.starts_with(b"{\"Shards\":["), "{body:?}");
    }
    let huge = request("PutRecords", vec![b' '; 25 << 20]).map(Full::new);
    if let Ok(response) = sender.send_request(huge).await {
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}

#[tokio::test]
async fn http2_works_by_prior_knowledge() {
    let aws = start().await;
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), connect(&aws).await);
    let (sender, connection) = handshake.await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async { connection.await.unwrap() });
    let calls = (0..20).map(|_| {
        let mut sender = sender.clone();
        async move {
            let call = request("ListShards", r#"{"StreamName":"orders"}"#).map(Full::new);
            read(sender.send_request(call).await.unwrap()).await
        }
    });
    for (status, body) in futures_util::future::join_all(calls).await {
        assert_eq!(status, StatusCode::OK);
        assert!(body.starts_with(b"{\"Shards\":["), "{body:?}");
    }
}

#[tokio::test]
async fn a_server_that_was_stopped_is_gone() {
    let aws = start().await;
    let address = aws.kinesis_endpoint()["http://".len()..].to_owned();
    let idle = connect(&aws).await;
    aws.stop().await;
    assert!(TcpStream::connect(address).await.is_err());
    drop(idle);
}

#[tokio::test(start_paused = true)]
async fn the_model_can_live_in_the_virtual_time_of_a_test() {
    let kinesis = LocalKinesis::with_clock(Arc::new(TokioClock::starting_at(Timestamp::from_millis(0))));
    kinesis.create_stream("orders", 1).unwrap();
    let client = aws_sdk_kinesis::Client::new(&kinesis.sdk_config());
    let iterator = kinesis.shard_iterator("orders", kcl_local::ShardId(0), StartingPosition::Latest).unwrap();
    tokio::time::advance(Duration::from_secs(299)).await;
    assert!(client.get_records().shard_iterator(&iterator).send().await.is_ok());
    tokio::time::advance(Duration::from_secs(2)).await;
    let error = client.get_records().shard_iterator(&iterator).send().await.unwrap_err();
    assert!(error.into_service_error().is_expired_iterator_exception());
}

#[tokio::test]
async fn subscriptions_stream_over_http2() {
    use aws_smithy_eventstream::frame::read_message_from;
    let aws = start().await;
    let consumer = aws.kinesis().register_consumer("orders", "c").unwrap();
    aws.kinesis().put_record("orders", "k", "tea").unwrap();
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), connect(&aws).await);
    let (mut sender, connection) = handshake.await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async { connection.await.unwrap() });
    let arn = aws.kinesis().consumer_arn("orders", &consumer);
    let position = json!({ "Type": "TRIM_HORIZON" });
    let body = json!({ "ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": position });
    let call = request("SubscribeToShard", body.to_string()).map(Full::new);
    let response = sender.send_request(call).await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/vnd.amazon.eventstream");
    let mut body = response.into_body();
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        let mut frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        while !frame.is_empty() {
            let message = read_message_from(&mut frame).unwrap();
            let kind = message.headers().iter().find(|header| header.name().as_str() == ":event-type").unwrap();
            kinds.push((kind.value().as_string().unwrap().as_str().to_owned(), message.payload().clone()));
        }
    }
    assert_eq!(kinds[0], ("initial-response".to_owned(), Bytes::from("{}")));
    assert_eq!(kinds[1].0, "SubscribeToShardEvent");
    let event: Value = serde_json::from_slice(&kinds[1].1).unwrap();
    assert_eq!(event["Records"][0]["Data"], "dGVh");
}

#[tokio::test]
async fn a_connection_that_goes_away_ends_when_its_calls_have() {
    let aws = start().await;
    let kinesis = aws.kinesis();
    let consumer = kinesis.register_consumer("orders", "c").unwrap();
    let rule = FaultRule::new(Fault::GoAway).operation("ListShards");
    kinesis.faults().set(FaultPlan { seed: 0, rules: vec![rule] });
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), connect(&aws).await);
    let (mut sender, connection) = handshake.await.unwrap();
    let mut connections = tokio::task::JoinSet::new();
    connections.spawn(connection);

    let position = json!({ "Type": "LATEST" });
    let arn = kinesis.consumer_arn("orders", &consumer);
    let body = json!({ "ConsumerARN": arn, "ShardId": "shardId-000000000000", "StartingPosition": position });
    let subscription = sender.send_request(request("SubscribeToShard", body.to_string()).map(Full::new)).await.unwrap();
    let list = || request("ListShards", r#"{"StreamName":"orders"}"#).map(Full::new);
    let (status, _) = read(sender.send_request(list()).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    // Until GOAWAY is here, calls are still sent, and refused by it.
    while sender.ready().await.is_ok() && sender.send_request(list()).await.is_ok() {}

    // The subscription goes on, to the end of its shard.
    kinesis.put_record("orders", "k", "tea").unwrap();
    kinesis.split_shard_evenly("orders", kcl_local::ShardId(0)).unwrap();
    let events = subscription.into_body().collect().await.unwrap().to_bytes();
    let contains = |part: &[u8]| events.windows(part.len()).any(|window| window == part);
    assert!(contains(b"dGVh") && contains(b"ChildShards"));
    connections.join_next().await.unwrap().unwrap().unwrap();

    // Over HTTP/1.1 the answer is the last one of its connection.
    let (mut sender, connection) = hyper::client::conn::http1::handshake(connect(&aws).await).await.unwrap();
    connections.spawn(connection);
    let (status, _) = read(sender.send_request(list()).await.unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    connections.join_next().await.unwrap().unwrap().unwrap();
    assert!(sender.ready().await.is_err());
}

/// A text of up to 23 bytes as CBOR.
fn text(text: &str) -> Vec<u8> {
    [&[0x60 | text.len() as u8], text.as_bytes()].concat()
}

#[test]
fn the_binary_encoding_has_raw_data_and_milliseconds() {
    let kinesis = service();
    let call = |target: &str, body: Vec<u8>| {
        let mut call = request(target, body);
        call.headers_mut().insert("content-type", "application/x-amz-cbor-1.1".parse().unwrap());
        let response = kinesis.answer(call);
        assert_eq!(response.headers()["content-type"], "application/x-amz-cbor-1.1");
        (response.status(), response.into_body())
    };
    let stream = || [text("StreamName"), text("orders")].concat();
    // A map of unknown length, as Jackson writes it; data as bytes that are no UTF-8; a member that is null.
    let put = [
        vec![0xbf],
        stream(),
        [text("PartitionKey"), text("k")].concat(),
        [text("Data"), vec![0x43, 0x00, 0xff, 0x80]].concat(),
        [text("ExplicitHashKey"), vec![0xf6], vec![0xff]].concat(),
    ];
    let (status, body) = call("PutRecord", put.concat());
    assert_eq!(status, StatusCode::OK, "{body:?}");
    assert!(body.starts_with(&[vec![0xa2], text("ShardId"), text("shardId-000000000000")].concat()));
    assert_eq!(kinesis.all_records("orders").unwrap()[0].1.data(), &[0x00, 0xff, 0x80][..]);

    // Tag 1 with an integer of milliseconds, in and out.
    let position = [text("ShardIteratorType"), text("AT_TIMESTAMP"), text("Timestamp"), vec![0xc1, 0x1b]];
    let shard = [text("ShardId"), text("shardId-000000000000")].concat();
    let millis = 1_790_000_000_123_u64.to_be_bytes();
    let body = [vec![0xa4], stream(), shard, position.concat(), millis.to_vec()].concat();
    let (status, body) = call("GetShardIterator", body);
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let iterator = String::from_utf8(body[1 + text("ShardIterator").len() + 2..].to_vec()).unwrap();
    let get = [vec![0xa1], text("ShardIterator"), vec![0x78, iterator.len() as u8], iterator.into_bytes()].concat();
    let (status, body) = call("GetRecords", get);
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let contains = |part: &[u8]| body.windows(part.len()).any(|window| window == part);
    assert!(contains(&[text("Data"), vec![0x43, 0x00, 0xff, 0x80]].concat()));
    assert!(contains(&[&text("ApproximateArrivalTimestamp".get(4..).unwrap())[1..], &[0xc1, 0x1b], &millis].concat()));

    let (status, body) = call("DescribeStream", [vec![0xa1], text("StreamName"), text("absent")].concat());
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let start = [vec![0xa2], text("__type"), vec![0x78, 25], b"ResourceNotFoundException".to_vec()].concat();
    assert!(body.starts_with(&start), "{body:?}");
    let (status, _) = call("DescribeStream", [vec![0xa1], stream()].concat());
    assert_eq!(status, StatusCode::OK);
    for malformed in [vec![], vec![0x80], vec![0xa1], [vec![0xa1], stream(), vec![0]].concat()] {
        assert_eq!(call("DescribeStream", malformed).0, StatusCode::BAD_REQUEST);
    }
}
