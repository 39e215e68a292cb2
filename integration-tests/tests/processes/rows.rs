//! An operator who deletes what the workers keep.

use crate::table::{LeaseRow, owned};
use crate::world::World;

const SHARDS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_row_that_is_deleted_is_made_again_by_its_owner_where_it_was() {
    let mut world = World::new("row", SHARDS).await;
    world.start(&["one", "two"]);
    let trickle = world.feed.trickle();
    world.until_shared("two workers share the shards").await;
    let stored = |lease: &LeaseRow| lease.checkpoint.is_some();
    let leases = world.table.until("every shard has a checkpoint", |leases| leases.values().all(stored)).await;

    for owner in ["one", "two"] {
        let key = owned(&leases, owner)[0];
        let deleted = world.table.delete_row(key).await;
        assert_eq!(deleted.owner.as_deref(), Some(owner));
        let again = world.table.until("the row is back", |leases| leases[key].counter > deleted.counter).await;
        // Whoever makes a row from the listing of shards knows no position.
        assert!(again[key].checkpoint >= deleted.checkpoint, "{deleted:?}, then {:?}", again[key]);
        let made = format!("a lease row was deleted; it is made again lease_key={key}");
        let makers: Vec<&str> =
            ["one", "two"].into_iter().filter(|worker| world.worker(worker).log().contains(&made)).collect();
        assert_eq!(makers, [owner], "its owner makes {key} again, and nobody else");
        world.watch.tell(format!("{key} of {owner} is back"));
    }
    world.until_shared("the shards are shared again").await;
    trickle.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_table_is_deleted_end_with_an_error_and_do_not_create_it_again() {
    let mut world = World::new("table", SHARDS).await;
    world.start(&["one", "two", "three"]);
    let trickle = world.feed.trickle();
    world.until_shared("three workers share the shards").await;
    world.until_reading(&["one", "two", "three"]).await;
    world.table.delete().await;
    for log in world.until_all_failed().await {
        let last = log.lines().last().unwrap_or_default();
        assert!(last.starts_with("consume: ") && last.contains("the lease table is missing"), "{log}");
    }
    world.watch.tell("all three have ended");
    trickle.stop().await;
    assert!(!world.table.exists().await, "nobody has made the table again");
    world.shut().await;
}
