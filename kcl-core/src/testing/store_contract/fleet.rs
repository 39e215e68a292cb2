//! Workers' rows, their inboxes, and the leader row.

use futures_util::future::join_all;

use super::support::{applied, bare, conflict, create, fleet_of, insert, key, leases_of, read, worker};
use super::{Case, Skipped, StoreFixture, Verdict, cases};
use crate::types::{Heartbeat, Incarnation, LeaseKey, Row, StoreError, Timestamp, WorkerRow, WriteOutcome};

pub(super) const CASES: &[Case] = cases![
    a_first_heartbeat_writes_all_that_the_worker_says,
    a_heartbeat_replaces_what_the_one_before_said,
    a_worker_that_is_not_there_is_missing_and_nothing_creates_it,
    a_restarted_worker_takes_over_its_id_and_keeps_the_inbox,
    a_late_join_over_a_newer_process_is_a_conflict_and_changes_nothing,
    a_join_that_is_repeated_is_applied_again,
    a_join_makes_the_row_that_vanished_since_it_was_seen,
    an_inbox_is_a_set_and_loses_what_was_handled,
    concurrent_notes_are_all_kept,
    a_worker_removes_its_own_row_only,
    rows_of_other_libraries_are_read_and_never_written_to,
    a_worker_takes_over_a_foreign_row_with_its_id_if_it_has_seen_it,
    unknown_attributes_survive_heartbeats,
    a_lease_is_no_worker,
    a_worker_that_died_is_removed,
    a_worker_that_moved_is_not_removed,
    a_row_without_any_sign_of_life_is_removed,
];

fn heartbeat(id: &str, incarnation: &str, count: u64) -> Heartbeat {
    // Whole seconds: the KCL stores no more.
    let seconds = i64::try_from(1_767_225_600 + count).expect("a small number");
    let incarnation = Incarnation::new(incarnation).expect("the suite's incarnations are valid");
    Heartbeat::new(worker(id), incarnation, "kcl-core/0.1.0", count, Timestamp::from_millis(seconds * 1_000))
}

/// The row that this heartbeat leaves if the inbox is empty.
fn row_of(heartbeat: &Heartbeat) -> WorkerRow {
    let mut row = WorkerRow::new(heartbeat.worker.clone());
    row.updated = Some(heartbeat.now);
    row.implementation = Some(heartbeat.implementation.clone());
    row.heartbeat = Some(heartbeat.count);
    row.incarnation = Some(heartbeat.incarnation.clone());
    row.capacity = Some(heartbeat.capacity);
    row.max_leases = heartbeat.max_leases;
    row.zone = heartbeat.zone.clone();
    row
}

fn keys(names: &[&str]) -> std::collections::BTreeSet<LeaseKey> {
    names.iter().map(|name| key(name)).collect()
}

async fn a_first_heartbeat_writes_all_that_the_worker_says(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    assert_eq!(fleet.worker(&worker("w-1")).await, Ok(None));
    let mut first = heartbeat("w-1", "i-1", 1);
    first.capacity = 2.5;
    first.max_leases = Some(7);
    first.zone = Some("eu-west-1a".into());
    assert_eq!(applied(fleet.join(&first, None).await), row_of(&first));
    assert_eq!(fleet.worker(&worker("w-1")).await, Ok(Some(Ok(row_of(&first)))));
    assert_eq!(fleet.worker(&worker("w-2")).await, Ok(None), "each worker has a row of its own");
    Ok(())
}

async fn a_heartbeat_replaces_what_the_one_before_said(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let mut first = heartbeat("w-1", "i-1", 1);
    (first.zone, first.max_leases) = (Some("eu-west-1a".into()), Some(7));
    applied(fleet.join(&first, None).await);
    // The worker is stopping, and no longer knows its zone or a limit.
    let mut second = heartbeat("w-1", "i-1", 2);
    second.capacity = 0.0;
    assert_eq!(applied(fleet.heartbeat(&second).await), row_of(&second));
    let row = fleet.worker(&worker("w-1")).await.expect("the read succeeds").expect("the row is there");
    let row = row.expect("the row can be read");
    assert_eq!((row.takes_leases(), row), (false, row_of(&second)));
    Ok(())
}

async fn a_worker_that_is_not_there_is_missing_and_nothing_creates_it(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let first = heartbeat("w-1", "i-1", 1);
    assert_eq!(fleet.heartbeat(&first).await, WriteOutcome::Missing);
    assert_eq!(fleet.leave(&first.worker, &first.incarnation).await, WriteOutcome::Missing);
    assert_eq!(fleet.notify(&first.worker, &key("a")).await, WriteOutcome::Missing);
    assert_eq!(fleet.remove_worker(&row_of(&first)).await, WriteOutcome::Missing);
    assert_eq!(fleet.worker(&first.worker).await, Ok(None), "KCL would read such a row as a lease");
    Ok(())
}

async fn a_restarted_worker_takes_over_its_id_and_keeps_the_inbox(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (old, new) = (heartbeat("w-1", "i-1", 7), heartbeat("w-1", "i-2", 1));
    applied(fleet.join(&old, None).await);
    applied(fleet.notify(&old.worker, &key("a")).await);
    let mut expected = row_of(&new);
    expected.inbox = keys(&["a"]);
    assert_eq!(applied(fleet.join(&new, Some(&row_of(&old))).await), expected);
    // The process that had the id before learns so, and changes nothing any more.
    let mut late = heartbeat("w-1", "i-1", 8);
    late.handled = keys(&["a"]);
    assert_eq!(conflict(fleet.heartbeat(&late).await), expected);
    assert_eq!(conflict(fleet.leave(&late.worker, &late.incarnation).await), expected);
    assert_eq!(fleet.worker(&new.worker).await, Ok(Some(Ok(expected))));
    Ok(())
}

async fn a_late_join_over_a_newer_process_is_a_conflict_and_changes_nothing(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (old, new, newest) = (heartbeat("w-1", "i-1", 1), heartbeat("w-1", "i-2", 1), heartbeat("w-1", "i-3", 1));
    applied(fleet.join(&old, None).await);
    // What counts is whose row was seen, not how much its writer has said since.
    applied(fleet.heartbeat(&heartbeat("w-1", "i-1", 2)).await);
    applied(fleet.join(&new, Some(&row_of(&old))).await);
    applied(fleet.join(&newest, Some(&row_of(&new))).await);
    let row = applied(fleet.notify(&newest.worker, &key("a")).await);
    let foreign = foreign("w-1");
    for (late, seen) in [(&old, None), (&old, Some(&foreign)), (&new, Some(&row_of(&old))), (&new, None)] {
        assert_eq!(conflict(fleet.join(late, seen).await), row, "{late:?} over {seen:?}");
    }
    assert_eq!(fleet.worker(&newest.worker).await, Ok(Some(Ok(row))));
    Ok(())
}

async fn a_join_that_is_repeated_is_applied_again(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (first, again) = (heartbeat("w-1", "i-1", 1), heartbeat("w-1", "i-1", 2));
    applied(fleet.join(&first, None).await);
    assert_eq!(applied(fleet.join(&again, None).await), row_of(&again));
    let (first, again) = (heartbeat("w-1", "i-2", 1), heartbeat("w-1", "i-2", 2));
    for next in [&first, &again] {
        assert_eq!(applied(fleet.join(next, Some(&row_of(&heartbeat("w-1", "i-1", 2)))).await), row_of(next));
    }
    // Who looks again before it repeats sees itself.
    assert_eq!(applied(fleet.join(&again, Some(&row_of(&first))).await), row_of(&again));
    Ok(())
}

async fn a_join_makes_the_row_that_vanished_since_it_was_seen(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (old, new) = (heartbeat("w-1", "i-1", 1), heartbeat("w-1", "i-2", 1));
    for seen in [row_of(&old), foreign("w-1")] {
        assert_eq!(applied(fleet.join(&new, Some(&seen)).await), row_of(&new));
        applied(fleet.leave(&new.worker, &new.incarnation).await);
    }
    Ok(())
}

async fn an_inbox_is_a_set_and_loses_what_was_handled(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let id = worker("w-1");
    applied(fleet.join(&heartbeat("w-1", "i-1", 1), None).await);
    for (lease, inbox) in [("a", &["a"][..]), ("b", &["a", "b"]), ("a", &["a", "b"]), ("c", &["a", "b", "c"])] {
        assert_eq!(applied(fleet.notify(&id, &key(lease)).await).inbox, keys(inbox));
    }
    // What is handled goes, what came meanwhile stays, and what is not there is no matter.
    let steps: [(u64, &[&str], &[&str]); 4] =
        [(2, &[], &["a", "b", "c"]), (3, &["a", "x"], &["b", "c"]), (4, &["b", "c"], &[]), (5, &["a"], &[])];
    for (count, handled, inbox) in steps {
        let mut next = heartbeat("w-1", "i-1", count);
        next.handled = keys(handled);
        let row = applied(fleet.heartbeat(&next).await);
        assert_eq!((row.heartbeat, row.inbox), (Some(count), keys(inbox)));
    }
    assert_eq!(applied(fleet.notify(&id, &key("a")).await).inbox, keys(&["a"]), "an emptied inbox fills again");
    Ok(())
}

async fn concurrent_notes_are_all_kept(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    applied(fleet.join(&heartbeat("w-1", "i-1", 1), None).await);
    let leases: Vec<LeaseKey> = (0..16).map(|number| key(&format!("shardId-{number:012}"))).collect();
    let id = worker("w-1");
    for outcome in join_all(leases.iter().map(|lease| fleet.notify(&id, lease))).await {
        applied(outcome);
    }
    let row = applied(fleet.heartbeat(&heartbeat("w-1", "i-1", 2)).await);
    assert_eq!(row.inbox.into_iter().collect::<Vec<_>>(), leases);
    Ok(())
}

async fn a_worker_removes_its_own_row_only(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (one, two) = (heartbeat("w-1", "i-1", 1), heartbeat("w-2", "i-1", 1));
    for first in [&one, &two] {
        applied(fleet.join(first, None).await);
    }
    assert_eq!(applied(fleet.leave(&one.worker, &one.incarnation).await), row_of(&one));
    assert_eq!(fleet.worker(&one.worker).await, Ok(None));
    assert_eq!(fleet.leave(&one.worker, &one.incarnation).await, WriteOutcome::Missing);
    assert_eq!(fleet.worker(&two.worker).await, Ok(Some(Ok(row_of(&two)))));
    Ok(())
}

/// The row of a Java worker: it carries nothing of ours.
fn foreign(id: &str) -> WorkerRow {
    let mut row = WorkerRow::new(worker(id));
    row.updated = Some(Timestamp::from_millis(1_767_225_600_000));
    row
}

async fn rows_of_other_libraries_are_read_and_never_written_to(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let row = foreign("w-java");
    insert(fixture, Row::Worker(Box::new(row.clone()))).await?;
    assert_eq!(fleet.worker(&row.worker).await, Ok(Some(Ok(row.clone()))));
    assert_eq!(conflict(fleet.notify(&row.worker, &key("a")).await), row);
    let ours = heartbeat("w-java", "i-1", 1);
    assert_eq!(conflict(fleet.heartbeat(&ours).await), row);
    assert_eq!(conflict(fleet.leave(&ours.worker, &ours.incarnation).await), row);
    assert_eq!(fleet.worker(&row.worker).await, Ok(Some(Ok(row))));
    Ok(())
}

async fn a_worker_takes_over_a_foreign_row_with_its_id_if_it_has_seen_it(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (java, first) = (foreign("w-1"), heartbeat("w-1", "i-1", 1));
    insert(fixture, Row::Worker(Box::new(java.clone()))).await?;
    for seen in [None, Some(&row_of(&heartbeat("w-1", "i-0", 1)))] {
        assert_eq!(conflict(fleet.join(&first, seen).await), java);
    }
    assert_eq!(applied(fleet.join(&first, Some(&java)).await), row_of(&first));
    Ok(())
}

async fn unknown_attributes_survive_heartbeats(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    applied(fleet.join(&heartbeat("w-1", "i-1", 1), None).await);
    if !fixture.set_unknown("w-1", "theirs").await {
        return Err(Skipped("way to set unknown attributes"));
    }
    applied(fleet.heartbeat(&heartbeat("w-1", "i-1", 2)).await);
    applied(fleet.notify(&worker("w-1"), &key("a")).await);
    applied(fleet.join(&heartbeat("w-1", "i-2", 1), Some(&row_of(&heartbeat("w-1", "i-1", 2)))).await);
    assert_eq!(fixture.unknown("w-1").await.as_deref(), Some("theirs"));
    Ok(())
}

async fn a_lease_is_no_worker(fixture: &dyn StoreFixture) -> Verdict {
    let (leases, fleet) = (leases_of(fixture)?, fleet_of(fixture)?);
    create(&*leases, &bare("w-1")).await;
    let first = heartbeat("w-1", "i-1", 1);
    for seen in [None, Some(&row_of(&first)), Some(&foreign("w-1"))] {
        let joined = fleet.join(&first, seen).await;
        assert!(matches!(joined, WriteOutcome::Refused(StoreError::Invalid(_))), "{joined:?}");
    }
    for outcome in [
        fleet.heartbeat(&first).await,
        fleet.leave(&first.worker, &first.incarnation).await,
        fleet.notify(&first.worker, &key("a")).await,
        fleet.remove_worker(&row_of(&first)).await,
        fleet.remove_worker(&WorkerRow::new(first.worker.clone())).await,
    ] {
        assert!(matches!(outcome, WriteOutcome::Unreadable(_)), "{outcome:?}");
    }
    assert!(matches!(fleet.worker(&first.worker).await, Ok(Some(Err(_)))));
    assert_eq!(read(&*leases, "w-1").await, bare("w-1"), "the lease is as it was");
    Ok(())
}

async fn a_worker_that_died_is_removed(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let (dead, alive) = (heartbeat("w-1", "i-1", 1), heartbeat("w-2", "i-1", 1));
    for first in [&dead, &alive] {
        applied(fleet.join(first, None).await);
    }
    // Others write into its inbox, which is no sign of life.
    let removed = applied(fleet.notify(&dead.worker, &key("a")).await);
    assert_eq!(applied(fleet.remove_worker(&row_of(&dead)).await), removed);
    assert_eq!(fleet.worker(&dead.worker).await, Ok(None));
    assert_eq!(fleet.remove_worker(&row_of(&dead)).await, WriteOutcome::Missing);
    assert_eq!(fleet.worker(&alive.worker).await, Ok(Some(Ok(row_of(&alive)))), "only this row goes");
    let java = foreign("w-java");
    insert(fixture, Row::Worker(Box::new(java.clone()))).await?;
    assert_eq!(applied(fleet.remove_worker(&java).await), java);
    Ok(())
}

async fn a_worker_that_moved_is_not_removed(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let seen = row_of(&heartbeat("w-1", "i-1", 1));
    // The next heartbeat; a restart that begins to count anew; the same count at another time.
    let mut later = heartbeat("w-1", "i-1", 1);
    later.now = Timestamp::from_millis(later.now.as_millis() + 1_000);
    let mut before = None;
    for moved in [heartbeat("w-1", "i-1", 2), heartbeat("w-1", "i-2", 1), later] {
        let row = applied(fleet.join(&moved, before.as_ref()).await);
        before = Some(row.clone());
        assert_eq!(conflict(fleet.remove_worker(&seen).await), row);
        assert_eq!(conflict(fleet.remove_worker(&WorkerRow::new(seen.worker.clone())).await), row);
        assert_eq!(fleet.worker(&seen.worker).await, Ok(Some(Ok(row))));
    }
    let mut java = foreign("w-java");
    insert(fixture, Row::Worker(Box::new(java.clone()))).await?;
    let row = java.clone();
    java.updated = java.updated.map(|at| Timestamp::from_millis(at.as_millis() - 1_000));
    assert_eq!(conflict(fleet.remove_worker(&java).await), row);
    Ok(())
}

async fn a_row_without_any_sign_of_life_is_removed(fixture: &dyn StoreFixture) -> Verdict {
    let fleet = fleet_of(fixture)?;
    let bare = WorkerRow::new(worker("w-1"));
    insert(fixture, Row::Worker(Box::new(bare.clone()))).await?;
    assert_eq!(applied(fleet.remove_worker(&bare).await), bare);
    assert_eq!(fleet.worker(&bare.worker).await, Ok(None));
    Ok(())
}
