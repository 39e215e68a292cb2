use futures_util::FutureExt;

use super::*;
use crate::testing::ManualClock;
use crate::types::RecordPosition;

fn shard() -> ShardRef {
    ShardRef::new("orders".parse().unwrap(), "shardId-000000000000".parse().unwrap())
}

fn source_with(records: &[&'static str]) -> (ManualClock, ScriptedSource) {
    let clock = ManualClock::at(Timestamp::from_millis(0));
    let source = ScriptedSource::new(clock.clone());
    source.add_shard(&shard(), None);
    for data in records {
        source.append(&shard(), *data);
        clock.advance(Duration::from_secs(1));
    }
    (clock, source)
}

/// What the reader gives without waiting: the data of the records, and whether it was the end.
fn read(reader: &mut Box<dyn ShardReader>) -> (Vec<String>, bool) {
    let fetched = reader.next(BytePermit::unlimited()).now_or_never().unwrap().unwrap();
    (fetched.batch.iter().map(|r| String::from_utf8(r.data().to_vec()).unwrap()).collect(), fetched.end.is_some())
}

fn position(sequence: &str, sub: u64) -> RecordPosition {
    RecordPosition { sequence: sequence.parse().unwrap(), sub }
}

#[test]
fn every_position_starts_where_it_says() {
    let (_, source) = source_with(&["one", "two", "three"]);
    for (sub, data) in [(0, "four"), (1, "five")] {
        let mut part = RecordEntry::new("4".parse().unwrap(), "key", data.into());
        part.sub = sub;
        source.append_entry(&shard(), part);
    }
    for (start, first) in [
        (Position::TrimHorizon, "one"),
        (Position::AtTime(Timestamp::from_millis(1_000)), "two"),
        (Position::AtTime(Timestamp::from_millis(1_001)), "three"),
        (Position::At(position("3", 0)), "three"),
        (Position::At(position("4", 1)), "five"),
        (Position::After("1".parse().unwrap()), "two"),
        (Position::After("3".parse().unwrap()), "four"),
    ] {
        let (records, end) = read(&mut source.open(&shard(), start.clone()));
        assert_eq!((records[0].as_str(), end), (first, false), "{start:?}");
        assert_eq!(records.last().unwrap(), "five");
    }
    source.trim(&shard(), &"2".parse().unwrap());
    assert_eq!(read(&mut source.open(&shard(), Position::TrimHorizon)).0[0], "three");
    assert_eq!(source.opened(&shard()).len(), 8);
    assert_eq!(source.append(&shard(), "six").as_str(), "5", "numbers go on behind those given by hand");
}

#[test]
fn an_instant_in_the_future_skips_what_arrives_before_it() {
    let (clock, source) = source_with(&["one"]);
    let mut reader = source.open(&shard(), Position::AtTime(Timestamp::from_millis(5_000)));
    source.append(&shard(), "early");
    assert_eq!(read(&mut reader).0, [""; 0]);
    clock.advance(Duration::from_secs(4));
    source.append(&shard(), "in time");
    assert_eq!(read(&mut reader).0, ["in time"]);
}

#[test]
fn errors_and_dropped_calls_lose_nothing_and_repeat_nothing() {
    let (_, source) = source_with(&["one", "two"]);
    source.set_batch_limit(1);
    let mut reader = source.open(&shard(), Position::TrimHorizon);
    assert_eq!(read(&mut reader).0, ["one"]);
    source.fail_read(&shard(), ReadError::Unavailable("scripted".into()));
    assert!(reader.next(BytePermit::unlimited()).now_or_never().unwrap().is_err());
    source.hold(&shard());
    assert!(reader.next(BytePermit::unlimited()).now_or_never().is_none(), "the answer does not come");
    source.release(&shard());
    assert_eq!(read(&mut reader).0, ["two"]);
    source.remove_shard(&shard());
    assert!(matches!(
        reader.next(BytePermit::unlimited()).now_or_never(),
        Some(Err(ReadError::NotFound { shard, .. })) if shard == "orders/shardId-000000000000"
    ));
}

#[tokio::test]
async fn ready_waits_for_news_and_for_nudges() {
    let (_, source) = source_with(&["one"]);
    let mut reader = source.open(&shard(), Position::TrimHorizon);
    reader.ready().await;
    read(&mut reader);
    assert!(reader.ready().now_or_never().is_none(), "at the tip there is nothing to do");
    let (_, ()) = futures_util::join!(reader.ready(), async { source.nudge(&shard()) });
    assert_eq!(read(&mut reader), (Vec::new(), false));
    assert!(reader.ready().now_or_never().is_none(), "a nudge counts once");
    let (_, ()) = futures_util::join!(reader.ready(), async { drop(source.append(&shard(), "two")) });
    assert_eq!(read(&mut reader).0, ["two"]);
    let (_, ()) = futures_util::join!(reader.ready(), async { source.close(&shard(), Vec::new()) });
    assert_eq!(read(&mut reader), (Vec::new(), true));
    reader.ready().await;
    assert_eq!(read(&mut reader), (Vec::new(), true), "an end stays an end");
}

#[tokio::test]
async fn a_reshard_closes_the_parents_and_names_the_children() {
    let (_, source) = source_with(&["one"]);
    let stream = shard().stream().clone();
    let children = ["shardId-000000000001", "shardId-000000000002"].map(|id| (id.parse().unwrap(), None));
    source.reshard(&stream, &[shard().id().clone()], &children);
    let fetched = source.open(&shard(), Position::TrimHorizon).next(BytePermit::unlimited()).await.unwrap();
    assert_eq!(fetched.batch.len(), 1);
    let named: Vec<ShardId> = fetched.end.unwrap().children.into_iter().map(|child| child.id).collect();
    assert_eq!(named, [children[0].0.clone(), children[1].0.clone()]);
    let listed = source.list_shards(&stream).await.unwrap();
    let parents: Vec<_> = listed.shards.iter().map(|shard| (shard.is_closed(), shard.parents().count())).collect();
    assert_eq!(parents, [(true, 0), (false, 1), (false, 1)]);
    assert_eq!(listed.service_time, Some(Timestamp::from_millis(1_000)));
    source.fail_listing(SourceError::Throttled("scripted".into()));
    assert!(source.list_shards(&stream).await.is_err());
    let nowhere = source.list_shards(&"nowhere".parse().unwrap()).await;
    assert!(matches!(nowhere, Err(SourceError::NotFound { .. })));
}

#[test]
fn an_answer_keeps_to_the_permit_but_gives_at_least_one_record() {
    let (_, source) = source_with(&["four", "four", "four"]);
    let mut reader = source.open(&shard(), Position::TrimHorizon);
    struct Nobody;
    impl crate::types::ByteAccount for Nobody {
        fn give_back(&self, _: usize) {}
        fn overdraw(&self, _: usize) {}
    }
    for (bytes, records, lag) in [(9, 2, 1_000), (1, 1, 0)] {
        let fetched = reader.next(BytePermit::new(bytes, Arc::new(Nobody))).now_or_never().unwrap().unwrap();
        assert_eq!((fetched.batch.len(), fetched.lag), (records, Some(Duration::from_millis(lag))));
    }
}

#[test]
fn a_record_that_was_trimmed_is_missed_by_who_wants_to_resume_there() {
    let (_, source) = source_with(&["one", "two", "three"]);
    source.trim(&shard(), &"1".parse().unwrap());
    let loss = DataLoss { checkpoint: "1".parse().unwrap(), next: "2".parse().unwrap() };
    for (sequence, sub, expected) in [("1", 1, Some(loss)), ("2", 0, None)] {
        let mut reader = source.open(&shard(), Position::At(position(sequence, sub)));
        let told = [0, 1].map(|_| reader.next(BytePermit::unlimited()).now_or_never().unwrap().unwrap().data_loss);
        assert_eq!(told, [expected, None]);
    }
}

#[test]
fn answers_tell_their_lag_unless_it_is_hidden() {
    let (_, source) = source_with(&["one"]);
    let mut reader = source.open(&shard(), Position::TrimHorizon);
    for (known, lag) in [(false, None), (true, Some(Duration::ZERO))] {
        source.set_lag_known(known);
        assert_eq!(reader.next(BytePermit::unlimited()).now_or_never().unwrap().unwrap().lag, lag);
    }
}
