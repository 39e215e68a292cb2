//! Looks at everything that happens and says which promise it breaks. Pure: fed with observations, it knows no worker.
//!
//! | file | promises |
//! |---|---|
//! | `ownership` | P1 to P3, P7 of the coordination design: who may write and deliver, and tokens that grow |
//! | `records` | those of the processing design: nothing skipped or reordered, no checkpoint that overtakes; P5 |
//! | `liveness` | P4: after the faults every shard is read again, the spread is even, nothing is left pending |

mod liveness;
mod ownership;
mod records;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use kcl_core::types::{Checkpoint, Epoch, Lease, LeaseKey};

use super::executor::ProcessId;
use super::observation::{Holder, Observation, Ordinal, Shard, ordinal, shard_of};
use super::timeline::At;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which one.
    pub promise: &'static str,
    /// What happened.
    pub what: String,
}

impl Violation {
    pub(crate) fn new(promise: &'static str, what: impl Into<String>) -> Self {
        Violation { promise, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// Everything seen so far, as far as a promise needs it.
#[derive(Debug, Default)]
pub(crate) struct Checker {
    shards: BTreeMap<Shard, ShardState>,
    processes: BTreeMap<ProcessId, ProcessState>,
    /// Up to which number the records of each key are completed.
    keys: BTreeMap<u32, u64>,
    /// Nothing goes wrong: nothing may be lost, and what arrives from now on may not be worked on twice.
    undisturbed: bool,
    calm_since: Option<At>,
}

#[derive(Debug)]
struct ProcessState {
    worker: String,
    life: Life,
    /// For how long it may act as a holder after it sent a write that was confirmed.
    term: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    Gone,
}

#[derive(Debug, Default)]
struct ShardState {
    parents: Vec<Shard>,
    closed: bool,
    records: Vec<RecordState>,
    /// All records before this one are completed.
    completed: Ordinal,
    row: Option<Lease>,
    /// The highest checkpoint that was ever stored, and the highest counter.
    stored: Option<Checkpoint>,
    counter: u64,
    /// The tenure that the last write of a holder began.
    tenure: Option<Tenure>,
    /// The tenure with the highest token that user code has seen, and where it goes on.
    newest: Option<(Holder, Option<Ordinal>)>,
    /// The row was deleted since that tenure.
    token_is_gone: bool,
    /// A row was deleted that may have been the only one to tell that this shard is over: who does not know may begin it anew.
    proof_is_gone: bool,
    /// Deliveries under way.
    working: BTreeMap<Holder, Ordinal>,
    /// Tenures whose user code does not come to an end.
    tarrying: BTreeSet<Holder>,
    /// The last fetch of each process.
    fetched: BTreeMap<ProcessId, At>,
}

#[derive(Debug)]
struct RecordState {
    key: u32,
    number: u64,
    at: At,
    touched: bool,
    once: bool,
}

#[derive(Debug, Clone)]
struct Tenure {
    process: ProcessId,
    epoch: Epoch,
    /// When the write was sent that began it.
    sent: At,
    /// The first record that it has to work on.
    start: Ordinal,
    /// When a write was sent whose effect the holder has heard of.
    confirmed: At,
    /// The holder has said that it is over.
    over: bool,
}

impl Checker {
    /// Takes in what happened.
    pub(crate) fn observe(&mut self, at: At, observation: &Observation) -> Result<(), Violation> {
        match observation {
            Observation::Started { process, worker, term } => {
                let state = ProcessState { worker: worker.clone(), life: Life::Running, term: *term };
                self.processes.insert(*process, state);
                Ok(())
            }
            Observation::Paused { process } => self.live(*process, Life::Paused),
            Observation::Resumed { process } => self.live(*process, Life::Running),
            Observation::Crashed { process } | Observation::Ended { process, .. } => self.live(*process, Life::Gone),
            Observation::Written { process, sent, key, before, after } => match shard_of(key.as_str()) {
                Some(shard) => self.written(at, (*process, *sent), shard, (before.as_deref(), after.as_deref())),
                None => Ok(()),
            },
            Observation::Deleted { key } => {
                if let Some(shard) = shard_of(key.as_str()) {
                    self.shard(shard).forget_row();
                    self.forget_proof(shard);
                }
                Ok(())
            }
            Observation::Confirmed { process, sent, key } => {
                self.confirmed(at, (*process, *sent), key);
                Ok(())
            }
            Observation::Opened { shard, parents } => {
                self.shards.entry(*shard).or_default().parents.clone_from(parents);
                Ok(())
            }
            Observation::Closed { shard } => {
                self.shards.entry(*shard).or_default().closed = true;
                Ok(())
            }
            Observation::Put { shard, ordinal, key, number } => self.put(at, *shard, *ordinal, (*key, *number)),
            Observation::Fetched { process, shard } => {
                self.shards.entry(*shard).or_default().fetched.insert(*process, at);
                Ok(())
            }
            Observation::Processor { holder } => self.processor(*holder),
            Observation::Delivery { holder, first, last } => {
                self.may_act(*holder)?;
                self.delivery(*holder, *first, *last)
            }
            Observation::Touched { holder, ordinal } => {
                self.may_act(*holder)?;
                self.touched(*holder, *ordinal)
            }
            Observation::Delivered { holder, completed, .. } => {
                self.may_act(*holder)?;
                self.delivered(*holder, *completed)
            }
            Observation::Dropped { holder } => {
                self.shard(holder.shard).working.remove(holder);
                Ok(())
            }
            Observation::Tarries { holder, still } => {
                let tarrying = &mut self.shard(holder.shard).tarrying;
                if *still {
                    tarrying.insert(*holder)
                } else {
                    tarrying.remove(holder)
                };
                Ok(())
            }
            Observation::Lost { process, shard, epoch, reason } => self.lost(at, *process, *shard, (*epoch, *reason)),
            Observation::Calm => {
                self.calm_since = Some(at);
                Ok(())
            }
        }
    }

    /// From now on nothing is disturbed, or something is.
    pub(crate) fn set_undisturbed(&mut self, undisturbed: bool) {
        self.undisturbed = undisturbed;
    }

    fn live(&mut self, process: ProcessId, life: Life) -> Result<(), Violation> {
        // One that ended in the moment it went on stays gone.
        if let Some(state) = self.processes.get_mut(&process).filter(|state| state.life != Life::Gone) {
            state.life = life;
        }
        if life == Life::Gone {
            for shard in self.shards.values_mut() {
                shard.working.retain(|holder, _| holder.process != process);
            }
        }
        Ok(())
    }

    fn shard(&mut self, shard: Shard) -> &mut ShardState {
        self.shards.entry(shard).or_default()
    }

    /// What a shard came from and has no row any more was proven to be over by the shards that came from it.
    fn forget_proof(&mut self, shard: Shard) {
        self.ancestors(shard, |ancestor| ancestor.proof_is_gone |= ancestor.row.is_none());
    }

    /// The row was made again by who knew where it stood.
    fn restore_proof(&mut self, shard: Shard) {
        self.ancestors(shard, |ancestor| ancestor.proof_is_gone = false);
    }

    fn ancestors(&mut self, shard: Shard, visit: impl Fn(&mut ShardState)) {
        let mut ancestors = self.shard(shard).parents.clone();
        while let Some(ancestor) = ancestors.pop() {
            let state = self.shard(ancestor);
            visit(state);
            ancestors.extend(state.parents.iter().copied());
        }
    }

    /// Until when a tenure of a process that runs lasts by its own clock, at least.
    fn lasts_until(&self, tenure: &Tenure) -> Option<At> {
        let process = self.processes.get(&tenure.process).filter(|process| process.life == Life::Running)?;
        (!tenure.over).then(|| tenure.confirmed + process.term)
    }

    fn worker(&self, process: ProcessId) -> &str {
        self.processes.get(&process).map_or("", |state| &state.worker)
    }
}

impl ShardState {
    /// What only the row told is gone: what was stored and not confirmed, how far its counter was, and with a clock that is
    /// behind the tokens. Its holder goes on until it finds out.
    fn forget_row(&mut self) {
        (self.row, self.stored, self.counter) = (None, None, 0);
        self.token_is_gone = true;
    }

    /// Everything is in the stream that ever will be, and it is completed.
    fn is_done(&self) -> bool {
        self.closed && self.completed == self.records.len() as Ordinal
    }

    /// The row says so, or it was cleaned away after it had said so.
    fn has_ended(&self) -> bool {
        self.stored.as_ref().is_some_and(Checkpoint::is_shard_end)
    }
}

/// The first record that a checkpoint leaves to do.
fn after(checkpoint: &Checkpoint) -> Ordinal {
    let record = checkpoint.record().and_then(|record| ordinal(record.sequence.as_str()));
    record.map_or(0, |ordinal| ordinal + 1)
}

/// Whether a row names this worker, in this epoch, as the one who reads and checkpoints.
fn holds(row: &Lease, worker: &str, epoch: Epoch) -> bool {
    row.holder().is_some_and(|holder| holder.as_str() == worker) && row.epoch() == epoch
}

fn row_text(row: Option<&Lease>) -> String {
    super::observation::RowText(row).to_string()
}

fn key_shard(key: &LeaseKey) -> Option<Shard> {
    shard_of(key.as_str())
}
