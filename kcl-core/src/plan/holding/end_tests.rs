//! The end of a shard as its holder sees it: a transaction whose answers are lost, and rows that are in the way.

use std::time::Duration;

use super::*;
use crate::plan::shard_sync::Children;
use crate::types::{ChildShard, ShardId};

fn me() -> WorkerId {
    WorkerId::new("a").unwrap()
}

fn id(index: usize) -> ShardId {
    ShardId::new(format!("shardId-{index}")).unwrap()
}

fn key(index: usize) -> LeaseKey {
    LeaseKey::of_shard(None, &id(index))
}

fn millis(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

fn lost() -> Box<WriteOutcome> {
    Box::new(WriteOutcome::Unknown(StoreError::Unavailable("no answer".into())))
}

/// A holder of shard 0 that ends it at 1 s: two children of a split, of which it may hold one.
fn ending() -> (Lease, Holding) {
    let timings = Timings::from_failover_time(Duration::from_secs(10));
    let free = Lease::unowned(key(0), Checkpoint::TrimHorizon, 50);
    let row = transition::take(&free, &me()).change.apply(&free);
    let rules = Arc::new(Rules { me: me(), timings, checkpoint_interval: timings.renewal });
    let mut holding = Holding::begin(rules, row.clone(), millis(0), 1.0);
    let rows: Vec<Lease> = [1, 2]
        .map(|index| {
            let mut row = Lease::unowned(key(index), Checkpoint::TrimHorizon, 60);
            row.parents.insert(id(0));
            row
        })
        .into();
    let children = [1, 2].map(|index| ChildShard::new(id(index), vec![id(0)], None));
    let rows = Children { due: rows, ..Children::default() };
    let (mut ending, _) = ShardEnding::new(&row, &children, rows);
    ending.own(&me(), 1);
    holding.bid_farewell(Farewell::ShardEnd(ending), millis(1_000));
    (row, holding)
}

fn end(holding: &mut Holding, now: Moment) -> Vec<TransactionStep> {
    match holding.write(now, None) {
        Some(Write::End(steps)) => steps,
        other => panic!("{other:?}"),
    }
}

fn parting(news: Vec<News>) -> Parting {
    let stored = News::Stored(Checkpoint::ShardEnd);
    match <[News; 2]>::try_from(news) {
        Ok([first, News::Gone(parting)]) if first == stored => parting,
        Ok(other) => panic!("{other:?}"),
        Err(mut alone) => match alone.pop() {
            Some(News::Gone(parting)) if alone.is_empty() => parting,
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn children_begin_as_tenures_with_the_write_that_ends_their_parent() {
    let (_, mut holding) = ending();
    assert_eq!((holding.promised(), end(&mut holding, millis(1_000)).len()), (1, 3));
    let parting = parting(holding.answer_end(EndOutcome::Applied, millis(1_020), 0));
    assert_eq!(parting.begun.iter().map(|row| row.key.clone()).collect::<Vec<_>>(), [key(1)]);
    assert_eq!((parting.sent, parting.look_at), (millis(1_000), vec![]), "counted from before it was sent");
    assert!(holding.row().is_ended() && holding.row().owner.is_none());
}

#[test]
fn after_a_lost_answer_the_row_says_whether_the_shard_has_ended() {
    let (mut row, mut holding) = ending();
    let first = end(&mut holding, millis(1_000));
    assert_eq!(holding.answer_end(EndOutcome::Settled(lost()), millis(2_000), 0), []);
    let now = holding.wake_at();
    assert_eq!(end(&mut holding, now), first, "a repetition keeps its conditions");
    let TransactionStep::Update { change, .. } = &first[0] else { panic!("{first:?}") };
    row = change.apply(&row);
    let found = EndOutcome::Settled(Box::new(WriteOutcome::Conflict(row)));
    let parting = parting(holding.answer_end(found, now, 0));
    assert_eq!(parting.begun, [], "reading begins no tenure");
    assert_eq!(parting.look_at, [key(1), key(2)], "but rows that name us are to be adopted");
}

#[test]
fn a_row_that_is_in_the_way_is_left_alone_and_the_rest_is_sent_at_once() {
    let (_, mut holding) = ending();
    let _ = end(&mut holding, millis(1_000));
    let blocked = vec![StepResult::Held, StepResult::Failed, StepResult::Held];
    assert_eq!(holding.answer_end(EndOutcome::Blocked(blocked), millis(1_020), 0), []);
    assert_eq!(end(&mut holding, millis(1_020)).len(), 2);
    let parting = parting(holding.answer_end(EndOutcome::Applied, millis(1_040), 0));
    assert_eq!((parting.begun, parting.look_at), (vec![], vec![key(1)]));
}

#[test]
fn a_hand_off_that_is_asked_for_meanwhile_does_not_hinder_the_end() {
    let (row, mut holding) = ending();
    let _ = end(&mut holding, millis(1_000));
    let ask = transition::ask_to_hand_over(&row, &WorkerId::new("b").unwrap()).unwrap();
    let asked = EndOutcome::Settled(Box::new(WriteOutcome::Conflict(ask.change.apply(&row))));
    assert_eq!(holding.answer_end(asked, millis(1_020), 0), [News::HandOverAsked]);
    assert_eq!(end(&mut holding, millis(1_020)).len(), 3);
    let parting = parting(holding.answer_end(EndOutcome::Applied, millis(1_040), 0));
    assert_eq!((parting.successor, parting.begun.len()), (None, 1));
}

#[test]
fn a_lease_whose_end_cannot_be_written_is_renewed_meanwhile() {
    let (mut row, mut holding) = ending();
    let mut renewals = 0;
    while holding.wake_at() < millis(60_000) {
        let now = holding.wake_at();
        assert_eq!(holding.check(now), None, "the lease is kept");
        match holding.write(now, None) {
            Some(Write::Row(write)) => {
                assert!(write.condition.holds(&row));
                row = write.change.apply(&row);
                renewals += 1;
                assert_eq!(holding.answer(WriteOutcome::Applied(row.clone()), now, 0), []);
            }
            Some(Write::End(_)) => {
                let refused = WriteOutcome::Refused(StoreError::Throttled("slow".into()));
                assert_eq!(holding.answer_end(EndOutcome::Settled(Box::new(refused)), now, 7), []);
            }
            None => {}
        }
    }
    assert!((15..=20).contains(&renewals), "one per period: {renewals}");
}

#[test]
fn a_lease_that_was_taken_meanwhile_is_not_ended() {
    let (row, mut holding) = ending();
    let _ = end(&mut holding, millis(1_000));
    let taken = transition::take(&row, &WorkerId::new("b").unwrap()).change.apply(&row);
    let found = EndOutcome::Settled(Box::new(WriteOutcome::Conflict(taken)));
    assert_eq!(holding.answer_end(found, millis(1_020), 0), [News::Ended(TenureEnd::Taken)]);
}
