//! Leases in a file: each worker a process of its own on one machine, and no DynamoDB anywhere.

use kcl_local::LocalAws;

use crate::feed::Feed;
use crate::stopwatch::Stopwatch;
use crate::worker::Fleet;

const STREAM: &str = "logs";
const RECORDS: usize = 12_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_share_a_file_of_leases_read_every_record_although_one_is_killed() {
    let watch = Stopwatch::start();
    let aws = LocalAws::start().await.unwrap();
    aws.kinesis().create_stream(STREAM, 6).unwrap();
    let kinesis = aws.kinesis_endpoint();
    let feed = Feed::new(&kinesis, STREAM);
    let folder = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", folder.path().join("leases.db").display());
    let fleet = Fleet::new(
        Vec::new(),
        &[
            "--stream",
            STREAM,
            "--app",
            "sqlite-fleet",
            "--kinesis-endpoint",
            &kinesis,
            "--lease-store",
            &store,
            "--failover-time",
            "2s",
            "--read-limit",
            "none",
            "--idle-interval",
            "200ms",
        ],
    );

    let names = ["killed", "second", "third"];
    let [mut killed, second, third] = names.map(|name| fleet.start(name));
    for name in names {
        fleet.observed.until(&format!("{name} has a lease"), |state| state.has_gained(name)).await;
    }
    feed.put(6_000).await;
    for name in names {
        fleet.observed.until(&format!("{name} reads"), |state| state.delivered_to(name) > 0).await;
    }
    watch.tell("all three read");

    killed.kill();
    feed.put(RECORDS - 6_000).await;
    let status = killed.ended().await;
    assert!(!status.success(), "{status}");
    fleet.observed.mark_dead("killed");
    fleet.observed.until_read(&feed.so_far().await).await;
    watch.tell("everything is read");

    for mut worker in [second, third] {
        worker.terminate();
        let status = worker.ended().await;
        assert!(status.success(), "{status}");
    }
    let summary = fleet.observed.check(&feed.so_far().await, &["killed"]);
    assert_eq!(summary.distinct, RECORDS);
    watch.tell(format!("{summary:?}"));
}
