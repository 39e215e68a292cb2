//! What is explored: the protocol within bounds, and each rule of the lineage taken out where its absence shows.

use super::world::{CHAIN, MERGE, SPLIT, World};
use super::{Bounds, LineageModel, Start};
use crate::protocol::rule::Rule::{self, *};
use crate::protocol::rule::{Broken, Rules};
use crate::protocol::run::{Run, to_the_break, wholly};

/// The shards of a run, by name: worlds are not made before they are needed.
#[derive(Debug, Clone, Copy)]
enum Lineage {
    Chain,
    Split,
    Merge,
}

impl Lineage {
    fn world(self) -> &'static World {
        match self {
            Lineage::Chain => &CHAIN,
            Lineage::Split => &SPLIT,
            Lineage::Merge => &MERGE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Lineage::Chain => "lineage, a shard and its child",
            Lineage::Split => "lineage, a split",
            Lineage::Merge => "lineage, a merge",
        }
    }
}

/// The protocol without rules, and the promise that is broken then.
struct Without {
    rules: &'static [Rule],
    breaks: Broken,
    lineage: Lineage,
    bounds: Bounds,
    why: &'static str,
}

pub(in crate::protocol) fn runs() -> Vec<Run> {
    let without = WITHOUT.iter().map(|run| {
        let go = |threads| {
            let rules = Rules::without(run.rules);
            let model = LineageModel::new(run.lineage.world(), run.bounds, rules);
            to_the_break(LineageModel { only: Some(run.breaks), ..model })(threads)
        };
        Run::without((run.lineage.name(), run.bounds.to_string()), run.rules, Some(run.breaks), run.why, go)
    });
    let whole = WHOLE.iter().map(|(lineage, bounds, quick)| {
        let go = |threads| wholly(LineageModel::new(lineage.world(), *bounds, Rules::ALL))(threads);
        Run::whole(lineage.name(), bounds.to_string(), *quick, go)
    });
    without.chain(whole).collect()
}

const NONE: Bounds = Bounds::NONE;

const WITHOUT: &[Without] = &[
    Without {
        rules: &[MergeChildWaits, AncestorsDecide],
        breaks: Broken::ChildBeforeParent,
        lineage: Lineage::Merge,
        bounds: NONE,
        why: "G lags, so P2 has no row; the finisher of P1 makes C and starts it",
    },
    Without {
        rules: &[MergeChildWaits],
        breaks: Broken::ChildBeforeParent,
        lineage: Lineage::Merge,
        bounds: NONE,
        why: "G ends, and P2 gets its row, just when the holder of C has not found one of P2 and goes on to look at G's",
    },
    Without {
        rules: &[AncestorsDecide],
        breaks: Broken::ChildBeforeParent,
        lineage: Lineage::Merge,
        bounds: Bounds { looks: 1, begins: 1, ..NONE },
        why: "the leader makes C since P1 has ended and P2 has no row, though G, from which P2 comes, is open",
    },
    Without {
        rules: &[ChildAfterParents],
        breaks: Broken::ChildBeforeParent,
        lineage: Lineage::Merge,
        bounds: NONE,
        why: "the finisher of P1 makes C, whose other parent has a row and is still read",
    },
    Without {
        rules: &[ExistingChildStays],
        breaks: Broken::Stuck,
        lineage: Lineage::Merge,
        bounds: NONE,
        why: "in every merge the row of the child exists when the second parent ends, whose transaction is cancelled for ever",
    },
    Without {
        rules: &[DeleteAfterChildren],
        breaks: Broken::EndRevoked,
        lineage: Lineage::Chain,
        bounds: Bounds { looks: 1, cleans: 1, ..NONE },
        why: "nothing proves any more that the shard is over, and its row is made again",
    },
    Without {
        rules: &[DeleteUnmoved],
        breaks: Broken::EndRevoked,
        lineage: Lineage::Chain,
        bounds: Bounds { start: Start::Begun, begins: 1, cleans: 1, timeouts: 1, hands: 1, ..NONE },
        why: "the shard was set back and read again meanwhile; who ended it anew asks, finds no row, and makes it again",
    },
    Without {
        rules: &[DeleteEnded],
        breaks: Broken::CheckpointBackwards,
        lineage: Lineage::Chain,
        bounds: Bounds { start: Start::Begun, looks: 1, cleans: 1, ..NONE },
        why: "the row of a shard that is read is gone, and with it how far it was",
    },
    Without {
        rules: &[DeleteRested],
        breaks: Broken::EndRevoked,
        lineage: Lineage::Chain,
        bounds: Bounds { begins: 1, cleans: 1, timeouts: 1, ..NONE },
        why: "who ended the shard did not hear of it, asks once more, finds no row, and makes it again",
    },
    Without {
        rules: &[CreateFromClock],
        breaks: Broken::TokenNotGrown,
        lineage: Lineage::Chain,
        bounds: Bounds { begins: 1, looks: 1, crashes: 1, hands: 1, ..NONE },
        why: "a row that is made anew begins at 0, and so do its fencing tokens",
    },
    Without {
        rules: &[CreateChecksLock],
        breaks: Broken::EndRevoked,
        lineage: Lineage::Chain,
        bounds: Bounds { start: Start::Empty, begins: 1, looks: 1, cleans: 1, ..NONE },
        why: "a leader that was paused makes a row that was missing long ago, and was removed with reason since",
    },
    Without {
        rules: &[CreateWaits],
        breaks: Broken::CheckpointBackwards,
        lineage: Lineage::Chain,
        bounds: Bounds { looks: 1, hands: 1, ..NONE },
        why: "the leader is quicker than the holder, who alone knows how far the shard was read",
    },
];

/// With every rule; whether it is quick.
const WHOLE: &[(Lineage, Bounds, bool)] = &[
    (Lineage::Chain, Bounds { begins: 2, looks: 1, cleans: 1, crashes: 1, timeouts: 1, hands: 1, ..NONE }, true),
    (
        Lineage::Chain,
        Bounds { start: Start::Begun, begins: 2, looks: 2, cleans: 2, crashes: 1, timeouts: 1, hands: 2, ..NONE },
        true,
    ),
    (Lineage::Split, Bounds { start: Start::Empty, begins: 3, looks: 2, cleans: 1, timeouts: 1, ..NONE }, true),
    (Lineage::Merge, Bounds { begins: 1, looks: 1, crashes: 1, timeouts: 1, ..NONE }, true),
];
