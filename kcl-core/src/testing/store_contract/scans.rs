//! Many rows: scans and queries by owner, page by page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::support::{applied, bare, create, fleet_of, full, insert, key, leases_of, owned, worker};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::ports::LeaseStore;
use crate::types::{
    Change, Condition, Heartbeat, Incarnation, LeaderRow, LeaseChange, LeaseKey, Projection, Row, RowProblem,
    Timestamp, WorkerId,
};

pub(super) const CASES: &[Case] = cases![
    an_empty_table_has_one_empty_page,
    a_scan_yields_every_lease_once,
    a_scan_yields_leases_workers_and_the_leader_together,
    an_unreadable_row_does_not_stop_a_scan,
    the_planning_projection_carries_what_planning_needs,
    the_index_follows_the_owner,
    the_leases_of_an_owner_come_in_pages,
];

/// All rows by key, from every page; a row that comes twice is a failure.
async fn scan_all(
    store: &dyn LeaseStore,
    projection: Projection,
) -> (BTreeMap<String, Row>, BTreeMap<String, RowProblem>) {
    let (mut rows, mut unreadable) = (BTreeMap::new(), BTreeMap::new());
    let mut token = None;
    for _ in 0..MOST_PAGES {
        let page = store.scan(projection, token).await.expect("the scan succeeds");
        for row in page.rows {
            let name = match &row {
                Row::Lease(lease) => lease.key.to_string(),
                Row::Worker(worker) => worker.worker.to_string(),
                Row::Leader(_) => "Leader".to_owned(),
                Row::Other { key, .. } => key.clone(),
            };
            assert!(rows.insert(name.clone(), row).is_none(), "{name} came twice");
        }
        for problem in page.unreadable {
            assert!(unreadable.insert(problem.key.clone(), problem).is_none(), "a problem came twice");
        }
        token = page.next;
        if token.is_none() {
            return (rows, unreadable);
        }
    }
    panic!("the scan does not end");
}

async fn owned_all(store: &dyn LeaseStore, owner: &WorkerId) -> Vec<LeaseKey> {
    let (mut keys, mut token) = (Vec::new(), None);
    for _ in 0..MOST_PAGES {
        let page = store.owned_by(owner, token).await.expect("the query succeeds");
        keys.extend(page.keys);
        token = page.next;
        if token.is_none() {
            keys.sort();
            return keys;
        }
    }
    panic!("the query does not end");
}

async fn an_empty_table_has_one_empty_page(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    assert_eq!(scan_all(&*store, Projection::All).await, (BTreeMap::new(), BTreeMap::new()));
    assert_eq!(owned_all(&*store, &worker("w-1")).await, []);
    Ok(())
}

async fn a_scan_yields_every_lease_once(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let leases: Vec<_> = (0..MANY).map(|number| full(&format!("shardId-{number:012}"))).collect();
    for lease in &leases {
        create(&*store, lease).await;
    }
    fixture.settle().await;
    let (rows, unreadable) = scan_all(&*store, Projection::All).await;
    let found: Vec<Row> = rows.into_values().collect();
    let expected: Vec<Row> = leases.into_iter().map(|lease| Row::Lease(Box::new(lease))).collect();
    assert_eq!((found, unreadable), (expected, BTreeMap::new()));
    Ok(())
}

async fn a_scan_yields_leases_workers_and_the_leader_together(fixture: &dyn StoreFixture) -> Verdict {
    let (store, fleet) = (leases_of(fixture)?, fleet_of(fixture)?);
    let mut expected = BTreeMap::new();
    for number in 0..9 {
        let (lease, id) = (owned(&format!("shardId-{number:012}"), "w-1"), worker(&format!("w-{number}")));
        create(&*store, &lease).await;
        expected.insert(lease.key.to_string(), Row::Lease(Box::new(lease)));
        let incarnation = Incarnation::new("1").expect("the suite's incarnations are valid");
        let now = Timestamp::from_millis(1_767_225_600_000);
        let row = applied(fleet.join(&Heartbeat::new(id, incarnation, "kcl-core/0", 1, now), None).await);
        expected.insert(row.worker.to_string(), Row::Worker(Box::new(row)));
    }
    let leader = Row::Leader(LeaderRow::new(worker("w-1"), Duration::from_secs(12), "v-1"));
    let other = Row::Other { key: "Migration3.0".into(), entity_type: "CLIENT_VERSION_MIGRATION".into() };
    for (name, row) in [("Leader", leader), ("Migration3.0", other)] {
        insert(fixture, row.clone()).await?;
        expected.insert(name.into(), row);
    }
    fixture.settle().await;
    for projection in [Projection::All, Projection::Planning] {
        assert_eq!(scan_all(&*store, projection).await, (expected.clone(), BTreeMap::new()), "{projection:?}");
    }
    Ok(())
}

async fn an_unreadable_row_does_not_stop_a_scan(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    for name in ["a", "z"] {
        create(&*store, &bare(name)).await;
    }
    if !fixture.insert_unreadable(&key("m")).await {
        return Err(Skipped("way to insert an unreadable row"));
    }
    fixture.settle().await;
    for projection in [Projection::All, Projection::Planning] {
        let (rows, unreadable) = scan_all(&*store, projection).await;
        assert_eq!(rows.into_keys().collect::<Vec<_>>(), ["a", "z"]);
        let problems: Vec<_> =
            unreadable.values().map(|problem| (problem.key.as_str(), problem.attribute.as_str())).collect();
        assert_eq!(problems, [("m", "leaseCounter")]);
    }
    Ok(())
}

async fn the_planning_projection_carries_what_planning_needs(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut expected = full("a");
    create(&*store, &expected).await;
    fixture.settle().await;
    (expected.pending, expected.hash_range, expected.tip) = (None, None, None);
    let (mut rows, _) = scan_all(&*store, Projection::Planning).await;
    assert_eq!(rows.remove("a"), Some(Row::Lease(Box::new(expected))));
    Ok(())
}

async fn the_index_follows_the_owner(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut waiting = owned("waiting", "w-2");
    waiting.checkpoint_owner = Some(worker("w-1"));
    for lease in [&owned("a", "w-1"), &owned("b", "w-2"), &bare("c"), &waiting] {
        create(&*store, lease).await;
    }
    fixture.settle().await;
    assert_eq!(owned_all(&*store, &worker("w-1")).await, [key("a")]);
    assert_eq!(owned_all(&*store, &worker("w-2")).await, [key("b"), key("waiting")]);
    for (name, owner) in [("a", Change::Remove), ("b", Change::Set(worker("w-1"))), ("c", Change::Set(worker("w-1")))] {
        let change = LeaseChange { owner, ..LeaseChange::default() };
        applied(store.update(&key(name), &Condition::default(), &change).await);
    }
    applied(store.delete(&key("waiting"), &Condition::default()).await);
    fixture.settle().await;
    assert_eq!(owned_all(&*store, &worker("w-1")).await, [key("b"), key("c")]);
    assert_eq!(owned_all(&*store, &worker("w-2")).await, []);
    Ok(())
}

async fn the_leases_of_an_owner_come_in_pages(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut expected = Vec::new();
    for number in 0..MANY {
        let lease = owned(&format!("shardId-{number:012}"), if number % 2 == 0 { "even" } else { "odd" });
        create(&*store, &lease).await;
        if number % 2 == 1 {
            expected.push(lease.key);
        }
    }
    fixture.settle().await;
    assert_eq!(owned_all(&*store, &worker("odd")).await, expected);
    Ok(())
}

/// Several pages, if the fixture keeps them as small as it should.
const MANY: usize = 25;

/// A store whose tokens go in circles must fail and not hang.
const MOST_PAGES: usize = 1_000;
