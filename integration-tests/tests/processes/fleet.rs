//! Workers that are killed, stopped and started while many records come.

use crate::table::{owned, owners};
use crate::world::{World, failover_time};

const SHARDS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fleet_that_loses_workers_reads_every_record_in_order() {
    let mut world = World::new("fleet", SHARDS).await;
    world.start(&["killed", "stopped", "third"]);
    world.feed.put(10_000).await;
    world.until_shared("three workers share the shards").await;
    world.feed.put(20_000).await;
    world.until_reading(&["killed"]).await;

    world.kill(&["killed"]).await;
    world.feed.put(20_000).await;
    world.until_shared("the leases of a killed worker are taken over").await;
    world.feed.put(10_000).await;
    world.until_reading(&["stopped"]).await;

    let (before, _) = world.table.now().await;
    world.terminate(&["stopped"]).await;
    world.feed.put(20_000).await;
    world.watch.tell("the stopped worker has ended");
    let (after, others) = world.table.now().await;
    assert_eq!(owners(&after).get("stopped"), None, "{after:?}");
    assert!(!others.contains("stopped"), "its own row is gone: {others:?}");
    let held = owned(&before, "stopped");
    let given_back = world.fleet.observed.given_back("stopped");
    let in_order = |key: &str| given_back.contains(key) || world.fleet.observed.look(|state| state.was_lost(key));
    assert!(!held.is_empty() && held.iter().all(|key| in_order(key)), "held {held:?}, gave back {given_back:?}");

    world.start(&["fourth"]);
    world.until_shared("a new worker has its share").await;
    world.feed.put(20_000).await;
    let summary = world.end().await;
    assert_eq!(summary.distinct, 100_000);
    assert!(summary.tenures > SHARDS, "leases moved: {summary:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_workers_start_at_once_on_a_new_table_and_share_it_and_eighteen_leave_at_once() {
    // A server in debug mode and twenty clients on two cores: an attempt, a tenth of F, has to be long enough for that.
    let failover = 4 * failover_time();
    let mut world = World::with("joins", 40, failover, async |endpoints| endpoints).await;
    let names: Vec<String> = (1..=20).map(|number| format!("w-{number}")).collect();
    let trickle = world.feed.trickle();
    world.start(&names);
    world.until_shared("twenty workers have two shards each").await;
    world.until_reading(&names).await;
    world.terminate(&names[2..]).await;
    world.watch.tell("eighteen have ended");
    world.until_shared("two workers have twenty shards each").await;
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_but_one_are_stopped_at_once_and_the_one_goes_on_with_everything() {
    let mut world = World::new("leaving", SHARDS).await;
    world.start(&["one", "two", "three", "four", "five"]);
    let trickle = world.feed.trickle();
    world.until_shared("five workers share the shards").await;
    world.until_reading(&["one", "two", "three", "four", "five"]).await;
    world.terminate(&["one", "two", "four", "five"]).await;
    world.watch.tell("four of five have ended");
    world.until_shared("the last one has everything").await;
    let (_, others) = world.table.now().await;
    assert_eq!(others, [String::from("three")].into(), "the others' rows are gone");
    trickle.stop().await;
    world.end().await;
}
