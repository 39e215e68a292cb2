//! A holder against a row: answers lost, late, refused, and foreign writes in between.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::types::{LeaseKey, SequenceNumber};

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

fn millis(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

fn position(number: u64) -> RecordPosition {
    RecordPosition { sequence: number.to_string().parse::<SequenceNumber>().unwrap(), sub: 0 }
}

fn timings() -> Timings {
    Timings::from_failover_time(Duration::from_secs(10))
}

/// The row in the store and its holder, begun at 0 s.
fn begun() -> (Lease, Holding) {
    let free = Lease::unowned(LeaseKey::new("s-0").unwrap(), Checkpoint::TrimHorizon, 50);
    let row = transition::take(&free, &worker("a")).change.apply(&free);
    let holding = Holding::begin(worker("a"), row.clone(), millis(0), timings(), timings().renewal, 1.0);
    (row, holding)
}

fn apply(row: &mut Lease, write: &LeaseWrite) -> WriteOutcome {
    if write.condition.holds(row) {
        *row = write.change.apply(row);
        WriteOutcome::Applied(row.clone())
    } else {
        WriteOutcome::Conflict(row.clone())
    }
}

fn lost() -> WriteOutcome {
    WriteOutcome::Unknown(StoreError::Unavailable("no answer".into()))
}

#[test]
fn a_checkpoint_rides_on_the_renewal() {
    let (mut row, mut holding) = begun();
    holding.complete(position(7));
    assert_eq!(holding.write(millis(3_000)), None, "not due yet");
    let write = holding.write(millis(3_334)).unwrap();
    let news = holding.answer(apply(&mut row, &write), millis(3_350), 0);
    assert_eq!(news, [News::Stored(Checkpoint::At(position(7)))]);
    assert_eq!(holding.deadline(), millis(13_334), "counted from before the write was sent");
    holding.complete(position(8));
    assert_eq!(holding.write(millis(3_400)), None, "one write per period, however many records come");
}

#[test]
fn a_flush_is_the_renewal() {
    let (mut row, mut holding) = begun();
    assert!(!holding.flush(millis(100)), "nothing to store");
    holding.complete(position(7));
    assert!(holding.flush(millis(100)));
    let write = holding.write(millis(100)).unwrap();
    assert_eq!(holding.write(millis(100)), None, "one at a time");
    assert_eq!(holding.answer(apply(&mut row, &write), millis(120), 0).len(), 1);
    assert_eq!(holding.wake_at(), millis(100) + timings().renewal);
}

#[test]
fn after_a_lost_answer_the_deadline_counts_from_the_first_write() {
    let (mut row, mut holding) = begun();
    let first = holding.write(millis(3_400)).unwrap();
    let _ = apply(&mut row, &first);
    assert_eq!(holding.answer(lost(), millis(4_400), 0), []);
    let again = holding.wake_at();
    let second = holding.write(again).unwrap();
    assert_eq!(second.condition, first.condition, "a repetition keeps its condition");
    assert_eq!(holding.answer(apply(&mut row, &second), again, 0), [], "the conflict shows that the first was applied");
    assert_eq!(holding.deadline(), millis(13_400));
    assert!(holding.write(again).is_some(), "and it renews at once");
}

#[test]
fn a_refused_write_does_not_move_the_deadline() {
    let (_, mut holding) = begun();
    for step in 0..20 {
        let now = holding.wake_at();
        if let Some(news) = holding.check(now) {
            assert_eq!((news, now, step > 3), (News::Ended(TenureEnd::Expired), millis(10_000), true));
            return;
        }
        let _ = holding.write(now).unwrap();
        assert_eq!(holding.answer(WriteOutcome::Refused(StoreError::Throttled("slow".into())), now, 9), []);
    }
    panic!("the tenure never ended");
}

#[test]
fn an_answer_after_the_deadline_does_not_revive_the_tenure() {
    let (mut row, mut holding) = begun();
    let write = holding.write(millis(9_900)).unwrap();
    let outcome = apply(&mut row, &write);
    assert_eq!(holding.answer(outcome, millis(10_000), 0), [News::Ended(TenureEnd::Expired)]);
}

#[test]
fn a_row_that_was_taken_ends_the_tenure() {
    let (mut row, mut holding) = begun();
    row = transition::take(&row, &worker("b")).change.apply(&row);
    let write = holding.write(millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::Ended(TenureEnd::Taken)]);
}

#[test]
fn a_row_that_came_back_to_us_by_foreign_hands_is_no_tenure_of_ours() {
    let (mut row, mut holding) = begun();
    // Java assigns to c and back to a: owner and epoch are as before, only `k_c` tells.
    row.counter += 2;
    let write = holding.write(millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::Ended(TenureEnd::Taken)]);
}

#[test]
fn a_hand_off_that_a_leader_asks_for_is_completed_by_the_release() {
    let (mut row, mut holding) = begun();
    row.owner = Some(worker("b"));
    row.checkpoint_owner = Some(worker("a"));
    let write = holding.write(millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::HandOverAsked]);
    holding.complete(position(3));
    holding.bid_farewell(Farewell::Release, millis(4_100));
    let write = holding.write(millis(4_100)).unwrap();
    let news = holding.answer(apply(&mut row, &write), millis(4_120), 0);
    assert_eq!(news, [News::Stored(Checkpoint::At(position(3))), News::Gone]);
    assert_eq!((row.owner, row.checkpoint_owner), (Some(worker("b")), None));
    assert_eq!(row.checkpoint, Checkpoint::At(position(3)));
}

#[test]
fn a_farewell_whose_answer_is_lost_is_recognised() {
    for farewell in [Farewell::Release, Farewell::ShardEnd(BTreeSet::new())] {
        let (mut row, mut holding) = begun();
        holding.bid_farewell(farewell, millis(10));
        let write = holding.write(millis(10)).unwrap();
        let _ = apply(&mut row, &write);
        let _ = holding.answer(lost(), millis(1_010), 0);
        let now = holding.wake_at();
        let write = holding.write(now).unwrap();
        assert_eq!(holding.answer(apply(&mut row, &write), now, 0), [News::Gone]);
    }
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Applied,
    AppliedButLost,
    NeverArrived,
    ArrivesLate,
    Refused,
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Applied),
        2 => Just(Fate::AppliedButLost),
        1 => Just(Fate::NeverArrived),
        2 => Just(Fate::ArrivesLate),
        1 => Just(Fate::Refused),
    ]
}

proptest! {
    /// Whatever happens to writes and answers: the stored checkpoint never goes back, nothing is stored that was not
    /// completed, and the holder never believes itself safe for longer than F after the write that others saw.
    #[test]
    fn no_fate_of_a_write_breaks_the_tenure(script in prop::collection::vec((fates(), 0u64..3), 1..60)) {
        let (mut row, mut holding) = begun();
        let mut late: Vec<LeaseWrite> = Vec::new();
        let (mut done, mut seen_at) = (0u64, millis(0));
        let mut stored = row.checkpoint.clone();
        for (fate, completed) in script {
            done += completed;
            if completed > 0 {
                holding.complete(position(done));
            }
            let now = holding.wake_at();
            if holding.check(now).is_some() {
                break;
            }
            let Some(write) = holding.write(now) else { continue };
            let before = row.counter;
            let outcome = match fate {
                Fate::Applied => apply(&mut row, &write),
                Fate::AppliedButLost => { let _ = apply(&mut row, &write); lost() }
                Fate::NeverArrived => lost(),
                Fate::ArrivesLate => { late.push(write); lost() }
                Fate::Refused => WriteOutcome::Refused(StoreError::Throttled("slow".into())),
            };
            if row.counter != before {
                seen_at = now;
            }
            let news = holding.answer(outcome, now, done);
            prop_assert!(!news.iter().any(|n| matches!(n, News::Ended(_) | News::Broken(_))), "{:?}", news);
            if late.len() > 1 {
                // The first of the late ones arrives now, out of order; only one that still matches may count.
                let write = late.remove(0);
                let before = row.counter;
                let _ = apply(&mut row, &write);
                if row.counter != before {
                    seen_at = now;
                }
            }
            prop_assert!(row.checkpoint >= stored, "{} after {}", row.checkpoint, stored);
            stored = row.checkpoint.clone();
            prop_assert!(row.checkpoint <= Checkpoint::At(position(done)) || done == 0);
            prop_assert!(holding.deadline() <= seen_at + timings().failover);
        }
    }
}
