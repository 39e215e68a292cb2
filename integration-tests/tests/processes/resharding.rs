//! Shards that are split and merged while workers die.

use crate::world::World;

fn id(index: usize) -> String {
    format!("shardId-{index:012}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_are_split_and_merged_while_workers_die_and_nothing_is_lost() {
    let mut world = World::new("reshard", 4).await;
    let names = ["one", "two", "three", "four"];
    world.start(&names);
    let trickle = world.feed.trickle();
    world.until_shared("four workers share four shards").await;
    world.until_reading(&names).await;

    world.feed.split(&id(0)).await;
    world.feed.merge(&id(2), &id(3)).await;
    world.kill(&["one"]).await;
    world.watch.tell("0 became 4 and 5, 2 and 3 became 6, and a worker is killed");
    world.feed.split(&id(6)).await;
    world.feed.merge(&id(4), &id(5)).await;
    world.watch.tell("6 became 7 and 8, 4 and 5 became 9");
    world.shards = 4;
    let last = [1, 7, 8, 9].map(id);
    let begun = |leases: &crate::table::Leases| {
        last.iter().all(|key| leases.get(key).is_some_and(|lease| lease.owner.is_some()))
    };
    world.table.until("somebody has the last children", begun).await;
    world.kill(&["two"]).await;
    world.watch.tell("another one is killed");
    world.until_shared("two workers share the four shards that are left").await;
    trickle.stop().await;
    let summary = world.end().await;
    // The four at the beginning and the three last children; those in between may have lived without a record.
    assert!(summary.tenures >= 7, "{summary:?}");
}
