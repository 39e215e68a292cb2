//! From a batch to a checkpoint: errors, panics, stops, checkpoints on demand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::memory::{Fault, FaultRule, Operation};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::{
    BoxError, CheckpointError, Checkpointer, ProcessContext, ProcessError, Record, RecordBatch, RecordProcessor,
    ShardContext, WorkerEvent, async_trait,
};

use crate::fleet::{Fleet, key, shard};

const SECOND: Duration = Duration::from_secs(1);

fn number(record: &Record) -> u64 {
    record.sequence_number().as_str().parse().unwrap()
}

#[test]
fn a_record_that_fails_is_delivered_again_and_holds_back_those_behind_it() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 5);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        let worker = fleet
            .builder(fleet.settings("a"))
            .handler(move |record: Record| {
                let log = Arc::clone(&log);
                async move {
                    let number = number(&record);
                    let mut log = log.lock().unwrap();
                    log.push((number, record.maybe_redelivered()));
                    let attempts = log.iter().filter(|(seen, _)| *seen == number).count();
                    if number == 3 && attempts < 3 { Err("not yet".into()) } else { Ok(()) }
                }
            })
            .build()
            .unwrap();
        let _a = worker.start().await.unwrap();
        fleet.pass(5 * SECOND).await;
        let numbers: Vec<u64> = seen.lock().unwrap().iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 3, 3, 4, 5], "what came before is completed, what comes behind waits");
        assert!(seen.lock().unwrap()[3].1, "the second attempt says so");
        let checkpoint = fleet.store.lease(&key(0)).unwrap().checkpoint;
        assert_eq!(checkpoint.record().unwrap().sequence.as_str(), "5");
    });
}

#[test]
fn an_error_or_panic_for_ever_never_advances_the_position_and_is_reported() {
    let clock = ManualClock::new();
    clock.run(async {
        for panics in [false, true] {
            let fleet = Fleet::new(&clock, 1);
            fleet.append(1, 3);
            let made = Arc::new(AtomicU32::new(0));
            let count = Arc::clone(&made);
            let worker = fleet
                .builder(fleet.settings("a"))
                .processor(move |_: &ShardContext| {
                    count.fetch_add(1, Ordering::SeqCst);
                    Failing { panics }
                })
                .build()
                .unwrap();
            let mut events = worker.events();
            let _a = worker.start().await.unwrap();
            let stalled = loop {
                match events.next().await {
                    Some(Ok(WorkerEvent::ShardStalled { attempts, error, .. })) => break (attempts, error),
                    Some(Ok(_)) => {}
                    other => panic!("{other:?}"),
                }
            };
            assert_eq!(stalled.0, 3);
            assert!(stalled.1.contains("cannot do it"), "{}", stalled.1);
            fleet.pass(200 * SECOND).await;
            assert_eq!(fleet.store.lease(&key(0)).unwrap().checkpoint.record(), None);
            assert_eq!(fleet.store.lease(&key(0)).unwrap().owner.unwrap().as_str(), "a", "and the lease is kept");
            assert_eq!(made.load(Ordering::SeqCst) > 1, panics, "only a panic replaces the processor");
        }
    });
}

struct Failing {
    panics: bool,
}

#[async_trait]
impl RecordProcessor for Failing {
    async fn process_records(&mut self, _: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        if self.panics {
            panic!("cannot do it");
        }
        Err(std::io::Error::other("cannot do it"))?;
        Ok(())
    }
}

#[test]
fn a_panicking_factory_or_initialisation_is_tried_again() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        let made = Arc::new(AtomicU32::new(0));
        let (count, log) = (Arc::clone(&made), fleet.log.clone());
        let worker = fleet
            .builder(fleet.settings("a"))
            .processor(move |_: &ShardContext| {
                let number = count.fetch_add(1, Ordering::SeqCst);
                assert!(number > 0, "the factory fails first");
                Initializing { number, log: log.clone() }
            })
            .build()
            .unwrap();
        let _a = worker.start().await.unwrap();
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.log.notes(), ["initialize 1", "initialize 2", "initialize 2", "records 1"]);
    });
}

struct Initializing {
    number: u32,
    log: crate::fleet::Log,
}

#[async_trait]
impl RecordProcessor for Initializing {
    async fn initialize(&mut self, _: &ShardContext) -> Result<(), BoxError> {
        let note = format!("initialize {}", self.number);
        let again = self.log.notes().contains(&note);
        self.log.note(note);
        assert!(self.number > 1, "the first processor panics");
        if again { Ok(()) } else { Err("the second needs two attempts".into()) }
    }

    async fn process_records(&mut self, batch: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        self.log.note(format!("records {}", batch.len()));
        Ok(())
    }
}

/// Stores on demand after every batch, and keeps its checkpointer for later.
struct Storing {
    kept: Arc<Mutex<Option<Checkpointer>>>,
    stored: Arc<Mutex<Vec<Option<String>>>>,
}

#[async_trait]
impl RecordProcessor for Storing {
    async fn process_records(&mut self, _: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let stored = context.checkpointer.checkpoint().await?;
        self.stored.lock().unwrap().push(stored.map(|position| position.to_string()));
        *self.kept.lock().unwrap() = Some(context.checkpointer.clone());
        Ok(())
    }
}

#[test]
fn a_checkpoint_on_demand_stores_what_is_completed_and_answers_lease_lost_afterwards() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let (kept, stored) = (Arc::default(), Arc::default());
        let (keep, log) = (Arc::clone(&kept), Arc::clone(&stored));
        let worker = fleet
            .builder(fleet.settings("a"))
            .processor(move |_: &ShardContext| Storing { kept: Arc::clone(&keep), stored: Arc::clone(&log) })
            .build()
            .unwrap();
        let mut a = worker.start().await.unwrap();
        // The first answer to the write that the second batch asks for is lost.
        fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Update).after(1));
        for _ in 0..3 {
            fleet.append(1, 2);
            fleet.pass(Duration::from_millis(500)).await;
        }
        let expected = [None, Some("2".to_owned()), Some("4".to_owned())];
        assert_eq!(*stored.lock().unwrap(), expected, "the running batch is not completed yet");
        a.stop();
        a.wait().await.unwrap();
        assert_eq!(fleet.store.lease(&key(0)).unwrap().checkpoint.to_string(), "6", "stored by the release");
        let checkpointer = kept.lock().unwrap().clone();
        let after = checkpointer.unwrap().checkpoint().await;
        assert!(matches!(after, Err(CheckpointError::LeaseLost(_))), "{after:?}");
    });
}

/// Works for a long time on each batch.
struct Slow {
    clock: ManualClock,
    time: Duration,
    log: crate::fleet::Log,
}

#[async_trait]
impl RecordProcessor for Slow {
    async fn process_records(&mut self, batch: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        self.log.note(format!("begin {}", batch.len()));
        self.clock.sleep_until(self.clock.now() + self.time).await;
        self.log.note(format!("done {}", batch.len()));
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: &ProcessContext) -> Result<(), BoxError> {
        self.log.note("shutdown requested");
        Ok(())
    }
}

async fn stop_in_the_middle(fleet: &Fleet, clock: &ManualClock, time: Duration) -> Duration {
    let (log, slow) = (fleet.log.clone(), clock.clone());
    let worker = fleet
        .builder(fleet.settings("a"))
        .processor(move |_: &ShardContext| Slow { clock: slow.clone(), time, log: log.clone() })
        .build()
        .unwrap();
    let mut a = worker.start().await.unwrap();
    fleet.append(1, 2);
    fleet.pass(SECOND).await;
    a.stop();
    let asked = clock.now();
    a.wait().await.unwrap();
    clock.now().since(asked)
}

#[test]
fn a_stop_waits_for_the_handler_and_stores_its_records() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        // Longer than the failover time: the lease is renewed while it drains.
        let took = stop_in_the_middle(&fleet, &clock, 15 * SECOND).await;
        assert_eq!(took, 14 * SECOND);
        assert_eq!(fleet.log.notes(), ["begin 2", "done 2", "shutdown requested"]);
        assert_eq!(fleet.store.lease(&key(0)).unwrap().checkpoint.to_string(), "2");
    });
}

#[test]
fn a_handler_that_does_not_end_in_time_is_cancelled_and_its_records_stay_undone() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let took = stop_in_the_middle(&fleet, &clock, 1000 * SECOND).await;
        assert_eq!(took, 20 * SECOND, "the drain timeout");
        assert_eq!(fleet.log.notes(), ["begin 2"]);
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!((lease.checkpoint.record(), lease.owner), (None, None));
    });
}

#[test]
fn a_slow_handler_on_one_shard_disturbs_neither_renewal_nor_other_shards() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let (log, slow) = (fleet.log.clone(), clock.clone());
        let worker = fleet
            .builder(fleet.settings("a"))
            .processor(move |context: &ShardContext| {
                let time = if context.shard == shard(0) { 300 * SECOND } else { Duration::ZERO };
                Slow { clock: slow.clone(), time, log: log.clone() }
            })
            .build()
            .unwrap();
        let mut events = worker.events();
        let a = worker.start().await.unwrap();
        for _ in 0..100 {
            fleet.append(2, 1);
            fleet.pass(SECOND).await;
        }
        assert_eq!(fleet.log.notes().iter().filter(|note| note.starts_with("done")).count(), 100);
        a.abort();
        while let Some(Ok(event)) = events.next().await {
            match event {
                WorkerEvent::LeaseLost { .. } => break,
                WorkerEvent::LeaseGained { .. } | WorkerEvent::ShardSlow { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    });
}
