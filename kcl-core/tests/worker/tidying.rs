//! Rows that are missing, and rows that nobody needs any more.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl_core::WorkerHandle;
use kcl_core::testing::ManualClock;
use kcl_core::types::{Checkpoint, Lease, Row, ShardId};

use crate::fleet::{Fleet, Killable, key, name, shard, stream};
use crate::wire::Wire;

const SECOND: Duration = Duration::from_secs(1);

fn id(index: usize) -> ShardId {
    ShardId::new(name(index)).unwrap()
}

fn split(fleet: &Fleet, parent: usize, children: [usize; 2]) {
    fleet.source.reshard(&stream(), &[id(parent)], &children.map(|index| (id(index), None)));
}

/// The lease that a worker holds of these.
fn held_by(fleet: &Fleet, worker: &str, shards: usize) -> usize {
    let holds = |index: &usize| fleet.store.lease(&key(*index)).unwrap().holder().is_some_and(|h| h.as_str() == worker);
    (0..shards).find(holds).unwrap()
}

/// The workers `a` and `b`, each with a shard and its own way to the table.
async fn two_that_share(fleet: &Fleet, clock: &ManualClock) -> ([Wire; 2], [WorkerHandle; 2]) {
    let wires = [(); 2].map(|()| Wire::new(&fleet.store, clock, Duration::ZERO));
    let start =
        async |id: &str, wire: &Wire| fleet.logging(id).store(wire.clone()).build().unwrap().start().await.unwrap();
    let workers = [start("a", &wires[0]).await, start("b", &wires[1]).await];
    fleet.pass(10 * SECOND).await;
    (wires, workers)
}

#[test]
fn a_deleted_row_is_left_to_its_holder_while_that_one_lives() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let (wires, _workers) = two_that_share(&fleet, &clock).await;
        fleet.append(2, 3);
        fleet.pass(10 * SECOND).await;
        let index = held_by(&fleet, "b", 2);
        let before = fleet.store.lease(&key(index)).unwrap();
        wires.iter().for_each(|wire| drop(wire.take_calls()));
        // Its holder learns of it late, and just in time.
        wires[1].cut();
        assert!(fleet.store.remove_row(&name(index)));
        fleet.pass(Duration::from_millis(5_500)).await;
        wires[1].mend();
        fleet.pass(30 * SECOND).await;
        let after = fleet.store.lease(&key(index)).unwrap();
        assert!(after.counter > before.counter && after.checkpoint == before.checkpoint, "{after:?}");
        assert_eq!(wires.map(|wire| wire.take_calls().get("create").copied()), [None, Some(1)]);
        assert_eq!(fleet.log.numbers(&name(index)), [1, 2, 3], "nothing is read again");
    });
}

#[test]
fn a_deleted_row_whose_holder_is_dead_is_made_again_where_it_was_last_seen() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        let (_b, kill) = fleet.start_killable("b").await;
        fleet.pass(10 * SECOND).await;
        fleet.append(2, 3);
        fleet.pass(10 * SECOND).await;
        let index = held_by(&fleet, "b", 2);
        kill.kill();
        assert!(fleet.store.remove_row(&name(index)));
        fleet.append(2, 1);
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.store.lease(&key(index)), None, "its holder may live");
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(index)), [1, 2, 3, 4], "it goes on where it stood");
    });
}

#[test]
fn a_child_waits_for_a_parent_whose_row_was_deleted() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let (wires, _workers) = two_that_share(&fleet, &clock).await;
        fleet.append(2, 2);
        fleet.pass(10 * SECOND).await;
        let parent = held_by(&fleet, "b", 2);
        // The holder of one parent cannot end it yet; the finisher of the other one makes the child and holds it.
        wires[1].cut();
        fleet.source.reshard(&stream(), &[id(0), id(1)], &[(id(2), None)]);
        fleet.source.append(&shard(2), "x");
        fleet.pass(3 * SECOND).await;
        assert!(fleet.store.lease(&key(2)).is_some_and(|lease| lease.owner.is_some()), "it waits");
        assert!(fleet.store.remove_row(&name(parent)));
        fleet.pass(Duration::from_millis(2_400)).await;
        assert_eq!(fleet.log.numbers(&name(2)), [] as [u64; 0], "nothing says that the parent is over");
        wires[1].mend();
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(2)), [1], "its holder has made the row again, and the shard is over now");
    });
}

#[test]
fn rows_of_shards_that_are_over_go_once_their_children_have_begun_and_nothing_is_read_again() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        let (_b, kill) = fleet.start_killable("b").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        split(&fleet, 0, [1, 2]);
        fleet.source.append(&shard(1), "x");
        fleet.pass(120 * SECOND).await;
        assert!(fleet.store.lease(&key(0)).unwrap().is_ended(), "one child has not begun");
        fleet.source.append(&shard(2), "x");
        fleet.pass(120 * SECOND).await;
        assert_eq!(fleet.store.lease(&key(0)), None);
        // 1 and 2 go as well, once 3 has begun; the stream lists all of them still.
        fleet.source.reshard(&stream(), &[id(1), id(2)], &[(id(3), None)]);
        fleet.source.append(&shard(3), "x");
        fleet.pass(120 * SECOND).await;
        let left: BTreeSet<usize> = (0..4).filter(|index| fleet.store.lease(&key(*index)).is_some()).collect();
        assert_eq!(left, [3].into());
        // Whoever leads next, and whoever starts anew, knows it, too.
        kill.kill();
        fleet.pass(60 * SECOND).await;
        let _c = fleet.start("c").await;
        fleet.pass(120 * SECOND).await;
        let numbers = [0, 1, 2, 3].map(|index| fleet.log.numbers(&name(index)));
        assert_eq!(numbers, [vec![1, 2], vec![1], vec![1], vec![1]]);
    });
}

#[test]
fn a_deleted_row_that_alone_told_of_shards_that_are_over_has_none_of_them_read_again() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let wires = [(); 2].map(|()| Wire::new(&fleet.store, &clock, Duration::ZERO));
        let _leader = fleet.logging("b").store(wires[0].clone()).build().unwrap().start().await.unwrap();
        let _holder = fleet.logging("a").store(wires[1].clone()).build().unwrap().start().await.unwrap();
        fleet.pass(10 * SECOND).await;
        fleet.append(2, 2);
        fleet.source.reshard(&stream(), &[id(0), id(1)], &[(id(2), None)]);
        fleet.source.append(&shard(2), "x");
        fleet.pass(120 * SECOND).await;
        assert_eq!([0, 1].map(|index| fleet.store.lease(&key(index))), [None, None], "they were cleaned away");
        let holder = fleet.store.lease(&key(2)).unwrap().holder().unwrap().to_string();
        let wire = &wires[usize::from(holder == "a")];
        // The holder of the only row that tells of them learns late that it is gone. Several times, so that the leader lists
        // the shards meanwhile.
        for _ in 0..8 {
            wire.cut();
            assert!(fleet.store.remove_row(&name(2)));
            fleet.pass(Duration::from_millis(5_500)).await;
            wire.mend();
            fleet.pass(12 * SECOND).await;
            assert!(fleet.store.lease(&key(2)).is_some(), "its holder has made it again");
        }
        fleet.pass(120 * SECOND).await;
        assert_eq!([0, 1, 2].map(|index| fleet.log.numbers(&name(index))), [vec![1, 2], vec![1, 2], vec![1]]);
    });
}

#[test]
fn a_table_of_ended_shards_alone_keeps_the_last_of_them() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        fleet.source.close(&shard(0), Vec::new());
        fleet.pass(300 * SECOND).await;
        assert!(fleet.store.lease(&key(0)).unwrap().is_ended());
        assert_eq!(fleet.log.numbers(&name(0)), [1, 2]);
    });
}

#[test]
fn a_child_that_nobody_has_made_a_row_for_is_found() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        split(&fleet, 0, [1, 2]);
        fleet.source.append(&shard(2), "x");
        // The finisher died in the middle, as one of another library may.
        let mut parent = Lease::unowned(key(0), Checkpoint::ShardEnd, 5);
        parent.children = [id(1), id(2)].into();
        let mut child = Lease::unowned(key(1), Checkpoint::TrimHorizon, 5);
        child.parents = [id(0)].into();
        for row in [parent, child] {
            fleet.store.put_row(Row::Lease(Box::new(row)));
        }
        let _a = fleet.start("a").await;
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.store.lease(&key(2)), None, "its finisher may live");
        fleet.pass(5 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(2)), [1]);
    });
}

#[test]
fn a_worker_that_dies_between_two_looks_costs_its_successors_nothing_but_time() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 3);
        let mut kills: Vec<Killable> = Vec::new();
        for worker in ["a", "b", "c"] {
            kills.push(fleet.start_killable(worker).await.1);
        }
        fleet.append(3, 1);
        fleet.pass(20 * SECOND).await;
        for kill in &kills {
            kill.kill();
        }
        fleet.append(3, 1);
        fleet.pass(60 * SECOND).await;
        let _d = fleet.start("d").await;
        fleet.pass(20 * SECOND).await;
        for index in 0..3 {
            assert_eq!(fleet.log.numbers(&name(index)).last(), Some(&2));
        }
    });
}
