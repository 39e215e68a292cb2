//! Conditional writes as data: what must hold, what changes, and what came of it.

use super::{
    Checkpoint, HashRange, Lease, LeaseKey, PendingCheckpoint, RowProblem, ShardId, StoreError, Throughput, Timestamp,
    WorkerId,
};

/// What a nullable attribute must be for a write to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expect<T> {
    /// Exactly this value.
    Is(T),
    /// Not there at all.
    Absent,
}

impl<T: Clone> Expect<T> {
    /// What was seen must still be so.
    pub fn as_seen(seen: Option<&T>) -> Self {
        seen.map_or(Expect::Absent, |value| Expect::Is(value.clone()))
    }
}

/// What must hold of a row for a write to happen. The row must exist; of the rest, only what is `Some` is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Condition {
    /// `leaseOwner`.
    pub owner: Option<Expect<WorkerId>>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Option<Expect<WorkerId>>,
    /// `k_epoch`; an absent attribute equals 0.
    pub epoch: Option<super::Epoch>,
    /// `leaseCounter`.
    pub counter: Option<u64>,
    /// `checkpoint` must (`true`) or must not (`false`) be `SHARD_END`.
    pub ended: Option<bool>,
}

/// A change of one nullable attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// Leave it as it is.
    #[default]
    Keep,
    /// Write this value.
    Set(T),
    /// Remove the attribute.
    Remove,
}

/// What a write does to a row. Only named attributes change, so that those of other libraries survive.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct LeaseChange {
    /// `leaseOwner`.
    pub owner: Change<WorkerId>,
    /// `checkpointOwner`.
    pub checkpoint_owner: Change<WorkerId>,
    /// `leaseCounter` and with it `k_c`: both become this value.
    pub counter: Option<u64>,
    /// `k_epoch` grows by one (absent counts as 0).
    pub raise_epoch: bool,
    /// `ownerSwitchesSinceCheckpoint`.
    pub owner_switches: Option<OwnerSwitches>,
    /// `checkpoint` and its sub-sequence number.
    pub checkpoint: Option<Checkpoint>,
    /// `pendingCheckpoint`, its sub-sequence number and its state.
    pub pending: Change<PendingCheckpoint>,
    /// `childShardIds`.
    pub children: Option<std::collections::BTreeSet<ShardId>>,
    /// `startingHashKey` and `endingHashKey`.
    pub hash_range: Option<HashRange>,
    /// `throughputKBps`.
    pub throughput: Option<Throughput>,
    /// `k_start`.
    pub start: Option<Timestamp>,
    /// `k_by`.
    pub last_owner: Option<WorkerId>,
    /// `k_tip`.
    pub tip: Option<Timestamp>,
}

/// How `ownerSwitchesSinceCheckpoint` changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerSwitches {
    /// Back to 0: a checkpoint was written.
    Reset,
    /// One more.
    Increment,
}

impl Condition {
    /// Whether the row satisfies the condition. The reference for every store.
    pub fn holds(&self, row: &Lease) -> bool {
        fn is<T: PartialEq>(expected: &Option<Expect<T>>, actual: Option<&T>) -> bool {
            match expected {
                None => true,
                Some(Expect::Absent) => actual.is_none(),
                Some(Expect::Is(value)) => actual == Some(value),
            }
        }
        is(&self.owner, row.owner.as_ref())
            && is(&self.checkpoint_owner, row.checkpoint_owner.as_ref())
            && self.epoch.is_none_or(|epoch| row.epoch() == epoch)
            && self.counter.is_none_or(|counter| row.counter == counter)
            && self.ended.is_none_or(|ended| row.is_ended() == ended)
    }
}

impl LeaseChange {
    /// The row after the change. The reference for every store.
    pub fn apply(&self, row: &Lease) -> Lease {
        fn put<T: Clone>(change: &Change<T>, slot: &mut Option<T>) {
            match change {
                Change::Keep => {}
                Change::Set(value) => *slot = Some(value.clone()),
                Change::Remove => *slot = None,
            }
        }
        let mut row = row.clone();
        put(&self.owner, &mut row.owner);
        put(&self.checkpoint_owner, &mut row.checkpoint_owner);
        match &self.pending {
            Change::Keep => {}
            Change::Set(pending) => row.pending = Some(Box::new(pending.clone())),
            Change::Remove => row.pending = None,
        }
        if let Some(counter) = self.counter {
            row.counter = counter;
            row.own_counter = Some(counter);
        }
        if self.raise_epoch {
            // Rows come from outside: one at the limit must not end the worker that reads it.
            row.epoch = Some(super::Epoch(row.epoch().0.saturating_add(1)));
        }
        match self.owner_switches {
            None => {}
            Some(OwnerSwitches::Reset) => row.owner_switches = 0,
            Some(OwnerSwitches::Increment) => row.owner_switches = row.owner_switches.saturating_add(1),
        }
        if let Some(checkpoint) = &self.checkpoint {
            row.checkpoint = checkpoint.clone();
        }
        if let Some(children) = &self.children {
            row.children = children.clone();
        }
        row.hash_range = self.hash_range.or(row.hash_range);
        row.throughput = self.throughput.or(row.throughput);
        row.start = self.start.or(row.start);
        if let Some(worker) = &self.last_owner {
            row.last_owner = Some(worker.clone());
        }
        row.tip = self.tip.or(row.tip);
        row
    }
}

/// What came of a conditional write to one row.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a refused or unknown write changes what may be done next"]
pub enum WriteOutcome<R = Lease> {
    /// Written; the row as it is now.
    Applied(R),
    /// Not written: the condition did not hold; the row as it was then.
    Conflict(R),
    /// Not written: there is no such row.
    Missing,
    /// Not written: the row is there, but cannot be read.
    Unreadable(RowProblem),
    /// Not written, for certain: throttled, no connection, denied.
    Refused(StoreError),
    /// Perhaps written: the answer did not come, or came as an error after the effect. A repetition with the same
    /// condition settles it.
    Unknown(StoreError),
}

/// What came of creating a row.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a refused or unknown write changes what may be done next"]
pub enum CreateOutcome {
    /// The row did not exist and does now.
    Created,
    /// A row with this key was there already and stays as it was.
    Exists,
    /// Not written, for certain.
    Refused(StoreError),
    /// Perhaps written.
    Unknown(StoreError),
}

/// One row of a transaction.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
#[expect(clippy::large_enum_variant, reason = "a transaction has at most four steps; a box would only be in the way")]
pub enum TransactionStep {
    /// Change a row on a condition.
    Update {
        /// The row.
        key: LeaseKey,
        /// What must hold.
        condition: Condition,
        /// What changes.
        change: LeaseChange,
    },
    /// Create a row; it must not exist.
    Create(Box<Lease>),
    /// Only check that the row exists.
    Exists(LeaseKey),
}

impl TransactionStep {
    /// The row that this step is about.
    pub fn key(&self) -> &LeaseKey {
        match self {
            TransactionStep::Update { key, .. } | TransactionStep::Exists(key) => key,
            TransactionStep::Create(lease) => &lease.key,
        }
    }
}

/// What came of a transaction: all or nothing.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a refused or unknown write changes what may be done next"]
pub enum TransactionOutcome {
    /// All steps were applied.
    Applied,
    /// Nothing was applied. For each step whether its condition held; where it did not, read the row.
    Cancelled(Vec<StepResult>),
    /// Nothing was applied, for certain.
    Refused(StoreError),
    /// Perhaps applied as a whole.
    Unknown(StoreError),
}

/// What a cancelled transaction says of one of its steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// The condition of this step held.
    Held,
    /// The condition of this step did not hold.
    Failed,
}

/// The most rows a transaction may have.
pub const TRANSACTION_LIMIT: usize = 4;
