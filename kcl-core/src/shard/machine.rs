//! What happens next on one shard: events in, actions out.
//!
//! The shell calls `handle_*` for what happened and the commands [`stop`](ShardMachine::stop) and
//! [`lose`](ShardMachine::lose), then drains [`poll_action`](ShardMachine::poll_action), then sleeps until
//! [`poll_timeout`](ShardMachine::poll_timeout). A spurious wake-up is harmless. At most one callback into user code runs at
//! a time, and while it runs the next batch may be fetched.

use std::collections::VecDeque;
use std::time::Duration;

use super::progress::{DeliveryId, Progress};
use crate::types::{Backoff, ChildShard, Moment, RecordBatch, RecordPosition, ShardEnd};

/// Why a shard is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// The worker stops.
    Shutdown,
    /// Another worker should have it.
    OverShare,
    /// A leader asked to hand it over.
    HandOver,
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

/// Times that the machine works with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineSettings {
    /// How often parents are looked at while waiting for them.
    pub(crate) parent_interval: Duration,
    /// Delays between failed attempts.
    pub(crate) backoff: Backoff,
    /// How many fetched batches may wait for the handler.
    pub(crate) queue: usize,
}

/// After this many failed attempts in a row a shard is reported as stalled.
const STALLED_AFTER: u32 = 3;

/// The state of one shard in one tenure.
#[derive(Debug)]
pub(crate) struct ShardMachine {
    settings: MachineSettings,
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
    /// A tenure that begins now, at what the row has stored. With `has_parents` it first waits until their rows allow it.
    pub(crate) fn new(
        settings: MachineSettings,
        stored: Option<RecordPosition>,
        has_parents: bool,
        now: Moment,
    ) -> Self {
        ShardMachine {
            settings,
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

    /// Give the shard back: no new work begins, what runs may finish until `deadline`. Honoured in every state.
    pub(crate) fn stop(&mut self, reason: StopReason, deadline: Moment) {
        match &mut self.stop {
            None => self.stop = Some((reason, deadline)),
            Some((_, before)) => *before = deadline.min(*before),
        }
        self.queue.clear();
    }

    /// The tenure is over. Beats every other reason to stop.
    pub(crate) fn lose(&mut self) {
        self.lost = true;
        self.queue.clear();
    }

    /// What the rows of the parents say.
    pub(crate) fn handle_parents(&mut self, finished: Result<bool, String>, now: Moment, random: u64) {
        self.fetching = false;
        match finished {
            Ok(true) => {
                self.waiting_for_parents = false;
                self.recovered();
                self.fetch_after = now;
            }
            Ok(false) => self.fetch_after = now + self.settings.parent_interval,
            Err(error) => self.fetch_failed("reading the rows of its parents", error, now, random),
        }
    }

    /// The processor's initialisation returned, or panicked.
    pub(crate) fn handle_initialized(&mut self, result: Result<(), String>, now: Moment, random: u64) {
        self.callback_done(Callback::Initialize);
        match result {
            Ok(()) => {
                self.initialized = true;
                // Attempts on a batch go on counting over the replacement of a processor that panicked.
                if self.current.is_none() && self.end == End::NotSeen {
                    self.succeeded();
                }
            }
            Err(error) => self.failed("initializing the processor", error, now, random),
        }
    }

    /// An answer of the source.
    pub(crate) fn handle_fetched(&mut self, batch: RecordBatch, end: Option<ShardEnd>, now: Moment) {
        self.fetching = false;
        self.fetch_failures = 0;
        self.fetch_after = now;
        if self.current.is_none() && self.failures == 0 {
            self.recovered();
        }
        if self.stop.is_some() || self.lost {
            return;
        }
        let batch = self.unprocessed(batch);
        if !batch.is_empty() {
            self.queue.push_back(batch);
        }
        if let Some(end) = end {
            self.end = if end.children.is_empty() { End::Claimed } else { End::Proven(end.children) };
        }
    }

    /// The source failed; the same fetch is tried again, for ever.
    pub(crate) fn handle_fetch_failed(&mut self, error: String, now: Moment, random: u64) {
        self.fetch_failed("reading", error, now, random);
    }

    /// A delivery came to an end.
    pub(crate) fn handle_processed(&mut self, processed: Processed, now: Moment, random: u64) {
        self.callback_done(Callback::Deliver);
        let Some(current) = self.current.take() else {
            debug_assert!(false, "a delivery that was never begun");
            return;
        };
        match processed {
            Processed::Completed => self.completed(current),
            Processed::Failed { first, error } => {
                self.keep_for_retry(current, first);
                self.failed("processing", error, now, random);
            }
            Processed::CutShort { first } => {
                self.keep_for_retry(current, first);
                self.callback_after = now;
            }
            Processed::Panicked { message } => {
                self.initialized = false;
                self.keep_for_retry(current, None);
                self.failed("processing", format!("the processor panicked: {message}"), now, random);
            }
        }
    }

    /// The processor was told of the end.
    pub(crate) fn handle_shard_ended(&mut self, result: Result<(), String>, now: Moment, random: u64) {
        self.callback_done(Callback::ShardEnded);
        match result {
            Ok(()) => {
                self.succeeded();
                if let End::Proven(children) = std::mem::replace(&mut self.end, End::NotSeen) {
                    self.end = End::Told(children);
                }
            }
            Err(error) => self.failed("ending the shard in the processor", error, now, random),
        }
    }

    /// The processor panicked in another callback than a delivery and is gone.
    pub(crate) fn processor_lost(&mut self) {
        self.initialized = false;
    }

    /// The processor had its last chance to flush. Errors were logged; the lease is given back all the same.
    pub(crate) fn handle_shutdown_requested(&mut self) {
        self.callback_done(Callback::ShutdownRequested);
    }

    /// The processor was told that the lease is gone.
    pub(crate) fn handle_lease_lost_told(&mut self) {
        self.callback_done(Callback::LeaseLost);
    }

    /// The running callback was dropped; its completions do not count.
    pub(crate) fn callback_cancelled(&mut self) {
        if self.callback.take() == Some(Callback::Initialize) {
            self.initialized = false;
        }
        self.cancelling = false;
        self.current = None;
    }

    /// What a fresh listing says.
    pub(crate) fn handle_proof(&mut self, proof: Result<Proof, String>, now: Moment, random: u64) {
        self.fetching = false;
        match proof {
            Ok(Proof::Closed(children)) => {
                self.end = End::Proven(children);
                self.recovered();
            }
            Ok(Proof::NotClosed(why)) => {
                self.end = End::NotSeen;
                self.fetch_failed("finding the end of the shard", why, now, random);
            }
            Err(error) => {
                self.end = End::Claimed;
                self.fetch_failed("proving the end of the shard", error, now, random);
            }
        }
    }

    /// The lease is given back, or the end is written: the tenure is over as we wished.
    pub(crate) fn handle_farewell_written(&mut self) {
        self.finished = true;
        let finish = match (self.farewell, self.stop) {
            (Farewell::Release, Some((reason, _))) => Finish::Released(reason),
            _ => Finish::Ended,
        };
        self.reports.push_back(Action::Finished(finish));
    }

    /// The children could not be created, or the end could not be prepared; tried again, for ever.
    pub(crate) fn handle_end_failed(&mut self, error: String, now: Moment, random: u64) {
        self.farewell = Farewell::NotYet;
        self.failed("writing the end of the shard", error, now, random);
    }

    /// The highest position below which everything is completed in this tenure.
    #[cfg(test)]
    pub(crate) fn safe(&self) -> Option<&RecordPosition> {
        self.progress.safe()
    }

    /// When to wake up at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<Moment> {
        if self.finished {
            return None;
        }
        let drain = self.stop.filter(|_| self.callback.is_some()).map(|(_, deadline)| deadline);
        let callback = (self.callback.is_none() && self.wants_callback()).then_some(self.callback_after);
        let fetch = (!self.fetching && self.wants_fetch()).then_some(self.fetch_after);
        [drain, callback, fetch].into_iter().flatten().min()
    }

    /// What to do now; `None` when there is nothing until something happens or time passes.
    pub(crate) fn poll_action(&mut self, now: Moment) -> Option<Action> {
        if let Some(report) = self.reports.pop_front() {
            return Some(report);
        }
        if self.finished {
            return None;
        }
        if self.lost {
            return self.poll_lost();
        }
        if self.is_stopping() {
            return self.poll_stopping(now);
        }
        // The callback first: it makes room in the queue for the next fetch.
        self.poll_callback(now).or_else(|| self.poll_fetching(now))
    }

    fn poll_lost(&mut self) -> Option<Action> {
        match self.callback {
            Some(Callback::LeaseLost) => None,
            Some(_) if self.cancelling => None,
            Some(_) => {
                self.cancelling = true;
                Some(Action::CancelCallback)
            }
            None if self.initialized && !self.lost_told => {
                self.lost_told = true;
                self.callback = Some(Callback::LeaseLost);
                Some(Action::CallLeaseLost)
            }
            None => {
                self.finished = true;
                Some(Action::Finished(Finish::Lost))
            }
        }
    }

    /// An end that the processor already knows of is written, also when the worker stops meanwhile; but a stop does not
    /// wait for the repetition of a write that failed: the next owner ends the shard again.
    fn is_stopping(&self) -> bool {
        let ending = matches!(self.end, End::Told(_)) && (self.farewell == Farewell::End || self.failures == 0);
        self.stop.is_some() && !ending
    }

    fn poll_stopping(&mut self, now: Moment) -> Option<Action> {
        let (_, deadline) = self.stop?;
        if self.callback.is_some() {
            let overdue = now >= deadline && !self.cancelling;
            self.cancelling |= overdue;
            return overdue.then_some(Action::CancelCallback);
        }
        // A batch that waits for its next attempt is not completed: its records are delivered again elsewhere.
        self.current = None;
        if self.initialized && !self.shutdown_called && now < deadline {
            self.shutdown_called = true;
            self.callback = Some(Callback::ShutdownRequested);
            return Some(Action::CallShutdownRequested { deadline });
        }
        (std::mem::replace(&mut self.farewell, Farewell::Release) == Farewell::NotYet).then_some(Action::Release)
    }

    fn wants_fetch(&self) -> bool {
        let room = self.queue.len() < self.settings.queue;
        match self.end {
            _ if self.stop.is_some() || self.lost => false,
            _ if self.waiting_for_parents => true,
            End::NotSeen => self.initialized && room,
            End::Claimed => true,
            End::Proving | End::Proven(_) | End::Told(_) => false,
        }
    }

    fn poll_fetching(&mut self, now: Moment) -> Option<Action> {
        if self.fetching || !self.wants_fetch() || now < self.fetch_after {
            return None;
        }
        self.fetching = true;
        Some(if self.waiting_for_parents {
            Action::CheckParents
        } else if self.end == End::Claimed {
            self.end = End::Proving;
            Action::ProveEnd
        } else {
            Action::Fetch
        })
    }

    fn wants_callback(&self) -> bool {
        if self.waiting_for_parents {
            return false;
        }
        !self.initialized
            || self.current.is_some()
            || !self.queue.is_empty()
            || matches!(self.end, End::Proven(_))
            || (matches!(self.end, End::Told(_)) && self.farewell == Farewell::NotYet)
    }

    fn poll_callback(&mut self, now: Moment) -> Option<Action> {
        if self.callback.is_some() || !self.wants_callback() || now < self.callback_after {
            return None;
        }
        if let End::Told(children) = &self.end {
            self.farewell = Farewell::End;
            return Some(Action::WriteEnd { children: children.clone() });
        }
        let attempt = self.failures + 1;
        if !self.initialized {
            self.callback = Some(Callback::Initialize);
            return Some(Action::Initialize);
        }
        if self.current.is_none()
            && let Some(batch) = self.queue.pop_front()
        {
            self.begin_delivery(batch);
        }
        if let Some(current) = &self.current {
            self.callback = Some(Callback::Deliver);
            return Some(Action::Deliver { batch: current.batch.clone(), attempt });
        }
        self.callback = Some(Callback::ShardEnded);
        Some(Action::CallShardEnded { attempt })
    }

    fn begin_delivery(&mut self, batch: RecordBatch) {
        if let Some(last) = batch.last() {
            let id = self.progress.deliver(last.position());
            self.current = Some(Current { batch, id });
        }
    }

    /// The records that the stored checkpoint does not cover. A tenure resumes *at* the record of its checkpoint, since
    /// that may be an aggregate of which only a part is done: an aggregate that is not opened is delivered again as a
    /// whole, anything else at or below the checkpoint is dropped.
    fn unprocessed(&self, batch: RecordBatch) -> RecordBatch {
        let Some(stored) = &self.stored else { return batch };
        let unopened = batch.first().is_some_and(|record| {
            *record.sequence_number() == stored.sequence
                && record.sub_sequence_number() == 0
                && record.data().starts_with(AGGREGATE_MAGIC)
        });
        if unopened { batch.redelivered(stored.clone()) } else { batch.after(stored) }
    }

    fn completed(&mut self, current: Current) {
        let before = self.progress.safe().cloned();
        self.progress.complete(current.id);
        self.report_progress(before, &current.batch);
        self.succeeded();
    }

    /// What failed is delivered again; what came before it in the batch is completed.
    fn keep_for_retry(&mut self, mut current: Current, first_failed: Option<RecordPosition>) {
        let last = current.batch.last().map(|record| record.position());
        let done = first_failed.and_then(|failed| {
            current.batch.iter().map(|record| record.position()).take_while(|position| *position < failed).last()
        });
        if let Some(done) = done {
            let before = self.progress.safe().cloned();
            let rest = current.batch.after(&done);
            self.progress.complete_through(current.id, done);
            let completed = current.batch.len() - rest.len();
            let bytes = current.batch.data_bytes() - rest.data_bytes();
            if let Some(position) = self.progress.safe().cloned().filter(|safe| before.as_ref() != Some(safe)) {
                self.reports.push_back(Action::Progress { position, records: completed as u64, bytes: bytes as u64 });
                self.failures = 0;
            }
            current.batch = rest;
        }
        match last {
            Some(last) if !current.batch.is_empty() => {
                current.batch = current.batch.redelivered(last);
                self.current = Some(current);
            }
            // The processor blames a record behind the batch: nothing of the batch failed.
            _ => {}
        }
    }

    fn report_progress(&mut self, before: Option<RecordPosition>, batch: &RecordBatch) {
        if let Some(position) = self.progress.safe().cloned().filter(|safe| before.as_ref() != Some(safe)) {
            let (records, bytes) = (batch.len() as u64, batch.data_bytes() as u64);
            self.reports.push_back(Action::Progress { position, records, bytes });
        }
    }

    fn callback_done(&mut self, callback: Callback) {
        debug_assert_eq!(self.callback, Some(callback), "an answer to a callback that does not run");
        self.callback = None;
        self.cancelling = false;
    }

    fn succeeded(&mut self) {
        self.failures = 0;
        self.recovered();
    }

    fn recovered(&mut self) {
        self.fetch_failures = 0;
        if std::mem::take(&mut self.stalled) {
            self.reports.push_back(Action::Report(Report::Recovered));
        }
    }

    fn failed(&mut self, what: &'static str, error: String, now: Moment, random: u64) {
        self.failures = self.failures.saturating_add(1);
        self.callback_after = now + self.settings.backoff.delay(self.failures, random);
        self.report_stalled(what, self.failures, error);
    }

    fn fetch_failed(&mut self, what: &'static str, error: String, now: Moment, random: u64) {
        self.fetching = false;
        self.fetch_failures = self.fetch_failures.saturating_add(1);
        self.fetch_after = now + self.settings.backoff.delay(self.fetch_failures, random);
        self.report_stalled(what, self.fetch_failures, error);
    }

    fn report_stalled(&mut self, what: &'static str, attempts: u32, error: String) {
        if attempts >= STALLED_AFTER {
            self.stalled = true;
            self.reports.push_back(Action::Report(Report::Stalled { what, attempts, error }));
        }
    }
}

/// The first bytes of a record that the Kinesis Producer Library aggregated.
const AGGREGATE_MAGIC: &[u8] = &[0xF3, 0x89, 0x9A, 0xC2];

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
