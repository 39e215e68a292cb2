//! What happened: commands and events, and what they change.

use super::{
    Action, Callback, Current, End, Farewell, Finish, Processed, Proof, Report, STALLED_AFTER, ShardMachine, StopReason,
};
use crate::types::{Moment, RecordBatch, RecordPosition, ShardEnd, is_aggregate};

impl ShardMachine {
    /// Give the shard back: no new work begins, what runs may finish until `deadline`. Honoured in every state.
    pub(crate) fn stop(&mut self, reason: StopReason, deadline: Moment) {
        match &mut self.stop {
            None => self.stop = Some((reason, deadline)),
            Some((before, until)) => {
                if *before == StopReason::Restart {
                    *before = reason;
                }
                *until = deadline.min(*until);
            }
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
            Err(error) => {
                self.fetch_failed("reading the rows of its parents", error, now, random);
                self.fetch_after = now + self.settings.table_backoff.delay(self.fetch_failures, random);
            }
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
            self.end = match std::mem::replace(&mut self.end, End::NotSeen) {
                _ if !end.children.is_empty() => End::Proven(end.children),
                End::Closed(children) => End::Proven(children),
                _ => End::Claimed,
            };
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
                self.end = End::Closed(children);
                self.fetch_failures = 0;
                self.fetch_after = now;
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
        self.callback_after = now + self.settings.table_backoff.delay(self.failures, random);
    }

    /// The records that the stored checkpoint does not cover. A tenure resumes *at* the record of its checkpoint, since
    /// that may be an aggregate of which only a part is done: it is kept until it is opened, anything else at or below the
    /// checkpoint is dropped.
    fn unprocessed(&self, batch: RecordBatch) -> RecordBatch {
        let Some(stored) = &self.stored else { return batch };
        let unopened = batch.first().is_some_and(|record| {
            *record.sequence_number() == stored.sequence
                && record.sub_sequence_number() == 0
                && is_aggregate(record.data())
        });
        if unopened { batch } else { batch.after(stored) }
    }

    fn completed(&mut self, current: Current) {
        self.pass(current);
        self.succeeded();
    }

    /// All of it is done.
    pub(super) fn pass(&mut self, current: Current) {
        let before = self.progress.safe().cloned();
        self.progress.complete(current.id);
        self.report_progress(before, &current.batch);
    }

    /// What failed is delivered again; what came before it in the batch is completed.
    fn keep_for_retry(&mut self, mut current: Current, first_failed: Option<RecordPosition>) {
        let last = current.batch.last().map(|record| record.position());
        let through = current.batch.through();
        let done = first_failed.and_then(|failed| {
            current.batch.iter().map(|record| record.position()).take_while(|position| *position < failed).last()
        });
        if let Some(done) = done {
            let before = self.progress.safe().cloned();
            let rest = current.batch.after(&done);
            // Behind the last record there may be some that were left out.
            let done = through.filter(|_| rest.is_empty()).unwrap_or(done);
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

    /// What no repetition mends is reported at once.
    pub(super) fn report_stalled_now(&mut self, what: &'static str, error: String) {
        self.report_stalled(what, self.failures.max(STALLED_AFTER), error);
    }
}
