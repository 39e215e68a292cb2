//! Shards that do not get on: their tasks begin anew, their leases move on, and user code is left alone.

use std::time::Duration;

use futures_util::future::BoxFuture;
use kcl_core::ports::{
    Clock, Fetched, ListedShards, ReadError, ShardReader, SourceError, Spawner, StreamSource, TokioSpawner,
};
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{BytePermit, Epoch, Moment, Position, RecordPosition, ShardRef, StreamId};
use kcl_core::{
    BoxError, EventStream, LeaseReleasedReason, ProcessContext, ProcessError, RecordBatch, RecordProcessor,
    RestartReason, ShardContext, WorkerBuilder, WorkerEvent, async_trait, metric_definitions,
};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tokio::sync::watch;

use crate::fleet::{Fleet, Log, key, name, shard};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// Notes what happens to it.
struct Noting {
    log: Log,
    clock: ManualClock,
    /// How long each batch takes.
    takes: Duration,
}

#[async_trait]
impl RecordProcessor for Noting {
    async fn initialize(&mut self, _: &ShardContext) -> Result<(), BoxError> {
        self.log.note("initialize");
        Ok(())
    }

    async fn process_records(&mut self, batch: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        let numbers: Vec<String> = batch.iter().map(|record| record.sequence_number().to_string()).collect();
        self.log.note(format!("records {}", numbers.join(" ")));
        self.clock.sleep_until(self.clock.now() + self.takes).await;
        Ok(())
    }

    async fn shutdown_requested(&mut self, _: &ProcessContext) -> Result<(), BoxError> {
        self.log.note("shutdown requested");
        Ok(())
    }
}

fn noting(fleet: &Fleet, worker: &str, takes: Duration) -> WorkerBuilder {
    let (log, clock) = (fleet.log.clone(), fleet.clock.clone());
    let processor = move |_: &ShardContext| Noting { log: log.clone(), clock: clock.clone(), takes };
    fleet.builder(fleet.settings(worker)).processor(processor)
}

/// What the watchdog does from now on, and when, until the lease is gone or the time is over.
async fn done(fleet: &Fleet, events: &mut EventStream, until: Moment) -> Vec<(String, Duration)> {
    let begun = fleet.clock.now();
    let mut done = Vec::new();
    loop {
        let event = tokio::select! {
            biased;
            event = events.next() => event,
            () = fleet.clock.sleep_until(until) => return done,
        };
        let text = match event {
            Some(Ok(WorkerEvent::ShardRestarted { reason, in_a_row, .. })) => {
                format!("restart {in_a_row} {}", reason.as_str())
            }
            Some(Ok(WorkerEvent::ShardSlow { what, .. })) => format!("slow {what}"),
            Some(Ok(WorkerEvent::LeaseReleased { reason, .. })) => format!("released {}", reason.as_str()),
            Some(Ok(WorkerEvent::LeaseLost { reason, .. })) => format!("lost {}", reason.as_str()),
            Some(Ok(_)) => continue,
            other => panic!("{other:?}"),
        };
        done.push((text, fleet.clock.now().since(begun)));
        if matches!(done.last(), Some((text, _)) if text.starts_with("released") || text.starts_with("lost")) {
            return done;
        }
    }
}

fn texts(done: &[(String, Duration)]) -> Vec<&str> {
    done.iter().map(|(text, _)| text.as_str()).collect()
}

#[test]
fn a_fetch_that_hangs_begins_anew_where_everything_is_completed_in_the_same_tenure() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let a = noting(&fleet, "a", Duration::ZERO).build().unwrap().start().await.unwrap();
        let mut events = a.events();
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        fleet.source.hold(&shard(0));
        fleet.append(1, 1);
        let done = done(&fleet, &mut events, clock.now() + 130 * SECOND).await;
        assert_eq!(texts(&done), ["restart 1 fetch_hangs"]);
        assert!(done[0].1 >= 2 * MINUTE && done[0].1 <= 2 * MINUTE + 10 * SECOND, "{:?}", done[0].1);
        fleet.source.release(&shard(0));
        fleet.pass(5 * SECOND).await;
        let expected = ["initialize", "records 1 2", "shutdown requested", "initialize", "records 3"];
        assert_eq!(fleet.log.notes(), expected);
        let resumed = RecordPosition { sequence: "2".parse().unwrap(), sub: 1 };
        assert_eq!(fleet.source.opened(&shard(0)).last(), Some(&Position::At(resumed)));
        let lease = fleet.store.lease(&key(0)).unwrap();
        assert_eq!((lease.epoch(), lease.checkpoint.to_string()), (Epoch(1), "3".to_owned()), "the same tenure");
    });
}

/// A source of which one shard cannot be read by this worker.
#[derive(Debug)]
struct Deaf(ScriptedSource);

struct Hanging;

#[async_trait]
impl ShardReader for Hanging {
    async fn ready(&mut self) {}

    fn demand(&self) -> usize {
        1
    }

    async fn next(&mut self, _: BytePermit) -> Result<Fetched, ReadError> {
        std::future::pending().await
    }
}

#[async_trait]
impl StreamSource for Deaf {
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError> {
        self.0.list_shards(stream).await
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        if *shard == crate::fleet::shard(0) { Box::new(Hanging) } else { self.0.open(shard, position) }
    }
}

#[test]
fn after_three_restarts_in_a_row_the_lease_is_given_to_another_worker() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let a = noting(&fleet, "a", Duration::ZERO).source(Deaf(fleet.source.clone()));
        let a = a.build().unwrap().start().await.unwrap();
        let mut events = a.events();
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        let _b = fleet.start("b").await;
        let done = done(&fleet, &mut events, clock.now() + 15 * MINUTE).await;
        let expected = ["restart 1 fetch_hangs", "restart 2 fetch_hangs", "restart 3 fetch_hangs", "released stuck"];
        assert_eq!(texts(&done), expected, "{done:?}");
        assert!(done[3].1 < 9 * MINUTE, "{done:?}");
        fleet.pass(2 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(0)), [1, 2], "b reads it");
        assert_eq!(fleet.store.lease(&key(0)).unwrap().owner.unwrap().as_str(), "b");
    });
}

#[test]
fn a_worker_without_others_goes_on_trying() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let a = noting(&fleet, "a", Duration::ZERO).build().unwrap().start().await.unwrap();
        let mut events = a.events();
        fleet.append(1, 2);
        fleet.source.hold(&shard(0));
        let done = done(&fleet, &mut events, clock.now() + 12 * MINUTE).await;
        let expected: Vec<String> = (1..=done.len()).map(|count| format!("restart {count} fetch_hangs")).collect();
        assert!(done.len() >= 5 && texts(&done) == expected, "{done:?}");
        assert_eq!(fleet.store.lease(&key(0)).unwrap().owner.unwrap().as_str(), "a");
        fleet.source.release(&shard(0));
        fleet.pass(5 * SECOND).await;
        assert_eq!(fleet.log.notes().last().unwrap(), "records 1 2");
    });
}

#[test]
fn a_handler_that_runs_long_is_told_of_and_never_cut_off() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let a = noting(&fleet, "a", 30 * MINUTE).build().unwrap().start().await.unwrap();
        let mut events = a.events();
        fleet.append(1, 1);
        // What is fetched in advance hangs meanwhile.
        fleet.pass(SECOND).await;
        fleet.source.hold(&shard(0));
        fleet.append(1, 1);
        let done = done(&fleet, &mut events, clock.now() + 29 * MINUTE).await;
        assert_eq!(texts(&done), ["slow handler"]);
        assert!(done[0].1 <= MINUTE + 10 * SECOND);
        assert_eq!(fleet.log.notes(), ["initialize", "records 1"]);
        fleet.source.release(&shard(0));
        fleet.pass(2 * MINUTE).await;
        assert_eq!(fleet.log.notes(), ["initialize", "records 1", "records 2"]);
    });
}

#[test]
fn a_shard_that_is_not_read_is_seen_to_fall_behind_and_its_restarts_are_counted_by_reason() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let clock = ManualClock::new();
    metrics::with_local_recorder(&recorder, || {
        clock.run(async {
            let fleet = Fleet::new(&clock, 1);
            let _a = fleet.start("a").await;
            fleet.append(1, 1);
            fleet.pass(SECOND).await;
            fleet.source.hold(&shard(0));
            fleet.append(1, 1);
            fleet.pass(3 * MINUTE).await;
        });
    });
    let (mut lag, mut restarts) = (None, Vec::new());
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        match (key.key().name(), value) {
            (metric_definitions::LAG, DebugValue::Gauge(value)) => lag = Some(value.into_inner()),
            (metric_definitions::SHARD_RESTARTS, DebugValue::Counter(count)) => {
                let reason = key.key().labels().find(|label| label.key() == "reason");
                restarts.push((reason.unwrap().value().to_owned(), count));
            }
            _ => {}
        }
    }
    assert!(lag.is_some_and(|lag| (170.0..=190.0).contains(&lag)), "no answer for three minutes: {lag:?}");
    assert_eq!(restarts, [("fetch_hangs".to_owned(), 1)]);
}

#[test]
fn an_idle_shard_is_healthy() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let a = fleet.start("a").await;
        let mut events = a.events();
        assert_eq!(done(&fleet, &mut events, clock.now() + 60 * MINUTE).await, []);
        fleet.append(2, 1);
        fleet.pass(SECOND).await;
        assert_eq!(fleet.log.seen().len(), 2);
    });
}

/// Stops polling shard tasks while it is shut: what a thread does that user code blocks.
#[derive(Debug, Clone)]
struct Gate {
    open: watch::Sender<bool>,
    spawner: TokioSpawner,
}

impl Spawner for Gate {
    fn spawn(&self, task: &'static str, mut future: BoxFuture<'static, ()>) {
        if task != "shard task" {
            return self.spawner.spawn(task, future);
        }
        let mut open = self.open.subscribe();
        let gated = async move {
            loop {
                if open.wait_for(|open| *open).await.is_err() {
                    return;
                }
                tokio::select! {
                    biased;
                    _ = open.wait_for(|open| !*open) => {}
                    () = &mut future => return,
                }
            }
        };
        self.spawner.spawn(task, Box::pin(gated));
    }
}

#[test]
fn a_task_that_cannot_even_be_dropped_loses_its_lease_to_another_worker() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let gate = Gate { open: watch::Sender::new(true), spawner: TokioSpawner::new() };
        let a = noting(&fleet, "a", Duration::ZERO).spawner(gate.clone()).build().unwrap().start().await.unwrap();
        let mut events = a.events();
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        let _b = fleet.start("b").await;
        gate.open.send_replace(false);
        let done = done(&fleet, &mut events, clock.now() + 10 * MINUTE).await;
        assert_eq!(texts(&done), ["restart 1 reader_hangs"], "{done:?}");
        fleet.append(1, 1);
        fleet.pass(2 * SECOND).await;
        assert_eq!(fleet.log.numbers(&name(0)), [3], "b goes on where a stood");
        gate.open.send_replace(true);
        fleet.pass(5 * SECOND).await;
        assert_eq!(fleet.log.notes(), ["initialize", "records 1 2"], "a finds its tenure gone and begins nothing");
    });
}

#[test]
fn reasons_have_names_of_their_own() {
    let reasons = [
        RestartReason::FetchHangs,
        RestartReason::ReaderHangs,
        RestartReason::ParentsHang,
        RestartReason::ListingHangs,
        RestartReason::LostWakeup,
    ];
    let names: std::collections::BTreeSet<&str> = reasons.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(names.len(), reasons.len());
    assert_eq!(LeaseReleasedReason::Stuck.as_str(), "stuck");
}
