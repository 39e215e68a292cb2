//! Cases of one worker and one row, and random fleets whose clocks drift, whose answers are lost and whose planners hang.

use proptest::prelude::*;

use super::*;

const F: Duration = Duration::from_secs(10);

fn id(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::from_origin(Duration::from_secs(seconds))
}

fn new(name: &str, now: Moment) -> Leadership {
    Leadership::new(id(name), Timings::from_failover_time(F), 0.5, now)
}

fn ours(owner: &str, version: &str, cycle: u64) -> LeaderRow {
    let mut row = LeaderRow::new(id(owner), Duration::from_secs(12), version);
    row.cycle = Some(cycle);
    row
}

fn java(version: &str) -> LeaderRow {
    LeaderRow::new(id("java"), Duration::from_secs(120), version)
}

/// A worker that has taken the lock at this moment.
fn leader(name: &str, now: Moment) -> Leadership {
    let mut state = new(name, now);
    state.observe(None, now);
    assert_eq!(state.duty(now), Duty::Take(Free::Absent));
    let (expected, row) = state.take("v1".into(), now);
    assert_eq!(expected, Expect::Absent);
    assert_eq!(state.answer(WriteOutcome::Applied(row), now), LockNews::Held);
    state
}

#[test]
fn a_lock_is_trusted_for_f_from_before_it_was_sent_and_prolonged_by_a_completed_cycle_only() {
    let mut a = leader("a", at(100));
    assert!(a.leads(at(109)) && !a.leads(at(110)));
    let (_, row) = a.renew("v2".into(), Some(id("b")), at(104)).unwrap();
    assert_eq!((row.cycle, row.standby.clone()), (Some(1), Some(id("b"))));
    assert_eq!(a.answer(WriteOutcome::Applied(row), at(105)), LockNews::Held);
    assert!(a.leads(at(113)) && !a.leads(at(114)), "counted from the sending");
    assert_eq!(a.renew("v3".into(), None, at(114)), None, "too late");
}

#[test]
fn the_standby_takes_a_silent_lock_at_once_and_others_leave_it_a_turn() {
    let mut row = ours("a", "v1", 7);
    row.standby = Some(id("b"));
    let (mut b, mut c) = (new("b", at(0)), new("c", at(0)));
    for state in [&mut b, &mut c] {
        state.observe(Some(row.clone()), at(100));
    }
    assert_eq!((b.duty(at(111)), b.next_look(at(111))), (Duty::Watch, at(112)));
    assert_eq!(b.duty(at(112)), Duty::Take(Free::Silent));
    assert_eq!(c.duty(at(115)), Duty::Watch);
    assert_eq!(c.duty(at(116)), Duty::Take(Free::Silent));
}

#[test]
fn the_standby_comes_first_however_late_it_saw_the_last_renewal() {
    let mut row = ours("a", "v1", 7);
    row.standby = Some(id("b"));
    let timings = Timings::from_failover_time(F);
    let eager = &mut Leadership::new(id("c"), timings, 0.0, at(0));
    eager.observe(Some(row.clone()), at(100));
    let mut b = new("b", at(0));
    // It looks once in each observation period.
    let late = at(100) + timings.observation;
    b.observe(Some(row), late);
    let takes = b.next_look(late + timings.failover + Duration::from_secs(1));
    assert_eq!(b.duty(takes), Duty::Take(Free::Silent));
    assert!(takes + timings.heartbeat / 2 <= eager.next_look(takes), "with time for its write");
    assert_eq!(eager.duty(takes), Duty::Watch);
}

#[test]
fn a_released_lock_is_free_to_its_standby_and_to_whoever_starts() {
    let mut row = ours("a", "v9", 7);
    row.standby = Some(id("b"));
    let (mut b, mut c, mut starting) = (new("b", at(0)), new("c", at(0)), new("d", at(100)));
    for state in [&mut b, &mut c] {
        state.observe(Some(ours("a", "v8", 6)), at(98));
    }
    row.released = true;
    for state in [&mut b, &mut c, &mut starting] {
        state.observe(Some(row.clone()), at(100));
    }
    assert_eq!(b.duty(at(100)), Duty::Take(Free::Released));
    assert_ne!(c.duty(at(100)), Duty::Take(Free::Released));
    assert_ne!(c.duty(at(103)), Duty::Take(Free::Released));
    assert_eq!(c.duty(at(104)), Duty::Take(Free::Released));
    assert_eq!(starting.duty(at(100)), Duty::Take(Free::Released));
}

#[test]
fn a_follower_scans_only_until_it_has_seen_a_cycle_complete_and_again_when_none_does() {
    let mut c = new("c", at(0));
    c.observe(Some(ours("a", "v1", 1)), at(0));
    assert_eq!(c.duty(at(0)), Duty::Watch, "it does not know yet whether the leader works");
    c.observe(Some(ours("a", "v2", 2)), at(2));
    assert_eq!((c.duty(at(2)), c.next_look(at(2))), (Duty::Follow, at(4)));
    assert_eq!(c.duty(at(7)), Duty::Follow);
    assert_eq!(c.duty(at(8)), Duty::Watch, "half of F without a cycle");
    assert!(!c.may_claim(at(22)));
    assert!(c.may_claim(at(23)), "2 F without a cycle");
}

#[test]
fn a_lock_that_is_renewed_without_cycles_lets_everybody_claim() {
    let mut c = new("c", at(0));
    for second in 0..30 {
        c.observe(Some(ours("a", &format!("v{second}"), 7)), at(second));
    }
    assert_eq!(c.duty(at(29)), Duty::Watch);
    assert!(c.may_claim(at(29)));
}

#[test]
fn a_restarted_worker_takes_its_own_lock_at_once_but_not_the_one_it_let_run_out() {
    let mut again = new("a", at(50));
    again.observe(Some(ours("a", "v7", 3)), at(50));
    assert_eq!(again.duty(at(50)), Duty::Take(Free::Inherited));
    let mut a = leader("a", at(100));
    let row = LeaderRow { cycle: Some(0), ..ours("a", "v1", 0) };
    a.observe(Some(row), at(111));
    a.looked(false, at(111));
    assert_ne!(a.duty(at(111)), Duty::Take(Free::Inherited), "its planner is stuck: others first");
    assert_ne!(a.duty(at(124)), Duty::Take(Free::Silent));
    assert_eq!(a.duty(at(126)), Duty::Take(Free::Silent));
}

#[test]
fn a_worker_that_is_alone_leaves_nobody_a_turn() {
    let mut a = leader("a", at(100));
    let row = LeaderRow { cycle: Some(0), ..ours("a", "v1", 0) };
    a.observe(Some(row), at(111));
    assert_ne!(a.duty(at(116)), Duty::Take(Free::Silent), "others first");
    a.sees(&FleetView::default(), at(116));
    assert_eq!(a.duty(at(116)), Duty::Take(Free::Silent), "there are no others");
    assert_ne!(a.duty(at(122)), Duty::Take(Free::Silent), "as far as it knew six seconds ago");
}

#[test]
fn a_worker_that_led_without_a_cycle_leaves_others_their_turn_until_one_completes() {
    let mut a = leader("a", at(100));
    a.observe(Some(ours("b", "w1", 0)), at(115));
    a.looked(false, at(115));
    assert_ne!(a.duty(at(130)), Duty::Take(Free::Silent));
    a.observe(Some(ours("b", "w2", 1)), at(130));
    assert_eq!(a.duty(at(144)), Duty::Take(Free::Silent));
}

#[test]
fn of_those_that_led_without_a_cycle_the_last_one_waits_longest() {
    // b was only unlucky. The planner of a is stuck, and its turn would always come first.
    let mut b = Leadership::new(id("b"), Timings::from_failover_time(F), 1.0, at(100));
    b.observe(None, at(100));
    let (_, row) = b.take("w1".into(), at(100));
    assert_eq!(b.answer(WriteOutcome::Applied(row), at(111)), LockNews::Lost, "the answer came too late");
    let mut a = Leadership::new(id("a"), Timings::from_failover_time(F), 0.0, at(100));
    a.observe(Some(ours("b", "w1", 0)), at(100));
    let (_, row) = a.take("v1".into(), at(113));
    assert_eq!(a.answer(WriteOutcome::Applied(row.clone()), at(113)), LockNews::Held);
    b.observe(Some(row), at(113));
    a.looked(false, at(114));
    b.looked(false, at(114));
    assert_eq!((a.duty(at(134)), b.duty(at(134))), (Duty::Watch, Duty::Take(Free::Silent)));
}

#[test]
fn a_worker_that_led_without_a_cycle_takes_the_lock_again_only_after_a_look_at_the_table() {
    let mut a = leader("a", at(100));
    a.observe(Some(ours("b", "w1", 0)), at(115));
    assert_eq!(a.duty(at(200)), Duty::Watch, "its scans may hang, and others be just as unlucky");
    a.looked(false, at(200));
    assert_eq!(a.duty(at(200)), Duty::Take(Free::Silent));
}

#[test]
fn a_foreign_leader_that_moves_is_left_alone_and_a_relic_is_not_waited_for() {
    let mut state = new("a", at(0));
    state.observe(Some(java("v1")), at(0));
    assert_eq!(state.duty(at(1)), Duty::Watch);
    assert!(!state.may_claim(at(11)) && state.may_claim(at(12)), "it never moved");
    assert_eq!(state.duty(at(121)), Duty::Watch);
    assert_eq!(state.duty(at(122)), Duty::Take(Free::Silent), "its own time counts for the lock");
    state.observe(Some(java("v2")), at(30));
    assert_eq!(state.duty(at(60)), Duty::Follow);
    assert!(!state.may_claim(at(149)), "it is alive and never says that it plans");
    assert!(state.may_claim(at(151)));
    assert_eq!(state.duty(at(100)), Duty::Watch, "half of its time is over");
}

#[test]
fn an_answer_that_was_lost_is_found_again_in_the_row() {
    let lost = || WriteOutcome::Unknown(StoreError::Unavailable("lost".into()));
    let mut a = leader("a", at(100));
    let (_, row) = a.renew("v2".into(), None, at(104)).unwrap();
    assert!(matches!(a.answer(lost(), at(105)), LockNews::Unsure(_)));
    assert!(a.leads(at(106)) && a.must_look(at(106)));
    a.observe(Some(row.clone()), at(106));
    assert!(a.leads(at(113)) && !a.leads(at(114)), "since it was sent");
    // The repetition meets the first one.
    let mut b = leader("a", at(100));
    let _ = b.renew("v2".into(), None, at(104)).unwrap();
    let _ = b.answer(lost(), at(105));
    let _ = b.renew("v3".into(), None, at(106)).unwrap();
    assert_eq!(b.answer(WriteOutcome::Conflict(row), at(107)), LockNews::Held);
    // One that arrives after the row was read.
    let mut c = leader("a", at(100));
    let (_, late) = c.renew("v2".into(), None, at(104)).unwrap();
    let _ = c.answer(lost(), at(105));
    c.observe(Some(ours("a", "v1", 0)), at(106));
    let _ = c.renew("v3".into(), None, at(107)).unwrap();
    assert_eq!(c.answer(WriteOutcome::Conflict(late), at(108)), LockNews::Held);
}

#[test]
fn who_is_overtaken_or_whose_row_is_gone_leads_no_longer() {
    let mut a = leader("a", at(100));
    let _ = a.renew("v2".into(), None, at(104)).unwrap();
    assert_eq!(a.answer(WriteOutcome::Conflict(ours("b", "w1", 3)), at(105)), LockNews::Lost);
    assert!(!a.leads(at(105)));
    let mut a = leader("a", at(100));
    let _ = a.renew("v2".into(), None, at(104)).unwrap();
    assert_eq!(a.answer(WriteOutcome::Missing, at(105)), LockNews::Lost);
    assert_eq!(a.duty(at(105)), Duty::Take(Free::Absent));
}

#[test]
fn a_worker_that_stops_gives_the_lock_up_once() {
    let mut a = leader("a", at(100));
    let (expected, row) = a.release("v2".into(), Some(id("b")), at(101)).unwrap();
    assert_eq!((expected, row.released, row.standby), (Expect::Is("v1".into()), true, Some(id("b"))));
    assert!(!a.leads(at(101)));
    assert_eq!(a.release("v3".into(), None, at(101)), None);
}

/// One worker of a random fleet: its own clock, and how well it plans.
struct Member {
    state: Leadership,
    /// Its clock runs this much faster, in thousandths.
    drift: i64,
    stuck: bool,
    /// When it does its next step, in true milliseconds.
    wakes: u64,
    looked: bool,
}

impl Member {
    fn new(n: usize, drift: i64, stuck: bool) -> Self {
        let state = Leadership::new(id(&format!("w{n}")), Timings::from_failover_time(F), n as f64 / 3.0, at(0));
        Member { state, drift, stuck, wakes: n as u64, looked: false }
    }

    /// What its clock shows at a true time in milliseconds.
    fn clock(&self, now: u64) -> Moment {
        let shown = now as i64 * (1000 + self.drift) / 1000;
        Moment::from_origin(Duration::from_millis(shown as u64))
    }

    /// Looks at the row or acts on what it saw; the answer comes `late`. Yields when the next step is due.
    fn step(&mut self, stored: &mut Option<LeaderRow>, version: String, now: u64, late: u64, fate: u8) -> u64 {
        let answered = self.clock(now + late);
        self.looked = !self.looked;
        if self.looked {
            if self.state.must_look(self.clock(now)) && fate % 16 != 1 {
                self.state.observe(stored.clone(), answered);
            }
            // Of those that cannot plan some cannot scan.
            if !self.stuck || self.drift % 2 == 0 {
                self.state.looked(false, answered);
            }
            return now + late;
        }
        let clock = self.clock(now);
        let next = Some(id("w1"));
        let write = match self.state.duty(clock) {
            Duty::Take(_) => Some(self.state.take(version, clock)),
            Duty::Lead if !self.stuck => self.state.renew(version, next, clock),
            Duty::Lead | Duty::Watch | Duty::Follow => None,
        };
        if let Some((expected, row)) = write {
            let _ = self.state.answer(arrive(stored, &expected, &row, fate), answered);
        }
        let pause = self.state.next_look(answered).since(answered).as_millis() as u64;
        now + late + pause.max(1)
    }
}

/// A write on its way: it may be lost, its answer may be lost, or it may be refused.
fn arrive(
    stored: &mut Option<LeaderRow>,
    expected: &Expect<String>,
    row: &LeaderRow,
    fate: u8,
) -> WriteOutcome<LeaderRow> {
    let lost = StoreError::Unavailable("lost".into());
    match fate % 8 {
        2 => WriteOutcome::Unknown(lost),
        3 => {
            let _nobody_hears = apply(stored, expected, row);
            WriteOutcome::Unknown(lost)
        }
        4 => WriteOutcome::Refused(lost),
        _ => apply(stored, expected, row),
    }
}

fn apply(stored: &mut Option<LeaderRow>, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
    match (expected, &*stored) {
        (Expect::Absent, None) => {}
        (Expect::Is(_), None) => return WriteOutcome::Missing,
        (Expect::Is(version), Some(there)) if there.version == *version => {}
        (_, Some(there)) => return WriteOutcome::Conflict(there.clone()),
    }
    *stored = Some(row.clone());
    WriteOutcome::Applied(row.clone())
}

proptest! {
    /// Fleets of three with clocks that drift, pauses, lost requests and answers, and planners that hang: at no time do two
    /// believe to lead, and where one plans and is not paused, cycles go on.
    #[test]
    fn no_two_lead_and_who_does_not_plan_loses_the_lock(
        drifts in prop::array::uniform3(-25i64..=25),
        stuck in prop::array::uniform3(prop::bool::weighted(0.3)),
        luck in prop::collection::vec((0u64..400, any::<u8>()), 400),
    ) {
        let mut stored: Option<LeaderRow> = None;
        let mut members: Vec<Member> = (0..3).map(|n| Member::new(n, drifts[n], stuck[n])).collect();
        let works = stuck.contains(&false);
        let mut cycled = 0;
        for (step, (late, fate)) in luck.into_iter().enumerate() {
            let (n, now) = members.iter().map(|member| member.wakes).enumerate().min_by_key(|(_, wakes)| *wakes).unwrap();
            let before = stored.as_ref().and_then(|row| row.cycle);
            members[n].wakes = members[n].step(&mut stored, format!("v{step}"), now, late, fate);
            if fate == 0 {
                // A process is paused for long, perhaps between its look and its write.
                members[n].wakes += 30_000;
                if !stuck[n] {
                    cycled = now + 30_000;
                }
            }
            if stored.as_ref().and_then(|row| row.cycle) > before {
                cycled = now;
            }
            let leaders = members.iter().filter(|member| member.state.leads(member.clock(now))).count();
            prop_assert!(leaders <= 1, "{leaders} lead at {now}");
            // Those who hang may have their turns first, and losses take their time.
            prop_assert!(!works || now < cycled + 180_000, "no cycle since {cycled}, at {now}");
        }
    }
}
