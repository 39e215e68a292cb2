//! What the world looks like between two steps.

use super::world::{SHARDS, Set, bit};
use crate::protocol::row::{MOST, Mark, Row, Who};
use crate::protocol::rule::Broken;

/// What a worker knows of the shards before the one it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Parents {
    /// One is open, or nobody has looked.
    Open,
    /// These have no row; their own parents are looked at next.
    Missing(Set),
    /// All are over.
    Over,
}

/// A tenure, as the process of its holder knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// The last row that the table confirmed.
    pub confirmed: Row,
    /// Whether the shard may be read.
    pub parents: Parents,
    /// Its record is processed.
    pub done: bool,
    /// The end that is to be written, once it is prepared.
    pub end: Option<End>,
}

/// The end of a shard, with the rows that are made in the same transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct End {
    /// Who sends it.
    pub by: Who,
    /// Of which shard.
    pub shard: u8,
    /// The row of that shard, as it was confirmed.
    pub seen: Row,
    /// The children whose rows are made.
    pub makes: Set,
    /// Where their counters begin.
    pub counter: u8,
}

/// What the table answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// All of it was written; these children are held since.
    Applied(Set),
    /// The row of the parent is not as it was confirmed.
    ParentMoved,
    /// Other rows were in the way; these children are still to be made.
    InTheWay(Set),
}

/// A transaction that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// What was sent.
    pub end: End,
    /// What came back, if it did.
    pub answer: Option<Answer>,
}

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Worker {
    /// What it holds.
    pub tenures: [Option<Tenure>; SHARDS],
    /// Its transaction under way.
    pub call: Option<Call>,
}

/// A request that nobody waits for and that may still arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Late {
    /// Of a worker that waits no longer.
    End(End),
    /// A leader removes the row of this shard, which it saw at this counter.
    Delete(u8, u8),
}

/// The most requests that are late at once.
pub(super) const LATE: usize = 2;

/// What is true of a shard, whoever knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Past {
    /// The highest fencing token that was given out.
    pub token: Option<u8>,
    /// The furthest checkpoint that was stored, unless somebody took it back by hand.
    pub stored: Mark,
    /// Its record was delivered.
    pub delivered: bool,
    /// Somebody wanted it to be read again.
    pub again: bool,
    /// Its row was removed by hand. Once no holder lives nobody knows how far it was.
    pub removed: bool,
}

/// What a leader found missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Missing {
    /// Rows that it is about to make.
    pub shards: Set,
    /// Where their counters begin.
    pub counter: u8,
}

/// How much of each bounded kind of event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Spent {
    // Each as the bound of the same name.
    pub begins: u8,
    pub looks: u8,
    pub cleans: u8,
    pub crashes: u8,
    pub timeouts: u8,
    pub hands: u8,
}

/// The table, the workers, and what is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The rows.
    pub rows: [Option<Row>; SHARDS],
    /// What became of the shards so far.
    pub past: [Past; SHARDS],
    /// The workers.
    pub workers: [Worker; MOST],
    /// Late requests, in order.
    pub late: [Option<Late>; LATE],
    /// What a leader found missing at its last look.
    pub missing: Option<Missing>,
    /// The highest counter that was ever written. The clock, in seconds, is ahead of it.
    pub clock: u8,
    /// What happened of what is bounded.
    pub spent: Spent,
    /// The promise that was just broken. Nothing follows.
    pub broken: Option<Broken>,
}

impl State {
    /// The worker at this place.
    pub fn worker(&self, who: Who) -> &Worker {
        &self.workers[who.index()]
    }

    /// The worker at this place, to change.
    pub fn worker_mut(&mut self, who: Who) -> &mut Worker {
        &mut self.workers[who.index()]
    }

    /// Its tenure of a shard.
    pub fn tenure(&self, who: Who, shard: usize) -> Option<&Tenure> {
        self.worker(who).tenures[shard].as_ref()
    }

    /// Whether a process works on the shard under a tenure.
    pub fn is_held(&self, shard: usize) -> bool {
        self.workers.iter().any(|worker| worker.tenures[shard].is_some())
    }

    /// Puts a request among those that may still arrive. Without room it is lost, which is one of its fates anyway.
    pub fn post(&mut self, late: Late) {
        if let Some(slot) = self.late.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(late);
            self.late.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
        }
    }

    /// Takes one out.
    pub fn unpost(&mut self, at: usize) -> Option<Late> {
        let late = self.late[at].take();
        self.late.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
        late
    }

    /// A process no longer works on the shard. Its request may still arrive; an answer that says so begins no tenure of it.
    pub fn lose(&mut self, who: Who, shard: usize) {
        self.worker_mut(who).tenures[shard] = None;
        let Some(call) = &mut self.worker_mut(who).call else { return };
        if let Some(Answer::Applied(begun)) = &mut call.answer {
            *begun &= !bit(shard);
        }
        if usize::from(call.end.shard) == shard {
            self.give_up(who);
        }
    }

    /// A process waits no longer for its answer.
    pub fn give_up(&mut self, who: Who) {
        if let Some(Call { end, answer: None }) = self.worker_mut(who).call.take() {
            self.post(Late::End(end));
        }
    }
}
