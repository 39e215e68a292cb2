//! The machine against a scripted shell: no runtime, no clock but a number.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::types::aggregate_codec::{AggregatedRecord, UserRecord, encode};
use crate::types::{BytePermit, RecordEntry, ShardEnd};

fn millis(millis: u64) -> Moment {
    Moment::from_origin(Duration::from_millis(millis))
}

fn settings() -> Arc<MachineSettings> {
    Arc::new(MachineSettings {
        parent_interval: Duration::from_secs(1),
        backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(30) },
        table_backoff: Backoff { first: Duration::from_millis(100), most: Duration::from_secs(3) },
        queue: 1,
        corrupt_aggregates: CorruptAggregates::Stop,
    })
}

fn position(number: u64) -> RecordPosition {
    RecordPosition { sequence: number.to_string().parse().unwrap(), sub: 0 }
}

fn batch(numbers: std::ops::RangeInclusive<u64>) -> RecordBatch {
    let entries =
        numbers.map(|n| RecordEntry::new(n.to_string().parse().unwrap(), "k", Bytes::from_static(b"data"))).collect();
    RecordBatch::new(entries, None, BytePermit::unlimited())
}

fn nothing() -> RecordBatch {
    RecordBatch::new(Vec::new(), None, BytePermit::unlimited())
}

fn numbers(batch: &RecordBatch) -> Vec<u64> {
    batch.iter().map(|record| record.sequence_number().as_str().parse().unwrap()).collect()
}

fn child(name: &str) -> ChildShard {
    ChildShard::new(crate::types::ShardId::new(name).unwrap(), Vec::new(), None)
}

/// A machine that is initialised and has fetched one batch, which is being delivered.
fn delivering(numbers: std::ops::RangeInclusive<u64>) -> ShardMachine {
    let mut machine = ShardMachine::new(settings(), Start::default(), millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Initialize)));
    machine.handle_initialized(Ok(()), millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Fetch)));
    machine.handle_fetched(batch(numbers), None, millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Deliver { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Fetch)), "the next batch is fetched meanwhile");
    assert!(machine.poll_action(millis(0)).is_none());
    machine
}

#[test]
fn it_is_caught_up_once_everything_fetched_is_completed_and_told() {
    let mut machine = delivering(1..=2);
    assert!(!machine.is_caught_up(), "user code is at work");
    machine.handle_processed(Processed::Failed { first: None, error: "no".into() }, millis(0), 0);
    assert!(!machine.is_caught_up(), "it is tried again");
    let now = machine.poll_timeout().unwrap();
    assert!(matches!(machine.poll_action(now), Some(Action::Deliver { .. })));
    machine.handle_fetched(batch(3..=3), None, now);
    machine.handle_processed(Processed::Completed, now, 0);
    assert!(matches!(machine.poll_action(now), Some(Action::Progress { .. })));
    assert!(!machine.is_caught_up(), "the next batch waits");
    assert!(matches!(machine.poll_action(now), Some(Action::Deliver { .. })));
    machine.handle_processed(Processed::Completed, now, 0);
    assert!(!machine.is_caught_up(), "nobody knows of it yet");
    assert!(matches!(machine.poll_action(now), Some(Action::Progress { .. })));
    assert!(machine.is_caught_up());
}

#[test]
fn what_a_stop_or_a_loss_drops_is_not_caught_up_with() {
    for loses in [false, true] {
        let mut machine = delivering(1..=2);
        machine.handle_fetched(batch(3..=3), None, millis(0));
        if loses {
            machine.lose()
        } else {
            machine.stop(StopReason::Restart, millis(1_000))
        }
        machine.handle_processed(Processed::Completed, millis(0), 0);
        while machine.poll_action(millis(0)).is_some() {}
        assert!(!machine.has_work() && !machine.is_caught_up());
    }
}

#[test]
fn an_error_delivers_the_same_records_again_after_a_delay_and_reports_a_stall_on_the_third() {
    let mut machine = delivering(1..=3);
    let mut now = millis(0);
    for attempt in 1..=3u32 {
        machine.handle_processed(Processed::Failed { first: None, error: "no".into() }, now, 0);
        assert_eq!(machine.safe(), None, "an error never advances the position");
        if attempt == 3 {
            let report = machine.poll_action(now);
            assert!(matches!(report, Some(Action::Report(Report::Stalled { attempts: 3, .. }))), "{report:?}");
        }
        assert!(machine.poll_action(now).is_none(), "not at once");
        now = machine.poll_timeout().unwrap();
        let Some(Action::Deliver { batch, attempt: next }) = machine.poll_action(now) else { panic!("no delivery") };
        assert_eq!((numbers(&batch), next), (vec![1, 2, 3], attempt + 1));
        assert!(batch.iter().all(|record| record.maybe_redelivered()));
    }
    machine.handle_processed(Processed::Completed, now, 0);
    assert!(matches!(machine.poll_action(now), Some(Action::Progress { records: 3, .. })));
    assert!(matches!(machine.poll_action(now), Some(Action::Report(Report::Recovered))));
}

#[test]
fn what_came_before_the_failed_record_is_completed() {
    let mut machine = delivering(1..=4);
    let failed = Processed::Failed { first: Some(position(3)), error: "no".into() };
    machine.handle_processed(failed, millis(0), 0);
    let Some(Action::Progress { position: safe, records, .. }) = machine.poll_action(millis(0)) else { panic!() };
    assert_eq!((safe, records), (position(2), 2));
    let now = machine.poll_timeout().unwrap();
    let Some(Action::Deliver { batch, .. }) = machine.poll_action(now) else { panic!() };
    assert_eq!(numbers(&batch), [3, 4]);
}

#[test]
fn a_panic_replaces_the_processor_and_delivers_again() {
    let mut machine = delivering(1..=2);
    machine.handle_processed(Processed::Panicked { message: "boom".into() }, millis(0), 0);
    let now = machine.poll_timeout().unwrap();
    assert!(matches!(machine.poll_action(now), Some(Action::Initialize)));
    machine.handle_initialized(Ok(()), now, 0);
    let Some(Action::Deliver { batch, attempt }) = machine.poll_action(now) else { panic!() };
    assert_eq!((numbers(&batch), attempt), (vec![1, 2], 2));
}

#[test]
fn a_lost_lease_cancels_the_handler_and_tells_the_processor() {
    let mut machine = delivering(1..=2);
    machine.stop(StopReason::Shutdown, millis(1_000));
    machine.lose();
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CancelCallback)), "losing beats stopping");
    assert!(machine.poll_action(millis(0)).is_none());
    machine.callback_cancelled();
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallLeaseLost)));
    machine.handle_lease_lost_told();
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Finished(Finish::Lost))));
    assert_eq!(machine.safe(), None);
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn a_stop_lets_the_handler_finish_then_flushes_and_releases() {
    let mut machine = delivering(1..=2);
    machine.stop(StopReason::HandOver, millis(1_000));
    assert!(machine.poll_action(millis(0)).is_none(), "the handler still runs");
    assert_eq!(machine.poll_timeout(), Some(millis(1_000)));
    machine.handle_processed(Processed::Completed, millis(10), 0);
    assert!(matches!(machine.poll_action(millis(10)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(10)), Some(Action::CallShutdownRequested { .. })));
    machine.handle_shutdown_requested();
    assert!(matches!(machine.poll_action(millis(11)), Some(Action::Release)));
    assert!(machine.poll_action(millis(11)).is_none());
    machine.handle_farewell_written();
    let finished = machine.poll_action(millis(12));
    assert!(matches!(finished, Some(Action::Finished(Finish::Released(StopReason::HandOver)))));
}

#[test]
fn a_handler_that_does_not_finish_in_time_is_cancelled_and_its_records_are_not_done() {
    let mut machine = delivering(1..=2);
    machine.stop(StopReason::Shutdown, millis(1_000));
    assert!(matches!(machine.poll_action(millis(1_000)), Some(Action::CancelCallback)));
    machine.callback_cancelled();
    assert!(matches!(machine.poll_action(millis(1_000)), Some(Action::Release)));
    assert_eq!(machine.safe(), None);
}

#[test]
fn after_a_long_outage_of_the_table_parents_are_looked_at_soon() {
    let mut machine = ShardMachine::new(settings(), Start { has_parents: true, ..Start::default() }, millis(0));
    let mut now = millis(0);
    for _ in 0..20 {
        assert!(matches!(machine.poll_action(now), Some(Action::CheckParents)));
        machine.handle_parents(Err("no answer".into()), now, u64::MAX);
        while machine.poll_action(now).is_some() {}
        let next = machine.poll_timeout().unwrap();
        assert!(next.since(now) <= Duration::from_secs(3), "{:?}", next.since(now));
        now = next;
    }
}

#[test]
fn after_a_long_outage_of_the_table_the_end_of_a_shard_is_written_soon() {
    let mut machine = delivering(1..=1);
    machine.handle_fetched(nothing(), Some(ShardEnd::with_children(vec![child("shardId-1")])), millis(0));
    machine.handle_processed(Processed::Completed, millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallShardEnded { attempt: 1 })));
    machine.handle_shard_ended(Ok(()), millis(0), 0);
    let mut now = millis(0);
    for _ in 0..20 {
        assert!(matches!(machine.poll_action(now), Some(Action::WriteEnd { .. })));
        machine.handle_end_failed("no answer".into(), now, u64::MAX);
        while machine.poll_action(now).is_some() {}
        let next = machine.poll_timeout().unwrap();
        assert!(next.since(now) <= Duration::from_secs(3), "{:?}", next.since(now));
        now = next;
    }
}

#[test]
fn a_stop_is_honoured_while_waiting_for_parents_and_while_retrying() {
    let mut machine = ShardMachine::new(settings(), Start { has_parents: true, ..Start::default() }, millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CheckParents)));
    machine.handle_parents(Ok(false), millis(0), 0);
    assert_eq!(machine.poll_timeout(), Some(millis(1_000)));
    machine.stop(StopReason::Shutdown, millis(500));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Release)), "no processor was made, none is called");

    let mut machine = delivering(1..=2);
    machine.handle_processed(Processed::Failed { first: None, error: "no".into() }, millis(0), 0);
    machine.stop(StopReason::Shutdown, millis(500));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallShutdownRequested { .. })));
}

#[test]
fn the_end_is_told_only_after_everything_is_completed_and_written_only_after_it_was_told() {
    let mut machine = delivering(1..=2);
    let end = ShardEnd::with_children(vec![child("shardId-1")]);
    machine.handle_fetched(batch(3..=3), Some(end), millis(0));
    assert!(machine.poll_action(millis(0)).is_none(), "two batches are not completed yet");
    machine.handle_processed(Processed::Completed, millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Deliver { .. })));
    machine.handle_processed(Processed::Completed, millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallShardEnded { attempt: 1 })));
    machine.handle_shard_ended(Err("not yet".into()), millis(0), 0);
    let now = machine.poll_timeout().unwrap();
    assert!(matches!(machine.poll_action(now), Some(Action::CallShardEnded { attempt: 2 })));
    machine.handle_shard_ended(Ok(()), now, 0);
    assert!(matches!(machine.poll_action(now), Some(Action::WriteEnd { children }) if children.len() == 1));
    machine.stop(StopReason::Shutdown, now + Duration::from_millis(1));
    assert!(machine.poll_action(now).is_none(), "the end that is under way is not given up for a stop");
    machine.handle_farewell_written();
    assert!(matches!(machine.poll_action(now), Some(Action::Finished(Finish::Ended))));
}

#[test]
fn a_stop_does_not_wait_for_ever_for_an_end_that_cannot_be_written() {
    let mut machine = delivering(1..=1);
    machine.handle_processed(Processed::Completed, millis(0), 0);
    machine.handle_fetched(nothing(), Some(ShardEnd::with_children(vec![child("c")])), millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallShardEnded { .. })));
    machine.handle_shard_ended(Ok(()), millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::WriteEnd { .. })));
    machine.stop(StopReason::Shutdown, millis(5_000));
    machine.handle_end_failed("no listing".into(), millis(10), 0);
    assert!(matches!(machine.poll_action(millis(10)), Some(Action::CallShutdownRequested { .. })));
    machine.handle_shutdown_requested();
    assert!(matches!(machine.poll_action(millis(10)), Some(Action::Release)));
    machine.handle_farewell_written();
    let finished = machine.poll_action(millis(10));
    assert!(matches!(finished, Some(Action::Finished(Finish::Released(StopReason::Shutdown)))));
}

#[test]
fn a_stop_does_not_wait_beyond_its_deadline_for_an_end_that_is_under_way() {
    let mut machine = delivering(1..=1);
    machine.handle_processed(Processed::Completed, millis(0), 0);
    machine.handle_fetched(nothing(), Some(ShardEnd::with_children(vec![child("c")])), millis(0));
    let _progress = machine.poll_action(millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::CallShardEnded { .. })));
    machine.handle_shard_ended(Ok(()), millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::WriteEnd { .. })));
    machine.stop(StopReason::HandOver, millis(5_000));
    assert!(machine.poll_action(millis(4_999)).is_none());
    assert_eq!(machine.poll_timeout(), Some(millis(5_000)));
    assert!(matches!(machine.poll_action(millis(5_000)), Some(Action::Release)));
    assert!(machine.poll_action(millis(5_000)).is_none());
    machine.handle_farewell_written();
    let finished = machine.poll_action(millis(5_010));
    assert!(matches!(finished, Some(Action::Finished(Finish::Released(StopReason::HandOver)))));
}

#[test]
fn an_end_without_proof_is_a_read_error() {
    let mut machine = delivering(1..=1);
    machine.handle_processed(Processed::Completed, millis(0), 0);
    machine.handle_fetched(nothing(), Some(ShardEnd::default()), millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::ProveEnd)));
    machine.handle_proof(Ok(Proof::NotClosed("it is open".into())), millis(0), 0);
    let now = machine.poll_timeout().unwrap();
    assert!(now > millis(0));
    assert!(matches!(machine.poll_action(now), Some(Action::Fetch)), "reading goes on where it stood");
}

#[test]
fn records_that_came_between_a_claimed_end_and_the_listing_that_shows_it_are_read() {
    let mut machine = delivering(1..=1);
    machine.handle_processed(Processed::Completed, millis(0), 0);
    machine.handle_fetched(nothing(), Some(ShardEnd::default()), millis(0));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::ProveEnd)));
    machine.handle_proof(Ok(Proof::Closed(vec![child("shardId-1")])), millis(9), 0);
    assert!(matches!(machine.poll_action(millis(9)), Some(Action::Fetch)), "it was closed only after the claim");
    machine.handle_fetched(batch(2..=2), Some(ShardEnd::default()), millis(9));
    assert!(matches!(machine.poll_action(millis(9)), Some(Action::Deliver { .. })));
    machine.handle_processed(Processed::Completed, millis(9), 0);
    assert!(matches!(machine.poll_action(millis(9)), Some(Action::Progress { .. })));
    assert!(
        matches!(machine.poll_action(millis(9)), Some(Action::CallShardEnded { .. })),
        "no further proof is needed"
    );
}

/// A machine that has fetched these records after a checkpoint, and what it does first.
fn fetched(settings: Arc<MachineSettings>, start: Start, entries: Vec<RecordEntry>) -> ShardMachine {
    let mut machine = ShardMachine::new(settings, start, millis(0));
    let _ = machine.poll_action(millis(0));
    machine.handle_initialized(Ok(()), millis(0), 0);
    let _ = machine.poll_action(millis(0));
    machine.handle_fetched(RecordBatch::new(entries, None, BytePermit::unlimited()), None, millis(0));
    machine
}

fn after(stored: &RecordPosition) -> Start {
    Start { stored: Some(stored.clone()), ..Start::default() }
}

fn entry(number: u64, data: impl Into<Bytes>) -> RecordEntry {
    RecordEntry::new(number.to_string().parse().unwrap(), "k", data.into())
}

/// An aggregate of six user records.
fn aggregate() -> Bytes {
    let records = (0..6).map(|n| UserRecord { data: vec![n], ..UserRecord::default() }).collect();
    let keys = vec!["key".to_owned()];
    Bytes::from(encode(&AggregatedRecord { partition_keys: keys, explicit_hash_keys: Vec::new(), records }))
}

fn delivered(action: Option<Action>) -> Vec<String> {
    let Some(Action::Deliver { batch, .. }) = action else { panic!("no delivery: {action:?}") };
    batch.iter().map(|record| record.position().to_string()).collect()
}

#[test]
fn a_tenure_resumes_after_its_checkpoint_also_within_an_aggregate() {
    let stored = RecordPosition { sub: 3, ..position(5) };
    let mut machine = fetched(settings(), after(&stored), vec![entry(5, "plain"), entry(6, "x")]);
    assert_eq!(delivered(machine.poll_action(millis(0))), ["6"]);
    let mut machine = fetched(settings(), after(&stored), vec![entry(5, aggregate()), entry(6, "x")]);
    assert_eq!(delivered(machine.poll_action(millis(0))), ["5.4", "5.5", "6"]);
}

#[test]
fn what_belongs_to_other_shards_is_counted_and_passed() {
    let start = Start { hash_range: HashRange::new(0, 1), ..Start::default() };
    let mut machine = fetched(settings(), start, vec![entry(5, aggregate())]);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Report(Report::OutsideShard { records: 6 }))));
    let progress = machine.poll_action(millis(0));
    let Some(Action::Progress { position, records: 0, .. }) = progress else { panic!("{progress:?}") };
    assert_eq!(position.to_string(), "5.5");
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Fetch)));
}

#[test]
fn a_corrupt_aggregate_stops_the_shard_until_it_may_be_delivered() {
    let mut damaged = aggregate().to_vec();
    damaged[7] ^= 1;
    let entries = || vec![entry(5, "x"), entry(6, damaged.clone()), entry(7, "y")];
    let mut machine = fetched(settings(), Start::default(), entries());
    assert_eq!(delivered(machine.poll_action(millis(0))), ["5"]);
    machine.handle_processed(Processed::Completed, millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    for look in 0..3 {
        let report = machine.poll_action(millis(look * 30_000));
        let Some(Action::Report(Report::Stalled { error, .. })) = report else { panic!("look {look}: {report:?}") };
        assert!(error.contains("record 6") && error.contains("corrupt_aggregates"), "{error}");
        assert!(machine.poll_action(millis(look * 30_000)).is_none());
        assert_eq!(machine.poll_timeout(), Some(millis((look + 1) * 30_000)));
    }

    let deliver = Arc::new(MachineSettings { corrupt_aggregates: CorruptAggregates::Deliver, ..*settings() });
    let mut machine = fetched(Arc::clone(&deliver), after(&position(5)), entries());
    assert_eq!(delivered(machine.poll_action(millis(0))), ["6"]);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Report(Report::CorruptDelivered { .. }))));
    machine.handle_processed(Processed::Completed, millis(0), 0);
    assert!(matches!(machine.poll_action(millis(0)), Some(Action::Progress { .. })));
    assert_eq!(delivered(machine.poll_action(millis(0))), ["7"]);

    let mut machine = fetched(deliver, after(&position(6)), entries());
    assert_eq!(delivered(machine.poll_action(millis(0))), ["7"], "what was delivered is not delivered again");
}

#[derive(Debug, Clone)]
enum Event {
    Fetch(u64),
    FetchFails,
    Process,
    ProcessFails(u64),
    Panic,
    Wait,
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0u64..5).prop_map(Event::Fetch),
        1 => Just(Event::FetchFails),
        4 => Just(Event::Process),
        2 => (0u64..8).prop_map(Event::ProcessFails),
        1 => Just(Event::Panic),
        2 => Just(Event::Wait),
    ]
}

proptest! {
    /// Random schedules of a whole tenure: every record is delivered in order, none is skipped, the position never goes
    /// back and never lies above a record that is not completed, and only one callback runs at a time.
    #[test]
    fn no_schedule_skips_reorders_or_overtakes(script in prop::collection::vec(events(), 1..200)) {
        let mut machine = ShardMachine::new(settings(), Start::default(), millis(0));
        let mut now = millis(0);
        let (mut fetched, mut completed, mut expected_next) = (0u64, 0u64, 1u64);
        let mut running: Option<RecordBatch> = None;
        let (mut initializing, mut fetching) = (false, false);
        let mut safe = 0u64;
        for event in script {
            while let Some(action) = machine.poll_action(now) {
                match action {
                    Action::Initialize => { prop_assert!(running.is_none()); initializing = true; }
                    Action::Fetch => { prop_assert!(!fetching); fetching = true; }
                    Action::Deliver { batch, .. } => {
                        prop_assert!(running.is_none() && !initializing);
                        let numbers = numbers(&batch);
                        prop_assert_eq!(numbers[0], expected_next, "the first that is not completed comes next");
                        prop_assert!(numbers.windows(2).all(|w| w[0] + 1 == w[1]));
                        running = Some(batch);
                    }
                    Action::Progress { position, .. } => {
                        let position: u64 = position.sequence.as_str().parse().unwrap();
                        prop_assert!(position > safe && position <= completed);
                        safe = position;
                    }
                    Action::Report(_) => {}
                    other => prop_assert!(false, "unexpected {:?}", other),
                }
            }
            match event {
                Event::Fetch(count) if fetching => {
                    fetching = false;
                    machine.handle_fetched(batch(fetched + 1..=fetched + count), None, now);
                    fetched += count;
                }
                Event::FetchFails if fetching => {
                    fetching = false;
                    machine.handle_fetch_failed("away".into(), now, 3);
                }
                Event::Process if initializing => { initializing = false; machine.handle_initialized(Ok(()), now, 1); }
                Event::Panic if initializing => {
                    initializing = false;
                    machine.handle_initialized(Err("no".into()), now, 1);
                }
                Event::Process => if let Some(batch) = running.take() {
                    completed = *numbers(&batch).last().unwrap();
                    expected_next = completed + 1;
                    machine.handle_processed(Processed::Completed, now, 1);
                },
                Event::ProcessFails(offset) => if let Some(batch) = running.take() {
                    let first = expected_next + offset;
                    completed = completed.max(first.min(*numbers(&batch).last().unwrap() + 1) - 1);
                    expected_next = completed + 1;
                    let failed = Processed::Failed { first: Some(position(first)), error: "no".into() };
                    machine.handle_processed(failed, now, 1);
                },
                Event::Panic if running.take().is_some() => {
                    machine.handle_processed(Processed::Panicked { message: "boom".into() }, now, 1);
                }
                Event::Wait => if let Some(next) = machine.poll_timeout() { now = next.max(now) },
                _ => {}
            }
        }
    }
}

/// Everything that can happen to a machine, in any order.
#[derive(Debug, Clone)]
enum Any {
    Fetched(u64, Option<bool>),
    Callback(bool),
    Parents(bool),
    Proven(bool),
    Farewell(bool),
    Stop(u64),
    Lose,
    Wait,
}

fn anything() -> impl Strategy<Value = Any> {
    prop_oneof![
        6 => (0u64..3, prop::option::of(any::<bool>())).prop_map(|(count, end)| Any::Fetched(count, end)),
        8 => any::<bool>().prop_map(Any::Callback),
        4 => any::<bool>().prop_map(Any::Parents),
        4 => any::<bool>().prop_map(Any::Proven),
        3 => any::<bool>().prop_map(Any::Farewell),
        1 => (0u64..5_000).prop_map(Any::Stop),
        1 => Just(Any::Lose),
        4 => Just(Any::Wait),
    ]
}

proptest! {
    /// A time at which nothing happens, and that has come already, would keep the shell awake for ever.
    #[test]
    fn a_machine_with_nothing_to_do_never_asks_to_be_woken_in_the_past(
        parents in any::<bool>(),
        script in prop::collection::vec(anything(), 1..100),
    ) {
        let mut machine = ShardMachine::new(settings(), Start { has_parents: parents, ..Start::default() }, millis(0));
        let (mut now, mut fetched) = (millis(0), 0u64);
        // What runs, as the shell would have it.
        let (mut callback, mut io, mut farewell) = (None, None, None);
        for event in script {
            while let Some(action) = machine.poll_action(now) {
                match action {
                    Action::Fetch | Action::CheckParents | Action::ProveEnd => io = Some(action),
                    Action::Release | Action::WriteEnd { .. } => farewell = Some(()),
                    Action::CancelCallback => {
                        callback = None;
                        machine.callback_cancelled();
                    }
                    Action::Progress { .. } | Action::Report(_) => {}
                    Action::Finished(_) => return Ok(()),
                    other => callback = Some(other),
                }
            }
            if let Some(next) = machine.poll_timeout() {
                prop_assert!(next > now, "{next:?} at {now:?}: {machine:?}");
            }
            match (event, &callback, &io) {
                (Any::Fetched(count, end), _, Some(Action::Fetch)) => {
                    io = None;
                    let children = |named| if named { vec![child("shardId-1")] } else { Vec::new() };
                    let end = end.map(|named| ShardEnd::with_children(children(named)));
                    machine.handle_fetched(batch(fetched + 1..=fetched + count), end, now);
                    fetched += count;
                }
                (Any::Parents(done), _, Some(Action::CheckParents)) => {
                    io = None;
                    machine.handle_parents(Ok(done), now, 0);
                }
                (Any::Proven(closed), _, Some(Action::ProveEnd)) => {
                    io = None;
                    let proof = if closed { Proof::Closed(Vec::new()) } else { Proof::NotClosed("open".into()) };
                    machine.handle_proof(Ok(proof), now, 0);
                }
                (Any::Callback(well), Some(running), _) => {
                    let result = if well { Ok(()) } else { Err("no".to_owned()) };
                    match running {
                        Action::Initialize => machine.handle_initialized(result, now, 0),
                        Action::Deliver { .. } if well => machine.handle_processed(Processed::Completed, now, 0),
                        Action::Deliver { .. } => {
                            machine.handle_processed(Processed::Panicked { message: "boom".into() }, now, 0);
                        }
                        Action::CallShardEnded { .. } => machine.handle_shard_ended(result, now, 0),
                        Action::CallShutdownRequested { .. } => machine.handle_shutdown_requested(),
                        Action::CallLeaseLost => machine.handle_lease_lost_told(),
                        other => prop_assert!(false, "{other:?}"),
                    }
                    callback = None;
                }
                (Any::Farewell(well), _, _) if farewell.take().is_some() => {
                    if well { machine.handle_farewell_written() } else { machine.handle_end_failed("no".into(), now, 0) }
                }
                (Any::Stop(after), _, _) => machine.stop(StopReason::Shutdown, now + Duration::from_millis(after)),
                (Any::Lose, _, _) => machine.lose(),
                (Any::Wait, _, _) => if let Some(next) = machine.poll_timeout() { now = next.max(now) },
                _ => {}
            }
        }
    }
}
