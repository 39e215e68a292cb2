//! When a shard changes its reader. No IO, no clock: moments and random numbers are arguments.

use std::time::Duration;

use crate::types::{Backoff, Moment};

/// What was seen of one shard's subscriptions, and what follows for its reader.
///
/// Subscriptions are given up if three of them break without a quiet minute between, or if none brings anything for half a
/// minute. They are tried again after a minute; each further time that they are given up doubles that, up to ten minutes,
/// until they were quiet for five.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    /// Subscriptions that broke since the last quiet minute.
    broken: u32,
    /// How often subscriptions were given up since they were last quiet for five minutes.
    given_up: u32,
    last_fault: Moment,
    /// Since when an event is awaited, while one is.
    waiting: Option<Moment>,
    /// Subscriptions are not tried before this.
    not_before: Moment,
}

/// A fault, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The subscription could not be opened, or broke.
    Broken,
    /// It has to wait: somebody else has the shard, or fewer calls are wanted.
    Delayed,
}

/// What to do about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Go on subscribing.
    Stay,
    /// Poll for a while.
    GiveUp,
}

impl Choice {
    pub(super) fn new() -> Self {
        let never = Moment::default();
        Choice { broken: 0, given_up: 0, last_fault: never, waiting: None, not_before: never }
    }

    /// An event is wanted from the subscription.
    pub(super) fn wanted(&mut self, now: Moment) {
        self.waiting.get_or_insert(now);
    }

    /// One came.
    pub(super) fn brought(&mut self, now: Moment) {
        self.waiting = None;
        let quiet = now.since(self.last_fault);
        if quiet >= QUIET {
            self.broken = 0;
        }
        if quiet >= FORGIVEN {
            self.given_up = 0;
        }
    }

    /// A fault came instead.
    pub(super) fn fault(&mut self, fault: Fault, now: Moment, random: u64) -> Verdict {
        if now.since(self.last_fault) >= QUIET {
            self.broken = 0;
        }
        self.last_fault = now;
        self.broken += match fault {
            Fault::Broken => 1,
            Fault::Delayed => 0,
        };
        let nothing_for = self.waiting.map_or(Duration::ZERO, |since| now.since(since));
        if self.broken < MOST_BROKEN && nothing_for < LONGEST_WAIT {
            return Verdict::Stay;
        }
        self.given_up = self.given_up.saturating_add(1);
        self.not_before = now + PAUSE.delay(self.given_up, random);
        (self.broken, self.waiting) = (0, None);
        Verdict::GiveUp
    }

    /// There is no consumer to subscribe with. That is no fault of subscriptions: they are tried as soon as there is one.
    pub(super) fn no_consumer(&mut self) {
        self.waiting = None;
    }

    /// Whether subscriptions may be tried, as far as they themselves are concerned.
    pub(super) fn may_subscribe(&self, now: Moment) -> bool {
        self.not_before <= now
    }
}

const MOST_BROKEN: u32 = 3;
const QUIET: Duration = Duration::from_secs(60);
const FORGIVEN: Duration = Duration::from_secs(5 * 60);
/// Twice as long as it takes to notice that a subscription is dead.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Half of it is jitter, so the first pause lasts from one minute to two.
const PAUSE: Backoff = Backoff { first: Duration::from_secs(120), most: Duration::from_secs(600) };

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_origin(Duration::from_secs(seconds))
    }

    #[test]
    fn the_third_break_without_a_quiet_minute_ends_it() {
        let mut choice = Choice::new();
        assert!(choice.may_subscribe(at(1_000)));
        for (second, verdict) in [(1_000, Verdict::Stay), (1_030, Verdict::Stay), (1_060, Verdict::GiveUp)] {
            choice.wanted(at(second));
            assert_eq!(choice.fault(Fault::Broken, at(second), 0), verdict, "at {second}");
            choice.brought(at(second + 1));
        }
        assert!(!choice.may_subscribe(at(1_119)) && choice.may_subscribe(at(1_120)));
    }

    #[test]
    fn breaks_that_are_far_between_are_borne() {
        let mut choice = Choice::new();
        for minute in 1..30 {
            assert_eq!(choice.fault(Fault::Broken, at(minute * 61), 0), Verdict::Stay);
            choice.brought(at(minute * 61 + 1));
        }
    }

    #[test]
    fn waiting_for_others_is_borne_for_half_a_minute() {
        let mut choice = Choice::new();
        choice.wanted(at(1_000));
        for second in [1_001, 1_003, 1_007, 1_015, 1_029] {
            choice.wanted(at(second));
            assert_eq!(choice.fault(Fault::Delayed, at(second), 0), Verdict::Stay, "at {second}");
        }
        assert_eq!(choice.fault(Fault::Delayed, at(1_030), 0), Verdict::GiveUp);
    }

    #[test]
    fn time_in_which_nobody_wanted_anything_does_not_count() {
        let mut choice = Choice::new();
        choice.wanted(at(1_000));
        choice.brought(at(1_001));
        choice.wanted(at(2_000));
        assert_eq!(choice.fault(Fault::Delayed, at(2_029), 0), Verdict::Stay);
        choice.no_consumer();
        choice.wanted(at(3_000));
        assert_eq!(choice.fault(Fault::Delayed, at(3_001), 0), Verdict::Stay);
    }

    #[test]
    fn pauses_grow_up_to_ten_minutes_until_five_were_quiet() {
        let mut choice = Choice::new();
        let mut now = at(1_000);
        let mut pauses = Vec::new();
        let give_up = |choice: &mut Choice, now: Moment| {
            for _ in 0..3 {
                choice.fault(Fault::Broken, now, 0);
            }
            let waits = (0..=600).find(|second| choice.may_subscribe(now + Duration::from_secs(*second)));
            waits.unwrap()
        };
        for _ in 0..5 {
            pauses.push(give_up(&mut choice, now));
            now = now + Duration::from_secs(600);
        }
        assert_eq!(pauses, [60, 120, 240, 300, 300]);
        choice.brought(now + Duration::from_secs(300));
        assert_eq!(give_up(&mut choice, now + Duration::from_secs(400)), 60);
    }
}
