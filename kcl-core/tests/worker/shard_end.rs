//! The end of a shard: its children begin at once, whatever becomes of answers, other rows and the worker.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl_core::memory::{Call, Fault, FaultRule, Operation};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::types::{Checkpoint, Epoch, Lease, Row, ShardId, StoreError, WorkerId};

use crate::fleet::{Fleet, key, name, shard, stream};

const SECOND: Duration = Duration::from_secs(1);

fn id(index: usize) -> ShardId {
    ShardId::new(name(index)).unwrap()
}

fn split(fleet: &Fleet, parent: usize, children: [usize; 2]) {
    fleet.source.reshard(&stream(), &[id(parent)], &children.map(|index| (id(index), None)));
    for index in children {
        fleet.source.append(&shard(index), "child");
    }
}

fn put_child(fleet: &Fleet, index: usize, parents: &[usize]) {
    let mut child = Lease::unowned(key(index), Checkpoint::TrimHorizon, 5);
    child.parents = parents.iter().map(|&parent| id(parent)).collect();
    fleet.store.put_row(Row::Lease(Box::new(child)));
}

/// How often each operation touched the rows of these shards.
fn count(calls: &[Call], operation: Operation, shards: &[usize]) -> usize {
    let names: Vec<String> = shards.iter().map(|&index| name(index)).collect();
    let touches = |call: &&Call| names.iter().any(|name| call.request.names(name));
    calls.iter().filter(|call| call.request.operation() == operation).filter(touches).count()
}

#[test]
fn the_finisher_goes_on_with_the_children_at_once_in_one_transaction() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        fleet.store.log_calls();
        let ended = clock.now();
        split(&fleet, 0, [1, 2]);
        fleet.pass(Duration::from_millis(1)).await;
        let calls = fleet.store.take_calls();
        assert_eq!(count(&calls, Operation::Transact, &[0]), 1);
        assert_eq!(count(&calls, Operation::Update, &[1, 2]), 0, "the creation begins the tenure");
        for index in [1, 2] {
            let child = fleet.log.seen().into_iter().find(|seen| seen.shard == name(index)).unwrap();
            let row = fleet.store.lease(&key(index)).unwrap();
            assert_eq!((child.at, child.token), (ended, row.counter), "the creation is the fencing token");
            assert_eq!((row.owner.unwrap().as_str().to_owned(), row.epoch), ("a".to_owned(), Some(Epoch(1))));
        }
        let parent = fleet.store.lease(&key(0)).unwrap();
        assert!(parent.is_ended() && parent.owner.is_none(), "{parent:?}");
        assert_eq!(parent.children, BTreeSet::from([id(1), id(2)]));
        fleet.pass(30 * SECOND).await;
        assert!(fleet.store.lease(&key(1)).unwrap().counter > parent.counter, "and they are renewed like any other");
    });
}

#[test]
fn a_worker_that_dies_with_the_answer_leaves_children_that_others_take() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let (_a, kill) = fleet.start_killable("a").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Transact));
        // Nor can it read how the shard stands.
        fleet.store.script(FaultRule::new(Fault::LoseRequest).on(Operation::Get).on(Operation::Scan).always());
        split(&fleet, 0, [1, 2]);
        while !fleet.store.lease(&key(0)).unwrap().is_ended() {
            fleet.pass(Duration::from_millis(1)).await;
        }
        kill.kill();
        fleet.store.clear_script();
        let _b = fleet.start("b").await;
        fleet.pass(20 * SECOND).await;
        assert_eq!((fleet.log.numbers(&name(1)), fleet.log.numbers(&name(2))), (vec![1], vec![1]));
    });
}

#[test]
fn whatever_becomes_of_the_transaction_the_shard_ends_once_and_its_children_are_read() {
    let clock = ManualClock::new();
    clock.run(async {
        let throttled = Fault::Refuse(StoreError::Throttled("slow".into()));
        let late = Fault::Late { before_call: Some(3) };
        for fault in [Fault::LoseAnswer, Fault::LoseRequest, late, throttled] {
            for times in [1, 2, 5] {
                let fleet = Fleet::new(&clock, 1);
                let mut a = fleet.start("a").await;
                fleet.append(1, 2);
                fleet.pass(SECOND).await;
                fleet.store.script(FaultRule::new(fault.clone()).on(Operation::Transact).times(times));
                split(&fleet, 0, [1, 2]);
                fleet.pass(15 * SECOND).await;
                let context = format!("{fault:?} {times} times");
                assert!(fleet.store.lease(&key(0)).unwrap().is_ended(), "{context}");
                for (index, numbers) in [(0, vec![1, 2]), (1, vec![1]), (2, vec![1])] {
                    assert_eq!(fleet.log.numbers(&name(index)), numbers, "{context}, shard {index}");
                }
                assert_eq!(fleet.log.notes(), [format!("ended {}", name(0))], "{context}");
                a.stop();
                assert_eq!(a.wait().await.unwrap().released, 2, "{context}");
            }
        }
    });
}

#[test]
fn a_child_that_exists_is_left_alone_and_the_end_is_written() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        put_child(&fleet, 1, &[0]);
        fleet.pass(5 * SECOND).await;
        split(&fleet, 0, [1, 2]);
        fleet.pass(10 * SECOND).await;
        assert!(fleet.store.lease(&key(0)).unwrap().is_ended());
        assert_eq!(fleet.store.lease(&key(1)).unwrap().counter.min(1_000), fleet.store.lease(&key(1)).unwrap().counter);
        assert_eq!((fleet.log.numbers(&name(1)), fleet.log.numbers(&name(2))), (vec![1], vec![1]));
    });
}

#[test]
fn a_worker_holds_no_more_children_than_it_may() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let settings = fleet.settings("a").max_leases(1);
        let worker = fleet.builder(settings).handler(|_| async { Ok(()) }).build().unwrap();
        let _a = worker.start().await.unwrap();
        fleet.pass(SECOND).await;
        split(&fleet, 0, [1, 2]);
        fleet.pass(SECOND).await;
        let owners = [1, 2].map(|index| fleet.store.lease(&key(index)).unwrap().owner.map(|owner| owner.to_string()));
        assert_eq!(owners, [Some("a".to_owned()), None]);
    });
}

#[test]
fn a_worker_that_stops_creates_the_children_for_nobody() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        let mut a = fleet.start("a").await;
        fleet.pass(SECOND).await;
        // The end is on its way, but throttled, when the worker stops.
        let throttled = Fault::Refuse(StoreError::Throttled("slow".into()));
        fleet.store.script(FaultRule::new(throttled).on(Operation::Transact).times(2));
        split(&fleet, 0, [1, 2]);
        fleet.pass(Duration::from_millis(10)).await;
        a.stop();
        let report = a.wait().await.unwrap();
        assert_eq!((report.released, report.ended, report.undone), (0, 1, vec![]));
        for index in [1, 2] {
            assert_eq!(fleet.store.lease(&key(index)).unwrap().owner, None, "it was made, and nobody reads it yet");
        }
        let _b = fleet.start("b").await;
        fleet.pass(5 * SECOND).await;
        assert_eq!((fleet.log.numbers(&name(1)), fleet.log.numbers(&name(2))), (vec![1], vec![1]));
    });
}

#[test]
fn a_stop_does_not_wait_for_an_end_that_cannot_be_written_beyond_its_deadline() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        let mut a = fleet.start("a").await;
        fleet.pass(SECOND).await;
        let throttled = Fault::Refuse(StoreError::Throttled("slow".into()));
        fleet.store.script(FaultRule::new(throttled).on(Operation::Transact).always());
        split(&fleet, 0, [1, 2]);
        fleet.pass(40 * SECOND).await;
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!(lease.owner, Some(WorkerId::new("a").unwrap()), "the lease is kept meanwhile");
        a.stop();
        let asked = clock.now();
        let report = a.wait().await.unwrap();
        assert_eq!((report.released, report.undone), (1, vec![]));
        assert_eq!(clock.now().since(asked), 20 * SECOND, "the drain timeout");
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!((lease.owner, lease.checkpoint.to_string()), (None, "1".to_owned()));
    });
}

#[test]
fn the_child_of_a_merge_is_made_by_the_finisher_of_the_last_parent() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        fleet.append(2, 1);
        fleet.pass(SECOND).await;
        // 0 is held up; 1 and 2, a child of 0, merge into 4.
        fleet.source.hold(&shard(0));
        split(&fleet, 0, [2, 3]);
        fleet.source.reshard(&stream(), &[id(1), id(2)], &[(id(4), None)]);
        fleet.source.append(&shard(4), "grandchild");
        fleet.pass(10 * SECOND).await;
        assert!(fleet.store.lease(&key(1)).unwrap().is_ended());
        assert_eq!(fleet.store.lease(&key(4)), None, "a parent of it has no row yet");
        fleet.source.release(&shard(0));
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(4)), [1]);
        let order: Vec<String> = fleet.log.seen().iter().map(|seen| seen.shard.clone()).collect();
        assert_eq!(order.last(), Some(&name(4)));
    });
}

#[test]
fn a_child_whose_parent_has_no_row_waits_for_the_rows_further_up() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        fleet.append(2, 1);
        fleet.pass(SECOND).await;
        fleet.source.hold(&shard(0));
        split(&fleet, 0, [2, 3]);
        fleet.source.reshard(&stream(), &[id(1), id(2)], &[(id(4), None)]);
        fleet.source.append(&shard(4), "grandchild");
        // Another library made the row of the grandchild too early.
        put_child(&fleet, 4, &[1, 2]);
        fleet.pass(20 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(4)), [0; 0], "shard 0 is still read, and 2 comes after it");
        fleet.source.release(&shard(0));
        fleet.pass(20 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(4)), [1]);
        let order: Vec<String> = fleet.log.seen().iter().map(|seen| seen.shard.clone()).collect();
        assert!(order.iter().position(|s| *s == name(2)) < order.iter().position(|s| *s == name(4)), "{order:?}");
    });
}

#[test]
fn a_parent_that_was_trimmed_long_ago_holds_nothing_back() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        put_child(&fleet, 0, &[7, 8]);
        fleet.append(1, 1);
        let _a = fleet.start("a").await;
        fleet.pass(5 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(0)), [1]);
        let owner = fleet.store.lease(&key(0)).unwrap().owner;
        assert_eq!(owner, Some(WorkerId::new("a").unwrap()));
    });
}
