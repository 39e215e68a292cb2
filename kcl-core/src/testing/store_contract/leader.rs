//! The leader row: read as any library writes it, and written by one of many.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::support::{applied, bare, conflict, create, fleet_of, insert, leases_of, read, worker};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::ports::FleetStore;
use crate::types::{Expect, LeaderRow, Row, WriteOutcome};

pub(super) const CASES: &[Case] = cases![
    the_leader_row_is_read,
    a_leader_row_is_written_once_where_there_is_none,
    a_leader_row_is_renewed_and_taken_over_by_its_version,
    a_release_is_undone_by_the_next_taker,
    of_many_that_want_to_lead_exactly_one_does,
    a_leader_row_that_is_gone_is_missing,
    a_row_of_another_kind_is_never_made_the_leader_row,
    unknown_attributes_of_the_leader_row_survive,
];

/// A held lock with all that this library adds.
fn lock(owner: &str, version: &str, cycle: u64) -> LeaderRow {
    let mut row = LeaderRow::new(worker(owner), Duration::from_millis(12_345), version);
    (row.cycle, row.standby) = (Some(cycle), Some(worker("w-standby")));
    row
}

fn is(version: &str) -> Expect<String> {
    Expect::Is(version.to_owned())
}

async fn stored(fleet: &dyn FleetStore) -> LeaderRow {
    let row = fleet.leader().await.expect("the read succeeds").expect("the row is there");
    row.expect("the row can be read")
}

async fn the_leader_row_is_read(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    assert_eq!(fleet.leader().await, Ok(None));
    let mut row = LeaderRow::new(worker("w-1"), Duration::from_millis(12_345), "8a1c");
    insert(fixture, Row::Leader(row.clone())).await?;
    assert_eq!(fleet.leader().await, Ok(Some(Ok(row.clone()))), "as a Java leader writes it");
    (row.released, row.cycle, row.standby) = (true, Some(42), Some(worker("w-2")));
    insert(fixture, Row::Leader(row.clone())).await?;
    assert_eq!(fleet.leader().await, Ok(Some(Ok(row))));
    Ok(())
}

async fn a_leader_row_is_written_once_where_there_is_none(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let first = lock("w-1", "v-1", 0);
    assert_eq!(applied(fleet.write_leader(&Expect::Absent, &first).await), first);
    assert_eq!(stored(&*fleet).await, first);
    // Nor by the one that leads: it must say what it saw.
    for other in [lock("w-2", "v-2", 0), lock("w-1", "v-1", 1)] {
        assert_eq!(conflict(fleet.write_leader(&Expect::Absent, &other).await), first);
    }
    assert_eq!(stored(&*fleet).await, first);
    Ok(())
}

async fn a_leader_row_is_renewed_and_taken_over_by_its_version(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    // It may be another library's, without what this one adds.
    let java = LeaderRow::new(worker("w-java"), Duration::from_millis(120_000), "8a1c");
    insert(fixture, Row::Leader(java.clone())).await?;
    assert_eq!(conflict(fleet.write_leader(&is("v-0"), &lock("w-1", "v-1", 0)).await), java);
    let mut expected = "8a1c";
    let without_standby = LeaderRow::new(worker("w-2"), Duration::from_millis(1), "v-4");
    let rows = [lock("w-1", "v-1", 0), lock("w-1", "v-2", 1), lock("w-2", "v-3", u64::from(u32::MAX)), without_standby];
    for row in &rows {
        assert_eq!(applied(fleet.write_leader(&is(expected), row).await), *row);
        assert_eq!(stored(&*fleet).await, *row);
        assert_eq!(conflict(fleet.write_leader(&is(expected), &lock("w-9", "late", 9)).await), *row);
        expected = &row.version;
    }
    Ok(())
}

async fn a_release_is_undone_by_the_next_taker(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let held = lock("w-1", "v-1", 3);
    applied(fleet.write_leader(&Expect::Absent, &held).await);
    let mut released = lock("w-1", "v-2", 3);
    released.released = true;
    assert_eq!(applied(fleet.write_leader(&is("v-1"), &released).await), released);
    assert_eq!(stored(&*fleet).await, released);
    let next = lock("w-2", "v-3", 4);
    assert_eq!(applied(fleet.write_leader(&is("v-2"), &next).await), next);
    assert_eq!(stored(&*fleet).await, next, "a lock that is held is not released");
    Ok(())
}

async fn of_many_that_want_to_lead_exactly_one_does(fixture: &dyn StoreFixture) -> Verdict {
    let mut handles: Vec<Arc<dyn FleetStore>> = vec![fleet_of(fixture)?];
    handles.extend(fixture.second_fleet().await);
    let mut expected = Expect::Absent;
    for round in 0..ROUNDS {
        let wanted = |taker: usize| lock(&format!("w-{taker}"), &format!("v-{round}-{taker}"), round);
        let outcomes = join_all((0..TAKERS).map(|taker| {
            let (fleet, expected, row) = (handles[taker % handles.len()].clone(), expected.clone(), wanted(taker));
            async move { fleet.write_leader(&expected, &row).await }
        }))
        .await;
        let row = stored(&*handles[0]).await;
        assert_eq!(row.cycle, Some(round), "one wins in each round");
        for (taker, outcome) in outcomes.into_iter().enumerate() {
            // Losers see the winner's row: nobody else could write with this expectation.
            let won = row == wanted(taker);
            let expected = if won { WriteOutcome::Applied(row.clone()) } else { WriteOutcome::Conflict(row.clone()) };
            assert_eq!(outcome, expected, "round {round}, taker {taker}");
        }
        expected = Expect::Is(row.version);
    }
    Ok(())
}

async fn a_leader_row_that_is_gone_is_missing(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    assert_eq!(fleet.write_leader(&is("v-1"), &lock("w-1", "v-2", 1)).await, WriteOutcome::Missing);
    assert_eq!(fleet.leader().await, Ok(None));
    Ok(())
}

async fn a_row_of_another_kind_is_never_made_the_leader_row(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    insert(fixture, Row::Other { key: "Leader".to_owned(), entity_type: "STREAM".to_owned() }).await?;
    for expected in [Expect::Absent, is("v-1")] {
        let outcome = fleet.write_leader(&expected, &lock("w-1", "v-2", 1)).await;
        assert!(matches!(outcome, WriteOutcome::Unreadable(_)), "{expected:?}: {outcome:?}");
    }
    assert!(matches!(fleet.leader().await, Ok(Some(Err(_)))), "the row is as it was");
    Ok(())
}

async fn unknown_attributes_of_the_leader_row_survive(fixture: &dyn StoreFixture) -> Verdict {
    let (leases, fleet) = (leases_of(fixture)?, fleet_of(fixture)?);
    create(&*leases, &bare("a")).await;
    applied(fleet.write_leader(&Expect::Absent, &lock("w-1", "v-1", 1)).await);
    if !fixture.set_unknown("Leader", "theirs").await {
        return Err(Skipped("way to set unknown attributes"));
    }
    applied(fleet.write_leader(&is("v-1"), &lock("w-2", "v-2", 2)).await);
    assert_eq!(fixture.unknown("Leader").await.as_deref(), Some("theirs"));
    assert_eq!(read(&*leases, "a").await, bare("a"), "no other row changes");
    Ok(())
}

const TAKERS: usize = 16;
const ROUNDS: u64 = 5;
