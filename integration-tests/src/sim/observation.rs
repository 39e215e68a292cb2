//! What can be seen of a run from outside: what the checker is fed with, and the lines of the log.

use std::fmt;
use std::time::Duration;

use kcl_core::LeaseLostReason;
use kcl_core::types::{Epoch, FencingToken, Lease, LeaseKey};

use super::executor::ProcessId;
use super::timeline::At;

/// A shard, by its number in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Shard(pub(crate) u32);

/// A record, by its place in its shard.
pub(crate) type Ordinal = u64;

/// A tenure as user code sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) process: ProcessId,
    pub(crate) shard: Shard,
    pub(crate) epoch: Epoch,
    pub(crate) token: FencingToken,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(crate) enum Observation {
    /// A process begins, for a worker of this name; `term` is what the failover time of its clock takes in truth.
    Started { process: ProcessId, worker: String, term: Duration },
    /// It stands still.
    Paused { process: ProcessId },
    /// It goes on.
    Resumed { process: ProcessId },
    /// It is gone without having said anything.
    Crashed { process: ProcessId },
    /// It ended by itself or because it was asked to.
    Ended { process: ProcessId, how: String },
    /// A request of this process, sent then, changed a row.
    Written { process: ProcessId, sent: At, key: LeaseKey, before: Option<Box<Lease>>, after: Option<Box<Lease>> },
    /// A row was deleted by hand.
    Deleted { key: LeaseKey },
    /// The answer that a write of this process, which shows life, took effect has reached it.
    Confirmed { process: ProcessId, sent: At, key: LeaseKey },
    /// A record arrived in the stream, the `number`th of its key.
    Put { shard: Shard, ordinal: Ordinal, key: u32, number: u64 },
    /// A shard opened, with these parents.
    Opened { shard: Shard, parents: Vec<Shard> },
    /// A shard takes no more records.
    Closed { shard: Shard },
    /// A holder has fetched what comes next, perhaps nothing.
    Fetched { process: ProcessId, shard: Shard },
    /// User code was made for a tenure.
    Processor { holder: Holder },
    /// A delivery begins: these records, both ends included.
    Delivery { holder: Holder, first: Ordinal, last: Ordinal },
    /// User code does something with a record.
    Touched { holder: Holder, ordinal: Ordinal },
    /// A delivery ends: records before this one are completed.
    Delivered { holder: Holder, completed: Ordinal, how: &'static str },
    /// A delivery was cut off.
    Dropped { holder: Holder },
    /// What user code does at the end of a tenure does not come to an end, or was cut off.
    Tarries { holder: Holder, still: bool },
    /// The worker says that it lost a lease.
    Lost { process: ProcessId, shard: Shard, epoch: Epoch, reason: LeaseLostReason },
    /// From now on nothing goes wrong any more.
    Calm,
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Holder { process, shard, epoch, token } = self;
        write!(f, "{process} {shard} epoch {epoch} token {token}")
    }
}

impl fmt::Display for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Observation::Started { process, worker, .. } => write!(f, "{process} starts as {worker}"),
            Observation::Paused { process } => write!(f, "{process} is paused"),
            Observation::Resumed { process } => write!(f, "{process} goes on"),
            Observation::Crashed { process } => write!(f, "{process} crashes"),
            Observation::Ended { process, how } => write!(f, "{process} has ended: {how}"),
            Observation::Written { process, sent, key, before, after } => {
                write!(f, "{process} wrote {key}, sent {:.6}: ", sent.as_secs_f64())?;
                RowText(before.as_deref()).fmt(f)?;
                f.write_str(" -> ")?;
                RowText(after.as_deref()).fmt(f)
            }
            Observation::Deleted { key } => write!(f, "somebody deletes {key}"),
            Observation::Confirmed { process, sent, key } => {
                write!(f, "{process} knows of its write to {key}, sent {:.6}", sent.as_secs_f64())
            }
            Observation::Put { shard, ordinal, key, number } => write!(f, "put {shard}/{ordinal}: key {key} #{number}"),
            Observation::Opened { shard, parents } => {
                write!(f, "{shard} opens")?;
                parents.iter().try_for_each(|parent| write!(f, " after {parent}"))
            }
            Observation::Closed { shard } => write!(f, "{shard} is closed"),
            Observation::Fetched { process, shard } => write!(f, "{process} fetched {shard}"),
            Observation::Processor { holder } => write!(f, "{holder}: processor"),
            Observation::Delivery { holder, first, last } => write!(f, "{holder}: delivery of {first}..={last}"),
            Observation::Touched { holder, ordinal } => write!(f, "{holder}: works on {ordinal}"),
            Observation::Delivered { holder, completed, how } => {
                write!(f, "{holder}: {how}, completed before {completed}")
            }
            Observation::Dropped { holder } => write!(f, "{holder}: delivery dropped"),
            Observation::Tarries { holder, still: true } => write!(f, "{holder}: does not come to an end"),
            Observation::Tarries { holder, still: false } => write!(f, "{holder}: is cut off"),
            Observation::Lost { process, shard, epoch, reason } => {
                write!(f, "{process} {shard} epoch {epoch}: lease lost, {reason}")
            }
            Observation::Calm => f.write_str("all faults end"),
        }
    }
}

/// A row in short.
pub(crate) struct RowText<'a>(pub(crate) Option<&'a Lease>);

impl fmt::Display for RowText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(row) = self.0 else { return f.write_str("no row") };
        let name = |worker: Option<&kcl_core::types::WorkerId>| worker.map_or("-".to_owned(), ToString::to_string);
        let (owner, pending) = (name(row.owner.as_ref()), name(row.checkpoint_owner.as_ref()));
        let checkpoint = row.checkpoint.record().and_then(|at| ordinal(at.sequence.as_str()));
        let checkpoint = checkpoint.map_or_else(|| row.checkpoint.to_string(), |ordinal| ordinal.to_string());
        write!(f, "(owner {owner}, from {pending}, counter {}, epoch {}, at {checkpoint})", row.counter, row.epoch())
    }
}

/// The place in its shard that a number carries, counted from 0.
pub(crate) fn ordinal(sequence: &str) -> Option<Ordinal> {
    place(kcl_local::SequenceNumber::parse(sequence)?)
}

/// The same of a number as the model has it.
pub(crate) fn place(number: kcl_local::SequenceNumber) -> Option<Ordinal> {
    // The model keeps 0 for the number below all records.
    number.parts()?.ordinal.checked_sub(1)
}

/// The shard of a lease key.
pub(crate) fn shard_of(key: &str) -> Option<Shard> {
    kcl_local::ShardId::parse(key).map(|id| Shard(id.0))
}
