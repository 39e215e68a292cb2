//! The rules of the protocol, each a switch: what the models check is that each of them is needed.

use std::fmt;

/// One rule of the protocol. Taken out of a model, its absence must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// Writes of the holder are conditional on the counter of the last row that was confirmed to the tenure.
    HolderCounter,
    /// Writes of the holder are conditional on its epoch.
    HolderEpoch,
    /// Writes of the holder are conditional on the row naming it.
    HolderName,
    /// Taking, assigning and completing are conditional on the counter that was seen.
    SeenCounter,
    /// Taking, assigning and completing are conditional on both owners as they were seen.
    SeenOwners,
    /// Every write that begins or ends a tenure raises the epoch.
    RaiseEpoch,
    /// Every tenure begins with a confirmed write of its holder.
    BeginByWrite,
    /// A row with a pending hand-off is not adopted.
    AdoptNotPending,
    /// After a conflict a tenure goes on only if the row carries its epoch.
    ConflictEpoch,
    /// After a conflict a tenure goes on only if nobody foreign wrote since (`k_c` equals the counter).
    ConflictOwnCounter,
    /// A conflict never begins a tenure.
    ConflictNeverBegins,
    /// The holder counts from the earliest write without an answer that may have produced its counter.
    EarliestUnanswered,
    /// The holder stops by its own clock.
    HolderStops,
    /// Whoever judges a lease expired has watched its counter stand still for longer than its holder may go on.
    ObserverWaits,
    /// A leader that did not watch before it took the lock watches first.
    NewLeaderWatches,
    /// Asking for a hand-off is conditional on the holder that was seen.
    AskHolder,
    /// Asking for a hand-off is conditional on the epoch that was seen.
    AskEpoch,
    /// Asking for a hand-off is conditional on none being pending.
    AskNotPending,
    /// Asking for a hand-off leaves the epoch alone.
    AskKeepsEpoch,
    /// Shards that have ended are not handed over.
    AskNotEnded,
    /// The old owner ends its work when the time for the hand-off is over, whatever still runs.
    HandOverDeadline,
    /// A worker that is named `checkpointOwner` and has no tenure completes the hand-off at once.
    CompleteWithoutTenure,
    /// Completing a hand-off raises the epoch.
    CompleteRaisesEpoch,
    /// Anybody may complete a hand-off that is overdue.
    AnyoneCompletes,
    /// A shard counts as ended if and only if its row says so.
    EndedIfRowSays,
    /// A child that has a row already is left alone, and its parent ends without making it.
    ExistingChildStays,
    /// The row of the parent is ended in the transaction that makes the rows of its children.
    EndWithChildren,
    /// A child is read only after the rows of its parents say that they have ended.
    ChildAfterParents,
    /// The child of a merge is made only if all its other parents have rows.
    MergeChildWaits,
    /// A parent without a row counts as finished only if none of its ancestors is open.
    AncestorsDecide,
    /// An ended row is deleted only when every child has a row and was started.
    DeleteAfterChildren,
    /// An ended row is deleted only if its counter did not move since it was looked at.
    DeleteUnmoved,
    /// Only rows of ended shards are deleted.
    DeleteEnded,
    /// An ended row is deleted only once it has stood still for so long that whoever ended the shard knows of it.
    DeleteRested,
    /// A new row's counter starts at the time in seconds.
    CreateFromClock,
    /// A leader that was paused looks at the age of its lock before it makes rows.
    CreateChecksLock,
    /// A row that is missing is made only after a time in which its holder, if one lived, would have made it again.
    CreateWaits,
    /// The leader lock is written only as it was seen: on the condition that its version has not changed.
    LockAsSeen,
    /// A leader trusts its lock for F from before it sent the write, and no longer.
    LeaderStops,
    /// Others take the lock only after it stood still for the time that is written in it.
    LockWaits,
    /// The lock is renewed only at the end of a completed planning cycle.
    RenewAfterCycle,
    /// A worker that let its own lock run out, or had it and completed no cycle, leaves all others their turn.
    TurnAfterFailure,
    /// While no cycle completes, workers take for themselves what they see expire.
    ClaimLeaderless,
    /// A worker looks once more at the leases it was told of, after the heartbeat that removed the notice was confirmed.
    LookTwice,
    /// A notice is written only into the row of a worker of ours that exists.
    NoticeNeedsRow,
}

use Rule::*;

impl Rule {
    /// All rules, in the order of the written protocol.
    pub const ALL: [Rule; 45] = [
        HolderCounter,
        HolderEpoch,
        HolderName,
        SeenCounter,
        SeenOwners,
        RaiseEpoch,
        BeginByWrite,
        AdoptNotPending,
        ConflictEpoch,
        ConflictOwnCounter,
        ConflictNeverBegins,
        EarliestUnanswered,
        HolderStops,
        ObserverWaits,
        NewLeaderWatches,
        AskHolder,
        AskEpoch,
        AskNotPending,
        AskKeepsEpoch,
        AskNotEnded,
        HandOverDeadline,
        CompleteWithoutTenure,
        CompleteRaisesEpoch,
        AnyoneCompletes,
        EndedIfRowSays,
        ExistingChildStays,
        EndWithChildren,
        ChildAfterParents,
        MergeChildWaits,
        AncestorsDecide,
        DeleteAfterChildren,
        DeleteUnmoved,
        DeleteEnded,
        DeleteRested,
        CreateFromClock,
        CreateChecksLock,
        CreateWaits,
        LockAsSeen,
        LeaderStops,
        LockWaits,
        RenewAfterCycle,
        TurnAfterFailure,
        ClaimLeaderless,
        LookTwice,
        NoticeNeedsRow,
    ];

    /// The name by which the program and the written protocol call it.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.extend(letter.to_lowercase());
        }
        name
    }

    /// The rule of that name.
    pub fn named(name: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.name() == name)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Which rules hold in a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules(u64);

impl Rules {
    /// The protocol as it is.
    pub const ALL: Rules = Rules(u64::MAX);

    /// The protocol without some of its rules.
    pub fn without(rules: &[Rule]) -> Rules {
        rules.iter().fold(Rules::ALL, |rest, rule| Rules(rest.0 & !(1 << *rule as u64)))
    }

    /// Whether a rule holds.
    pub fn has(self, rule: Rule) -> bool {
        self.0 & (1 << rule as u64) != 0
    }
}

/// A promise that is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Broken {
    /// A write of a tenure that was over was stored (P1).
    LostTenureWrote,
    /// A stored checkpoint went back (P1, P7).
    CheckpointBackwards,
    /// A shard that had ended is no longer ended, or is given to somebody all the same (P7).
    EndRevoked,
    /// Two workers deliver the same shard (P2).
    TwoDeliver,
    /// A tenure began with a fencing token that is not above all earlier ones (P3).
    TokenNotGrown,
    /// A worker takes for stored what is not (P7).
    FalseBelief,
    /// A move that was planned costs the old owner its tenure, and so duplicates (P5).
    MoveCostsTenure,
    /// Records of a child are delivered before the last ones of a parent.
    ChildBeforeParent,
    /// From here the shard is never read to its end, or a child never made, whatever the workers do (P4).
    Stuck,
    /// A change stays unseen until the safety net (P5).
    NoticeLost,
    /// A row that other libraries take for a lease was made by accident.
    StrangeRow,
    /// Two workers believe to lead.
    TwoLead,
}

impl Broken {
    /// Every class, in the order in which a run reports it.
    pub const ALL: [Broken; 12] = [
        Broken::LostTenureWrote,
        Broken::CheckpointBackwards,
        Broken::EndRevoked,
        Broken::TwoDeliver,
        Broken::TokenNotGrown,
        Broken::FalseBelief,
        Broken::MoveCostsTenure,
        Broken::ChildBeforeParent,
        Broken::Stuck,
        Broken::NoticeLost,
        Broken::StrangeRow,
        Broken::TwoLead,
    ];

    /// What is promised, as the name of the property that a run checks.
    pub fn promise(self) -> &'static str {
        match self {
            Broken::LostTenureWrote => "no write of a lost tenure is stored",
            Broken::CheckpointBackwards => "no checkpoint goes back",
            Broken::EndRevoked => "an ended shard stays ended, and is nobody's",
            Broken::TwoDeliver => "at most one worker delivers",
            Broken::TokenNotGrown => "fencing tokens grow",
            Broken::FalseBelief => "nobody takes for stored what is not",
            Broken::MoveCostsTenure => "a planned move costs no tenure",
            Broken::ChildBeforeParent => "parents are read before children",
            Broken::Stuck => "nothing is stuck",
            Broken::NoticeLost => "no notice is lost",
            Broken::StrangeRow => "no strange row is made",
            Broken::TwoLead => "at most one worker leads",
        }
    }
}
