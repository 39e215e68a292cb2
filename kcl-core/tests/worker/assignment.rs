//! Who gets how much: weights, limits, load, and strategies of users.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::assignment::{AssignmentStrategy, Plan, Snapshot, Step};
use kcl_core::settings::AssignmentKind;
use kcl_core::testing::ManualClock;
use kcl_core::types::Row;
use kcl_core::{ProcessError, Record, Settings, WorkerHandle};

use crate::fleet::{Fleet, key, owners, shard};

const SECOND: Duration = Duration::from_secs(1);

async fn start(fleet: &Fleet, worker: &str, change: impl FnOnce(Settings) -> Settings) -> WorkerHandle {
    let settings = change(fleet.settings(worker));
    let worker = fleet.builder(settings).handler(|_: Record| async { Ok::<(), ProcessError>(()) });
    worker.build().unwrap().start().await.unwrap()
}

#[test]
fn a_worker_with_twice_the_capacity_has_twice_the_leases() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let _a = start(&fleet, "a", |settings| settings).await;
        let _b = start(&fleet, "b", |settings| settings.capacity(2.0)).await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 2), ("b", 4)]));
    });
}

#[test]
fn whoever_leads_keeps_to_the_limit_of_each_worker() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let _a = start(&fleet, "a", |settings| settings).await;
        let b = start(&fleet, "b", |settings| settings.max_leases(1)).await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 5), ("b", 1)]));
        drop(b);
        // Now the one that leads has the limit, and the other does not.
        let fleet = Fleet::new(&clock, 6);
        let _a = start(&fleet, "a", |settings| settings.max_leases(1)).await;
        let _b = start(&fleet, "b", |settings| settings).await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 1), ("b", 5)]));
    });
}

#[test]
fn a_worker_that_joins_has_its_share_of_many_leases_in_fifteen_seconds() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 400);
        let _a = start(&fleet, "a", |settings| settings).await;
        fleet.pass(5 * SECOND).await;
        let _b = start(&fleet, "b", |settings| settings).await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 200), ("b", 200)]));
    });
}

#[test]
fn by_load_the_heavy_shard_is_alone_and_the_light_ones_are_together() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 5);
        let load = |settings: Settings| settings.assignment(AssignmentKind::Load);
        let _a = start(&fleet, "a", load).await;
        let _b = start(&fleet, "b", load).await;
        for _ in 0..300 {
            for (index, bytes) in [60_000, 10_000, 10_000, 10_000, 10_000].into_iter().enumerate() {
                fleet.source.append(&shard(index), "x".repeat(bytes));
            }
            fleet.pass(SECOND).await;
        }
        let mut held: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for row in fleet.store.rows() {
            let Row::Lease(lease) = row else { continue };
            let index = (0..5).find(|index| key(*index) == lease.key).unwrap();
            held.entry(lease.owner.unwrap().to_string()).or_default().push(index);
        }
        let mut held: Vec<Vec<usize>> = held.into_values().collect();
        held.sort();
        assert_eq!(held, [vec![0], vec![1, 2, 3, 4]]);
    });
}

/// All leases on the first worker that lives.
#[derive(Debug)]
struct ActivePassive;

impl AssignmentStrategy for ActivePassive {
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan {
        let Some(active) = snapshot.workers().iter().find(|worker| worker.takes_leases()) else {
            return Plan::default();
        };
        let idle = snapshot.leases().iter().filter(|lease| lease.needs_worker());
        Plan::from(Vec::from_iter(idle.map(|lease| Step::assign(lease.key(), active.id(), "the active one"))))
    }
}

#[test]
fn a_strategy_of_the_user_decides_who_reads() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut a = fleet.logging("a").strategy(ActivePassive).build().unwrap().start().await.unwrap();
        let _b = fleet.logging("b").strategy(ActivePassive).build().unwrap().start().await.unwrap();
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 4)]));
        a.stop();
        a.wait().await.unwrap();
        fleet.pass(5 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("b", 4)]));
    });
}
