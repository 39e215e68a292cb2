//! Several rows together, or none of them.

use super::support::{bare, create, full, key, leases_of, on_counter, owned, read, worker};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::ports::LeaseStore;
use crate::types::{
    Change, Checkpoint, Condition, Lease, LeaseChange, StepResult, StoreError, TRANSACTION_LIMIT, TransactionOutcome,
    TransactionStep,
};

pub(super) const CASES: &[Case] = cases![
    a_shard_end_writes_parent_and_children_together,
    a_step_that_fails_cancels_all_and_is_named,
    a_transaction_has_one_to_four_rows_each_once,
    a_single_step_is_a_transaction_too,
    a_transaction_leaves_unknown_attributes_and_unreadable_rows_alone,
];

fn update(name: &str, condition: Condition, change: LeaseChange) -> TransactionStep {
    TransactionStep::Update { key: key(name), condition, change }
}

fn put(lease: &Lease) -> TransactionStep {
    TransactionStep::Create(Box::new(lease.clone()))
}

fn exists(name: &str) -> TransactionStep {
    TransactionStep::Exists(key(name))
}

fn ended(counter: u64) -> LeaseChange {
    LeaseChange { checkpoint: Some(Checkpoint::ShardEnd), counter: Some(counter), ..LeaseChange::default() }
}

async fn is_there(store: &dyn LeaseStore, name: &str) -> bool {
    store.get(&key(name)).await.expect("the read succeeds").is_some()
}

async fn a_shard_end_writes_parent_and_children_together(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    for lease in [&owned("parent", "w-1"), &full("other parent")] {
        create(&*store, lease).await;
    }
    let children = [owned("left", "w-1"), owned("right", "w-1")];
    let steps =
        [update("parent", on_counter(1), ended(2)), put(&children[0]), put(&children[1]), exists("other parent")];
    assert_eq!(store.transact(&steps).await, TransactionOutcome::Applied);
    assert_eq!(read(&*store, "parent").await, ended(2).apply(&owned("parent", "w-1")));
    for child in &children {
        assert_eq!(read(&*store, child.key.as_str()).await, *child);
    }
    assert_eq!(read(&*store, "other parent").await, full("other parent"));
    Ok(())
}

async fn a_step_that_fails_cancels_all_and_is_named(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    for name in ["a", "b"] {
        create(&*store, &bare(name)).await;
    }
    let good = |name| update(name, on_counter(1), ended(2));
    let late = update("b", on_counter(9), ended(10));
    use StepResult::{Failed, Held};
    for (steps, results) in [
        (vec![good("a"), late.clone()], vec![Held, Failed]),
        (vec![late.clone(), good("a")], vec![Failed, Held]),
        (vec![put(&bare("new")), put(&bare("b"))], vec![Held, Failed]),
        (vec![exists("nothing"), put(&bare("new")), good("a")], vec![Failed, Held, Held]),
        (vec![good("nothing"), exists("a")], vec![Failed, Held]),
        (vec![late, put(&bare("a")), exists("nothing"), exists("new")], vec![Failed; 4]),
    ] {
        assert_eq!(store.transact(&steps).await, TransactionOutcome::Cancelled(results), "{steps:?}");
        for name in ["a", "b"] {
            assert_eq!(read(&*store, name).await, bare(name), "after {steps:?}");
        }
        assert!(!is_there(&*store, "new").await, "after {steps:?}");
    }
    Ok(())
}

async fn a_transaction_has_one_to_four_rows_each_once(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let leases: Vec<Lease> = (0..=TRANSACTION_LIMIT).map(|number| bare(&format!("lease-{number}"))).collect();
    let steps: Vec<TransactionStep> = leases.iter().map(put).collect();
    let twice = [put(&bare("a")), exists("a")];
    for wrong in [&[], &steps[..], &twice[..]] {
        let outcome = store.transact(wrong).await;
        assert!(matches!(outcome, TransactionOutcome::Refused(StoreError::Invalid(_))), "{outcome:?} for {wrong:?}");
    }
    assert!(!is_there(&*store, "a").await && !is_there(&*store, "lease-0").await, "nothing was written");
    assert_eq!(store.transact(&steps[..TRANSACTION_LIMIT]).await, TransactionOutcome::Applied);
    Ok(())
}

async fn a_single_step_is_a_transaction_too(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    assert_eq!(store.transact(&[put(&full("a"))]).await, TransactionOutcome::Applied);
    assert_eq!(store.transact(&[exists("a")]).await, TransactionOutcome::Applied);
    let change = LeaseChange { owner: Change::Set(worker("w-9")), raise_epoch: true, ..LeaseChange::default() };
    assert_eq!(store.transact(&[update("a", Condition::default(), change.clone())]).await, TransactionOutcome::Applied);
    assert_eq!(read(&*store, "a").await, change.apply(&full("a")));
    Ok(())
}

async fn a_transaction_leaves_unknown_attributes_and_unreadable_rows_alone(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &bare("a")).await;
    if !fixture.set_unknown("a", "theirs").await || !fixture.insert_unreadable(&key("b")).await {
        return Err(Skipped("way to set unknown attributes and to insert an unreadable row"));
    }
    assert_eq!(store.transact(&[update("a", on_counter(1), ended(2))]).await, TransactionOutcome::Applied);
    assert_eq!(fixture.unknown("a").await.as_deref(), Some("theirs"));
    let steps = [update("a", on_counter(2), ended(3)), update("b", on_counter(1), ended(2))];
    let cancelled = TransactionOutcome::Cancelled(vec![StepResult::Held, StepResult::Failed]);
    assert_eq!(store.transact(&steps).await, cancelled);
    assert!(matches!(store.get(&key("b")).await, Ok(Some(Err(_)))), "it is as it was");
    Ok(())
}
