//! Over the wire: Kinesis and DynamoDB on ports of this process, each worker a process of its own.

use kcl_local::LocalAws;

use crate::feed::Feed;
use crate::input;
use crate::stopwatch::Stopwatch;
use crate::table::{Leases, Table, owners};
use crate::waiting::within;
use crate::worker::Fleet;

const STREAM: &str = "logs";
const APPLICATION: &str = "fleet";
const SHARDS: usize = 8;
const RECORDS: usize = 100_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_loses_workers_reads_every_record_in_order() {
    let watch = Stopwatch::start();
    let aws = LocalAws::start().await.unwrap();
    aws.kinesis().create_stream(STREAM, SHARDS as u32).unwrap();
    let (kinesis, dynamodb) = (aws.kinesis_endpoint(), aws.dynamodb_endpoint());
    let mut feed = Feed::new(&kinesis, STREAM, input::lines(RECORDS));
    let table = Table::watch(&dynamodb, APPLICATION);
    let fleet = Fleet::new(&[
        "--stream",
        STREAM,
        "--app",
        APPLICATION,
        "--kinesis-endpoint",
        &kinesis,
        "--dynamodb-endpoint",
        &dynamodb,
        "--failover-time",
        "2s",
        "--read-limit",
        "none",
        "--idle-interval",
        "200ms",
    ]);

    let killed = fleet.start("killed");
    let stopped = fleet.start("stopped");
    let third = fleet.start("third");
    feed.put(0..10_000).await;
    table.until("three workers share the shards", |leases| even(leases, &["killed", "stopped", "third"])).await;
    watch.tell("three workers share the shards");
    feed.put(10_000..30_000).await;
    fleet.observed.until("the first worker reads", |state| state.delivered_to("killed") > 0).await;

    killed.kill();
    feed.put(30_000..50_000).await;
    let status = killed.ended().await;
    assert!(!status.success(), "{status}");
    fleet.observed.mark_dead("killed");
    table.until("the leases of a killed worker are taken over", |leases| even(leases, &["stopped", "third"])).await;
    watch.tell("the killed worker's leases are taken over");
    feed.put(50_000..60_000).await;
    fleet.observed.until("the second worker reads", |state| state.delivered_to("stopped") > 0).await;

    let (before, _) = table.now().await;
    stopped.terminate();
    feed.put(60_000..80_000).await;
    let status = stopped.ended().await;
    assert!(status.success(), "a worker that is asked to stop ends well: {status}");
    watch.tell("the stopped worker has ended");
    let (after, others) = table.now().await;
    assert_eq!(owners(&after).get("stopped"), None, "{after:?}");
    assert!(!others.contains(&"stopped".to_owned()), "its own row is gone: {others:?}");
    let held = before.iter().filter(|(_, lease)| lease.owner.as_deref() == Some("stopped")).map(|(key, _)| key.clone());
    let given_back = fleet.observed.given_back("stopped");
    assert!(held.clone().count() > 0 && held.clone().all(|key| given_back.contains(&key)), "gave back {given_back:?}");

    let fourth = fleet.start("fourth");
    table.until("the leases are shared evenly again", |leases| even(leases, &["third", "fourth"])).await;
    watch.tell("a new worker has its share");
    feed.put(80_000..RECORDS).await;
    fleet.observed.until_read(feed.so_far()).await;
    watch.tell("everything is read");
    let (leases, _) = table.now().await;
    assert!(even(&leases, &["third", "fourth"]), "{:?}", owners(&leases));

    for worker in [third, fourth] {
        worker.terminate();
        let status = worker.ended().await;
        assert!(status.success(), "{status}");
    }
    let (leases, others) = table.now().await;
    assert_eq!(owners(&leases), [("-", SHARDS)].into(), "everything is given back");
    assert_eq!(others, ["killed"], "only who could not has left a row");
    let put = feed.so_far();
    for (shard, numbers) in put {
        assert_eq!(leases[shard].checkpoint.as_ref(), numbers.last(), "{shard}: all that was read is stored");
    }
    let summary = fleet.observed.check(put, &["killed"]);
    let looks = table.check(put);
    assert_eq!(summary.distinct, RECORDS);
    assert!(summary.tenures > SHARDS, "leases moved: {summary:?}");
    watch.tell(format!("{summary:?}, {looks} looks at the table"));
    within("the servers stop", aws.stop()).await;
}

/// Whether every lease has one of these owners, and none of them has two more than another.
fn even(leases: &Leases, workers: &[&str]) -> bool {
    let owners = owners(leases);
    let counts: Vec<usize> = workers.iter().map(|worker| owners.get(worker).copied().unwrap_or(0)).collect();
    let all: usize = counts.iter().sum();
    all == SHARDS && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}
