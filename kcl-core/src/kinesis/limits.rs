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
/// - Both limits are shared with every other application that polls the shard, and nobody says how many there are. So what
///   an answer costs is paid back more slowly the more the shard is contended for: an answer that came only after throttled
///   calls adds to that, one that came at once takes away from it.
/// - After a throttled call the next one comes soon, but at no foreseeable moment: refused calls count among the five. Whoever
///   paid for a large answer begins a little later than it might, or others would never find the moment before it.
#[derive(Debug, Clone)]
pub(super) struct ReadLimiter {
    limited: bool,
    calls: Debt,
    bytes: Debt,
    /// How many times more than without others an answer costs: from 0 to [`MOST_YIELDING`].
    yielding: f64,
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
            yielding: 0.0,
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
            self.calls.charge(now, 1.0, self.share());
        }
    }

    /// The call of `sent` was answered with so many bytes. They are charged from when it was sent: the service counts
    /// them before they travel.
    pub(super) fn answered(&mut self, sent: Moment, bytes: usize, random: u64) {
        if std::mem::take(&mut self.throttles) == 0 {
            self.yielding *= YIELDING_LEFT;
        }
        if self.limited {
            let large = bytes as f64 >= LARGE;
            let delay = if large { MOST_DELAY * (random as f64 / u64::MAX as f64) } else { 0.0 };
            self.bytes.charge(sent, bytes as f64 * (1.0 + delay), self.share());
        }
    }

    /// A call was refused at `now` because there were too many.
    pub(super) fn throttled(&mut self, now: Moment, random: u64) {
        if self.throttles == 0 {
            self.yielding = (self.yielding + YIELDING_PER_CONTEST).min(MOST_YIELDING);
        }
        self.throttles = self.throttles.saturating_add(1);
        self.not_before = now + BACKOFF.delay(self.throttles, random);
    }

    /// The part of the service's limits that is taken for ours.
    pub(super) fn share(&self) -> f64 {
        1.0 / (1.0 + self.yielding)
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
// Chosen by the model in `tests::sharing`: three applications share a shard evenly and use most of it.
/// 0.25 calls/s: slow enough for twenty applications, quick enough to notice that the others have gone.
const MOST_YIELDING: f64 = 19.0;
const YIELDING_PER_CONTEST: f64 = 0.2;
/// What is left of it after an answer that nobody contested.
const YIELDING_LEFT: f64 = 0.9;
/// An answer that is paid for in half a second or more; smaller ones leave gaps enough.
const LARGE: f64 = 900_000.0;
/// The part of its time by which the call after a large answer is put off at most.
const MOST_DELAY: f64 = 0.1;
/// Between calls that are refused.
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(300), most: Duration::from_secs(1) };

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
            limiter.answered(at(60_000), bytes, 0);
            assert_eq!(millis(limiter.next_call()), 60_000 + waits, "{bytes} bytes");
        }
    }

    #[test]
    fn without_a_limit_only_throttling_is_waited_out() {
        let mut limiter = ReadLimiter::new(ReadLimit::None);
        limiter.called(at(1_000));
        limiter.answered(at(1_000), 10_000_000, 0);
        assert!(limiter.next_call() <= at(1_000));
        limiter.called(at(1_000));
        limiter.throttled(at(1_000), 0);
        assert_eq!(limiter.next_call(), at(1_150));
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
        assert!((500..=1_000).contains(&waits.last().unwrap().as_millis()), "{waits:?}");
        assert_eq!(limiter.share(), 1.0 / 1.2, "one contest, however many calls it took");
        for _ in 0..200 {
            limiter.throttled(now, 0);
            limiter.answered(now, 0, 0);
        }
        assert_eq!(limiter.share(), 0.05, "the floor");
        now = now.max(limiter.next_call());

        let mut answers = 0;
        while limiter.share() < 0.99 {
            limiter.called(now);
            limiter.answered(now, 0, 0);
            now = limiter.next_call();
            answers += 1;
        }
        assert!(answers <= 80, "{answers}");
        limiter.called(now);
        limiter.answered(now, 0, 0);
        assert!(limiter.next_call().since(now) < Duration::from_millis(203));
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
                    limiter.answered(now, bytes, pause * 7_919);
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
