//! Beginnings and ends of shards, and starts that fail.

use std::collections::BTreeSet;
use std::time::Duration;

use kcl_core::memory::{Fault, FaultRule, Operation};
use kcl_core::ports::{Clock, SourceError};
use kcl_core::settings::InitialPosition;
use kcl_core::testing::ManualClock;
use kcl_core::types::{Checkpoint, Lease, Position, Row, ShardId, StoreError};
use kcl_core::{BuildError, Worker, WorkerError};

use crate::fleet::{Fleet, key, name, shard, stream};

const SECOND: Duration = Duration::from_secs(1);

fn id(index: usize) -> ShardId {
    ShardId::new(name(index)).unwrap()
}

#[test]
fn children_are_read_after_their_parents_over_splits_and_merges() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 2);
        let _a = fleet.start("a").await;
        let _b = fleet.start("b").await;
        fleet.append(2, 3);
        // 0 splits into 2 and 3; 3 and 1 merge into 4.
        fleet.source.reshard(&stream(), &[id(0)], &[(id(2), None), (id(3), None)]);
        for index in [2, 3] {
            fleet.source.append(&shard(index), "child");
        }
        fleet.source.reshard(&stream(), &[id(3), id(1)], &[(id(4), None)]);
        fleet.source.append(&shard(4), "grandchild");
        fleet.pass(20 * SECOND).await;
        let order: Vec<String> = fleet.log.seen().iter().map(|seen| seen.shard.clone()).collect();
        let last = |index: usize| order.iter().rposition(|s| *s == name(index)).unwrap();
        let first = |index: usize| order.iter().position(|s| *s == name(index)).unwrap();
        assert!(last(0) < first(2) && last(0) < first(3) && last(3) < first(4) && last(1) < first(4), "{order:?}");
        for (index, count) in [(0, 3), (1, 3), (2, 1), (3, 1), (4, 1)] {
            assert_eq!(fleet.log.numbers(&name(index)).len(), count, "shard {index}");
        }
        for index in [0, 1, 3] {
            let lease = fleet.store.lease(&key(index)).unwrap();
            assert!(lease.is_ended() && lease.owner.is_none(), "{lease:?}");
        }
        // Each names what has a row since its end: 4 was made by whoever ended the last of its parents.
        for (index, children) in [(0, &[2, 3][..]), (1, &[]), (3, &[4])] {
            let children: BTreeSet<ShardId> = children.iter().map(|index| id(*index)).collect();
            assert_eq!(fleet.store.lease(&key(index)).unwrap().children, children, "of shard {index}");
        }
        assert_eq!(fleet.store.lease(&key(4)).unwrap().parents, BTreeSet::from([id(1), id(3)]));
    });
}

#[test]
fn the_end_is_written_although_answers_are_lost_and_children_exist_already() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        fleet.append(1, 2);
        fleet.pass(SECOND).await;
        let mut child = Lease::unowned(key(1), Checkpoint::TrimHorizon, 5);
        child.parents = BTreeSet::from([id(0)]);
        fleet.store.put_row(Row::Lease(Box::new(child)));
        fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Transact).times(2));
        fleet.store.script(FaultRule::new(Fault::LoseAnswer).on(Operation::Update).row(name(0)).times(2));
        fleet.source.reshard(&stream(), &[id(0)], &[(id(1), None), (id(2), None)]);
        fleet.source.append(&shard(1), "x");
        fleet.source.append(&shard(2), "x");
        fleet.pass(15 * SECOND).await;
        assert!(fleet.store.lease(&key(0)).unwrap().is_ended());
        assert_eq!((fleet.log.numbers(&name(1)), fleet.log.numbers(&name(2))), (vec![1], vec![1]));
        assert_eq!(fleet.log.notes(), [format!("ended {}", name(0))]);
    });
}

#[test]
fn an_end_that_names_no_children_is_proven_by_a_listing() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let _a = fleet.start("a").await;
        fleet.append(1, 1);
        fleet.source.reshard(&stream(), &[id(0)], &[(id(1), None), (id(2), None)]);
        fleet.source.close(&shard(0), Vec::new());
        fleet.source.append(&shard(1), "x");
        fleet.pass(10 * SECOND).await;
        assert_eq!(fleet.store.lease(&key(0)).unwrap().children, BTreeSet::from([id(1), id(2)]));
        assert_eq!(fleet.log.numbers(&name(1)), [1]);
    });
}

#[test]
fn latest_is_pinned_when_the_lease_is_created_and_an_instant_is_stored() {
    let clock = ManualClock::new();
    clock.run(async {
        for start in [InitialPosition::Latest, InitialPosition::AtTimestamp(clock.wall())] {
            let fleet = Fleet::new(&clock, 1);
            if start == InitialPosition::Latest {
                fleet.append(1, 2);
                fleet.pass(SECOND).await;
            }
            let settings = fleet.settings("a").start(start);
            // The worker dies before it has read anything; what arrives meanwhile must not be skipped.
            let killable = crate::fleet::Killable::default();
            let worker = fleet.builder(settings).spawner(killable.clone());
            let pinned = match start {
                InitialPosition::AtTimestamp(instant) => instant,
                _ => clock.wall(),
            };
            let _a = worker.handler(|_| async { Ok(()) }).build().unwrap().start().await.unwrap();
            killable.kill();
            fleet.pass(60 * SECOND).await;
            fleet.append(1, 1);
            let _b = fleet.start("b").await;
            fleet.pass(20 * SECOND).await;
            let lease = fleet.store.lease(&key(0)).unwrap();
            assert_eq!(lease.start, Some(pinned));
            assert_eq!(fleet.source.opened(&shard(0)).last(), Some(&Position::AtTime(pinned)));
            assert_eq!(fleet.log.numbers(&name(0)).len(), 1);
        }
    });
}

#[test]
fn a_stream_that_does_not_exist_fails_at_once_and_leaves_no_trace() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let settings = fleet.settings("a").stream("missing");
        let worker = fleet.builder(settings).handler(|_| async { Ok(()) }).build().unwrap();
        let error = worker.start().await.unwrap_err();
        assert!(matches!(&error, WorkerError::Stream { error: SourceError::NotFound { .. }, .. }), "{error}");
        assert!(error.to_string().contains("missing"), "{error}");
        assert_eq!(fleet.store.rows(), []);
    });
}

#[test]
fn what_cannot_be_reached_at_start_is_tried_again_and_fails_within_the_limit() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        fleet.source.fail_listing(SourceError::Unavailable("refused".into()));
        let _a = fleet.start("a").await;

        let fleet = Fleet::new(&clock, 1);
        fleet.store.script(FaultRule::new(Fault::Refuse(StoreError::Unavailable("refused".into()))).always());
        let begun = clock.now();
        let error = fleet.logging("a").build().unwrap().start().await.unwrap_err();
        assert!(error.to_string().contains("refused") && error.to_string().contains("check the endpoint"), "{error}");
        assert!(clock.now().since(begun) <= 30 * SECOND);
    });
}

#[test]
fn what_is_missing_is_named_with_the_cure() {
    let clock = ManualClock::new();
    let fleet = Fleet::new(&clock, 1);
    let error = fleet.builder(fleet.settings("a")).build().unwrap_err();
    assert!(matches!(&error, BuildError::Missing { .. }) && error.to_string().contains(".handler("), "{error}");
    let error = Worker::builder(fleet.settings("a")).handler(|_| async { Ok(()) }).build().unwrap_err();
    assert!(error.to_string().contains("lease table"), "{error}");
}

#[test]
fn an_endpoint_that_never_answers_ends_the_start_within_half_a_minute() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1);
        let begun = clock.now();
        let worker = fleet.logging("a").source(Silent).build().unwrap();
        let error = worker.start().await.unwrap_err();
        assert!(matches!(error, WorkerError::Stream { error: SourceError::Unavailable(_), .. }), "{error}");
        assert!(clock.now().since(begun) <= 30 * SECOND);
    });
}

/// Takes every call and answers none.
#[derive(Debug)]
struct Silent;

#[kcl_core::async_trait]
impl kcl_core::ports::StreamSource for Silent {
    async fn list_shards(&self, _: &kcl_core::types::StreamId) -> Result<kcl_core::ports::ListedShards, SourceError> {
        std::future::pending().await
    }

    fn open(&self, _: &kcl_core::types::ShardRef, _: Position) -> Box<dyn kcl_core::ports::ShardReader> {
        unreachable!("nothing is listed")
    }
}
