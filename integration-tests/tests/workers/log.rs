//! What workers were given, in the order in which it happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use kcl_core::types::SequenceNumber;
use kcl_core::{
    BoxError, ProcessContext, ProcessError, Record, RecordBatch, RecordProcessor, RecordProcessorFactory, ShardContext,
    async_trait,
};
use tokio::sync::{Notify, watch};

use crate::waiting::within;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Record(Given),
    /// Every record of the shard is done and it is closed.
    Ended(String),
}

/// A record as a worker was given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) worker: String,
    pub(crate) shard: String,
    pub(crate) sequence: SequenceNumber,
}

/// A log that several workers write. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    entries: Arc<Mutex<Vec<Entry>>>,
    changed: Arc<Notify>,
    /// The shard whose records take until it is no longer held.
    held: watch::Sender<Option<String>>,
}

impl Log {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    pub(crate) fn records(&self) -> Vec<Given> {
        let record = |entry| match entry {
            Entry::Record(given) => Some(given),
            Entry::Ended(_) => None,
        };
        self.entries().into_iter().filter_map(record).collect()
    }

    /// The numbers of a shard's records, in the order of delivery.
    pub(crate) fn numbers(&self, shard: &str) -> Vec<String> {
        let records = self.records().into_iter().filter(|given| given.shard == shard);
        records.map(|given| given.sequence.to_string()).collect()
    }

    /// Different records by shard.
    pub(crate) fn distinct(&self) -> BTreeMap<String, BTreeSet<SequenceNumber>> {
        let mut distinct = BTreeMap::<_, BTreeSet<_>>::new();
        for Given { shard, sequence, .. } in self.records() {
            distinct.entry(shard).or_default().insert(sequence);
        }
        distinct
    }

    /// The workers that were given something.
    pub(crate) fn readers(&self) -> BTreeSet<String> {
        self.records().into_iter().map(|given| given.worker).collect()
    }

    /// Waits until so many different records were given to anybody. One at a time may wait.
    pub(crate) async fn until_read(&self, count: usize) {
        let read = || self.distinct().values().map(BTreeSet::len).sum::<usize>() >= count;
        self.until(&format!("{count} records are read"), read).await;
    }

    /// Waits until these shards were told to be over. One at a time may wait.
    pub(crate) async fn until_ended(&self, shards: &[String]) {
        let over = |shard: &String| self.entries().contains(&Entry::Ended(shard.clone()));
        self.until(&format!("{shards:?} end"), || shards.iter().all(over)).await;
    }

    async fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let holds = async {
            while !condition() {
                self.changed.notified().await;
            }
        };
        within(what, holds).await;
    }

    /// Lets user code of this shard take until [`release`](Log::release).
    pub(crate) fn hold(&self, shard: String) {
        self.held.send_replace(Some(shard));
    }

    pub(crate) fn release(&self) {
        self.held.send_replace(None);
    }

    /// Makes processors that write this log.
    pub(crate) fn processors(&self) -> impl RecordProcessorFactory + use<> {
        let log = self.clone();
        move |_: &ShardContext| Logging(log.clone())
    }

    /// Writes down a record that a function handler was given.
    pub(crate) fn note(&self, record: &Record) {
        let (worker, shard) = (String::new(), String::new());
        self.push([Entry::Record(Given { worker, shard, sequence: record.sequence_number().clone() })]);
    }

    fn push(&self, entries: impl IntoIterator<Item = Entry>) {
        self.entries.lock().unwrap().extend(entries);
        self.changed.notify_one();
    }
}

struct Logging(Log);

#[async_trait]
impl RecordProcessor for Logging {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let ShardContext { worker, shard, .. } = &context.shard;
        let is_free = |held: &Option<String>| held.as_deref() != Some(shard.id().as_str());
        self.0.held.subscribe().wait_for(is_free).await?;
        self.0.push(batch.iter().map(|record| {
            Entry::Record(Given {
                worker: worker.to_string(),
                shard: shard.id().to_string(),
                sequence: record.sequence_number().clone(),
            })
        }));
        Ok(())
    }

    async fn shard_ended(&mut self, context: &ProcessContext) -> Result<(), BoxError> {
        self.0.push([Entry::Ended(context.shard.shard.id().to_string())]);
        Ok(())
    }
}
