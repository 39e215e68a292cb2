//! Who reads what: shares, take-over, faults of the store.

use std::time::Duration;

use kcl_core::memory::{Fault, FaultRule, Operation};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::types::{Checkpoint, Row, StoreError};
use kcl_core::{LeaseLostReason, LeaseReleasedReason, WorkerError, WorkerEvent};

use crate::fleet::{Fleet, key, name, owners, shard};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn six_shards_are_shared_by_two_workers_then_by_three() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let _a = fleet.start("a").await;
        let _b = fleet.start("b").await;
        fleet.pass(8 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 3), ("b", 3)]));
        let _c = fleet.start("c").await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 2), ("b", 2), ("c", 2)]));
        fleet.append(6, 5);
        fleet.pass(2 * SECOND).await;
        for index in 0..6 {
            assert_eq!(fleet.log.numbers(&name(index)), [1, 2, 3, 4, 5], "once each, in order");
        }
    });
}

#[test]
fn the_first_record_comes_at_once() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        fleet.append(4, 1);
        let begun = clock.now();
        let _a = fleet.start("a").await;
        fleet.pass(Duration::from_millis(10)).await;
        assert_eq!(fleet.log.seen().len(), 4);
        assert_eq!(fleet.log.seen()[3].at, begun, "no waiting anywhere on the way");
    });
}

#[test]
fn the_leases_of_a_killed_worker_are_taken_over_within_the_budget() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let (_a, kill) = fleet.start_killable("a").await;
        let _b = fleet.start("b").await;
        fleet.append(6, 3);
        fleet.pass(10 * SECOND).await;
        let tokens: u64 = fleet.log.seen().iter().map(|seen| seen.token).max().unwrap();
        kill.kill();
        let killed = clock.now();
        fleet.append(6, 3);
        fleet.pass(16 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("b", 6)]));
        for index in 0..6 {
            let numbers = fleet.log.numbers(&name(index));
            assert!(numbers.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{numbers:?}");
            assert_eq!(numbers.last(), Some(&6));
        }
        let last = fleet.log.seen().into_iter().max_by_key(|seen| seen.at).unwrap();
        assert!(last.at.since(killed) < 16 * SECOND, "{:?}", last.at.since(killed));
        assert!(last.token > tokens, "fencing tokens grow");
    });
}

#[test]
fn a_worker_that_stops_gives_its_leases_back_at_once_and_nothing_is_repeated() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut a = fleet.start("a").await;
        let _b = fleet.start("b").await;
        fleet.append(4, 3);
        fleet.pass(8 * SECOND).await;
        let mut events = a.events();
        a.stop();
        let stopped = clock.now();
        fleet.append(4, 2);
        let report = a.wait().await.unwrap();
        assert_eq!((report.released, report.undone.len()), (2, 0));
        let mut released = 0;
        while let Some(Ok(event)) = events.next().await {
            match event {
                WorkerEvent::LeaseReleased { reason, .. } => {
                    assert_eq!(reason, LeaseReleasedReason::Shutdown);
                    released += 1;
                }
                WorkerEvent::Stopped => break,
                _ => {}
            }
        }
        assert_eq!(released, 2);
        fleet.pass(2 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("b", 4)]));
        let is_a = |row: &Row| matches!(row, Row::Worker(row) if row.worker.as_str() == "a");
        assert!(!fleet.store.rows().iter().any(is_a), "its own row is gone");
        for index in 0..4 {
            assert_eq!(fleet.log.numbers(&name(index)), [1, 2, 3, 4, 5], "a planned stop repeats nothing");
        }
        let last = fleet.log.seen().into_iter().max_by_key(|seen| seen.at).unwrap();
        assert!(last.at.since(stopped) < 2 * SECOND);
    });
}

#[test]
fn answers_that_are_lost_cost_no_lease() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 3);
        let worker = fleet.logging("a").build().unwrap();
        let mut events = worker.events();
        let _a = worker.start().await.unwrap();
        for _ in 0..40 {
            // Two of three writes to leases are applied, but nobody hears of it.
            fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Update).times(2));
            fleet.append(3, 1);
            fleet.pass(2 * SECOND).await;
        }
        fleet.store.clear_script();
        for index in 0..3 {
            assert_eq!(fleet.log.numbers(&name(index)), (1..=40).collect::<Vec<_>>());
        }
        fleet.pass(5 * SECOND).await;
        for index in 0..3 {
            let lease = fleet.store.lease(&key(index)).unwrap();
            assert_eq!(lease.checkpoint.record().unwrap().sequence.as_str(), "40");
        }
        drop(_a);
        while let Some(Ok(event)) = events.next().await {
            assert!(!matches!(event, WorkerEvent::LeaseLost { .. }), "{event:?}");
            if event == WorkerEvent::Stopped {
                break;
            }
        }
    });
}

#[test]
fn a_worker_that_cannot_renew_stops_delivering_at_the_failover_time_and_goes_on_when_it_can() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let a = fleet.start("a").await;
        let mut events = a.events();
        fleet.append(2, 1);
        fleet.pass(5 * SECOND).await;
        let away = clock.now();
        fleet.store.script(FaultRule::new(Fault::Refuse(StoreError::Unavailable("away".into()))).always());
        let mut lost = 0;
        while lost < 2 {
            match events.next().await {
                Some(Ok(WorkerEvent::LeaseLost { reason, .. })) => {
                    assert_eq!(reason, LeaseLostReason::Expired);
                    lost += 1;
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(clock.now().since(away) <= 10 * SECOND, "counted from before the last confirmed write was sent");
        fleet.append(2, 1);
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.log.seen().len(), 2, "nothing is delivered without a lease");
        fleet.store.clear_script();
        fleet.pass(3 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(0)).last(), Some(&2), "its own rows are adopted again");
        assert_eq!(fleet.log.notes().iter().filter(|note| *note == "lost expired").count(), 2);
    });
}

#[test]
fn a_table_that_is_deleted_ends_the_worker() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let mut a = fleet.start("a").await;
        fleet.pass(SECOND).await;
        fleet.store.script(FaultRule::new(Fault::Refuse(StoreError::TableMissing("gone".into()))).always());
        let error = a.wait().await.unwrap_err();
        assert!(matches!(error, WorkerError::Store { error: StoreError::TableMissing(_), .. }), "{error}");
    });
}

#[test]
fn rows_that_cannot_be_read_are_left_alone_and_stop_nothing() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let problem = kcl_core::types::RowProblem::new("shardId-broken", "leaseCounter", "-1 is no counter");
        fleet.store.put_unreadable(problem.clone());
        let _a = fleet.start("a").await;
        fleet.append(2, 1);
        fleet.pass(20 * SECOND).await;
        assert_eq!(fleet.log.seen().len(), 2);
    });
}

#[test]
fn the_leases_written_carry_what_other_workers_need() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 3);
        let mut a = fleet.start("a").await;
        fleet.pass(5 * SECOND).await;
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!(lease.epoch(), kcl_core::types::Epoch(1));
        assert!(lease.last_written_by_us());
        assert_eq!(lease.owner.as_ref().unwrap().as_str(), "a");
        assert!(matches!(&lease.checkpoint, Checkpoint::At(at) if at.sequence.as_str() == "3" && at.sub == 0));
        a.stop();
        a.wait().await.unwrap();
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!((lease.owner.clone(), lease.epoch()), (None, kcl_core::types::Epoch(2)));
        assert_eq!(lease.last_owner.as_ref().unwrap().as_str(), "a");
    });
}

#[test]
fn the_leases_written_carry_how_much_comes_through_them() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        for _ in 0..300 {
            fleet.source.append(&shard(0), vec![7; 1024]);
            fleet.pass(SECOND / 10).await;
        }
        let throughput = |index| fleet.store.lease(&key(index)).unwrap().throughput.map(|rate| rate.0);
        let busy = throughput(0).unwrap();
        assert!((9.0..11.0).contains(&busy), "10 KiB/s, and the row says {busy}");
        assert_eq!(throughput(1), None, "nothing ever came through it");
        fleet.pass(30 * SECOND).await;
        assert!(throughput(0).unwrap() < 0.1, "it has been idle for a while");
    });
}

#[test]
fn a_row_that_was_deleted_is_made_again_by_its_holder_where_it_stood() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        fleet.append(2, 3);
        fleet.pass(10 * SECOND).await;
        let before = fleet.store.lease(&key(0)).unwrap();
        assert!(fleet.store.remove_row(&name(0)));
        // The first attempt to make it again does not come through.
        fleet.store.script(FaultRule::new(Fault::LoseRequest).on(Operation::Create));
        fleet.append(2, 3);
        fleet.pass(15 * SECOND).await;
        let after = fleet.store.lease(&key(0)).unwrap();
        assert!(after.counter > before.counter && after.epoch() > before.epoch());
        assert_eq!(after.checkpoint.to_string(), "6");
        let numbers = fleet.log.numbers(&name(0));
        assert_eq!(numbers.iter().collect::<std::collections::BTreeSet<_>>().len(), 6, "{numbers:?}");
        assert!(numbers.windows(2).all(|pair| pair[1] <= pair[0] + 1), "nothing is skipped: {numbers:?}");
    });
}
