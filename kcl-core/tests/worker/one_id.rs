//! Several processes with one worker id: restarts, mistakes, and requests of dead processes that arrive late.

use std::time::Duration;

use kcl_core::memory::{Fault, FaultRule, Operation};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::{LeaseLostReason, WorkerError, WorkerEvent, WorkerHandle};

use crate::fleet::{Fleet, name};
use crate::wire::Wire;

const SECOND: Duration = Duration::from_secs(1);

/// The worker ends, since another process has its id.
async fn loses_its_id(fleet: &Fleet, worker: &mut WorkerHandle) {
    tokio::select! {
        biased;
        result = worker.wait() => {
            let error = result.unwrap_err();
            assert!(matches!(error, WorkerError::WorkerIdTaken { .. }), "{error}");
        }
        () = fleet.pass(20 * SECOND) => panic!("it goes on"),
    }
}

/// Of all four.
async fn each_shard_is_read_once(fleet: &Fleet) {
    fleet.append(4, 1);
    fleet.pass(15 * SECOND).await;
    for index in 0..4 {
        assert_eq!(fleet.log.numbers(&name(index)), [1]);
    }
}

/// A process that held all and died, and whose join will come once more.
async fn dead_one_whose_join_comes_late(fleet: &Fleet) {
    fleet.store.script(FaultRule::new(Fault::Late { before_call: None }).on(Operation::Join));
    let (_first, kill) = fleet.start_killable("same").await;
    fleet.pass(3 * SECOND).await;
    kill.kill();
}

/// Removes the worker's row, and waits until it is about to be made again.
async fn remove_row(fleet: &Fleet, wire: &Wire) {
    wire.take_calls();
    assert!(fleet.store.remove_row("same"));
    while !wire.take_calls().contains_key("join") {
        fleet.pass(SECOND / 20).await;
    }
}

#[test]
fn two_processes_with_one_worker_id_are_detected_and_the_older_one_ends() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut first = fleet.start("same").await;
        fleet.pass(3 * SECOND).await;
        let mut events = first.events();
        let worker = fleet.logging("same").seed(8).build().unwrap();
        let _second = worker.start().await.unwrap();
        loses_its_id(&fleet, &mut first).await;
        let mut lost = 0;
        while let Some(event) = events.next().await {
            match event.unwrap() {
                WorkerEvent::LeaseLost { reason, .. } => {
                    assert_eq!(reason, LeaseLostReason::WorkerIdTaken);
                    lost += 1;
                }
                WorkerEvent::Stopped => break,
                WorkerEvent::LeaseReleased { reason, .. } => panic!("{reason:?} of what the other process has"),
                _ => {}
            }
        }
        assert_eq!(lost, 4, "it stops delivering before its next renewal would be refused");
        each_shard_is_read_once(&fleet).await;
    });
}

#[test]
fn a_late_copy_of_the_join_of_a_dead_process_does_not_end_the_one_that_has_the_id_now() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        dead_one_whose_join_comes_late(&fleet).await;
        let mut second = fleet.logging("same").seed(8).build().unwrap().start().await.unwrap();
        fleet.pass(3 * SECOND).await;
        let row = fleet.worker_row("same");
        assert_eq!(fleet.store.land_late(), 1);
        assert_eq!(fleet.worker_row("same"), row);
        each_shard_is_read_once(&fleet).await;
        second.stop();
        assert_eq!(second.wait().await.unwrap().released, 4);
    });
}

#[test]
fn a_process_that_is_overtaken_while_it_joins_takes_the_id_over_from_the_faster_one() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let wire = Wire::new(&fleet.store, &clock, SECOND);
        let slow = fleet.logging("same").store(wire.clone()).seed(8).build().unwrap();
        let overtake = async {
            while !wire.take_calls().contains_key("join") {
                fleet.pass(SECOND / 10).await;
            }
            fleet.start("same").await
        };
        let (slow, mut fast) = tokio::join!(slow.start(), overtake);
        let _slow = slow.unwrap();
        assert_eq!(wire.take_calls().get("conflict"), Some(&1));
        loses_its_id(&fleet, &mut fast).await;
        each_shard_is_read_once(&fleet).await;
    });
}

#[test]
fn a_process_whose_row_was_removed_leaves_the_id_to_another_that_joins_before_it_does_again() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let wire = Wire::new(&fleet.store, &clock, SECOND / 2);
        let mut first = fleet.logging("same").store(wire.clone()).build().unwrap().start().await.unwrap();
        fleet.pass(3 * SECOND).await;
        remove_row(&fleet, &wire).await;
        let _second = fleet.logging("same").seed(8).build().unwrap().start().await.unwrap();
        let row = fleet.worker_row("same");
        loses_its_id(&fleet, &mut first).await;
        assert_eq!(fleet.worker_row("same").incarnation, row.incarnation);
        each_shard_is_read_once(&fleet).await;
    });
}

#[test]
fn a_row_that_was_removed_is_made_again_over_a_late_copy_of_the_join_of_the_process_before() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        dead_one_whose_join_comes_late(&fleet).await;
        let wire = Wire::new(&fleet.store, &clock, SECOND / 2);
        let mut second = fleet.logging("same").store(wire.clone()).seed(8).build().unwrap().start().await.unwrap();
        fleet.pass(3 * SECOND).await;
        let row = fleet.worker_row("same");
        remove_row(&fleet, &wire).await;
        assert_eq!(fleet.store.land_late(), 1);
        assert_ne!(fleet.worker_row("same").incarnation, row.incarnation);
        fleet.append(4, 1);
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.worker_row("same").incarnation, row.incarnation);
        second.stop();
        assert_eq!(second.wait().await.unwrap().released, 4);
    });
}

#[test]
fn a_restart_with_the_same_id_has_its_leases_back_at_once() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let (_first, kill) = fleet.start_killable("a").await;
        fleet.append(4, 2);
        fleet.pass(5 * SECOND).await;
        kill.kill();
        fleet.append(4, 1);
        let restarted = clock.now();
        let _second = fleet.logging("a").seed(8).build().unwrap().start().await.unwrap();
        fleet.pass(Duration::from_millis(10)).await;
        for index in 0..4 {
            assert_eq!(fleet.log.numbers(&name(index)), [1, 2, 3]);
        }
        assert_eq!(fleet.log.seen().last().unwrap().at, restarted);
    });
}
