//! How often a shard may be read: the service's limits as debts to be paid back, and the share of them that is ours.
//!
//! No clock in here: moments are arguments.

use std::time::Duration;

use crate::settings::ReadLimit;
use crate::types::{Backoff, Moment};

/// Paces the calls of one shard.
///
/// - 5 calls/s and 2 MB/s. Nothing is saved up while nobody reads: the service answers 10 MB at once and then refuses for
///   five seconds, however long it was idle before. So a call is allowed as soon as all earlier ones are paid for.
/// - Both limits are shared with every other application that polls the shard, and nobody says how many there are. When
///   the service throttles, the share that is taken for ours halves; with each answer it grows by a little.
/// - After a throttled call nothing is asked for a while that grows from one throttled call to the next, also without
///   limits of our own.
#[derive(Debug, Clone)]
pub(super) struct ReadLimiter {
    limited: bool,
    calls: Debt,
    bytes: Debt,
    /// The part of the service's limits to use, from [`LEAST_SHARE`] to 1.
    share: f64,
    /// Throttled calls since the last answer.
    throttles: u32,
    not_before: Moment,
}

impl ReadLimiter {
    pub(super) fn new(limit: ReadLimit) -> Self {
        ReadLimiter {
            limited: match limit {
                ReadLimit::Service => true,
                ReadLimit::None => false,
            },
            calls: Debt::new(CALLS_PER_SECOND),
            bytes: Debt::new(BYTES_PER_SECOND),
            share: 1.0,
            throttles: 0,
            not_before: Moment::default(),
        }
    }

    /// When the next call is allowed; a moment in the past means now.
    pub(super) fn next_call(&self) -> Moment {
        self.not_before.max(self.calls.paid).max(self.bytes.paid)
    }

    /// A call is sent at `now`.
    pub(super) fn called(&mut self, now: Moment) {
        if self.limited {
            self.calls.charge(now, 1.0, self.share);
        }
    }

    /// The call of `sent` was answered with so many bytes. They are charged from when it was sent: the service counts
    /// them before they travel.
    pub(super) fn answered(&mut self, sent: Moment, bytes: usize) {
        self.throttles = 0;
        if self.limited {
            self.share = (self.share + SHARE_PER_ANSWER).min(1.0);
            self.bytes.charge(sent, bytes as f64, self.share);
        }
    }

    /// A call was refused at `now` because there were too many.
    pub(super) fn throttled(&mut self, now: Moment, random: u64) {
        self.throttles = self.throttles.saturating_add(1);
        self.share = (self.share / 2.0).max(LEAST_SHARE);
        self.not_before = now + BACKOFF.delay(self.throttles, random);
    }

    /// The part of the service's limits in use, for the log.
    pub(super) fn share(&self) -> f64 {
        self.share
    }
}

/// What was taken at once and is paid back at a steady rate: a token bucket that holds no tokens, only debt.
#[derive(Debug, Clone)]
struct Debt {
    per_second: f64,
    /// When all is paid back.
    paid: Moment,
}

impl Debt {
    fn new(per_second: f64) -> Self {
        Debt { per_second, paid: Moment::default() }
    }

    fn charge(&mut self, from: Moment, amount: f64, share: f64) {
        let cost = Duration::try_from_secs_f64(amount / (self.per_second * share)).unwrap_or(Duration::MAX);
        self.paid = self.paid.max(from) + cost;
    }
}

const CALLS_PER_SECOND: f64 = 5.0;
/// The smaller reading of "2 MB".
const BYTES_PER_SECOND: f64 = 2_000_000.0;
/// 0.25 calls/s: slow enough for twenty applications, quick enough to notice that the others have gone.
const LEAST_SHARE: f64 = 0.05;
/// From the least share back to all of it takes some 30 s of reading as fast as allowed.
const SHARE_PER_ANSWER: f64 = 0.02;
/// From two calls' time to the interval of the least share.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(400), most: Duration::from_secs(4) };

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_origin(Duration::from_millis(millis))
    }

    fn millis(moment: Moment) -> u64 {
        moment.since_origin().as_millis() as u64
    }

    #[test]
    fn an_answer_pays_for_itself() {
        for (bytes, waits) in
            [(0, 200), (1_000, 200), (400_000, 200), (1_000_000, 500), (2_000_000, 1_000), (10_000_000, 5_000)]
        {
            let mut limiter = ReadLimiter::new(ReadLimit::Service);
            assert_eq!(limiter.next_call(), Moment::default(), "nothing is owed at first");
            limiter.called(at(60_000));
            limiter.answered(at(60_000), bytes);
            assert_eq!(millis(limiter.next_call()), 60_000 + waits, "{bytes} bytes");
        }
    }

    #[test]
    fn without_a_limit_only_throttling_is_waited_out() {
        let mut limiter = ReadLimiter::new(ReadLimit::None);
        limiter.called(at(1_000));
        limiter.answered(at(1_000), 10_000_000);
        assert!(limiter.next_call() <= at(1_000));
        limiter.called(at(1_000));
        limiter.throttled(at(1_000), 0);
        assert_eq!(limiter.next_call(), at(1_200));
    }

    #[test]
    fn throttling_slows_down_to_the_floor_and_answers_bring_the_pace_back() {
        let mut limiter = ReadLimiter::new(ReadLimit::Service);
        let mut now = at(10_000);
        let mut waits = Vec::new();
        for _ in 0..10 {
            limiter.called(now);
            limiter.throttled(now, u64::MAX);
            waits.push(limiter.next_call().since(now));
            now = limiter.next_call();
        }
        assert!(waits.is_sorted(), "{waits:?}");
        assert_eq!(*waits.last().unwrap(), Duration::from_secs(4), "0.25 calls/s");

        let mut answers = 0;
        while limiter.share() < 1.0 {
            limiter.called(now);
            limiter.answered(now, 0);
            now = limiter.next_call();
            answers += 1;
        }
        assert!(answers <= 50, "{answers}");
        limiter.called(now);
        limiter.answered(now, 0);
        assert_eq!(limiter.next_call().since(now), Duration::from_millis(200));
    }

    proptest! {
        /// Whatever is answered, whoever keeps to `next_call` stays below both limits of the service over any span.
        #[test]
        fn the_limits_hold_over_any_span(
            steps in prop::collection::vec((0_usize..10_000_000, 0_u64..3_000, prop::bool::weighted(0.1)), 1..60),
        ) {
            let mut limiter = ReadLimiter::new(ReadLimit::Service);
            let mut now = at(5_000);
            let mut calls: Vec<(Moment, usize)> = Vec::new();
            for (bytes, pause, throttled) in steps {
                now = now.max(limiter.next_call());
                limiter.called(now);
                if throttled {
                    limiter.throttled(now, bytes as u64);
                    calls.push((now, 0));
                } else {
                    limiter.answered(now, bytes);
                    calls.push((now, bytes));
                }
                // Idle times earn nothing.
                now = now + Duration::from_millis(pause / 10 * (pause % 2));
            }
            for (first, &(start, _)) in calls.iter().enumerate() {
                let mut bytes = 0;
                for (n, &(moment, size)) in calls[first..].iter().enumerate() {
                    let span = moment.since(start).as_secs_f64();
                    prop_assert!(n as f64 <= span * 5.0 + 1e-6, "{} calls after the first in {span} s", n);
                    prop_assert!(bytes as f64 <= span * 2e6 + 1.0, "{bytes} bytes before the last call in {span} s");
                    bytes += size;
                }
            }
        }
    }
}
