//! The life of one shard's subscription as decisions: when it may be opened, how long silence may last, what an ending
//! means. No IO, no clock: moments and random numbers are arguments.
//!
//! ```text
//!                       sent               answered          event
//!   Starting ──────────────────▶ Opening ──────────▶ Live ◀────────┐
//!   Renewing ──────────────────▶  │                  │ │ └─────────┘
//!   Reopening(reason) ─ later ─▶  │                  │ │
//!   Suspended ─ when wanted ───▶  │                  │ └─ nobody wants its events ─▶ Suspended
//!                                 │                  ├─── its five minutes are over ▶ Renewing
//!                                 └── refused ───────┴─── broken, silent, too early ▶ Reopening(reason)
//! ```
//!
//! Opened again means: from the position behind the last event, which is the reader's. So no ending loses or repeats a
//! record, and what is decided here is only how soon, and how loudly.

use std::time::Duration;

use crate::types::{Backoff, Moment};

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Never opened.
    Starting,
    /// The call is under way; it is given up at `until`.
    Opening { until: Moment },
    /// Events come.
    Live,
    /// It ended when its time was over.
    Renewing,
    /// It was cut off or refused.
    Reopening(Reason),
    /// It was closed because nobody wanted its events.
    Suspended,
}

/// Why a subscription has to be opened again, or could not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Reason {
    /// No event came, not even an empty one.
    Silent,
    /// The connection broke, or what came over it was cut short.
    Broken,
    /// The service ended it long before its time.
    Early,
    /// The consumer has another subscription to the shard, or had one less than five seconds ago.
    InUse,
    /// Fewer calls are wanted.
    Throttled,
    /// The service cannot be reached, does not answer, or fails inside.
    Unavailable,
    /// The service does not want the call: credentials, policies, a consumer or shard that is gone.
    Refused,
    /// An event makes no sense, or an end was not believed.
    Doubted,
}

/// Whether a fault is told to whoever reads, or only to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// It belongs to the life of subscriptions.
    Quiet,
    /// Nothing was read since the last one: somebody should know.
    Loud,
}

/// How a subscription that was open came to its end without an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// After its time.
    InTime,
    /// Long before.
    Early(Telling),
}

/// One shard's subscription. Every method takes the present moment, which never goes back.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    state: State,
    /// When the service last began one for us. The next one may begin five seconds later.
    begun: Option<Moment>,
    /// Not before this.
    not_before: Moment,
    /// When something was heard, or when listening began.
    heard: Moment,
    /// Since when nobody has wanted an event.
    resting: Option<Moment>,
    /// Faults since the last event.
    faults: u32,
}

impl Subscription {
    pub(super) fn new() -> Self {
        Subscription {
            state: State::Starting,
            begun: None,
            not_before: Moment::default(),
            heard: Moment::default(),
            resting: None,
            faults: 0,
        }
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    /// How long ago the service began the subscription that is open, or that ended last.
    pub(super) fn age(&self, now: Moment) -> Option<Duration> {
        self.begun.map(|begun| now.since(begun))
    }

    /// From when on it may be opened; a moment in the past means now.
    pub(super) fn open_at(&self) -> Moment {
        self.begun.map_or(self.not_before, |begun| self.not_before.max(begun + TAKE_OVER))
    }

    /// The call is sent. It is given up at the moment returned.
    pub(super) fn opening(&mut self, now: Moment) -> Moment {
        let until = now + OPENING;
        self.state = State::Opening { until };
        until
    }

    /// When the call that is under way is given up.
    pub(super) fn opening_until(&self) -> Moment {
        match self.state {
            State::Opening { until } => until,
            State::Starting | State::Live | State::Renewing | State::Reopening(_) | State::Suspended => self.not_before,
        }
    }

    /// The call was answered: from now on events are awaited.
    pub(super) fn opened(&mut self, now: Moment) {
        self.state = State::Live;
        self.begun = Some(now);
        self.heard = now;
        self.resting = None;
    }

    /// An event is wanted: until the moment returned one has to come. The present moment matters only where none was wanted
    /// before.
    pub(super) fn listen(&mut self, now: impl FnOnce() -> Moment) -> Moment {
        // While nobody listened, silence proved nothing.
        if self.resting.take().is_some() {
            self.heard = now();
        }
        self.heard + LIVENESS
    }

    /// An event came, perhaps without records.
    pub(super) fn heard(&mut self, now: Moment) {
        self.heard = now;
        self.faults = 0;
    }

    /// A part of an event came, at this moment.
    pub(super) fn receiving(&mut self, at: Moment) {
        self.heard = self.heard.max(at);
    }

    /// The stream of events ended without an error.
    pub(super) fn ended(&mut self, now: Moment, random: u64) -> Ended {
        if self.age(now).is_some_and(|age| age >= NEARLY_ALL) {
            self.state = State::Renewing;
            self.not_before = now;
            return Ended::InTime;
        }
        Ended::Early(self.failed(Reason::Early, now, random))
    }

    /// The call was refused or got no answer, or the open subscription failed.
    pub(super) fn failed(&mut self, reason: Reason, now: Moment, random: u64) -> Telling {
        self.state = State::Reopening(reason);
        self.faults = self.faults.saturating_add(1);
        let (backoff, borne) = match reason {
            // Events came until a moment ago, so one such ending says little.
            Reason::Silent | Reason::Broken | Reason::Early => (BACKOFF, 1),
            // Whoever has it is perhaps the worker that had the lease: it waits out the rule of five seconds, call by call.
            Reason::InUse => (TAKE_OVER_BACKOFF, IN_USE_BORNE),
            Reason::Throttled => (THROTTLED_BACKOFF, u32::MAX),
            Reason::Unavailable | Reason::Refused | Reason::Doubted => (BACKOFF, 0),
        };
        self.not_before = now + backoff.delay(self.faults, random);
        if self.faults <= borne { Telling::Quiet } else { Telling::Loud }
    }

    /// Nobody wants an event at the moment. If that lasts, the subscription is to be closed at the moment returned; `None`
    /// if it is not open.
    pub(super) fn rest(&mut self, now: Moment) -> Option<Moment> {
        match self.state {
            State::Live | State::Opening { .. } => Some(*self.resting.get_or_insert(now) + PATIENCE),
            State::Starting | State::Renewing | State::Reopening(_) | State::Suspended => None,
        }
    }

    /// It was closed, since nobody wanted its events.
    pub(super) fn suspended(&mut self) {
        self.state = State::Suspended;
        self.resting = None;
    }
}

impl Reason {
    /// All of them, in order.
    pub(super) const ALL: [Reason; 8] = [
        Reason::Silent,
        Reason::Broken,
        Reason::Early,
        Reason::InUse,
        Reason::Throttled,
        Reason::Unavailable,
        Reason::Refused,
        Reason::Doubted,
    ];

    /// As logs and metrics name it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Reason::Silent => "silent",
            Reason::Broken => "broken",
            Reason::Early => "ended_early",
            Reason::InUse => "in_use",
            Reason::Throttled => "throttled",
            Reason::Unavailable => "unavailable",
            Reason::Refused => "refused",
            Reason::Doubted => "doubted",
        }
    }
}

/// The service refuses a consumer's next subscription to a shard this soon after it began one. Counted from its answer,
/// which is later than its own count.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// The service ends a subscription after five minutes; whatever came near was its time.
const NEARLY_ALL: Duration = Duration::from_secs(4 * 60 + 30);
/// Idle subscriptions bring an event without records every few seconds. After this long without any, nobody is there.
pub(super) const LIVENESS: Duration = Duration::from_secs(15);
/// The answer to the call itself is small and comes at once.
const OPENING: Duration = Duration::from_secs(10);
/// How long a subscription is kept whose events nobody wants. What was pushed and not read is in nobody's budget, and where
/// the connection is shared it holds others up. But a handler that takes a moment is no reason to close one, since the next
/// may be opened only five seconds after this one was.
const PATIENCE: Duration = Duration::from_secs(2);
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(250), most: Duration::from_secs(30) };
const THROTTLED_BACKOFF: Backoff = Backoff { first: Duration::from_millis(400), most: Duration::from_secs(10) };
/// Tried again within the five seconds, since nobody knows how many of them are over.
const TAKE_OVER_BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(2) };
/// So many calls span more than five seconds. After that another reader is alive on the shard.
const IN_USE_BORNE: u32 = 7;

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
