//! Splits and merges over the wire, while two workers read.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_local::{LocalAws, ShardFilter};

use crate::log::{Entry, Given, Log};
use crate::services::{STREAM, Services};
use crate::waiting::within;

fn id(index: usize) -> String {
    format!("shardId-{index:012}")
}

/// Clients as a user has them, over sockets.
fn clients(aws: &LocalAws) -> (aws_sdk_kinesis::Client, aws_sdk_dynamodb::Client) {
    let plain = aws_smithy_http_client::Builder::new().build_http();
    let config = aws.kinesis().sdk_config().into_builder().http_client(plain).build();
    let kinesis = aws_sdk_kinesis::config::Builder::from(&config).endpoint_url(aws.kinesis_endpoint()).build();
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(&config).endpoint_url(aws.dynamodb_endpoint()).build();
    (aws_sdk_kinesis::Client::from_conf(kinesis), aws_sdk_dynamodb::Client::from_conf(dynamodb))
}

async fn split(client: &aws_sdk_kinesis::Client, shard: usize) {
    let listed = client.list_shards().stream_name(STREAM).send().await.unwrap();
    let found = listed.shards().iter().find(|found| found.shard_id() == id(shard)).unwrap();
    let range = found.hash_key_range().unwrap();
    let [from, to]: [u128; 2] = [range.starting_hash_key(), range.ending_hash_key()].map(|key| key.parse().unwrap());
    let middle = from + (to - from) / 2;
    let call = client.split_shard().stream_name(STREAM).shard_to_split(id(shard));
    call.new_starting_hash_key(middle.to_string()).send().await.unwrap();
}

async fn merge(client: &aws_sdk_kinesis::Client, shard: usize, adjacent: usize) {
    let call = client.merge_shards().stream_name(STREAM).shard_to_merge(id(shard));
    call.adjacent_shard_to_merge(id(adjacent)).send().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_are_read_after_all_of_their_parents_and_nothing_is_missing() {
    let aws = LocalAws::start().await.unwrap();
    aws.kinesis().create_stream(STREAM, 4).unwrap();
    let (kinesis, dynamodb) = clients(&aws);
    let services = Services::over(aws.kinesis().clone(), kinesis.clone(), dynamodb);
    let log = Log::default();
    let mut a = services.start("a", &log).await;
    let mut b = services.start("b", &log).await;
    services.put(400);
    services.until_owners(&[("a", 2), ("b", 2)]).await;

    // 0 becomes 4 and 5; 2 and 3 become 6. Then 5 and 1 become 7, whose parents are of different depths, and 4 becomes 8
    // and 9. All the while 0 is not finished, so none of 4, 5, 7, 8 and 9 may be begun, although 1 is over.
    log.hold(id(0));
    services.put(400);
    split(&kinesis, 0).await;
    merge(&kinesis, 2, 3).await;
    services.put(400);
    merge(&kinesis, 5, 1).await;
    split(&kinesis, 4).await;
    services.put(400);
    log.until_ended(&[1, 2, 3].map(id)).await;
    services.until_row(&id(6)).await;
    assert_eq!(services.keys().await.len(), 5 + 2, "four shards, the child of two of them, two workers");
    log.release();
    log.until_read(1_600).await;
    services.until_owners(&[("a", 2), ("b", 2)]).await;
    services.put(100);
    log.until_read(1_700).await;
    for worker in [&mut a, &mut b] {
        worker.stop();
        within("the worker ends", worker.wait()).await.unwrap();
    }

    services.assert_read_once(&log);
    assert_eq!(log.readers().len(), 2);
    assert_parents_first(&services, &log);
    let rows = services.rows().await;
    // 1 ended while 7 had to wait for 5, which had no row yet: so it names nothing. Of 2 and 3 both do, whoever made 6.
    let children = [(0, vec![4, 5]), (1, vec![]), (2, vec![6]), (3, vec![6]), (4, vec![8, 9]), (5, vec![7])];
    for (parent, children) in children {
        let row = &rows[&id(parent)];
        assert_eq!(row["checkpoint"], AttributeValue::S("SHARD_END".to_owned()), "{row:?}");
        let mut named = row.get("childShardIds").map_or(Vec::new(), |named| named.as_ss().unwrap().clone());
        named.sort();
        assert_eq!(named, children.into_iter().map(id).collect::<Vec<_>>());
        assert_eq!(row.get("leaseOwner"), None, "nobody holds what is over");
    }
    assert_eq!(services.keys().await.len(), 10, "no shard without a row, and no other row");
    within("the servers stop", aws.stop()).await;
}

/// No record of a child came before the end of each of its parents was told, and none of a parent after it.
fn assert_parents_first(services: &Services, log: &Log) {
    let entries = log.entries();
    let mut ends = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        if let Entry::Ended(shard) = entry {
            assert_eq!(ends.insert(shard.clone(), at), None, "{shard} ends once");
        }
    }
    let listed = services.kinesis.list_shards(STREAM, ShardFilter::FromTrimHorizon).unwrap();
    assert_eq!(listed.len(), 10);
    for shard in &listed {
        let name = shard.id.to_string();
        assert_eq!(ends.contains_key(&name), !shard.is_open(), "{name}");
        let given = entries.iter().enumerate().filter(|(_, entry)| is_of(entry, &name)).map(|(at, _)| at);
        let given: Vec<usize> = given.collect();
        for parent in shard.parents() {
            let end = ends[&parent.to_string()];
            assert!(given.iter().all(|at| *at > end), "{name} was read before the end of its parent {parent}");
        }
        if let Some(end) = ends.get(&name) {
            assert!(given.iter().all(|at| at < end), "{name} was read after its end");
        }
    }
}

fn is_of(entry: &Entry, name: &str) -> bool {
    matches!(entry, Entry::Record(Given { shard, .. }) if shard == name)
}
