//! A stream that is deleted and created again under its name.

use std::time::Duration;

use kcl_core::testing::ManualClock;
use kcl_core::types::{Row, Timestamp};
use kcl_core::{WorkerError, WorkerHandle};

use crate::fleet::{Fleet, name, stream};

const SECOND: Duration = Duration::from_secs(1);

const FIRST: Timestamp = Timestamp::from_seconds(1_700_000_000);
const SECOND_TIME: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Three shards of a stream that says when it was created.
fn fleet(clock: &ManualClock) -> Fleet {
    let fleet = Fleet::new(clock, 3);
    fleet.source.set_created(&stream(), FIRST);
    fleet
}

fn created(fleet: &Fleet) -> Vec<Option<Timestamp>> {
    let rows = fleet.store.rows().into_iter();
    rows.filter_map(|row| if let Row::Lease(lease) = row { Some(lease.stream_created) } else { None }).collect()
}

async fn end_of(worker: &mut WorkerHandle) -> WorkerError {
    worker.wait().await.expect_err("the stream is another one")
}

#[test]
fn a_stream_that_was_created_again_ends_the_workers_one_after_the_other() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = fleet(&clock);
        let mut first = fleet.start("a").await;
        let mut second = fleet.start("b").await;
        fleet.append(3, 2);
        fleet.pass(20 * SECOND).await;
        assert_eq!(created(&fleet), [Some(FIRST); 3]);
        let before = fleet.store.rows();

        fleet.source.set_created(&stream(), SECOND_TIME);
        for worker in [&mut first, &mut second] {
            let error = end_of(worker).await;
            assert!(matches!(&error, WorkerError::StreamRecreated { then, now, .. } if (*then, *now) == (FIRST, SECOND_TIME)));
            let text = error.to_string();
            assert!(text.contains(&name(0)) && text.contains("delete the lease table"), "{text}");
        }
        let checkpoints = |rows: Vec<Row>| -> Vec<_> {
            let leases = rows.into_iter().filter_map(|row| if let Row::Lease(lease) = row { Some(lease) } else { None });
            leases.map(|lease| (lease.key, lease.checkpoint, lease.stream_created)).collect()
        };
        assert_eq!(checkpoints(fleet.store.rows()), checkpoints(before), "positions are kept for people to look at");
    });
}

#[test]
fn a_worker_does_not_start_on_the_table_of_a_stream_that_is_gone() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = fleet(&clock);
        let mut first = fleet.start("a").await;
        fleet.pass(5 * SECOND).await;
        first.stop();
        first.wait().await.unwrap();
        fleet.source.set_created(&stream(), SECOND_TIME);
        let error = fleet.logging("b").build().unwrap().start().await.unwrap_err();
        assert!(matches!(error, WorkerError::StreamRecreated { .. }), "{error}");
        let workers = fleet.store.rows().into_iter().filter(|row| matches!(row, Row::Worker(_))).count();
        assert_eq!(workers, 0, "it leaves no trace in the table");
        fleet.source.set_created(&stream(), FIRST);
        fleet.start("c").await;
    });
}

#[test]
fn children_belong_to_the_stream_of_their_parent() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = fleet(&clock);
        let _worker = fleet.start("a").await;
        fleet.pass(5 * SECOND).await;
        let children = [3, 4].map(|index| (kcl_core::types::ShardId::new(name(index)).unwrap(), None));
        let parent = kcl_core::types::ShardId::new(name(0)).unwrap();
        fleet.source.reshard(&stream(), &[parent], &children);
        fleet.pass(10 * SECOND).await;
        assert_eq!(created(&fleet), [Some(FIRST); 5]);
    });
}
