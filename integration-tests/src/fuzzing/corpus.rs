//! Inputs in order, to begin with.

use serde_json::{Value, json};

use super::subscriptions::BETWEEN;

/// Aggregates that other implementations made, and what is in them.
pub(super) fn aggregates() -> Vec<Vec<u8>> {
    let made = [
        include_str!("../../../kcl-core/tests/data/kpl/python.json"),
        include_str!("../../../kcl-core/tests/data/kpl/node.json"),
    ];
    let mut corpus = vec![b"plain".to_vec(), Vec::new()];
    for file in made {
        let cases: Vec<Value> = serde_json::from_str(file).expect("a file of the repository");
        for case in cases {
            let data = base64_simd::STANDARD.decode_to_vec(case["data"].as_str().unwrap_or_default());
            let data = data.expect("a file of the repository");
            if data.len() < LARGE {
                corpus.push(data[4..data.len() - 16].to_vec());
                corpus.push(data);
            }
        }
    }
    corpus
}

/// Answers to `GetRecords`.
pub(super) fn polls() -> Vec<Vec<u8>> {
    let next = "AAAAAAAAAAGQ";
    let children = json!([{
        "ShardId": "shardId-000000000001", "ParentShards": ["shardId-000000000000"],
        "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105727" },
    }]);
    let aggregate = aggregates().into_iter().filter(|data| data.starts_with(&[0xF3, 0x89])).max_by_key(Vec::len);
    let aggregate = base64_simd::STANDARD.encode_to_string(aggregate.unwrap_or_default());
    let mut packed = record(9, "");
    packed["Data"] = json!(aggregate);
    let answers = [
        json!({ "Records": [], "NextShardIterator": next, "MillisBehindLatest": 0 }),
        json!({ "Records": [record(1, "tea")], "NextShardIterator": next, "MillisBehindLatest": 1_500 }),
        json!({ "Records": [record(1, "tea"), record(2, ""), record(300, "coffee")], "NextShardIterator": next }),
        json!({ "Records": (1..40).map(|number| record(number, "many")).collect::<Vec<_>>(), "NextShardIterator": next }),
        json!({ "Records": (1..60).map(|number| record(number, &"x".repeat(700))).collect::<Vec<_>>(), "NextShardIterator": next }),
        json!({ "Records": [record(5, "last")], "MillisBehindLatest": 0, "ChildShards": children }),
        json!({ "Records": [], "NextShardIterator": null, "MillisBehindLatest": 0, "ChildShards": children }),
        json!({ "Records": [packed], "NextShardIterator": next, "MillisBehindLatest": 86_400_000, "Unknown": [{ "a": [1, 2.5e3] }] }),
        json!({}),
    ];
    answers.iter().map(|answer| answer.to_string().into_bytes()).collect()
}

/// Subscriptions: payloads to be framed, and streams as they are.
pub(super) fn subscriptions() -> Vec<Vec<u8>> {
    let event = |records: Vec<Value>, continuation: &str| {
        json!({ "Records": records, "ContinuationSequenceNumber": continuation, "MillisBehindLatest": 7 }).to_string()
    };
    let end = json!({
        "Records": [record(30, "last")], "MillisBehindLatest": 0,
        "ChildShards": [{
            "ShardId": "shardId-000000000001", "ParentShards": ["shardId-000000000000"],
            "HashKeyRange": { "StartingHashKey": "0", "EndingHashKey": "9" },
        }],
    });
    let streams = [
        vec![event(vec![record(1, "tea")], "1")],
        vec![event(vec![], "5"), event(vec![record(7, "tea"), record(8, "coffee")], "8"), event(vec![], "9")],
        vec![event((1..30).map(|number| record(number, "many")).collect(), "29"), end.to_string()],
        vec!["{}".to_owned()],
    ];
    let mut corpus = Vec::new();
    for payloads in &streams {
        let payloads: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
        corpus.push([&[1], payloads.join(&BETWEEN).as_slice()].concat());
        corpus.push([&[4], super::subscriptions::framed(&payloads).as_slice()].concat());
    }
    corpus
}

/// Rows that the Java library wrote, ours, and some bytes to draw others from.
pub(super) fn rows() -> Vec<Vec<u8>> {
    let lines = include_str!("../../../kcl-core/tests/data/kcl-3.5.1/rows.jsonl").lines();
    let mut corpus: Vec<Vec<u8>> = lines
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("a file of the repository")["item"].to_string().into_bytes()
        })
        .collect();
    let ours = json!({
        "leaseKey": { "S": "shardId-000000000000" }, "entityType": { "S": "LEASE" }, "leaseCounter": { "N": "7" },
        "ownerSwitchesSinceCheckpoint": { "N": "0" }, "checkpoint": { "S": "12" },
        "checkpointSubSequenceNumber": { "N": "3" }, "leaseOwner": { "S": "worker-b" }, "k_epoch": { "N": "4" },
        "k_c": { "N": "7" }, "k_start": { "N": "1767225600000" }, "k_by": { "S": "worker-a" }, "k_stream": { "N": "1767225600" },
        "k_tip": { "N": "1767225600456" },
    });
    corpus.push(ours.to_string().into_bytes());
    corpus.extend((1..8_u8).map(|number| (1..=4 * number).map(|byte| byte.wrapping_mul(37)).collect()));
    corpus
}

fn record(number: u32, data: &str) -> Value {
    json!({
        "SequenceNumber": number.to_string(), "PartitionKey": format!("key-{number}"),
        "Data": base64_simd::STANDARD.encode_to_string(data), "ApproximateArrivalTimestamp": 1_767_225_600.123,
    })
}

/// Larger ones only make every step slower.
const LARGE: usize = 20_000;
