//! Checkpoints whose record the stream keeps no longer: they are reported where something may be lost, and not where a shard was
//! only empty for long.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kcl_core::ports::{Clock, DataLoss};
use kcl_core::testing::ManualClock;
use kcl_core::types::{Checkpoint, Lease, RecordEntry, RecordPosition, Row, Timestamp};
use kcl_core::{EventStream, ProcessError, Record, WorkerBuilder, WorkerEvent, WorkerHandle};
use tokio::sync::Semaphore;

use crate::fleet::{Fleet, key, name, shard};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

async fn begin(fleet: &Fleet) -> (WorkerHandle, EventStream) {
    let worker = fleet.logging("a").build().unwrap();
    let events = worker.events();
    (worker.start().await.unwrap(), events)
}

/// Stops a worker; what it told of losses.
async fn end((mut worker, mut events): (WorkerHandle, EventStream)) -> Vec<DataLoss> {
    worker.stop();
    worker.wait().await.unwrap();
    let mut told = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        match event {
            WorkerEvent::DataLoss { loss, .. } => told.push(loss),
            WorkerEvent::Stopped => break,
            _ => {}
        }
    }
    told
}

/// A worker for two minutes: long enough for an answer that shows the tip, and a write after it.
async fn two_minutes(fleet: &Fleet) -> Vec<DataLoss> {
    let worker = begin(fleet).await;
    fleet.pass(2 * MINUTE).await;
    end(worker).await
}

fn lease(fleet: &Fleet) -> Lease {
    fleet.store.lease(&key(0)).unwrap()
}

fn trim(fleet: &Fleet, number: u64) {
    fleet.source.trim(&shard(0), &number.to_string().parse().unwrap());
}

fn loss(checkpoint: &str, next: &str) -> DataLoss {
    DataLoss { checkpoint: checkpoint.parse().unwrap(), next: next.parse().unwrap() }
}

fn read_to(number: u64) -> Checkpoint {
    Checkpoint::At(RecordPosition { sequence: number.to_string().parse().unwrap(), sub: 0 })
}

#[test]
fn a_shard_on_which_nothing_came_for_days_is_resumed_without_a_report() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        for _ in 0..3 {
            assert_eq!(two_minutes(&fleet).await, []);
            assert!(clock.wall().since(lease(&fleet).tip.unwrap()) <= 2 * MINUTE);
            fleet.pass(20 * HOUR).await;
        }
        trim(&fleet, 1);
        // What comes shows the gap at once, or after a while in which it is read in vain.
        fleet.append(1, 1);
        assert_eq!(two_minutes(&fleet).await, []);
        fleet.pass(20 * HOUR).await;
        trim(&fleet, 2);
        let worker = begin(&fleet).await;
        // Longer than what the row says is good for.
        fleet.pass(4 * HOUR).await;
        fleet.append(1, 1);
        fleet.pass(MINUTE).await;
        assert_eq!(end(worker).await, []);
        assert_eq!(fleet.log.numbers(&name(0)), [1, 2, 3]);
    });
}

#[test]
fn a_fleet_that_was_away_for_longer_than_the_retention_reports_it_once_also_if_nothing_is_left() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        assert_eq!(two_minutes(&fleet).await, []);
        let tip = lease(&fleet).tip;
        fleet.append(1, 1);
        fleet.pass(30 * HOUR).await;
        trim(&fleet, 2);
        // An empty shard is at its tip, but nobody knows what was there before.
        assert_eq!(two_minutes(&fleet).await, []);
        assert_eq!((lease(&fleet).tip, lease(&fleet).checkpoint), (tip, read_to(1)));
        let worker = begin(&fleet).await;
        fleet.pass(2 * MINUTE).await;
        fleet.append(1, 1);
        fleet.pass(2 * MINUTE).await;
        assert_eq!(end(worker).await, [loss("1", "3")]);
        assert!(lease(&fleet).tip > tip, "from there on it is known again");
        trim(&fleet, 3);
        fleet.append(1, 1);
        assert_eq!(two_minutes(&fleet).await, []);
        assert_eq!(fleet.log.numbers(&name(0)), [1, 3, 4]);
    });
}

#[test]
fn a_row_that_does_not_say_when_its_shard_was_at_the_tip_is_reported() {
    let clock = ManualClock::new();
    clock.run(async {
        // A worker of the KCL leaves none, and one from the future is none.
        for tip in [None, Some(clock.wall()), Some(Timestamp::from_seconds(1 << 40))] {
            let fleet = Fleet::new(&clock, 1);
            fleet.append(1, 1);
            assert_eq!(two_minutes(&fleet).await, []);
            let mut row = lease(&fleet);
            row.tip = tip;
            fleet.store.put_row(Row::Lease(Box::new(row)));
            fleet.pass(30 * HOUR).await;
            trim(&fleet, 1);
            fleet.append(1, 1);
            assert_eq!(two_minutes(&fleet).await, [loss("1", "2")], "{tip:?}");
            assert!(clock.wall().since(lease(&fleet).tip.unwrap()) <= 2 * MINUTE, "{tip:?}: it is set right");
        }
    });
}

#[test]
fn a_loss_is_reported_where_the_time_of_the_stream_runs_ahead_of_the_clock() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        assert_eq!(two_minutes(&fleet).await, []);
        fleet.append(1, 1);
        trim(&fleet, 2);
        let mut entry = RecordEntry::new("3".parse().unwrap(), "key", Bytes::from_static(b"later"));
        entry.arrival = Some(clock.wall() + 30 * HOUR);
        fleet.source.append_entry(&shard(0), entry);
        assert_eq!(two_minutes(&fleet).await, [loss("1", "3")], "to the stream, a day and more has passed");
    });
}

/// Handles a record once it may.
fn gated(fleet: &Fleet, gate: &Arc<Semaphore>, checkpoint_interval: Duration) -> WorkerBuilder {
    let gate = Arc::clone(gate);
    fleet.builder(fleet.settings("a").checkpoint_interval(checkpoint_interval)).handler(move |_: Record| {
        let gate = Arc::clone(&gate);
        async move {
            gate.acquire().await.unwrap().forget();
            Ok::<_, ProcessError>(())
        }
    })
}

#[test]
fn the_tip_is_noted_with_what_is_completed_and_stored_only() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.append(1, 1);
        let gate = Arc::new(Semaphore::new(0));
        let _worker = gated(&fleet, &gate, HOUR).build().unwrap().start().await.unwrap();
        fleet.pass(10 * MINUTE).await;
        let held = lease(&fleet);
        assert_eq!((held.tip, &held.checkpoint), (None, &Checkpoint::TrimHorizon), "the handler is at work");
        gate.add_permits(1);
        fleet.pass(10 * MINUTE).await;
        assert_eq!(lease(&fleet).checkpoint, read_to(1));
        assert!(clock.wall().since(lease(&fleet).tip.unwrap()) <= 3 * MINUTE);

        let appended = clock.wall();
        fleet.append(1, 1);
        gate.add_permits(1);
        fleet.pass(10 * MINUTE).await;
        let completed = lease(&fleet);
        assert_eq!(completed.checkpoint, read_to(1), "the next one is stored after an hour");
        assert!(
            completed.tip <= Some(appended) && completed.counter > held.counter + 20,
            "and it is renewed all the time"
        );
        fleet.pass(HOUR).await;
        assert_eq!(lease(&fleet).checkpoint, read_to(2));
        assert!(clock.wall().since(lease(&fleet).tip.unwrap()) <= 3 * MINUTE);
    });
}

#[test]
fn an_answer_that_does_not_tell_its_lag_notes_no_tip() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.source.set_lag_known(false);
        fleet.append(1, 1);
        let _worker = begin(&fleet).await;
        fleet.pass(10 * MINUTE).await;
        assert_eq!((lease(&fleet).tip, lease(&fleet).checkpoint), (None, read_to(1)));
        fleet.source.set_lag_known(true);
        fleet.append(1, 1);
        fleet.pass(10 * MINUTE).await;
        assert!(lease(&fleet).tip.is_some());
    });
}
