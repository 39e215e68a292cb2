//! What is explored: the lock within bounds, and each of its rules taken out where its absence shows.

use super::{Bounds, LockModel};
use crate::protocol::rule::Rule::{self, *};
use crate::protocol::rule::{Broken, Rules};
use crate::protocol::run::{Run, to_the_break, wholly};

/// The protocol without a rule, and the promise that is broken then.
struct Without {
    rules: &'static [Rule],
    breaks: Broken,
    bounds: Bounds,
    why: &'static str,
}

pub(in crate::protocol) fn runs() -> Vec<Run> {
    let without = WITHOUT.iter().map(|run| {
        let model = LockModel { bounds: run.bounds, rules: Rules::without(run.rules), only: Some(run.breaks) };
        Run::without(("leader lock", run.bounds.to_string()), run.rules, Some(run.breaks), run.why, to_the_break(model))
    });
    let whole = WHOLE.iter().map(|(name, bounds, quick)| {
        let model = LockModel { bounds: *bounds, rules: Rules::ALL, only: None };
        Run::whole(name, bounds.to_string(), *quick, wholly(model))
    });
    without.chain(whole).collect()
}

const NONE: Bounds = Bounds::NONE;

const WITHOUT: &[Without] = &[
    Without {
        rules: &[LockAsSeen],
        breaks: Broken::TwoLead,
        bounds: NONE,
        why: "of two that take the lock both are told that they have it",
    },
    Without {
        rules: &[LeaderStops],
        breaks: Broken::TwoLead,
        bounds: NONE,
        why: "a leader that was paused goes on beside the one that took its lock",
    },
    Without {
        rules: &[LockWaits],
        breaks: Broken::TwoLead,
        bounds: NONE,
        why: "a lock is taken from a leader that may still go on",
    },
    Without {
        rules: &[RenewAfterCycle],
        breaks: Broken::Stuck,
        bounds: Bounds { stuck: 1, ..NONE },
        why: "a leader whose planner hangs renews its lock by a timer, and nobody plans",
    },
    Without {
        rules: &[TurnAfterFailure],
        breaks: Broken::Stuck,
        bounds: Bounds { stuck: 1, ..NONE },
        why: "a worker whose planner hangs lets its lock run out and takes it again before others may",
    },
    Without {
        rules: &[ClaimLeaderless],
        breaks: Broken::Stuck,
        bounds: Bounds { stuck: 2, ..NONE },
        why: "all planners hang, and nobody takes what has no holder",
    },
];

/// With every rule; whether it is quick.
const WHOLE: &[(&str, Bounds, bool)] = &[
    ("leader lock, two workers", Bounds { time: 4, cycles: 1, timeouts: 1, ..NONE }, true),
    ("leader lock, one of two planners hangs", Bounds { time: 4, stuck: 1, cycles: 1, crashes: 1, ..NONE }, true),
    ("leader lock, both planners hang", Bounds { time: 4, stuck: 2, timeouts: 1, ..NONE }, true),
    ("leader lock, two workers of which one stops", Bounds { cycles: 1, stops: 1, ..NONE }, true),
    ("leader lock, two workers for longer", Bounds { cycles: 2, timeouts: 1, ..NONE }, false),
    ("leader lock, one of two planners hangs for longer", Bounds { stuck: 1, cycles: 1, crashes: 1, ..NONE }, false),
    ("leader lock, three workers", Bounds { workers: 3, time: 4, stuck: 1, cycles: 1, ..NONE }, false),
];
