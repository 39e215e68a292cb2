//! What the world looks like between two steps.

use kcl_core::testing::protocol::Role;

use super::write::Write;
use crate::protocol::row::{JAVA, MOST, Mark, Row, Who};
use crate::protocol::rule::Broken;

/// How the holder ends its tenure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Farewell {
    /// To nobody, or to the one who waits for it.
    Release,
    /// To a successor of the holder's choice.
    HandOver(Who),
    /// The shard is read to its end.
    End,
}

/// A tenure, as the process of its holder knows it.
///
/// Time is not a number here. What counts is which of two things came first, and for that every sent write remembers the
/// counter that the row had then: whoever saw a higher counter stand still for 1.1 F knows that F since then is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tenure {
    /// Whether its writes may be stored: nobody held the lease since. Known to nobody.
    pub rightful: bool,
    /// The last row that the store confirmed.
    pub confirmed: Row,
    /// Where that row names the holder.
    pub role: Role,
    /// The epoch of the tenure.
    pub epoch: u8,
    /// Records up to here are processed.
    pub done: Mark,
    /// The counter of the row when the write was sent from which the holder counts its time.
    pub since: u8,
    /// The same of the earliest write since without an answer.
    pub unanswered: Option<u8>,
    /// How it ends, once that is decided.
    pub farewell: Option<Farewell>,
    /// The time for the hand-off is over: nothing is delivered any more.
    pub stopped: bool,
    /// The holder has learned that its child has a row already.
    pub child_seen: bool,
}

/// What the table answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Answer {
    /// Written. `true`: it began a tenure whose writes may be stored, until somebody else holds the lease.
    Applied(Row, bool),
    /// Not written; the row as it was then.
    Conflict(Row),
    /// The transaction was cancelled by the row of the parent, which it does not return: it is to be read.
    ReadIt,
    /// The transaction was cancelled by the row of the child; the parent as it was then.
    ChildExists(Row),
}

/// A call of a worker that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Call {
    /// What was asked.
    pub write: Write,
    /// The counter of the row when it was sent.
    pub sent: u8,
    /// What came back, if it did.
    pub answer: Option<Answer>,
}

/// A worker of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Worker {
    /// What it holds.
    pub tenure: Option<Tenure>,
    /// Its call under way.
    pub call: Option<Call>,
    /// The row as its last look found it, in models where looking and acting are apart.
    pub looked: Option<Row>,
}

/// The lease of the child shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Child {
    /// No row.
    Missing,
    /// A row, not started.
    Made,
    /// Its records are delivered.
    Started,
}

/// The most requests that are late at once.
pub(super) const LATE: usize = 3;

/// How much of each bounded kind of event has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Spent {
    // Each as the bound of the same name.
    pub begins: u8,
    pub moves: u8,
    pub renewals: u8,
    pub crashes: u8,
    pub timeouts: u8,
    pub duplicates: u8,
    pub stops: u8,
    pub leaders: u8,
    pub java: u8,
}

/// The row, everybody who writes it, and the requests on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// The lease row.
    pub row: Row,
    /// The row of the child.
    pub child: Child,
    /// Workers of ours.
    pub workers: [Worker; MOST],
    /// Requests that nobody waits for and that may still arrive, in order.
    pub late: [Option<Write>; LATE],
    /// Who plans.
    pub leader: Who,
    /// What happened of what is bounded.
    pub spent: Spent,
    /// The highest fencing token that was given out.
    pub token: u8,
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

    /// Whether this worker delivers records, as far as it knows.
    pub fn delivers(&self, who: Who) -> bool {
        let tenure = self.worker(who).tenure;
        tenure.is_some_and(|tenure| tenure.farewell.is_none() && !tenure.stopped)
    }

    /// The lease passes on: no write of any tenure so far may be stored any more.
    pub fn pass_on(&mut self) {
        for worker in &mut self.workers {
            if let Some(tenure) = &mut worker.tenure {
                tenure.rightful = false;
            }
            if let Some(call) = &mut worker.call {
                call.write.rightful = false;
                if let Some(Answer::Applied(_, rightful)) = &mut call.answer {
                    *rightful = false;
                }
            }
        }
        for write in self.late.iter_mut().flatten() {
            write.rightful = false;
        }
    }

    /// Puts a request among those that may still arrive. Without room it is lost, which is one of its fates anyway.
    pub fn post(&mut self, write: Write) {
        if let Some(slot) = self.late.iter_mut().find(|slot| slot.is_none()) {
            *slot = Some(write);
            self.late.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
        }
    }

    /// Takes one out.
    pub fn unpost(&mut self, at: usize) -> Option<Write> {
        let write = self.late[at].take();
        self.late.sort_unstable_by_key(|slot| (slot.is_none(), *slot));
        write
    }

    /// Whether one more has room.
    pub fn has_room(&self) -> bool {
        self.late.iter().any(Option::is_none)
    }

    /// Whether the worker of the Java library holds the lease, by the row.
    pub fn java_holds(&self) -> bool {
        self.row.holder() == Some(JAVA)
    }
}
