//! The lead: who has it, what becomes of it when workers die, stop, are cut off or plan badly.

use std::time::Duration;

use kcl_core::assignment::{AssignmentStrategy, Plan, Snapshot};
use kcl_core::memory::{Fault, FaultRule, Operation};
use kcl_core::ports::Clock;
use kcl_core::testing::ManualClock;
use kcl_core::types::{LeaderRow, Row, StoreError, WorkerId, WorkerRow};
use kcl_core::{WorkerBuilder, WorkerHandle};

use crate::fleet::{Fleet, Killable, key, name, owners};
use crate::wire::Wire;

const SECOND: Duration = Duration::from_secs(1);
const CALL: Duration = Duration::from_millis(20);

/// A worker of a fleet, how it reaches the table, and how it dies.
struct Member {
    handle: WorkerHandle,
    wire: Wire,
    tasks: Killable,
}

async fn start(fleet: &Fleet, name: &str) -> Member {
    start_with(fleet, fleet.logging(name)).await
}

async fn start_with(fleet: &Fleet, builder: WorkerBuilder) -> Member {
    let wire = Wire::new(&fleet.store, &fleet.clock, CALL);
    let tasks = Killable::default();
    let handle = builder.store(wire.clone()).spawner(tasks.clone()).build().unwrap().start().await.unwrap();
    Member { handle, wire, tasks }
}

fn leader(fleet: &Fleet) -> Option<LeaderRow> {
    fleet.store.rows().into_iter().find_map(|row| match row {
        Row::Leader(row) => Some(row),
        _ => None,
    })
}

fn leader_name(fleet: &Fleet) -> String {
    leader(fleet).unwrap().owner.to_string()
}

fn worker_rows(fleet: &Fleet) -> Vec<String> {
    let worker = |row| match row {
        Row::Worker(row) => Some(row.worker.to_string()),
        _ => None,
    };
    fleet.store.rows().into_iter().filter_map(worker).collect()
}

/// How long after `since` the last shard was read, of which each got one record then.
fn until_all_read(fleet: &Fleet, since: kcl_core::types::Moment, shards: usize, number: u64) -> Duration {
    let first = |shard: usize| {
        let seen = fleet.log.seen();
        seen.iter()
            .find(|seen| seen.shard == name(shard) && seen.number == number)
            .unwrap_or_else(|| panic!("{shard} is not read"))
            .at
    };
    (0..shards).map(first).max().unwrap().since(since)
}

#[test]
fn only_the_leader_and_its_standby_scan_and_nothing_is_written_in_vain() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 12);
        let mut members = Vec::new();
        for name in ["a", "b", "c", "d"] {
            members.push(start(&fleet, name).await);
        }
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 3), ("b", 3), ("c", 3), ("d", 3)]));
        let row = leader(&fleet).unwrap();
        assert_eq!((row.owner.as_str(), row.standby.as_ref().map(WorkerId::as_str)), ("a", Some("b")));
        members.iter().for_each(|member| drop(member.wire.take_calls()));
        fleet.pass(60 * SECOND).await;
        for (index, member) in members.iter().enumerate() {
            let calls = member.wire.take_calls();
            let scans = calls.get("scan").copied().unwrap_or(0);
            assert_eq!(scans > 0, index < 2, "{calls:?}");
            assert!(scans <= 34, "one for each look, and for two listings a minute: {calls:?}");
            assert_eq!((calls.get("conflict"), calls.get("get"), calls.get("notify")), (None, None, None), "{calls:?}");
            // 18.2 a minute for each lease is the budget.
            assert!(calls["update"] <= 3 * 18 + 1, "{calls:?}");
        }
        assert!(leader(&fleet).unwrap().cycle > row.cycle, "cycles are counted");
    });
}

#[test]
fn the_standby_goes_on_when_the_leader_dies() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let members = [start(&fleet, "a").await, start(&fleet, "b").await, start(&fleet, "c").await];
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        members[0].tasks.kill();
        let killed = clock.now();
        fleet.append(6, 1);
        fleet.pass(19 * SECOND).await;
        assert_eq!(leader_name(&fleet), "b");
        assert_eq!(fleet.owners(), owners(&[("b", 3), ("c", 3)]));
        assert!(until_all_read(&fleet, killed, 6, 2) < 19 * SECOND);
        fleet.pass(10 * SECOND).await;
        assert_eq!(worker_rows(&fleet), ["b", "c"], "the row of a dead worker goes");
    });
}

#[test]
fn a_fleet_goes_on_when_leader_and_standby_die_together() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 8);
        let members =
            [start(&fleet, "a").await, start(&fleet, "b").await, start(&fleet, "c").await, start(&fleet, "d").await];
        fleet.append(8, 1);
        fleet.pass(20 * SECOND).await;
        assert_eq!(leader(&fleet).unwrap().standby.unwrap().as_str(), "b");
        members[0].tasks.kill();
        members[1].tasks.kill();
        let killed = clock.now();
        fleet.append(8, 1);
        fleet.pass(30 * SECOND).await;
        assert!(["c", "d"].contains(&leader_name(&fleet).as_str()));
        assert_eq!(fleet.owners(), owners(&[("c", 4), ("d", 4)]));
        assert!(until_all_read(&fleet, killed, 8, 2) < 25 * SECOND);
    });
}

#[test]
fn a_leader_that_stops_gives_up_the_lead_before_it_drains_and_names_successors() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let mut members = vec![start(&fleet, "a").await, start(&fleet, "b").await, start(&fleet, "c").await];
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        let mut a = members.remove(0);
        a.handle.stop();
        let stopped = clock.now();
        fleet.append(6, 1);
        let report = a.handle.wait().await.unwrap();
        assert_eq!((report.released, report.undone.len()), (2, 0));
        assert!(!fleet.owners().contains_key("-"), "each lease has a successor: {:?}", fleet.owners());
        fleet.pass(3 * SECOND).await;
        assert!(until_all_read(&fleet, stopped, 6, 2) < 2 * SECOND);
        for shard in 0..6 {
            assert_eq!(fleet.log.numbers(&name(shard)), [1, 2], "nothing is repeated");
        }
        assert_eq!((leader_name(&fleet), leader(&fleet).unwrap().released), ("b".to_owned(), false));
        assert_eq!(fleet.owners(), owners(&[("b", 3), ("c", 3)]));
    });
}

#[test]
fn the_last_worker_gives_everything_to_nobody_and_the_next_begins_at_once() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut a = start(&fleet, "a").await;
        fleet.append(4, 1);
        fleet.pass(5 * SECOND).await;
        a.handle.stop();
        a.handle.wait().await.unwrap();
        assert_eq!(fleet.owners(), owners(&[("-", 4)]));
        assert!(leader(&fleet).unwrap().released);
        fleet.append(4, 1);
        let started = clock.now();
        let _b = start(&fleet, "b").await;
        fleet.pass(SECOND).await;
        assert!(until_all_read(&fleet, started, 4, 2) < SECOND);
    });
}

#[test]
fn twenty_workers_that_start_together_on_a_new_table_share_it() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 40);
        let names: Vec<String> = (10..30).map(|number| format!("w-{number}")).collect();
        let members = futures_util::future::join_all(names.iter().map(|name| start(&fleet, name))).await;
        fleet.pass(15 * SECOND).await;
        let shared: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 2)).collect();
        assert_eq!(fleet.owners(), owners(&shared));
        fleet.append(40, 3);
        fleet.pass(2 * SECOND).await;
        for shard in 0..40 {
            assert_eq!(fleet.log.numbers(&name(shard)), [1, 2, 3]);
        }
        let creations: usize =
            members.iter().map(|member| member.wire.take_calls().get("create").copied().unwrap_or(0)).sum();
        assert_eq!(creations, 40, "one worker creates");
    });
}

#[test]
fn a_thousand_shards_on_a_new_table_are_read_within_two_seconds() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1_000);
        fleet.append(1_000, 1);
        let started = clock.now();
        let _a = start(&fleet, "a").await;
        fleet.pass(5 * SECOND).await;
        let seen = fleet.log.seen();
        assert_eq!(seen.len(), 1_000);
        assert!(seen[0].at.since(started) < 2 * SECOND, "first after {:?}", seen[0].at.since(started));
        assert!(seen[999].at.since(started) < 4 * SECOND, "last after {:?}", seen[999].at.since(started));
    });
}

#[test]
fn a_new_worker_has_its_share_of_a_thousand_leases_within_fifteen_seconds() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 1_000);
        let _a = start(&fleet, "a").await;
        fleet.pass(10 * SECOND).await;
        let _b = start(&fleet, "b").await;
        fleet.pass(15 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 500), ("b", 500)]));
    });
}

#[test]
fn without_any_leader_workers_take_what_they_see_expire() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let members = [start(&fleet, "a").await, start(&fleet, "b").await, start(&fleet, "c").await];
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        // Nobody may write the lock any more.
        let denied = Fault::Refuse(StoreError::Denied("no right to the leader row".into()));
        fleet.store.script(FaultRule::new(denied).on(Operation::WriteLeader).always());
        members[0].tasks.kill();
        fleet.append(6, 1);
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("b", 3), ("c", 3)]));
        for shard in 0..6 {
            assert_eq!(fleet.log.numbers(&name(shard)).last(), Some(&2));
        }
    });
}

/// Thinks of nothing.
#[derive(Debug)]
struct Broken;

impl AssignmentStrategy for Broken {
    fn propose(&self, _: &Snapshot<'_>) -> Plan {
        panic!("no idea")
    }
}

#[test]
fn a_strategy_that_panics_costs_the_lead_and_stops_nothing() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut a = start_with(&fleet, fleet.logging("a").strategy(Broken)).await;
        fleet.append(4, 1);
        fleet.pass(25 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 4)]), "alone it takes everything for itself, at last");
        let _b = start(&fleet, "b").await;
        fleet.pass(40 * SECOND).await;
        assert_eq!((leader_name(&fleet).as_str(), fleet.owners()), ("b", owners(&[("a", 2), ("b", 2)])));
        a.handle.stop();
        a.handle.wait().await.unwrap();
    });
}

#[test]
fn a_leader_that_is_cut_off_for_a_minute_writes_nothing_stale_and_follows_when_it_is_back() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let members = [start(&fleet, "a").await, start(&fleet, "b").await];
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        members[0].wire.cut();
        fleet.append(6, 1);
        fleet.pass(60 * SECOND).await;
        assert_eq!((leader_name(&fleet).as_str(), fleet.owners()), ("b", owners(&[("b", 6)])));
        assert_eq!(worker_rows(&fleet), ["b"]);
        members[0].wire.mend();
        drop(members[0].wire.take_calls());
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        assert_eq!((leader_name(&fleet).as_str(), fleet.owners()), ("b", owners(&[("a", 3), ("b", 3)])));
        assert_eq!(members[0].wire.take_calls().get("create"), None);
        for shard in 0..6 {
            let numbers = fleet.log.numbers(&name(shard));
            assert!(numbers.windows(2).all(|pair| pair[1] <= pair[0] + 1) && numbers.last() == Some(&3), "{numbers:?}");
        }
    });
}

#[test]
fn a_fleet_whose_table_is_silent_for_a_minute_goes_on_by_itself() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 6);
        let members = [start(&fleet, "a").await, start(&fleet, "b").await, start(&fleet, "c").await];
        fleet.append(6, 1);
        fleet.pass(20 * SECOND).await;
        members.iter().for_each(|member| member.wire.cut());
        fleet.pass(60 * SECOND).await;
        fleet.append(6, 1);
        members.iter().for_each(|member| member.wire.mend());
        let mended = clock.now();
        fleet.pass(15 * SECOND).await;
        assert!(until_all_read(&fleet, mended, 6, 2) < 5 * SECOND, "each has its own rows back");
        assert_eq!(fleet.owners(), owners(&[("a", 2), ("b", 2), ("c", 2)]));
    });
}

#[test]
fn a_restarted_leader_leads_at_once_and_an_unreadable_leader_row_stops_nothing() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let a = start(&fleet, "a").await;
        fleet.pass(10 * SECOND).await;
        a.tasks.kill();
        fleet.append(4, 1);
        let restarted = clock.now();
        let again = start_with(&fleet, fleet.logging("a").seed(8)).await;
        fleet.pass(SECOND).await;
        assert!(until_all_read(&fleet, restarted, 4, 1) < SECOND);
        let problem = kcl_core::types::RowProblem::new("Leader", "leaseDuration", "abc is no duration");
        fleet.store.put_unreadable(problem);
        again.tasks.kill();
        fleet.append(4, 1);
        let _b = start(&fleet, "b").await;
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("b", 4)]), "it takes what it has seen expire");
    });
}

#[test]
fn a_relic_among_the_workers_is_given_nothing_it_does_not_adopt() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 4);
        let mut relic = WorkerRow::new(WorkerId::new("relic").unwrap());
        relic.implementation = Some("kcl-core/0".into());
        relic.heartbeat = Some(7);
        fleet.store.put_row(Row::Worker(Box::new(relic)));
        let _a = start(&fleet, "a").await;
        fleet.append(4, 1);
        fleet.pass(30 * SECOND).await;
        assert_eq!(fleet.owners(), owners(&[("a", 4)]));
        assert_eq!(worker_rows(&fleet), ["a"]);
        assert_eq!(fleet.store.lease(&key(0)).unwrap().holder().unwrap().as_str(), "a");
    });
}
