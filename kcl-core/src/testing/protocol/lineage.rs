//! Which rows are made and removed along the lineage of shards: what the leader's shard sync and the finisher of a shard
//! decide.

use super::Holder;
use crate::plan::shard_end::ShardEnding;
use crate::plan::shard_sync::{self, Creation, cleaning, rows_of};
use crate::plan::transition;
use crate::settings::InitialPosition;
use crate::types::{ChildShard, Condition, Lease, LeaseKey, Shard, StepResult, Timestamp, TransactionStep, WorkerId};

/// Who makes rows, and where their counters begin. Shards that no row leads to begin with their oldest record.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Creator {
    /// The worker.
    pub id: WorkerId,
    /// Unix seconds.
    pub counter: u64,
}

impl Creator {
    /// A worker at this second.
    pub fn new(id: WorkerId, counter: u64) -> Self {
        Creator { id, counter }
    }

    fn creation(&self) -> Creation {
        Creation {
            start: InitialPosition::TrimHorizon,
            listed_at: Timestamp::from_millis(0),
            creator: self.id.clone(),
            counter: self.counter,
            stream_created: None,
            stream: None,
        }
    }
}

/// The rows that a leader finds missing when it compares the listing with the table.
pub fn missing_leases(shards: &[Shard], rows: &[Lease], creator: &Creator) -> Vec<Lease> {
    shard_sync::missing_leases([], shards, &rows_of(None, rows), &creator.creation())
}

/// The rows of ended shards that a leader may remove.
pub fn removable(shards: &[Shard], rows: &[Lease]) -> Vec<LeaseKey> {
    cleaning::removable(shards, &rows_of(None, rows))
}

/// What must hold of a row for its removal.
pub fn removal(seen: &Lease) -> Condition {
    cleaning::removal(seen)
}

/// A row that was deleted, as its holder makes it again.
pub fn restored(last: &Lease, now: u64) -> Lease {
    transition::restored(last, now)
}

/// The end of a shard: its row and those of its children in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    parent: Lease,
    ending: ShardEnding,
}

impl Ending {
    /// The end of `parent` with these children, of which those are made whose other parents are among `others`. As many as
    /// `most` belong to the finisher from their first moment on.
    pub fn new(parent: &Lease, children: &[ChildShard], others: &[Lease], creator: &Creator, most: usize) -> Self {
        let others = others.iter().map(|row| (row.key.clone(), row.clone())).collect();
        let what = shard_sync::children_of(parent, children, &others, &creator.creation());
        let (mut ending, _surplus) = ShardEnding::new(parent, children, what);
        ending.own(&creator.id, most);
        Ending { parent: parent.clone(), ending }
    }

    /// The transaction, as the holder of the parent sends it.
    pub fn steps(&self, holder: &Holder<'_>) -> Vec<TransactionStep> {
        let Holder { confirmed, me, role, epoch } = *holder;
        let write = transition::shard_end(confirmed, me, role.into(), epoch, &self.ending.children);
        self.ending.steps(&self.parent, write)
    }

    /// Takes in which steps were in the way, the first not among them. False if none was.
    pub fn give_way(&mut self, results: &[StepResult]) -> bool {
        self.ending.give_way(&self.parent, results)
    }

    /// The rows that are made, and begin tenures of this worker.
    pub fn begun(&self, me: &WorkerId) -> Vec<Lease> {
        self.ending.begun(me).cloned().collect()
    }
}
