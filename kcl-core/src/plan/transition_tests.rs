use super::*;
use crate::types::LeaseKey;

fn worker(name: &str) -> WorkerId {
    WorkerId::new(name).unwrap()
}

fn lease(owner: Option<&str>) -> Lease {
    let mut lease = Lease::unowned(LeaseKey::new("shardId-0").unwrap(), Checkpoint::TrimHorizon, 100);
    lease.owner = owner.map(worker);
    lease
}

fn run(row: &Lease, write: &LeaseWrite) -> Option<Lease> {
    write.condition.holds(row).then(|| write.change.apply(row))
}

fn at(number: &str) -> Checkpoint {
    Checkpoint::At(crate::types::RecordPosition { sequence: number.parse().unwrap(), sub: 0 })
}

#[test]
fn a_worker_that_stops_frees_what_it_never_began_to_hold() {
    let row = lease(Some("a"));
    let freed = run(&row, &free(&row)).unwrap();
    assert_eq!((freed.owner.clone(), freed.epoch()), (None, Epoch(row.epoch().0 + 1)));
    let begun = run(&row, &adopt(&row, &worker("a"))).unwrap();
    assert_eq!(run(&begun, &free(&row)), None, "it was begun meanwhile");
}

#[test]
fn a_tenure_begins_with_a_raised_epoch_and_counter() {
    let free = lease(None);
    let taken = run(&free, &take(&free, &worker("a"))).unwrap();
    assert_eq!((taken.counter, taken.epoch(), taken.last_written_by_us()), (101, Epoch(1), true));
    assert_eq!(taken.owner, Some(worker("a")));
    assert_eq!(taken.owner_switches, 0, "nobody was switched away");
    let again = run(&taken, &take(&taken, &worker("b"))).unwrap();
    assert_eq!((again.counter, again.epoch(), again.owner_switches), (102, Epoch(2), 1));
}

#[test]
fn of_two_takers_of_one_row_only_the_first_succeeds() {
    let free = lease(None);
    let (a, b) = (take(&free, &worker("a")), take(&free, &worker("b")));
    let taken = run(&free, &a).unwrap();
    assert_eq!(run(&taken, &b), None);
    assert_eq!(run(&taken, &a), None, "nor does a repetition of the first");
}

#[test]
fn a_write_that_arrives_late_cannot_put_a_checkpoint_back() {
    let me = worker("a");
    let row = lease(Some("a"));
    let early = renew(&row, &me, Role::Owner, Epoch(0), Some(at("1")));
    let later = renew(&row, &me, Role::Owner, Epoch(0), Some(at("2")));
    let stored = run(&row, &later).unwrap();
    assert_eq!(run(&stored, &early), None);
}

#[test]
fn writes_of_an_earlier_tenure_are_refused_after_a_restart_with_the_same_id() {
    let me = worker("a");
    let row = lease(Some("a"));
    let old = renew(&row, &me, Role::Owner, Epoch(0), Some(at("1")));
    let adopted = run(&row, &adopt(&row, &me)).unwrap();
    assert_eq!(adopted.epoch(), Epoch(1));
    assert_eq!(run(&adopted, &old), None);
}

#[test]
fn adoption_waits_for_a_pending_hand_off() {
    let mut row = lease(Some("b"));
    row.checkpoint_owner = Some(worker("a"));
    assert_eq!(run(&row, &adopt(&row, &worker("b"))), None);
    let handed = run(&row, &release(&row, &worker("a"), Role::CheckpointOwner, Epoch(0), Some(at("7")))).unwrap();
    assert_eq!((handed.owner.clone(), handed.checkpoint_owner.clone()), (Some(worker("b")), None));
    assert_eq!(handed.checkpoint, at("7"));
    assert!(run(&handed, &adopt(&handed, &worker("b"))).is_some());
}

#[test]
fn the_end_of_a_shard_names_its_children_and_frees_the_row() {
    let row = lease(Some("a"));
    let children = BTreeSet::from([ShardId::new("shardId-1").unwrap()]);
    let ended = run(&row, &shard_end(&row, &worker("a"), Role::Owner, Epoch(0), &children)).unwrap();
    assert!(ended.is_ended() && ended.owner.is_none());
    assert_eq!((ended.children, ended.last_owner), (children, Some(worker("a"))));
}

#[test]
fn starts_that_java_left_open_are_pinned_once() {
    let mut row = lease(None);
    row.checkpoint = Checkpoint::Latest;
    let (first, second) = (Timestamp::from_millis(1), Timestamp::from_millis(2));
    let mut write = take(&row, &worker("a"));
    pin_start(&mut write, &row, first, None);
    let taken = run(&row, &write).unwrap();
    assert_eq!(taken.start, Some(first));
    let mut again = take(&taken, &worker("b"));
    pin_start(&mut again, &taken, second, None);
    assert_eq!(run(&taken, &again).unwrap().start, Some(first));
}

fn pending(holder: &str, next: &str) -> Lease {
    let held = lease(Some(holder));
    run(&held, &ask_to_hand_over(&held, &worker(next)).unwrap()).unwrap()
}

#[test]
fn an_assigned_lease_names_its_owner_and_is_adopted_before_anybody_works_on_it() {
    let silent = lease(Some("dead"));
    let assigned = run(&silent, &assign(&silent, &worker("b"))).unwrap();
    assert_eq!((assigned.owner.clone(), assigned.counter, assigned.epoch()), (Some(worker("b")), 101, Epoch(1)));
    assert_eq!((assigned.owner_switches, assigned.last_written_by_us()), (1, true));
    assert_eq!(assigned.last_owner, None, "nobody has owned it since");
    let adopted = run(&assigned, &adopt(&assigned, &worker("b"))).unwrap();
    assert_eq!((adopted.counter, adopted.epoch(), adopted.last_owner), (102, Epoch(2), Some(worker("b"))));
}

#[test]
fn a_lease_that_moved_since_it_was_seen_is_not_assigned() {
    let seen = lease(Some("a"));
    let write = assign(&seen, &worker("b"));
    let renewed = run(&seen, &renew(&seen, &worker("a"), Role::Owner, Epoch(0), None)).unwrap();
    assert_eq!(run(&renewed, &write), None, "its holder lives");
    assert_eq!(run(&pending("a", "c"), &write), None, "a hand-off began");
    assert_eq!(run(&lease(None), &write), None, "it was given back");
}

#[test]
fn an_expired_hand_off_is_assigned_as_a_whole() {
    let seen = pending("a", "b");
    let back = run(&seen, &assign(&seen, &worker("a"))).unwrap();
    assert_eq!((back.owner, back.checkpoint_owner, back.owner_switches), (Some(worker("a")), None, 1));
}

#[test]
fn who_is_asked_to_hand_over_goes_on_writing_under_its_counter_and_epoch() {
    let me = worker("a");
    let row = pending("a", "b");
    assert_eq!((row.owner.clone(), row.checkpoint_owner.clone()), (Some(worker("b")), Some(me.clone())));
    assert_eq!((row.counter, row.epoch(), row.own_counter), (100, Epoch(0), Some(100)));
    let renewed = run(&row, &renew(&row, &me, Role::CheckpointOwner, Epoch(0), Some(at("5")))).unwrap();
    assert_eq!((renewed.counter, renewed.checkpoint), (101, at("5")));
}

#[test]
fn a_holder_that_renews_meanwhile_is_asked_all_the_same_but_not_one_with_a_new_tenure() {
    let seen = lease(Some("a"));
    let ask = ask_to_hand_over(&seen, &worker("b")).unwrap();
    let renewed = run(&seen, &renew(&seen, &worker("a"), Role::Owner, Epoch(0), None)).unwrap();
    assert!(run(&renewed, &ask).is_some());
    let adopted = run(&seen, &adopt(&seen, &worker("a"))).unwrap();
    assert_eq!(run(&adopted, &ask), None);
    assert_eq!(run(&lease(Some("c")), &ask), None);
    assert_eq!(run(&pending("a", "c"), &ask), None, "one hand-off at a time");
}

#[test]
fn nobody_is_asked_for_a_shard_that_has_ended_or_has_nobody_to_ask() {
    let seen = lease(Some("a"));
    let ask = ask_to_hand_over(&seen, &worker("b")).unwrap();
    let mut ended = lease(Some("a"));
    ended.checkpoint = Checkpoint::ShardEnd;
    assert_eq!(run(&ended, &ask), None, "it ended after it was seen");
    assert_eq!(ask_to_hand_over(&ended, &worker("b")), None);
    assert_eq!(ask_to_hand_over(&lease(None), &worker("b")), None);
    assert_eq!(ask_to_hand_over(&lease(Some("b")), &worker("b")), None);
    assert_eq!(ask_to_hand_over(&pending("a", "c"), &worker("b")), None);
}

#[test]
fn an_overdue_hand_off_is_completed_by_anybody_and_ends_the_tenure_of_the_holder() {
    let seen = pending("a", "b");
    let late = renew(&seen, &worker("a"), Role::CheckpointOwner, Epoch(0), Some(at("9")));
    let completed = run(&seen, &complete_hand_over(&seen).unwrap()).unwrap();
    assert_eq!((completed.owner.clone(), completed.checkpoint_owner.clone()), (Some(worker("b")), None));
    assert_eq!((completed.counter, completed.epoch()), (101, Epoch(1)), "no tenure so far goes on");
    assert_eq!(completed.checkpoint, seen.checkpoint, "whoever completes knows no better checkpoint");
    assert_eq!(run(&completed, &late), None);
    assert!(run(&completed, &adopt(&completed, &worker("b"))).is_some());
}

#[test]
fn a_hand_off_whose_holder_wrote_meanwhile_is_not_completed_for_it() {
    let seen = pending("a", "b");
    let complete = complete_hand_over(&seen).unwrap();
    let renewed = run(&seen, &renew(&seen, &worker("a"), Role::CheckpointOwner, Epoch(0), None)).unwrap();
    assert_eq!(run(&renewed, &complete), None);
    let done = run(&seen, &complete).unwrap();
    assert_eq!(run(&done, &complete), None, "nor is it completed twice");
    assert_eq!(complete_hand_over(&done), None);
}

#[test]
fn a_successor_is_named_together_with_the_last_checkpoint() {
    let row = lease(Some("a"));
    let write = hand_over(&row, &worker("a"), Role::Owner, Epoch(0), Some(at("7")), &worker("b"));
    let handed = run(&row, &write).unwrap();
    assert_eq!((handed.owner.clone(), handed.checkpoint_owner.clone()), (Some(worker("b")), None));
    assert_eq!((handed.checkpoint.clone(), handed.counter, handed.epoch()), (at("7"), 101, Epoch(1)));
    assert_eq!(handed.last_owner, Some(worker("a")));
    assert_eq!(run(&pending("a", "c"), &write), None, "a hand-off to another began meanwhile");
    assert!(run(&handed, &adopt(&handed, &worker("b"))).is_some());
}

#[test]
fn a_hand_off_that_is_pending_keeps_its_successor_when_the_holder_stops() {
    let row = pending("a", "b");
    let write = hand_over(&row, &worker("a"), Role::CheckpointOwner, Epoch(0), None, &worker("c"));
    let handed = run(&row, &write).unwrap();
    assert_eq!((handed.owner, handed.checkpoint_owner), (Some(worker("b")), None));
}

#[test]
fn a_shard_that_ends_during_its_hand_off_is_held_by_nobody() {
    let row = pending("a", "b");
    let write = shard_end(&row, &worker("a"), Role::CheckpointOwner, Epoch(0), &BTreeSet::new());
    let ended = run(&row, &write).unwrap();
    assert_eq!((ended.is_ended(), ended.owner, ended.checkpoint_owner), (true, None, None));
}

#[test]
fn a_counter_at_its_limit_from_outside_is_no_defect_of_ours() {
    let mut row = lease(None);
    row.counter = u64::MAX;
    assert!(run(&row, &take(&row, &worker("a"))).is_some());
}
