//! From a fetched batch to a delivery: aggregates are opened here, when their turn comes, and not before. What waits is one
//! buffer however many user records are in it.

use super::{Action, Current, Report, ShardMachine};
use crate::settings::CorruptAggregates;
use crate::types::{CorruptAggregate, Moment, RecordBatch};

impl ShardMachine {
    /// Makes the next batch that waits the current one. Nothing becomes current if all of it is done already, belongs to
    /// another shard, or cannot be opened.
    pub(super) fn open_next(&mut self, now: Moment) {
        while self.current.is_none()
            && now >= self.callback_after
            && let Some(batch) = self.queue.pop_front()
        {
            let opened = batch.open_aggregates(self.hash_range);
            if opened.outside > 0 {
                self.reports.push_back(Action::Report(Report::OutsideShard { records: opened.outside }));
            }
            self.begin_delivery(opened.batch);
            match opened.corrupt {
                Some((corrupt, rest)) if self.current.is_none() => self.handle_corrupt(&corrupt, &rest, now),
                Some((_, rest)) => self.queue.push_front(rest),
                None => {}
            }
        }
    }

    fn begin_delivery(&mut self, batch: RecordBatch) {
        let Some(through) = batch.through() else { return };
        let batch = match &self.stored {
            Some(stored) if through <= *stored => return,
            Some(stored) => batch.after(stored),
            None => batch,
        };
        let id = self.progress.deliver(through);
        let current = Current { batch, id };
        if current.batch.is_empty() {
            // All of it belongs to other shards: passed without user code.
            self.pass(current);
        } else {
            self.current = Some(current);
        }
    }

    /// `rest` begins with the corrupt aggregate.
    fn handle_corrupt(&mut self, corrupt: &CorruptAggregate, rest: &RecordBatch, now: Moment) {
        let done = self.stored.as_ref().is_some_and(|stored| corrupt.position <= *stored);
        let (one, others) = rest.split(1);
        if !done && self.settings.corrupt_aggregates == CorruptAggregates::Stop {
            self.queue.push_front(rest.clone());
            self.failures = self.failures.saturating_add(1);
            // No repetition mends it; the next look is for those who watch the reports.
            self.callback_after = now + self.settings.backoff.most;
            let error =
                format!("{corrupt}; to have such records delivered as they are, set corrupt_aggregates = deliver");
            self.report_stalled_now("opening an aggregate", error);
            return;
        }
        if !others.is_empty() {
            self.queue.push_front(others);
        }
        if !done {
            self.reports.push_back(Action::Report(Report::CorruptDelivered { error: corrupt.to_string() }));
        }
        self.begin_delivery(one);
    }
}
