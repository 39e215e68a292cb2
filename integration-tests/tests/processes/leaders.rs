//! The worker that leads dies, with and without the one that stands by, stands still, leaves, and loses its row.

use crate::table::Leader;
use crate::world::World;

const SHARDS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_worker_leads_after_the_leader_was_killed_and_nothing_is_lost() {
    let mut world = World::new("leader", SHARDS).await;
    world.start(&["one", "two", "three"]);
    let trickle = world.feed.trickle();
    world.until_shared("three workers share the shards").await;
    world.until_reading(&["one", "two", "three"]).await;
    let leader = led(&world).await;
    world.kill(&[&leader.owner]).await;
    world.watch.tell(format!("{} led and is killed; {:?} stood by", leader.owner, leader.standby));
    until_led_anew(&world, &[leader.owner.as_str()]).await;
    world.until_shared("the survivors share the shards").await;
    until_rows_are_gone(&world, &[leader.owner.as_str()]).await;
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fleet_goes_on_after_leader_and_standby_were_killed_together() {
    let mut world = World::new("both", SHARDS).await;
    let names = ["one", "two", "three", "four"];
    world.start(&names);
    let trickle = world.feed.trickle();
    world.until_shared("four workers share the shards").await;
    world.until_reading(&names).await;
    let leader = led(&world).await;
    let both = [leader.owner.clone(), leader.standby.unwrap()];
    world.kill(&both).await;
    world.watch.tell(format!("{both:?} led and stood by, and are killed"));
    world.until_shared("the survivors share the shards").await;
    until_led_anew(&world, &both).await;
    until_rows_are_gone(&world, &both).await;
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_stood_still_finds_another_one_and_follows_it() {
    let mut world = World::new("still", SHARDS).await;
    world.start(&["one", "two", "three"]);
    let trickle = world.feed.trickle();
    world.until_shared("three workers share the shards").await;
    let leader = led(&world).await;
    world.worker(&leader.owner).pause();
    world.watch.tell(format!("{} leads and stands still", leader.owner));
    let next = until_led_anew(&world, &[leader.owner.as_str()]).await;
    let awake: Vec<&str> = ["one", "two", "three"].into_iter().filter(|name| *name != leader.owner).collect();
    world.table.until_even("the others share the shards", SHARDS, &awake).await;
    world.worker(&leader.owner).resume();
    world.until_shared("all share the shards again").await;
    // Who leads now has gone on leading: the one that woke up has taken nothing from it.
    let after = world.table.until_leader("the leader leads on", |row| row.cycle > next.cycle + 2).await;
    assert_eq!(after.owner, next.owner, "{next:?}, then {after:?}");
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_row_that_is_deleted_is_made_again_and_disturbs_nobody() {
    let mut world = World::new("lock", SHARDS).await;
    world.start(&["one", "two"]);
    let trickle = world.feed.trickle();
    world.until_shared("two workers share the shards").await;
    led(&world).await;
    world.table.delete_leader().await;
    let leader = led(&world).await;
    world.watch.tell(format!("{} leads after the row was deleted", leader.owner));
    world.until_shared("the shards are shared as before").await;
    trickle.stop().await;
    world.end().await;
}

/// Who leads, once planning goes on and somebody stands by.
async fn led(world: &World) -> Leader {
    let first = world.table.until_leader("a worker leads", |row| row.standby.is_some() && !row.released).await;
    world.table.until_leader("planning goes on", |row| row.cycle > first.cycle && row.standby.is_some()).await
}

/// Waits until somebody but these leads, and a planning cycle was completed.
async fn until_led_anew(world: &World, before: &[impl AsRef<str>]) -> Leader {
    let other = |row: &Leader| before.iter().all(|name| name.as_ref() != row.owner) && !row.released;
    let first = world.table.until_leader("another worker leads", other).await;
    let next = world.table.until_leader("planning goes on", |row| other(row) && row.cycle > first.cycle).await;
    world.watch.tell(format!("{} leads", next.owner));
    next
}

/// The leader removes the rows of workers that died.
async fn until_rows_are_gone(world: &World, dead: &[impl AsRef<str>]) {
    world
        .table
        .until_rows("the rows of the dead are gone", |rows| dead.iter().all(|name| !rows.contains(name.as_ref())))
        .await;
    world.watch.tell("the rows of the dead are gone");
}
