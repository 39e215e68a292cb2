//! What is explored: the whole protocol within bounds, and each rule taken out where its absence shows.

use super::{Bounds, LeaseModel};
use crate::protocol::rule::Rule::{self, *};
use crate::protocol::rule::{Broken, Rules};
use crate::protocol::run::{Run, to_the_break, wholly};

/// The protocol without rules, and the promise that is broken then.
struct Without {
    /// What is taken out.
    rules: &'static [Rule],
    /// What must be found.
    breaks: Broken,
    /// Where it can be found.
    bounds: Bounds,
    /// What happens then.
    why: &'static str,
}

/// The protocol as it is, within bounds.
struct Whole {
    name: &'static str,
    bounds: Bounds,
    /// Whether it is small enough for every test run.
    quick: bool,
}

pub(in crate::protocol) fn runs() -> Vec<Run> {
    let without = WITHOUT.iter().map(|run| {
        let model =
            LeaseModel { rules: Rules::without(run.rules), only: Some(run.breaks), ..LeaseModel::new(run.bounds) };
        Run::without(("lease", run.bounds.to_string()), run.rules, Some(run.breaks), run.why, to_the_break(model))
    });
    let second_lines = SECOND_LINES.iter().map(|(rules, why)| {
        let model = LeaseModel { rules: Rules::without(rules), symmetric: true, ..LeaseModel::new(SECOND) };
        Run::without(("lease", SECOND.to_string()), rules, None, why, wholly(model))
    });
    let stored = STORED.iter().map(|promise| {
        let rules: &[Rule] = &[HolderStops];
        let only = Some(*promise);
        let model = LeaseModel { rules: Rules::without(rules), only, symmetric: true, ..LeaseModel::new(CLOCKLESS) };
        let why = "what is stored does not depend on clocks";
        Run::without(("lease", CLOCKLESS.to_string()), rules, None, why, wholly(model))
    });
    let whole = WHOLE.iter().map(|run| {
        let model = LeaseModel { symmetric: true, ..LeaseModel::new(run.bounds) };
        Run::whole(run.name, run.bounds.to_string(), run.quick, wholly(model))
    });
    without.chain(second_lines).chain(stored).chain(whole).collect()
}

/// Rules whose absence alone breaks nothing, since others stand behind them: they are a second line.
const SECOND_LINES: &[(&[Rule], &str)] = &[
    (&[HolderEpoch], "the counter is asked for too, and only grows"),
    (&[SeenOwners], "the counter says that the holder did not write, and a request to hand over harms nobody"),
    (&[AskHolder], "with the epoch unchanged the holder is the one that was seen, or nobody has begun since"),
    (&[AskEpoch], "the same worker may have begun anew, and is asked to move once more"),
    (&[AskNotPending], "while a hand-off is pending the row names another owner"),
    (&[AskNotEnded], "a row that has ended names no owner"),
];

const SECOND: Bounds = Bounds { begins: 2, moves: 2, ..SMALL };

/// What holds even where a holder ignores its clock.
const STORED: &[Broken] = &[Broken::LostTenureWrote, Broken::CheckpointBackwards, Broken::EndRevoked];

const CLOCKLESS: Bounds = Bounds { begins: 2, records: 2, timeouts: 1, ..SMALL };

const SMALL: Bounds = Bounds::NONE;

/// Each rule that holds something up, with the least world in which it shows.
const WITHOUT: &[Without] = &[
    Without {
        rules: &[HolderCounter],
        breaks: Broken::CheckpointBackwards,
        bounds: Bounds { records: 2, timeouts: 1, ..SMALL },
        why: "a renewal that was given up arrives after a newer one and puts its checkpoint back",
    },
    Without {
        rules: &[HolderCounter, HolderEpoch, HolderName],
        breaks: Broken::EndRevoked,
        bounds: Bounds { records: 2, timeouts: 1, ..SMALL },
        why: "it arrives after SHARD_END, whose child exists: the parent can never end again",
    },
    Without {
        rules: &[HolderCounter, HolderEpoch],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { crashes: 1, begins: 1, ..SMALL },
        why: "a write of a worker that crashed arrives in the middle of its successor's tenure",
    },
    Without {
        rules: &[HolderName],
        breaks: Broken::EndRevoked,
        bounds: Bounds { moves: 1, ..SMALL },
        why: "SHARD_END of a holder that does not know that it is asked to hand over leaves its name in the row",
    },
    Without {
        rules: &[BeginByWrite],
        breaks: Broken::TokenNotGrown,
        bounds: Bounds { crashes: 1, begins: 1, ..SMALL },
        why: "a worker that starts again reads the row and has the token of its predecessor",
    },
    Without {
        rules: &[BeginByWrite],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { crashes: 1, begins: 1, ..SMALL },
        why: "the predecessor's last request arrives, and nothing tells it from those of the new tenure",
    },
    Without {
        rules: &[BeginByWrite],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 2, moves: 1, ..SMALL },
        why: "who begins by reading counts its time from later than those who watch the row",
    },
    Without {
        rules: &[AdoptNotPending],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, moves: 1, ..SMALL },
        why: "the next owner begins while the old one still delivers",
    },
    Without {
        rules: &[SeenCounter],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 2, ..SMALL },
        why: "of two that take the same lease both are told that they have it",
    },
    Without {
        rules: &[RaiseEpoch],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { begins: 1, moves: 2, stops: 1, timeouts: 1, ..SMALL },
        why: "a holder that gave its lease away takes the row that came back for its own tenure",
    },
    Without {
        rules: &[ConflictEpoch],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { begins: 1, moves: 2, stops: 1, timeouts: 1, ..SMALL },
        why: "the same, if the holder does not look at the epoch",
    },
    Without {
        rules: &[ConflictOwnCounter],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { java: 3, java_rash: true, timeouts: 1, ..SMALL },
        why: "the Java library moved the lease away and back, which leaves the epoch alone",
    },
    Without {
        rules: &[CompleteRaisesEpoch],
        breaks: Broken::LostTenureWrote,
        bounds: Bounds { java: 3, java_rash: true, ..SMALL },
        why: "it moved the lease away and back, and one of ours completed the last step: the counter is ours again",
    },
    Without {
        rules: &[ConflictNeverBegins],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 2, moves: 2, stops: 1, looks_apart: true, ..SMALL },
        why: "a refused take shows a row that names the taker; by the time it hears of it, another has the lease",
    },
    Without {
        rules: &[EarliestUnanswered],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, timeouts: 1, renewals: 2, ..SMALL },
        why: "the holder counts from its second attempt, the others from the first, which was stored",
    },
    Without {
        rules: &[HolderStops],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, ..SMALL },
        why: "a holder that does not look at its clock goes on beside its successor",
    },
    Without {
        rules: &[HolderStops],
        breaks: Broken::ChildBeforeParent,
        bounds: Bounds { begins: 1, records: 2, ..SMALL },
        why: "and delivers records of the parent after those of the child",
    },
    Without {
        rules: &[ObserverWaits],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, ..SMALL },
        why: "a lease is taken from a holder that may still go on",
    },
    Without {
        rules: &[NewLeaderWatches],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, moves: 1, leaders: 1, ..SMALL },
        why: "a new leader takes for silent what it has only just seen",
    },
    Without {
        rules: &[AskHolder, AskEpoch],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { workers: 3, begins: 2, moves: 1, ..SMALL },
        why: "a late request names a holder of long ago, which completes at once; the real one knows nothing of it",
    },
    Without {
        rules: &[SeenCounter, SeenOwners],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 2, stops: 1, calm: true, ..SMALL },
        why: "of two that take a free lease the second overwrites the first, and both are told that they have it",
    },
    Without {
        rules: &[AskEpoch, AskNotPending],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { workers: 3, begins: 2, moves: 3, calm: true, ..SMALL },
        why: "a late request meets the hand-off back to its former holder, which completes at once; who delivers knows nothing",
    },
    Without {
        rules: &[AskHolder, AskEpoch, AskNotEnded],
        breaks: Broken::EndRevoked,
        bounds: Bounds { moves: 1, ..SMALL },
        why: "a request that comes after SHARD_END names a holder and a next one, where there is nothing left to read",
    },
    Without {
        rules: &[AskKeepsEpoch],
        breaks: Broken::MoveCostsTenure,
        bounds: Bounds { begins: 1, moves: 1, calm: true, ..SMALL },
        why: "the holder is to go on until it has drained, and takes its lease for lost",
    },
    Without {
        rules: &[HandOverDeadline],
        breaks: Broken::TwoDeliver,
        bounds: Bounds { begins: 1, moves: 2, ..SMALL },
        why: "an overdue hand-off is completed while the old owner still delivers",
    },
    Without {
        rules: &[CompleteWithoutTenure],
        breaks: Broken::Stuck,
        bounds: Bounds { moves: 1, crashes: 1, ..SMALL },
        why: "the old owner has crashed and started again; without a time-out nobody ends the hand-off",
    },
    Without {
        rules: &[AnyoneCompletes],
        breaks: Broken::Stuck,
        bounds: Bounds { moves: 1, ..SMALL },
        why: "the old owner lives, renews, and never comes to an end",
    },
    Without {
        rules: &[EndedIfRowSays],
        breaks: Broken::FalseBelief,
        bounds: Bounds { child_early: true, ..SMALL },
        why: "the row of the child exists, the transaction is cancelled, and the worker leaves a shard that has not ended",
    },
    Without {
        rules: &[ExistingChildStays],
        breaks: Broken::Stuck,
        bounds: Bounds { child_early: true, ..SMALL },
        why: "the row of the child exists, and the transaction is cancelled for ever",
    },
    Without {
        rules: &[EndWithChildren],
        breaks: Broken::Stuck,
        bounds: SMALL,
        why: "the parent has ended and its child has no row",
    },
    Without {
        rules: &[ChildAfterParents],
        breaks: Broken::ChildBeforeParent,
        bounds: Bounds { child_early: true, ..SMALL },
        why: "a row that was made early is started at once",
    },
];

/// With every rule: no promise is broken. What is not quick has two to five million states each, and fits into 512 MB.
const WHOLE: &[Whole] = &[
    Whole {
        name: "lease, two workers",
        bounds: Bounds { begins: 2, moves: 1, crashes: 1, timeouts: 1, stops: 1, leaders: 1, ..SMALL },
        quick: true,
    },
    Whole {
        name: "lease, a Java leader that takes from live holders",
        bounds: Bounds { java: 4, java_rash: true, timeouts: 1, ..SMALL },
        quick: true,
    },
    Whole {
        name: "lease, two workers and more records",
        bounds: Bounds { records: 2, begins: 2, moves: 2, crashes: 1, timeouts: 1, stops: 1, ..SMALL },
        quick: false,
    },
    Whole {
        name: "lease, two workers and more tenures",
        bounds: Bounds { begins: 3, moves: 2, crashes: 1, timeouts: 1, stops: 1, leaders: 1, ..SMALL },
        quick: false,
    },
    Whole {
        name: "lease, two workers that act on old looks",
        bounds: Bounds {
            begins: 2,
            moves: 1,
            crashes: 1,
            timeouts: 1,
            stops: 1,
            child_early: true,
            looks_apart: true,
            ..SMALL
        },
        quick: false,
    },
    Whole {
        name: "lease, three workers",
        bounds: Bounds { workers: 3, begins: 2, moves: 2, crashes: 1, timeouts: 1, stops: 1, ..SMALL },
        quick: false,
    },
];
