//! Many at once: of n writers with the same condition exactly one wins.

use std::sync::Arc;

use futures_util::future::join_all;

use super::support::{bare, create, key, leases_of, on_counter, owned, read, worker};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::ports::LeaseStore;
use crate::types::{Change, CreateOutcome, LeaseChange, TransactionOutcome, TransactionStep, WriteOutcome};

pub(super) const CASES: &[Case] = cases![
    of_many_takers_exactly_one_wins,
    of_many_creators_exactly_one_creates,
    of_many_transactions_on_one_row_exactly_one_is_applied,
    two_handles_see_each_other_and_count_every_write_once,
];

/// The store's handles: one, or two if the fixture has a second one, started.
async fn handles(fixture: &dyn StoreFixture) -> Result<Vec<Arc<dyn LeaseStore>>, Skipped> {
    let mut handles = vec![leases_of(fixture)?];
    if let Some(second) = fixture.second_handle() {
        second.start().await.expect("a second handle starts on a table that is there");
        handles.push(second);
    }
    Ok(handles)
}

fn take(taker: usize, seen: u64) -> LeaseChange {
    LeaseChange {
        owner: Change::Set(worker(&format!("w-{taker}"))),
        counter: Some(seen + 1),
        raise_epoch: true,
        ..LeaseChange::default()
    }
}

async fn of_many_takers_exactly_one_wins(fixture: &dyn StoreFixture) -> Verdict {
    let handles = handles(fixture).await?;
    create(&*handles[0], &bare("a")).await;
    for round in 1..=ROUNDS {
        let outcomes = join_all((0..TAKERS).map(|taker| {
            let store = handles[taker % handles.len()].clone();
            async move { store.update(&key("a"), &on_counter(round), &take(taker, round)).await }
        }))
        .await;
        let row = read(&*handles[0], "a").await;
        for (taker, outcome) in outcomes.into_iter().enumerate() {
            let id = worker(&format!("w-{taker}"));
            // Losers see the winner's row: there is no other with this counter.
            let won = row.owner.as_ref() == Some(&id);
            let expected = if won { WriteOutcome::Applied(row.clone()) } else { WriteOutcome::Conflict(row.clone()) };
            assert_eq!(outcome, expected, "round {round}, {id}");
        }
        assert_eq!((row.counter, row.epoch().0), (round + 1, round), "one take per round");
    }
    Ok(())
}

async fn of_many_creators_exactly_one_creates(fixture: &dyn StoreFixture) -> Verdict {
    let handles = handles(fixture).await?;
    for round in 0..ROUNDS {
        let name = format!("lease-{round}");
        let outcomes = join_all((0..TAKERS).map(|taker| {
            let (store, lease) = (handles[taker % handles.len()].clone(), owned(&name, &format!("w-{taker}")));
            async move { store.create(&lease).await }
        }))
        .await;
        let winner = outcomes.iter().position(|outcome| *outcome == CreateOutcome::Created);
        let winner = winner.expect("one creates the row");
        assert_eq!(read(&*handles[0], &name).await, owned(&name, &format!("w-{winner}")));
        let exists = outcomes.iter().filter(|outcome| **outcome == CreateOutcome::Exists).count();
        assert_eq!(exists, TAKERS - 1, "{outcomes:?}");
    }
    Ok(())
}

async fn of_many_transactions_on_one_row_exactly_one_is_applied(fixture: &dyn StoreFixture) -> Verdict {
    let handles = handles(fixture).await?;
    create(&*handles[0], &bare("parent")).await;
    for round in 1..=ROUNDS {
        let outcomes = join_all((0..TAKERS).map(|taker| {
            let store = handles[taker % handles.len()].clone();
            let child = owned(&format!("child-{round}-{taker}"), "w-1");
            let (condition, change) = (on_counter(round), take(taker, round));
            let parent = TransactionStep::Update { key: key("parent"), condition, change };
            async move { store.transact(&[parent, TransactionStep::Create(Box::new(child))]).await }
        }))
        .await;
        let row = read(&*handles[0], "parent").await;
        assert!(row.counter <= round + 1, "more than one was applied");
        let mut applied = 0;
        for (taker, outcome) in outcomes.iter().enumerate() {
            let child = handles[0].get(&key(&format!("child-{round}-{taker}"))).await.expect("the read succeeds");
            match outcome {
                TransactionOutcome::Applied => applied += 1,
                // Some stores refuse a transaction that meets another one; then it certainly did nothing.
                TransactionOutcome::Refused(error) => assert!(error.is_retryable(), "{error}"),
                TransactionOutcome::Cancelled(_) => {}
                TransactionOutcome::Unknown(error) => panic!("unknown without a fault: {error}"),
            }
            assert_eq!(child.is_some(), *outcome == TransactionOutcome::Applied, "all or nothing");
        }
        // If all refuse each other nobody wins; the round is then played by one alone.
        if applied == 0 {
            let step =
                TransactionStep::Update { key: key("parent"), condition: on_counter(round), change: take(0, round) };
            assert_eq!(handles[0].transact(&[step]).await, TransactionOutcome::Applied);
        }
        assert_eq!(read(&*handles[0], "parent").await.counter, round + 1);
    }
    Ok(())
}

async fn two_handles_see_each_other_and_count_every_write_once(fixture: &dyn StoreFixture) -> Verdict {
    let handles = handles(fixture).await?;
    if handles.len() < 2 {
        return Err(Skipped("second handle"));
    }
    create(&*handles[0], &bare("a")).await;
    assert_eq!(read(&*handles[1], "a").await, bare("a"), "what one was answered, the other one reads");
    join_all(handles.iter().map(async |store| {
        for _ in 0..INCREMENTS {
            let mut seen = read(&**store, "a").await.counter;
            let change = |seen| LeaseChange { counter: Some(seen + 1), ..LeaseChange::default() };
            // Each Conflict brings the row to try with next, so that a loser needs no read.
            while let WriteOutcome::Conflict(row) = store.update(&key("a"), &on_counter(seen), &change(seen)).await {
                seen = row.counter;
            }
        }
    }))
    .await;
    let expected = 1 + INCREMENTS * handles.len();
    assert_eq!(read(&*handles[0], "a").await.counter, u64::try_from(expected).expect("a small number"));
    Ok(())
}

const TAKERS: usize = 16;
const ROUNDS: u64 = 5;
const INCREMENTS: usize = 50;
