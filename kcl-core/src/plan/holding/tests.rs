//! A holder against a row: answers lost, late, refused, and foreign writes in between.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::plan::shard_sync::Children;
use crate::types::{LeaseKey, SequenceNumber, WriteOutcome};

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
    begun_with(timings().renewal)
}

fn begun_with(checkpoint_interval: Duration) -> (Lease, Holding) {
    let free = Lease::unowned(LeaseKey::new("s-0").unwrap(), Checkpoint::TrimHorizon, 50);
    let row = transition::take(&free, &worker("a")).change.apply(&free);
    let rules = Arc::new(Rules { me: worker("a"), timings: timings(), checkpoint_interval });
    let holding = Holding::begin(rules, row.clone(), millis(0), 1.0);
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

/// The write that is due, of the row alone.
fn due(holding: &mut Holding, now: Moment) -> Option<LeaseWrite> {
    due_with(holding, now, None)
}

/// The same, of a shard that was at its tip then.
fn due_with(holding: &mut Holding, now: Moment, tip: Option<Timestamp>) -> Option<LeaseWrite> {
    holding.write(now, tip).map(|write| match write {
        Write::Row(write) => *write,
        Write::End(steps) => panic!("{steps:?}"),
    })
}

fn lost() -> WriteOutcome {
    WriteOutcome::Unknown(StoreError::Unavailable("no answer".into()))
}

#[test]
fn a_checkpoint_rides_on_the_renewal() {
    let (mut row, mut holding) = begun();
    holding.complete(position(7), 0);
    assert_eq!(due(&mut holding, millis(3_000)), None, "not due yet");
    let write = due(&mut holding, millis(3_334)).unwrap();
    let news = holding.answer(apply(&mut row, &write), millis(3_350), 0);
    assert_eq!(news, [News::Stored(Checkpoint::At(position(7)))]);
    assert_eq!(holding.deadline(), millis(13_334), "counted from before the write was sent");
    holding.complete(position(8), 0);
    assert_eq!(due(&mut holding, millis(3_400)), None, "one write per period, however many records come");
}

#[test]
fn positions_ride_on_renewals_at_any_interval_longer_than_the_period() {
    for interval in [3_334, 3_400, 4_000, 5_000, 9_999, 10_001, 30_000, 90_000] {
        let (mut row, mut holding) = begun_with(Duration::from_millis(interval));
        let (mut writes, mut stored) = (0, Vec::new());
        for now in (0..600_000).step_by(50) {
            holding.complete(position(now + 1), 0);
            if let Some(write) = due(&mut holding, millis(now)) {
                writes += 1;
                let news = holding.answer(apply(&mut row, &write), millis(now + 20), 0);
                stored.extend(news.iter().any(|news| matches!(news, News::Stored(_))).then_some(now));
            }
        }
        assert!(writes <= 180, "{writes} writes in 10 min at {interval} ms");
        let gaps = || stored.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps().all(|gap| gap + 50 >= interval && gap <= interval + 3_450), "{interval}: {stored:?}");
        assert!(stored.len() >= 6, "{interval}: {stored:?}");
    }
}

#[test]
fn a_flush_is_the_renewal() {
    let (mut row, mut holding) = begun();
    assert!(!holding.flush(millis(100)), "nothing to store");
    holding.complete(position(7), 0);
    assert!(holding.flush(millis(100)));
    let write = due(&mut holding, millis(100)).unwrap();
    assert_eq!(due(&mut holding, millis(100)), None, "one at a time");
    assert_eq!(holding.answer(apply(&mut row, &write), millis(120), 0).len(), 1);
    assert_eq!(holding.wake_at(), millis(100) + timings().renewal);
}

#[test]
fn the_tip_rides_on_writes_that_leave_nothing_unstored_once_a_minute() {
    let tip = |seconds| Some(Timestamp::from_seconds(seconds));
    let (mut row, mut holding) = begun_with(Duration::from_secs(3_600));
    let mut written = |holding: &mut Holding, at_tip| {
        let now = holding.wake_at();
        let write = due_with(holding, now, at_tip).unwrap();
        let _ = holding.answer(apply(&mut row, &write), now, 0);
        (write.change.tip, row.tip)
    };
    assert_eq!(written(&mut holding, None), (None, None));
    assert_eq!(written(&mut holding, tip(1_000)), (tip(1_000), tip(1_000)));
    assert_eq!(written(&mut holding, tip(1_059)), (None, tip(1_000)));
    assert_eq!(written(&mut holding, tip(1_060)), (tip(1_060), tip(1_060)));
    assert_eq!(written(&mut holding, tip(1_001)), (None, tip(1_060)));
    assert_eq!(written(&mut holding, tip(1_000)), (tip(1_000), tip(1_000)), "another clock is believed no less");
    holding.complete(position(6), 0);
    assert_eq!(written(&mut holding, tip(1_500)), (tip(1_500), tip(1_500)), "the checkpoint rides, too");
    holding.complete(position(7), 0);
    assert_eq!(written(&mut holding, tip(2_000)), (None, tip(1_500)), "that one does not ride yet");
    let now = holding.wake_at().saturating_sub(Duration::from_secs(1));
    holding.flush(now);
    assert_eq!(written(&mut holding, tip(2_000)), (tip(2_000), tip(2_000)));
    holding.bid_farewell(Farewell::Release, holding.wake_at());
    assert_eq!(written(&mut holding, tip(3_000)), (tip(3_000), tip(3_000)));
}

#[test]
fn a_tip_whose_answer_is_lost_is_known_from_the_row() {
    let (mut row, mut holding) = begun();
    let tip = Some(Timestamp::from_seconds(1_000));
    let first = due_with(&mut holding, millis(3_400), tip).unwrap();
    let _ = apply(&mut row, &first);
    assert_eq!(holding.answer(lost(), millis(4_400), 0), []);
    let again = holding.wake_at();
    let second = due_with(&mut holding, again, tip).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &second), again, 0), []);
    assert_eq!(holding.row().tip, tip);
    assert_eq!(due_with(&mut holding, again, tip).unwrap().change.tip, None, "it is there");
}

#[test]
fn after_a_lost_answer_the_deadline_counts_from_the_first_write() {
    let (mut row, mut holding) = begun();
    let first = due(&mut holding, millis(3_400)).unwrap();
    let _ = apply(&mut row, &first);
    assert_eq!(holding.answer(lost(), millis(4_400), 0), []);
    let again = holding.wake_at();
    let second = due(&mut holding, again).unwrap();
    assert_eq!(second.condition, first.condition, "a repetition keeps its condition");
    assert_eq!(holding.answer(apply(&mut row, &second), again, 0), [], "the conflict shows that the first was applied");
    assert_eq!(holding.deadline(), millis(13_400));
    assert!(due(&mut holding, again).is_some(), "and it renews at once");
}

#[test]
fn a_refused_write_does_not_move_the_deadline() {
    let (_, mut holding) = begun();
    for step in 0..40 {
        let now = holding.wake_at();
        if let Some(news) = holding.check(now) {
            assert_eq!((news, now, step > 3), (News::Ended(TenureEnd::Expired), millis(10_000), true));
            return;
        }
        let _ = due(&mut holding, now).unwrap();
        assert_eq!(holding.answer(WriteOutcome::Refused(StoreError::Throttled("slow".into())), now, 9), []);
    }
    panic!("the tenure never ended");
}

#[test]
fn attempts_use_the_whole_time_and_crowd_towards_its_end() {
    let (_, mut holding) = begun();
    let mut attempts = Vec::new();
    while holding.check(holding.wake_at()).is_none() {
        let now = holding.wake_at();
        let _ = due(&mut holding, now).unwrap();
        attempts.push(now);
        let _ = holding.answer(WriteOutcome::Refused(StoreError::Throttled("slow".into())), now, u64::MAX);
    }
    let last = attempts.iter().filter(|at| **at >= millis(9_000)).count();
    assert!((4..=20).contains(&last), "{attempts:?}");
    assert!(attempts.iter().any(|at| *at > millis(9_800)), "{attempts:?}");
}

#[test]
fn what_is_due_grows_more_urgent_while_it_waits() {
    let (_, mut holding) = begun();
    holding.complete(position(1), 10);
    assert!(holding.flush(millis(100)));
    assert_eq!(holding.due(millis(100)), Some(Urgency::Checkpoint));
    assert_eq!(holding.wake_while_waiting(millis(100)), millis(0) + timings().renewal);
    assert_eq!(holding.due(millis(3_400)), Some(Urgency::Renewal));
    assert_eq!(holding.wake_while_waiting(millis(3_400)), millis(10_000));
    let (_, mut holding) = begun();
    holding.bid_farewell(Farewell::Release, millis(100));
    assert_eq!(holding.due(millis(100)), Some(Urgency::Change));
}

#[test]
fn an_answer_after_the_deadline_does_not_revive_the_tenure() {
    let (mut row, mut holding) = begun();
    let write = due(&mut holding, millis(9_900)).unwrap();
    let outcome = apply(&mut row, &write);
    assert_eq!(holding.answer(outcome, millis(10_000), 0), [News::Ended(TenureEnd::Expired)]);
}

#[test]
fn a_row_that_was_taken_ends_the_tenure() {
    let (mut row, mut holding) = begun();
    row = transition::take(&row, &worker("b")).change.apply(&row);
    let write = due(&mut holding, millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::Ended(TenureEnd::Taken)]);
}

#[test]
fn a_row_that_came_back_to_us_by_foreign_hands_is_no_tenure_of_ours() {
    let (mut row, mut holding) = begun();
    // Java assigns to c and back to a: owner and epoch are as before, only `k_c` tells.
    row.counter += 2;
    let write = due(&mut holding, millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::Ended(TenureEnd::Taken)]);
}

#[test]
fn a_hand_off_that_a_leader_asks_for_is_completed_by_the_release() {
    let (mut row, mut holding) = begun();
    row.owner = Some(worker("b"));
    row.checkpoint_owner = Some(worker("a"));
    let write = due(&mut holding, millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [News::HandOverAsked]);
    holding.complete(position(3), 0);
    holding.bid_farewell(Farewell::Release, millis(4_100));
    let write = due(&mut holding, millis(4_100)).unwrap();
    let news = holding.answer(apply(&mut row, &write), millis(4_120), 0);
    assert_eq!(news, [News::Stored(Checkpoint::At(position(3))), gone(Some("b"))]);
    assert_eq!((row.owner, row.checkpoint_owner), (Some(worker("b")), None));
    assert_eq!(row.checkpoint, Checkpoint::At(position(3)));
}

fn gone(successor: Option<&str>) -> News {
    News::Gone(Parting { successor: successor.map(worker), ..Parting::default() })
}

/// The leader asks `a` to hand over to `b`.
fn ask(row: &mut Lease) {
    let ask = transition::ask_to_hand_over(row, &worker("b")).unwrap();
    assert!(matches!(apply(row, &ask), WriteOutcome::Applied(_)));
}

#[test]
fn a_request_that_is_read_is_known_before_a_write_fails_on_it() {
    let (mut row, mut holding) = begun();
    ask(&mut row);
    assert_eq!(holding.learn(row.clone(), millis(100)), [News::HandOverAsked]);
    assert_eq!(holding.learn(row.clone(), millis(200)), [], "it is told once");
    assert_eq!(holding.deadline(), millis(10_000), "nothing that is read prolongs a tenure");
    let write = due(&mut holding, millis(4_000)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(4_020), 0), [], "the renewal succeeds at once");
    assert_eq!((row.counter, row.checkpoint_owner), (52, Some(worker("a"))));
}

#[test]
fn a_row_that_is_older_or_newer_than_what_is_confirmed_only_hastens_the_next_write() {
    let (mut row, mut holding) = begun();
    let first = due(&mut holding, millis(3_400)).unwrap();
    let _ = apply(&mut row, &first);
    ask(&mut row);
    assert_eq!(holding.learn(row.clone(), millis(3_410)), [], "the answer to the write under way is still to come");
    assert_eq!(holding.answer(lost(), millis(4_400), 0), []);
    let now = holding.wake_at();
    let again = due(&mut holding, now).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &again), now, 0), [News::HandOverAsked]);
    let mut foreign = row.clone();
    foreign.checkpoint_owner = Some(worker("c"));
    let next = holding.wake_at();
    assert_eq!((holding.learn(foreign, now), holding.wake_at()), (vec![], next), "what does not name us says nothing");
}

#[test]
fn a_worker_that_stops_names_its_successor_in_the_last_write() {
    let (mut row, mut holding) = begun();
    holding.complete(position(3), 0);
    holding.bid_farewell(Farewell::HandOver { to: worker("c") }, millis(100));
    let write = due(&mut holding, millis(100)).unwrap();
    let news = holding.answer(apply(&mut row, &write), millis(120), 0);
    assert_eq!(news, [News::Stored(Checkpoint::At(position(3))), gone(Some("c"))]);
    assert_eq!(row.owner, Some(worker("c")));
}

#[test]
fn a_hand_off_that_begins_meanwhile_keeps_its_successor() {
    let (mut row, mut holding) = begun();
    holding.bid_farewell(Farewell::HandOver { to: worker("c") }, millis(100));
    ask(&mut row);
    let write = due(&mut holding, millis(100)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(120), 0), [News::HandOverAsked]);
    let write = due(&mut holding, millis(120)).unwrap();
    assert_eq!(holding.answer(apply(&mut row, &write), millis(140), 0), [gone(Some("b"))]);
    assert_eq!((row.owner, row.checkpoint_owner), (Some(worker("b")), None));
}

#[test]
fn a_farewell_whose_answer_is_lost_is_recognised() {
    let to = worker("c");
    let childless = ShardEnding::new(&begun().0, &[], Children::default()).0;
    let ended = (Farewell::ShardEnd(childless), None);
    for (farewell, successor) in [(Farewell::Release, None), (Farewell::HandOver { to }, Some("c")), ended] {
        let (mut row, mut holding) = begun();
        holding.bid_farewell(farewell, millis(10));
        let write = due(&mut holding, millis(10)).unwrap();
        let _ = apply(&mut row, &write);
        let _ = holding.answer(lost(), millis(1_010), 0);
        let now = holding.wake_at();
        let write = due(&mut holding, now).unwrap();
        assert_eq!(holding.answer(apply(&mut row, &write), now, 0), [gone(successor)]);
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

/// What happens to a row besides the writes of its holder.
#[derive(Debug, Clone, Copy)]
enum Step {
    Write(Fate),
    Complete(u64),
    /// The shard has nothing beyond what is completed.
    AtTip,
    /// A leader asks to hand over.
    Ask,
    /// The worker reads the row, and perhaps hears of it late.
    Learn {
        stale: bool,
    },
    /// Another worker takes it.
    Take,
    /// A Java leader moves it away and back.
    Touch,
    /// Somebody completes the hand-off in the holder's place.
    CompleteHandOff,
    Farewell(bool),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => fates().prop_map(Step::Write),
        6 => (1u64..3).prop_map(Step::Complete),
        3 => Just(Step::AtTip),
        2 => Just(Step::Ask),
        3 => any::<bool>().prop_map(|stale| Step::Learn { stale }),
        1 => Just(Step::Take),
        1 => Just(Step::Touch),
        1 => Just(Step::CompleteHandOff),
        1 => any::<bool>().prop_map(Step::Farewell),
    ]
}

/// A row in a store, its holder, and what an observer would say of both.
struct World {
    row: Lease,
    holding: Holding,
    /// Requests that are still on their way.
    late: Vec<LeaseWrite>,
    /// Rows that were read.
    read: Vec<Lease>,
    done: u64,
    /// What was completed when the shard was at its tip, minute by minute.
    tips: Vec<u64>,
    /// When others last saw the holder write.
    seen_at: Moment,
    /// Nobody else has changed hands on the row.
    ours: bool,
}

impl World {
    fn new() -> Self {
        let (row, holding) = begun();
        let (read, late, tips) = (vec![row.clone()], Vec::new(), Vec::new());
        World { row, holding, late, read, done: 0, tips, seen_at: millis(0), ours: true }
    }

    /// A write of ours arrives.
    fn arrive(&mut self, write: &LeaseWrite, now: Moment) -> WriteOutcome {
        let before = self.row.clone();
        let outcome = apply(&mut self.row, write);
        if self.row.counter != before.counter {
            assert!(self.ours, "a write of a tenure that was lost is never applied: {write:?}");
            self.seen_at = now;
        }
        assert!(self.row.checkpoint >= before.checkpoint, "{} after {}", self.row.checkpoint, before.checkpoint);
        assert!(self.done == 0 || self.row.checkpoint <= Checkpoint::At(position(self.done)), "only what is completed");
        if let Some(tip) = self.row.tip {
            let done = self.tips[usize::try_from(tip.as_seconds() / 60).unwrap()];
            let stored = self.row.checkpoint.record().map(|stored| stored.sequence.as_str().parse::<u64>().unwrap());
            assert!(stored.unwrap_or(0) >= done, "the shard had more than is stored when it was at its tip");
        }
        outcome
    }

    fn foreign(&mut self, write: Option<LeaseWrite>) {
        if let Some(write) = write {
            self.ours &= !matches!(apply(&mut self.row, &write), WriteOutcome::Applied(_));
        }
    }

    /// The next write of the holder meets its fate; what came of it.
    fn write(&mut self, fate: Fate) -> Vec<News> {
        let now = self.holding.wake_at();
        if let Some(end) = self.holding.check(now) {
            return vec![end];
        }
        let tip = self.tips.len().checked_sub(1).map(|last| Timestamp::from_seconds(60 * last as i64));
        let Some(write) = due_with(&mut self.holding, now, tip) else { return Vec::new() };
        let outcome = match fate {
            Fate::Applied => self.arrive(&write, now),
            Fate::AppliedButLost => {
                let _ = self.arrive(&write, now);
                lost()
            }
            Fate::NeverArrived => lost(),
            Fate::ArrivesLate => {
                self.late.push(write);
                lost()
            }
            Fate::Refused => WriteOutcome::Refused(StoreError::Throttled("slow".into())),
        };
        let news = self.holding.answer(outcome, now, self.done);
        if self.late.len() > 1 {
            // The first of the late ones arrives now, out of order; only one that still matches may count.
            let write = self.late.remove(0);
            let _ = self.arrive(&write, now);
        }
        news
    }

    fn step(&mut self, step: Step) -> Vec<News> {
        let now = self.holding.wake_at();
        match step {
            Step::Write(fate) => return self.write(fate),
            Step::Complete(records) => {
                self.done += records;
                self.holding.complete(position(self.done), 0);
            }
            Step::AtTip => self.tips.push(self.done),
            Step::Ask => {
                if let Some(ask) = transition::ask_to_hand_over(&self.row, &worker("b")) {
                    let _ = apply(&mut self.row, &ask);
                }
                self.read.push(self.row.clone());
            }
            Step::Learn { stale } => {
                self.read.push(self.row.clone());
                let row = if stale { self.read.first() } else { self.read.last() };
                return row.cloned().map(|row| self.holding.learn(row, now)).unwrap_or_default();
            }
            Step::Take => self.foreign(Some(transition::take(&self.row, &worker("b")))),
            Step::Touch => {
                self.row.counter += 2;
                self.ours = false;
            }
            Step::CompleteHandOff => self.foreign(transition::complete_hand_over(&self.row)),
            Step::Farewell(named) => {
                let to = worker("c");
                self.holding.bid_farewell(if named { Farewell::HandOver { to } } else { Farewell::Release }, now);
            }
        }
        Vec::new()
    }
}

proptest! {
    /// Whatever happens to writes and answers, whatever is read and whatever others do: the stored checkpoint never goes
    /// back, nothing is stored that was not completed or that belongs to a tenure that was lost, the holder never believes
    /// itself safe for longer than F after the write that others saw, and it does not lose what nobody took.
    #[test]
    fn no_fate_of_a_write_breaks_the_tenure(script in prop::collection::vec(steps(), 1..80)) {
        let mut world = World::new();
        let mut asked = 0;
        for step in script {
            for news in world.step(step) {
                match news {
                    News::Stored(_) => {}
                    News::HandOverAsked => {
                        asked += 1;
                        prop_assert!(asked == 1, "it is asked once");
                    }
                    News::Gone(_) => return Ok(()),
                    News::Ended(TenureEnd::Expired) => return Ok(()),
                    News::Ended(end) => {
                        prop_assert!(!world.ours, "{end:?}: nobody took it");
                        return Ok(());
                    }
                    News::Broken(error) => prop_assert!(false, "{error}"),
                }
            }
            if world.ours {
                prop_assert!(world.holding.deadline() <= world.seen_at + timings().failover);
            }
        }
    }
}
