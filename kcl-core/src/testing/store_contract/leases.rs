//! One row: creating, reading, changing and deleting it.

use bytes::Bytes;

use super::support::{
    applied, at, bare, conflict, create, fleet_of, full, hash_range, key, leases_of, on_counter, owned, read, shard,
    worker,
};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::types::{
    Change, Checkpoint, Condition, CreateOutcome, Epoch, Expect, Heartbeat, Incarnation, Lease, LeaseChange,
    OwnerSwitches, PendingCheckpoint, Throughput, Timestamp, WriteOutcome,
};

pub(super) const CASES: &[Case] = cases![
    starting_again_keeps_the_rows,
    a_created_lease_reads_back_whole,
    a_row_is_created_once,
    keys_may_hold_any_character,
    every_part_of_a_condition_decides_by_itself,
    an_absent_epoch_equals_zero,
    a_change_changes_what_it_names_and_nothing_else,
    a_change_of_nothing_still_asks_its_condition,
    the_own_counter_follows_the_counter,
    a_checkpoint_keeps_its_sub_sequence_number,
    a_pending_checkpoint_keeps_its_state_and_goes_as_a_whole,
    a_row_that_is_not_there_is_missing,
    a_lease_is_deleted_on_its_condition_only,
    unknown_attributes_survive_every_change,
    an_unreadable_row_is_reported_and_left_alone,
    rows_of_other_kinds_are_no_leases,
];

async fn starting_again_keeps_the_rows(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &full("a")).await;
    store.start().await.expect("a store starts again");
    assert_eq!(read(&*store, "a").await, full("a"));
    Ok(())
}

async fn a_created_lease_reads_back_whole(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut foreign = bare("foreign");
    (foreign.epoch, foreign.own_counter) = (None, None);
    let sentinels = [Checkpoint::TrimHorizon, Checkpoint::Latest, Checkpoint::AtTimestamp, Checkpoint::ShardEnd]
        .map(|checkpoint| Lease::unowned(key(&checkpoint.to_string()), checkpoint, 0));
    for lease in [full("full"), bare("bare"), foreign].iter().chain(&sentinels) {
        create(&*store, lease).await;
        assert_eq!(read(&*store, lease.key.as_str()).await, *lease);
    }
    Ok(())
}

async fn a_row_is_created_once(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &full("a")).await;
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Exists);
    assert_eq!(read(&*store, "a").await, full("a"), "the row stays as it was");
    Ok(())
}

async fn keys_may_hold_any_character(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let names = ["a'b", "a\"b", "a%b", "a_b", "a:b", "a\nb", "a b", "ä", "日", "a\\b", "{a}", &"k".repeat(500)];
    for name in names {
        create(&*store, &owned(name, "w-'\"ü")).await;
    }
    for name in names {
        let condition = Condition { owner: Some(Expect::Is(worker("w-'\"ü"))), ..Condition::default() };
        let change = LeaseChange { owner: Change::Remove, ..LeaseChange::default() };
        assert_eq!(applied(store.update(&key(name), &condition, &change).await), bare(name));
        assert_eq!(read(&*store, name).await, bare(name));
    }
    Ok(())
}

async fn every_part_of_a_condition_decides_by_itself(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut taken = full("taken");
    taken.checkpoint = at("5", 0);
    let mut ended = bare("ended");
    ended.checkpoint = Checkpoint::ShardEnd;
    for lease in [&taken, &ended] {
        create(&*store, lease).await;
    }
    let any = Condition::default;
    let is = |id: &str| Some(Expect::Is(worker(id)));
    // Each condition holds of the first row and not of the second, or the other way about.
    let conditions = [
        Condition { owner: is("w-1"), ..any() },
        Condition { owner: is("w-2"), ..any() },
        Condition { owner: Some(Expect::Absent), ..any() },
        Condition { checkpoint_owner: is("w-2"), ..any() },
        Condition { checkpoint_owner: is("w-1"), ..any() },
        Condition { checkpoint_owner: Some(Expect::Absent), ..any() },
        Condition { epoch: Some(Epoch(12)), ..any() },
        Condition { epoch: Some(Epoch(0)), ..any() },
        Condition { epoch: Some(Epoch(13)), ..any() },
        Condition { counter: Some((1 << 53) + 1), ..any() },
        Condition { counter: Some(1 << 53), ..any() },
        Condition { counter: Some(1), ..any() },
        Condition { ended: Some(true), ..any() },
        Condition { ended: Some(false), ..any() },
        any(),
        // All together, with one part that does not hold.
        Condition {
            owner: is("w-1"),
            checkpoint_owner: is("w-2"),
            epoch: Some(Epoch(12)),
            counter: Some(taken.counter),
            ended: Some(false),
        },
        Condition {
            owner: is("w-1"),
            checkpoint_owner: is("w-2"),
            epoch: Some(Epoch(11)),
            counter: Some(taken.counter),
            ended: Some(false),
        },
    ];
    let change = LeaseChange { owner_switches: Some(OwnerSwitches::Increment), ..LeaseChange::default() };
    for row in [&mut taken, &mut ended] {
        for condition in &conditions {
            let outcome = store.update(&row.key, condition, &change).await;
            let holds = condition.holds(row);
            if holds {
                *row = change.apply(row);
            }
            let expected = if holds { WriteOutcome::Applied(row.clone()) } else { WriteOutcome::Conflict(row.clone()) };
            assert_eq!(outcome, expected, "{condition:?}");
            assert_eq!(read(&*store, row.key.as_str()).await, *row, "after {condition:?}");
        }
    }
    Ok(())
}

async fn an_absent_epoch_equals_zero(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut foreign = bare("a");
    foreign.epoch = None;
    create(&*store, &foreign).await;
    let raise = LeaseChange { raise_epoch: true, ..LeaseChange::default() };
    let of_epoch = |epoch| Condition { epoch: Some(Epoch(epoch)), ..Condition::default() };
    assert_eq!(conflict(store.update(&key("a"), &of_epoch(1), &raise).await), foreign);
    assert_eq!(applied(store.update(&key("a"), &of_epoch(0), &raise).await).epoch, Some(Epoch(1)));
    assert_eq!(applied(store.update(&key("a"), &of_epoch(1), &raise).await).epoch, Some(Epoch(2)));
    Ok(())
}

async fn a_change_changes_what_it_names_and_nothing_else(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let keep = LeaseChange::default;
    let pending = PendingCheckpoint::new(at("8", 1), Some(Bytes::from_static(b"state")));
    let changes = [
        LeaseChange { owner: Change::Set(worker("w-9")), ..keep() },
        LeaseChange { owner: Change::Remove, ..keep() },
        LeaseChange { checkpoint_owner: Change::Set(worker("w-9")), ..keep() },
        LeaseChange { checkpoint_owner: Change::Remove, ..keep() },
        LeaseChange { counter: Some((1 << 60) + 1), ..keep() },
        LeaseChange { raise_epoch: true, ..keep() },
        LeaseChange { owner_switches: Some(OwnerSwitches::Increment), ..keep() },
        LeaseChange { owner_switches: Some(OwnerSwitches::Reset), ..keep() },
        LeaseChange { checkpoint: Some(at("6", 2)), ..keep() },
        LeaseChange { checkpoint: Some(Checkpoint::ShardEnd), ..keep() },
        LeaseChange { pending: Change::Set(pending), ..keep() },
        LeaseChange { pending: Change::Remove, ..keep() },
        LeaseChange { children: Some([shard("shardId-000000000042")].into()), ..keep() },
        // Stores in which a set cannot be empty must remove it.
        LeaseChange { children: Some([].into()), ..keep() },
        LeaseChange { hash_range: Some(hash_range(0, 1)), ..keep() },
        LeaseChange { throughput: Some(Throughput(0.5)), ..keep() },
        LeaseChange { start: Some(Timestamp::from_millis(1_767_225_600_999)), ..keep() },
        LeaseChange { last_owner: Some(worker("w-9")), ..keep() },
        LeaseChange { tip: Some(Timestamp::from_millis(1_767_225_600_001)), ..keep() },
        // A take: several attributes in one write.
        LeaseChange {
            owner: Change::Set(worker("w-9")),
            checkpoint_owner: Change::Remove,
            counter: Some(77),
            raise_epoch: true,
            owner_switches: Some(OwnerSwitches::Increment),
            last_owner: Some(worker("w-9")),
            ..keep()
        },
    ];
    for (number, change) in changes.iter().enumerate() {
        // On a row that has everything, and on one that has nothing to change or remove.
        for lease in [full(&format!("full-{number}")), bare(&format!("bare-{number}"))] {
            create(&*store, &lease).await;
            let expected = change.apply(&lease);
            assert_eq!(applied(store.update(&lease.key, &Condition::default(), change).await), expected, "{change:?}");
            assert_eq!(read(&*store, lease.key.as_str()).await, expected, "after {change:?}");
        }
    }
    Ok(())
}

async fn a_change_of_nothing_still_asks_its_condition(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &full("a")).await;
    let nothing = LeaseChange::default();
    assert_eq!(applied(store.update(&key("a"), &on_counter((1 << 53) + 1), &nothing).await), full("a"));
    assert_eq!(conflict(store.update(&key("a"), &on_counter(0), &nothing).await), full("a"));
    assert_eq!(store.update(&key("b"), &Condition::default(), &nothing).await, WriteOutcome::Missing);
    Ok(())
}

async fn the_own_counter_follows_the_counter(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let mut foreign = bare("a");
    (foreign.own_counter, foreign.counter) = (Some(3), 5);
    create(&*store, &foreign).await;
    assert!(!read(&*store, "a").await.last_written_by_us());
    let renew = LeaseChange { counter: Some(6), ..LeaseChange::default() };
    let row = applied(store.update(&key("a"), &on_counter(5), &renew).await);
    assert_eq!((row.counter, row.own_counter), (6, Some(6)));
    let other = LeaseChange { throughput: Some(Throughput(1.5)), ..LeaseChange::default() };
    let row = applied(store.update(&key("a"), &on_counter(6), &other).await);
    assert_eq!((row.counter, row.own_counter), (6, Some(6)), "a change without a counter moves neither");
    Ok(())
}

async fn a_checkpoint_keeps_its_sub_sequence_number(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &bare("a")).await;
    // From a large number back to none: nothing of the old one may stay.
    for checkpoint in [at("5", 1 << 40), at("6", 0), at("7", 3), Checkpoint::ShardEnd, Checkpoint::TrimHorizon] {
        let change = LeaseChange { checkpoint: Some(checkpoint.clone()), ..LeaseChange::default() };
        assert_eq!(applied(store.update(&key("a"), &Condition::default(), &change).await).checkpoint, checkpoint);
        assert_eq!(read(&*store, "a").await.checkpoint, checkpoint);
    }
    Ok(())
}

async fn a_pending_checkpoint_keeps_its_state_and_goes_as_a_whole(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &bare("a")).await;
    let with =
        |sub, state: Option<&'static [u8]>| Some(PendingCheckpoint::new(at("5", sub), state.map(Bytes::from_static)));
    let steps = [with(4, Some(&[0, 159, 146, 150])), with(2, None), with(0, Some(b"{}")), None, with(1, None), None];
    for pending in steps {
        let change = pending.clone().map_or(Change::Remove, Change::Set);
        let change = LeaseChange { pending: change, ..LeaseChange::default() };
        assert_eq!(
            applied(store.update(&key("a"), &Condition::default(), &change).await).pending.as_deref(),
            pending.as_ref()
        );
        assert_eq!(read(&*store, "a").await.pending.as_deref(), pending.as_ref());
    }
    Ok(())
}

async fn a_row_that_is_not_there_is_missing(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    let (absent, any) = (key("a"), Condition::default());
    let change = LeaseChange { counter: Some(5), ..LeaseChange::default() };
    let unowned = Condition { owner: Some(Expect::Absent), epoch: Some(Epoch(0)), ..Condition::default() };
    for condition in [&any, &unowned, &on_counter(1)] {
        assert_eq!(store.update(&absent, condition, &change).await, WriteOutcome::Missing, "{condition:?}");
        assert_eq!(store.delete(&absent, condition).await, WriteOutcome::Missing, "{condition:?}");
    }
    assert_eq!(store.get(&absent).await, Ok(None), "a refused write makes no row");
    Ok(())
}

async fn a_lease_is_deleted_on_its_condition_only(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &full("a")).await;
    let ended = Condition { ended: Some(true), counter: Some(full("a").counter), ..Condition::default() };
    assert_eq!(conflict(store.delete(&key("a"), &ended).await), full("a"));
    assert_eq!(read(&*store, "a").await, full("a"));
    assert_eq!(applied(store.delete(&key("a"), &on_counter(full("a").counter)).await), full("a"));
    assert_eq!(store.get(&key("a")).await, Ok(None));
    create(&*store, &bare("a")).await;
    assert_eq!(read(&*store, "a").await, bare("a"), "nothing of the old row comes back");
    Ok(())
}

async fn unknown_attributes_survive_every_change(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    create(&*store, &full("a")).await;
    if !fixture.set_unknown("a", "theirs").await {
        return Err(Skipped("way to set unknown attributes"));
    }
    let take = LeaseChange {
        owner: Change::Set(worker("w-9")),
        checkpoint_owner: Change::Remove,
        pending: Change::Remove,
        counter: Some(5),
        raise_epoch: true,
        ..LeaseChange::default()
    };
    assert_eq!(applied(store.update(&key("a"), &Condition::default(), &take).await), take.apply(&full("a")));
    assert_eq!(fixture.unknown("a").await.as_deref(), Some("theirs"));
    Ok(())
}

async fn an_unreadable_row_is_reported_and_left_alone(fixture: &dyn StoreFixture) -> Verdict {
    let store = leases_of(fixture)?;
    if !fixture.insert_unreadable(&key("a")).await {
        return Err(Skipped("way to insert an unreadable row"));
    }
    let problem = match store.get(&key("a")).await {
        Ok(Some(Err(problem))) => problem,
        other => panic!("expected a problem, got {other:?}"),
    };
    assert_eq!((problem.key.as_str(), problem.attribute.as_str()), ("a", "leaseCounter"));
    let change = LeaseChange { counter: Some(5), ..LeaseChange::default() };
    for condition in [on_counter(1), Condition { owner: Some(Expect::Absent), ..on_counter(1) }] {
        let updated = store.update(&key("a"), &condition, &change).await;
        assert_eq!(updated, WriteOutcome::Unreadable(problem.clone()));
        assert_eq!(store.delete(&key("a"), &condition).await, WriteOutcome::Unreadable(problem.clone()));
    }
    assert_eq!(store.create(&bare("a")).await, CreateOutcome::Exists);
    assert_eq!(store.get(&key("a")).await, Ok(Some(Err(problem))), "it is as it was");
    Ok(())
}

async fn rows_of_other_kinds_are_no_leases(fixture: &dyn StoreFixture) -> Verdict {
    let (store, fleet) = (leases_of(fixture)?, fleet_of(fixture)?);
    let incarnation = Incarnation::new("1").expect("the suite's incarnations are valid");
    let now = Timestamp::from_millis(1_767_225_600_000);
    let row = applied(fleet.join(&Heartbeat::new(worker("w-1"), incarnation, "kcl-core/0", 1, now), None).await);
    let name = key("w-1");
    let change = LeaseChange { counter: Some(5), ..LeaseChange::default() };
    let updated = store.update(&name, &Condition::default(), &change).await;
    assert!(matches!(updated, WriteOutcome::Unreadable(_)), "{updated:?}");
    let deleted = store.delete(&name, &Condition::default()).await;
    assert!(matches!(deleted, WriteOutcome::Unreadable(_)), "{deleted:?}");
    assert_eq!(store.create(&bare("w-1")).await, CreateOutcome::Exists);
    assert!(matches!(store.get(&name).await, Ok(Some(Err(_)))));
    assert_eq!(fleet.worker(&worker("w-1")).await, Ok(Some(Ok(row))), "it is as it was");
    Ok(())
}
