//! Rates by properties: whatever is written and read, and whenever, no shard takes or gives more than its rate, a debt is paid
//! before anything else, and nothing is refused without a cause.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::world::config;
use kcl_local::{
    ErrorCode, Limits, LocalKinesis, ManualClock, NewRecord, Settings, ShardId, StartingPosition, Timestamp,
};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// As many records of this size.
    Put {
        count: usize,
        bytes: usize,
    },
    Read {
        limit: usize,
    },
    Advance {
        millis: u64,
    },
    ClockBack {
        millis: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..500_usize, 1..3_000_usize).prop_map(|(count, bytes)| Step::Put { count, bytes }),
        1 => (1..5_usize, 200_000..1_000_000_usize).prop_map(|(count, bytes)| Step::Put { count, bytes }),
        1 => (1_100_000..8_000_000_usize).prop_map(|bytes| Step::Put { count: 1, bytes }),
        3 => (1..400_usize).prop_map(|limit| Step::Read { limit }),
        4 => (0..700_u64).prop_map(|millis| Step::Advance { millis }),
        1 => (3_000..9_000_u64).prop_map(|millis| Step::Advance { millis }),
        1 => (0..700_u64).prop_map(|millis| Step::ClockBack { millis }),
    ]
}

/// What was let through, when, and how large it was.
#[derive(Default)]
struct Passed(Vec<(u64, usize)>);

impl Passed {
    fn push(&mut self, at: u64, amount: usize) {
        match self.0.last_mut() {
            Some((last, sum)) if *last == at => *sum += amount,
            _ => self.0.push((at, amount)),
        }
    }

    /// How far everything from any moment on has exceeded what flows in since, at most; `after` is the last moment.
    fn excess(&self, per_second: usize, after: u64) -> f64 {
        let mut sum = 0;
        let excess = |(at, amount): &(u64, usize)| {
            sum += amount;
            sum as f64 - per_second as f64 * (after - at) as f64 / 1000.0
        };
        self.0.iter().rev().map(excess).fold(0.0, f64::max)
    }
}

struct World {
    kinesis: LocalKinesis,
    clock: Arc<ManualClock>,
    /// The latest time at which the shard was asked to take, and to give: rates flow with that, not with a clock that went
    /// back.
    asked: [u64; 2],
    records_in: Passed,
    bytes_in: Passed,
    reads: Passed,
    bytes_out: Passed,
    iterator: String,
    written: usize,
    read: usize,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_790_000_000_000)));
        let settings = Settings { limits: Limits::Service, ..Settings::default() };
        let kinesis = LocalKinesis::with_settings(settings, clock.clone());
        kinesis.create_stream("s", 1).unwrap();
        kinesis.change_max_record("s", 10_240).unwrap();
        let iterator = kinesis.shard_iterator("s", ShardId(0), StartingPosition::TrimHorizon).unwrap();
        Self {
            asked: [0; 2],
            kinesis,
            clock,
            records_in: Passed::default(),
            bytes_in: Passed::default(),
            reads: Passed::default(),
            bytes_out: Passed::default(),
            iterator,
            written: 0,
            read: 0,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Put { count, bytes } => self.put(count, bytes),
            Step::Read { limit } => self.read(limit),
            Step::Advance { millis } => self.clock.advance(Duration::from_millis(millis)),
            Step::ClockBack { millis } => self.clock.set(self.kinesis.now().minus(Duration::from_millis(millis))),
        }
    }

    fn ask(&mut self, for_what: usize) -> u64 {
        self.asked[for_what] = self.asked[for_what].max(self.kinesis.now().as_millis());
        self.asked[for_what]
    }

    fn put(&mut self, count: usize, bytes: usize) {
        let count = count.min(10_000_000 / bytes).max(1);
        let records = (0..count).map(|_| NewRecord::new("k", vec![0; bytes - 1])).collect();
        let now = self.ask(TAKE);
        for result in self.kinesis.put_records("s", records).unwrap() {
            // What is larger than a second's worth passes when the shard is rested, and is paid for afterwards.
            let counted = bytes.min(MIB);
            let records = self.records_in.excess(1_000, now) + 1.0;
            let in_bytes = self.bytes_in.excess(MIB, now) + counted as f64;
            match result {
                Ok(_) => {
                    assert!(records <= 1_000.0 + EPSILON && in_bytes <= MIB as f64 + EPSILON, "{records}, {in_bytes}");
                    self.records_in.push(now, 1);
                    self.bytes_in.push(now, bytes);
                    self.written += 1;
                }
                Err(error) => {
                    assert_eq!(error.code, "ProvisionedThroughputExceededException");
                    // A clock that stood still while another went on has hidden a millisecond's worth at most.
                    let cause = records > 1_000.0 - 2.0 || in_bytes > MIB as f64 - 2_200.0;
                    assert!(cause || self.clock_is_behind(), "refused with {records} records and {in_bytes} bytes");
                }
            }
        }
    }

    fn clock_is_behind(&self) -> bool {
        self.kinesis.now().as_millis() < self.asked[TAKE]
    }

    fn read(&mut self, limit: usize) {
        let now = self.ask(GIVE);
        match self.kinesis.get_records(&self.iterator, limit) {
            Ok(batch) => {
                // Two seconds' worth may meet where one second ends, but no answer goes out before those are paid for.
                assert!(self.bytes_out.excess(2 * MIB, now) <= 4.0 * MIB as f64 + EPSILON);
                assert!(self.reads.excess(5, now) + 1.0 <= 5.0 + 0.01);
                let bytes = batch.records.iter().map(|record| record.payload.size()).sum();
                self.bytes_out.push(now, bytes);
                self.reads.push(now, 1);
                self.read += batch.records.len();
                self.iterator = batch.next_iterator.unwrap();
            }
            Err(error) if error.code() == ErrorCode::ExpiredIterator => {
                let start = StartingPosition::TrimHorizon;
                self.clock.advance(Duration::from_secs(1));
                self.iterator = self.kinesis.shard_iterator("s", ShardId(0), start).unwrap();
                self.read = 0;
            }
            Err(error) => {
                assert_eq!(error.code(), ErrorCode::ProvisionedThroughputExceeded);
                let in_debt = self.bytes_out.excess(2 * MIB, now) > 0.0;
                assert!(in_debt || self.reads.excess(5, now) > 3.9, "a read refused without a cause");
                // It counts among the five all the same, if it was one of them.
                if self.reads.excess(5, now) + 1.0 <= 5.0 {
                    self.reads.push(now, 1);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(config(60, "tests/rates.regressions"))]

    #[test]
    fn a_shard_takes_and_gives_its_rate_and_no_more(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        steps.iter().for_each(|step| world.take(step));
        // Debts end: after a rest everything is possible again.
        world.clock.set(Timestamp::from_millis(world.asked[TAKE].max(world.asked[GIVE]).max(world.kinesis.now().as_millis()) + 60_000));
        let (written, read) = (world.written, world.read);
        world.put(500, 1_000);
        world.put(500, 1_000);
        prop_assert_eq!(world.written, written + 1_000);
        world.read(1_000);
        prop_assert!(world.read > read || world.read == written);
    }
}

const TAKE: usize = 0;
const GIVE: usize = 1;
const MIB: usize = 1 << 20;
/// For sums of floats.
const EPSILON: f64 = 1.0;
