//! What happens next on one shard: events in, actions out.
//!
//! The shell calls `handle_*` for what happened and the commands [`stop`](ShardMachine::stop) and
//! [`lose`](ShardMachine::lose), then drains [`poll_action`](ShardMachine::poll_action), then sleeps until
//! [`poll_timeout`](ShardMachine::poll_timeout). A spurious wake-up is harmless. At most one callback into user code runs at
//! a time, and while it runs the next batch may be fetched.

mod actions;
mod events;
mod opening;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::progress::{DeliveryId, Progress};
use crate::settings::CorruptAggregates;
use crate::types::{Backoff, ChildShard, HashRange, Moment, RecordBatch, RecordPosition};

/// Why a shard is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The worker stops.
    Shutdown,
    /// A leader asked to hand it over.
    HandOver,
    /// Its stream is not wanted any more.
    Unwanted,
    /// It does not get on here.
    Stuck,
    /// Its task begins anew, in the same tenure. Gives way to every other reason.
    Restart,
}

/// What to do next. Those marked *callback* run user code: the shell answers each with one `handle_*` call, or with
/// [`callback_cancelled`](ShardMachine::callback_cancelled).
#[derive(Debug)]
pub(crate) enum Action {
    /// Read the rows of the parents.
    CheckParents,
    /// Callback: make a processor if there is none, and initialise it.
    Initialize,
    /// Fetch what comes next.
    Fetch,
    /// Callback: process a batch.
    Deliver { batch: RecordBatch, attempt: u32 },
    /// Everything up to here is completed.
    Progress { position: RecordPosition, records: u64, bytes: u64 },
    /// Look for the closed shard in a fresh listing.
    ProveEnd,
    /// Callback: everything is processed.
    CallShardEnded { attempt: u32 },
    /// Callback: a last chance to flush.
    CallShutdownRequested { deadline: Moment },
    /// Drop the running callback.
    CancelCallback,
    /// Callback: the lease is gone.
    CallLeaseLost,
    /// Write the last checkpoint and give the lease back.
    Release,
    /// Create the children and write the end.
    WriteEnd { children: Vec<ChildShard> },
    /// Tell the world.
    Report(Report),
    /// Nothing more will happen.
    Finished(Finish),
}

/// Something an operator wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// The shard has not advanced for several attempts.
    Stalled { what: &'static str, attempts: u32, error: String },
    /// It advances again.
    Recovered,
    /// User records of aggregates were left out, since they belong to another shard.
    OutsideShard { records: u64 },
    /// An aggregate that cannot be opened is delivered as one record.
    CorruptDelivered { error: String },
}

/// How the shard's time on this worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finish {
    /// Processed to its end.
    Ended,
    /// Given back.
    Released(StopReason),
    /// Taken away.
    Lost,
}

/// What came of delivering a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Processed {
    /// All records are completed.
    Completed,
    /// These records, and with shard order all after the first of them, are not.
    Failed { first: Option<RecordPosition>, error: String },
    /// The handler left these undone because it was asked to come to an end.
    CutShort { first: Option<RecordPosition> },
    /// User code panicked; the processor is gone.
    Panicked { message: String },
}

/// What a fresh listing says of a shard that seems to have ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Proof {
    /// It is closed; these are its children.
    Closed(Vec<ChildShard>),
    /// It is open, or not listed: the end was a false one.
    NotClosed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Callback {
    Initialize,
    Deliver,
    ShardEnded,
    ShutdownRequested,
    LeaseLost,
}

#[derive(Debug)]
struct Current {
    batch: RecordBatch,
    id: DeliveryId,
}

#[derive(Debug, Clone, PartialEq)]
enum End {
    /// There may be more.
    NotSeen,
    /// The source says so, without proof.
    Claimed,
    /// A fresh listing is on its way.
    Proving,
    /// The listing says that it is closed, with these children. It may have been closed after the end was claimed, and
    /// records may have come in between: only an end that is claimed from now on is one.
    Closed(Vec<ChildShard>),
    /// It is closed, and everything was fetched.
    Proven(Vec<ChildShard>),
    /// The processor knows.
    Told(Vec<ChildShard>),
}

/// The write that ends the tenure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// Not asked for, or it failed and is due again.
    NotYet,
    /// The end of the shard is being written.
    End,
    /// The lease is being given back.
    Release,
}

/// What the machines of all shards work with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineSettings {
    /// How often parents are looked at while waiting for them.
    pub(crate) parent_interval: Duration,
    /// Delays between failed attempts of user code and of fetches.
    pub(crate) backoff: Backoff,
    /// Delays between failed looks at other rows of the table, without which a shard can neither begin nor end.
    pub(crate) table_backoff: Backoff,
    /// How many fetched batches may wait for the handler.
    pub(crate) queue: usize,
    /// What becomes of aggregates that cannot be opened.
    pub(crate) corrupt_aggregates: CorruptAggregates,
}

/// What the row says when a machine begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Start {
    /// Records at or below it are done.
    pub(crate) stored: Option<RecordPosition>,
    /// The hash keys of the shard, if known: user records of aggregates outside of it are left out.
    pub(crate) hash_range: Option<HashRange>,
    /// The shard came from others.
    pub(crate) has_parents: bool,
}

/// After this many failed attempts in a row a shard is reported as stalled.
const STALLED_AFTER: u32 = 3;

/// The state of one shard in one tenure.
#[derive(Debug)]
pub(crate) struct ShardMachine {
    settings: Arc<MachineSettings>,
    hash_range: Option<HashRange>,
    /// What the row said when the tenure began: records at or below it are done.
    stored: Option<RecordPosition>,
    progress: Progress,
    waiting_for_parents: bool,
    initialized: bool,
    callback: Option<Callback>,
    cancelling: bool,
    fetching: bool,
    fetch_after: Moment,
    queue: VecDeque<RecordBatch>,
    current: Option<Current>,
    /// When the next callback may start: later than now after a failure.
    callback_after: Moment,
    /// Failures in a row of what is being tried: a batch, the initialisation, the end.
    failures: u32,
    fetch_failures: u32,
    stalled: bool,
    end: End,
    stop: Option<(StopReason, Moment)>,
    shutdown_called: bool,
    lost: bool,
    lost_told: bool,
    farewell: Farewell,
    finished: bool,
    reports: VecDeque<Action>,
}

impl ShardMachine {
    /// A tenure, or a new run of it, that begins now. If it has parents it first waits until their rows allow it.
    pub(crate) fn new(settings: Arc<MachineSettings>, start: Start, now: Moment) -> Self {
        let Start { stored, hash_range, has_parents } = start;
        ShardMachine {
            settings,
            hash_range,
            stored,
            progress: Progress::default(),
            waiting_for_parents: has_parents,
            initialized: false,
            callback: None,
            cancelling: false,
            fetching: false,
            fetch_after: now,
            queue: VecDeque::new(),
            current: None,
            callback_after: now,
            failures: 0,
            fetch_failures: 0,
            stalled: false,
            end: End::NotSeen,
            stop: None,
            shutdown_called: false,
            lost: false,
            lost_told: false,
            farewell: Farewell::NotYet,
            finished: false,
            reports: VecDeque::new(),
        }
    }

    /// User code has work, if only to be tried again: what is fetched meanwhile is in advance.
    pub(crate) fn has_work(&self) -> bool {
        self.current.is_some() || !self.queue.is_empty()
    }

    /// Everything that was ever fetched is completed, and said to be.
    pub(crate) fn is_caught_up(&self) -> bool {
        // What a stop or a loss drops from the queue is not completed.
        let keeps_all = self.stop.is_none() && !self.lost;
        keeps_all && self.queue.is_empty() && self.progress.is_settled() && self.reports.is_empty()
    }

    /// The highest position below which everything is completed in this tenure.
    #[cfg(test)]
    pub(crate) fn safe(&self) -> Option<&RecordPosition> {
        self.progress.safe()
    }
}

#[cfg(test)]
mod tests;
