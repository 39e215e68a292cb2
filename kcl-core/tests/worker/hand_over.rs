//! A lease that is asked for: the holder drains, gives it over with its last checkpoint, and tells the successor.

use std::time::Duration;

use kcl_core::memory::{Call, Fault, FaultRule, Operation, Request};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::types::{LeaderRow, LeaseKey, Row, WorkerId, WorkerRow};
use kcl_core::{
    BoxError, LeaseReleasedReason, ProcessContext, ProcessError, RecordBatch, RecordProcessor, ShardContext,
    WorkerEvent, async_trait,
};

use crate::fleet::{Fleet, Log, key, name, owners};

const SECOND: Duration = Duration::from_secs(1);

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

/// Asks as a leader does: counter and epoch stay as they are.
fn ask(fleet: &Fleet, key: &LeaseKey, to: &str) {
    let mut lease = fleet.store.lease(key).unwrap();
    lease.checkpoint_owner = lease.owner.replace(worker(to));
    fleet.store.put_row(Row::Lease(Box::new(lease)));
}

/// The row of a worker that has an inbox and does nothing. No leader moves anything to it, since it never shows life.
fn put_idle_worker(fleet: &Fleet, name: &str) {
    let mut row = WorkerRow::new(worker(name));
    row.implementation = Some("kcl-core/test".into());
    row.heartbeat = Some(1);
    fleet.store.put_row(Row::Worker(Box::new(row)));
}

fn inbox(fleet: &Fleet, name: &str) -> Vec<LeaseKey> {
    let rows = fleet.store.rows().into_iter();
    rows.filter_map(|row| match row {
        Row::Worker(row) if row.worker.as_str() == name => Some(row.inbox),
        _ => None,
    })
    .flatten()
    .collect()
}

#[test]
fn the_successor_of_a_move_is_told_before_the_holder_and_again_when_it_is_done() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let _a = fleet.start("a").await;
        let _b = fleet.start("b").await;
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 3), ("b", 3)]));
        fleet.store.log_calls();
        let _c = fleet.start("c").await;
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 2), ("b", 2), ("c", 2)]));
        let told: Vec<(LeaseKey, String)> = fleet.store.take_calls().into_iter().filter_map(notice).collect();
        let (moved, _) = told.iter().find(|(_, worker)| worker == "b").unwrap();
        let in_order: Vec<&str> = told.iter().filter(|(key, _)| key == moved).map(|(_, to)| to.as_str()).collect();
        assert_eq!(in_order, ["c", "b", "c"]);
    });
}

fn notice(call: Call) -> Option<(LeaseKey, String)> {
    match call.request {
        Request::Notify { worker, lease } => Some((lease, worker.to_string())),
        _ => None,
    }
}

#[test]
fn a_holder_that_is_asked_hands_over_with_its_last_checkpoint_and_tells_the_successor() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let a = fleet.start("a").await;
        let mut events = a.events();
        fleet.append(2, 3);
        fleet.pass(Duration::from_millis(100)).await;
        put_idle_worker(&fleet, "z");
        let before = fleet.store.lease(&key(0)).unwrap();
        // The first notice does not come through.
        fleet.store.script(FaultRule::new(Fault::LoseRequest).on(Operation::Notify));
        ask(&fleet, &key(0), "z");
        fleet.pass(2 * SECOND).await;
        let after = fleet.store.lease(&key(0)).unwrap();
        assert_eq!((after.owner.clone(), after.checkpoint_owner.clone()), (Some(worker("z")), None));
        assert_eq!(after.checkpoint.to_string(), "3");
        assert!(after.counter > before.counter && after.epoch() > before.epoch());
        assert_eq!(inbox(&fleet, "z"), [key(0)]);
        let released = loop {
            match events.next().await {
                Some(Ok(WorkerEvent::LeaseReleased { tenure, reason })) => break (tenure.lease.clone(), reason),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(released, (key(0), LeaseReleasedReason::HandOver));
        fleet.append(2, 1);
        fleet.pass(2 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(0)), [1, 2, 3], "what comes now is for the successor");
        assert_eq!(fleet.log.numbers(&name(1)), [1, 2, 3, 4]);
    });
}

/// Never comes to an end by itself, in whichever call.
struct Endless {
    log: Log,
    clock: ManualClock,
    first: bool,
}

impl Endless {
    async fn forever(&self) {
        self.clock.sleep_until(self.clock.now() + 10_000 * SECOND).await;
    }
}

#[async_trait]
impl RecordProcessor for Endless {
    async fn process_records(&mut self, _: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        self.log.note("records");
        if self.first {
            self.forever().await;
        }
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: &ProcessContext) -> Result<(), BoxError> {
        self.log.note("shutdown");
        self.forever().await;
        Ok(())
    }
}

#[test]
fn a_holder_ends_its_work_thirty_seconds_after_it_learned_whatever_is_running() {
    let clock = ManualClock::new();
    clock.run(async {
        for first in [true, false] {
            let fleet = Fleet::new(&clock, 1);
            let (log, time) = (fleet.log.clone(), clock.clone());
            let consumer = fleet
                .builder(fleet.settings("a"))
                .processor(move |_: &ShardContext| Endless { log: log.clone(), clock: time.clone(), first })
                .build()
                .unwrap();
            let mut events = consumer.events();
            let a = consumer.start().await.unwrap();
            fleet.append(1, 2);
            fleet.pass(SECOND).await;
            put_idle_worker(&fleet, "z");
            ask(&fleet, &key(0), "z");
            let asked = clock.now();
            loop {
                match events.next().await {
                    Some(Ok(WorkerEvent::LeaseReleased { .. })) => break,
                    Some(Ok(WorkerEvent::LeaseGained { .. })) => {}
                    other => panic!("{other:?}"),
                }
            }
            let took = clock.now().since(asked);
            assert!(took >= 30 * SECOND && took <= 32 * SECOND, "{took:?}");
            assert_eq!(fleet.log.notes().last().unwrap(), if first { "records" } else { "shutdown" });
            let lease = fleet.store.lease(&key(0)).unwrap();
            assert_eq!((lease.owner, lease.checkpoint_owner), (Some(worker("z")), None));
            a.abort();
        }
    });
}

/// Takes five seconds for a batch.
struct Slow(ManualClock);

#[async_trait]
impl RecordProcessor for Slow {
    async fn process_records(&mut self, _: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        self.0.sleep_until(self.0.now() + 5 * SECOND).await;
        Ok(())
    }
}

#[test]
fn a_lease_whose_successor_leaves_while_its_holder_drains_is_given_to_nobody() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let time = clock.clone();
        let slow = fleet.builder(fleet.settings("a")).processor(move |_: &ShardContext| Slow(time.clone()));
        let mut a = slow.build().unwrap().start().await.unwrap();
        let mut b = fleet.start("b").await;
        fleet.pass(60 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 1), ("b", 1)]));
        fleet.append(2, 3);
        fleet.pass(2 * SECOND).await;
        a.stop();
        fleet.pass(SECOND).await;
        b.stop();
        b.wait().await.unwrap();
        a.wait().await.unwrap();
        assert_eq!(fleet.owners(), owners(&[("-", 2)]));
    });
}

fn leader(fleet: &Fleet) -> LeaderRow {
    let leader =
        fleet.store.rows().into_iter().find_map(|row| if let Row::Leader(row) = row { Some(row) } else { None });
    leader.unwrap()
}

#[test]
fn a_lock_that_is_given_up_after_a_renewal_without_an_answer_keeps_the_count_of_cycles() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let mut a = fleet.start("a").await;
        fleet.pass(5 * SECOND).await;
        fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::WriteLeader));
        let before = leader(&fleet).cycle;
        while leader(&fleet).cycle == before {
            fleet.pass(Duration::from_millis(1)).await;
        }
        let renewed = leader(&fleet);
        a.stop();
        a.wait().await.unwrap();
        let released = leader(&fleet);
        assert_eq!((released.released, released.cycle), (true, renewed.cycle));
    });
}
