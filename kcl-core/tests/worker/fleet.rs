//! A fleet in virtual time: a scripted stream, a store in memory, workers that can be killed, and a log of all deliveries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, Spawner};
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{LeaseKey, Moment, Row, ShardId, ShardRef, StreamId, WorkerRow};
use kcl_core::{
    BoxError, LeaseLostReason, ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext,
    Worker, WorkerBuilder, WorkerHandle, async_trait,
};
use tokio::task::JoinSet;

/// One record as a worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) at: Moment,
    pub(crate) worker: String,
    pub(crate) shard: String,
    pub(crate) number: u64,
    pub(crate) token: u64,
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) notes: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    pub(crate) fn note(&self, text: impl Into<String>) {
        self.notes.lock().unwrap().push(text.into());
    }

    /// The numbers of a shard's records in the order of delivery.
    pub(crate) fn numbers(&self, shard: &str) -> Vec<u64> {
        self.seen().iter().filter(|seen| seen.shard == shard).map(|seen| seen.number).collect()
    }
}

/// Tasks of one worker, which can be dropped all at once: what SIGKILL does to a process.
#[derive(Debug, Clone, Default)]
pub(crate) struct Killable {
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Killable {
    pub(crate) fn kill(&self) {
        *self.tasks.lock().unwrap() = JoinSet::new();
    }
}

impl Spawner for Killable {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().spawn(task);
    }
}

pub(crate) struct Fleet {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) source: ScriptedSource,
    pub(crate) log: Log,
}

pub(crate) const STREAM: &str = "orders";

pub(crate) fn stream() -> StreamId {
    STREAM.parse().unwrap()
}

pub(crate) fn shard(index: usize) -> ShardRef {
    ShardRef::new(stream(), ShardId::new(name(index)).unwrap())
}

pub(crate) fn name(index: usize) -> String {
    format!("shardId-{index:012}")
}

pub(crate) fn key(index: usize) -> LeaseKey {
    shard(index).lease_key()
}

impl Fleet {
    pub(crate) fn new(clock: &ManualClock, shards: usize) -> Self {
        let source = ScriptedSource::new(clock.clone());
        for index in 0..shards {
            source.add_shard(&shard(index), None);
        }
        Fleet { clock: clock.clone(), store: MemoryStore::new(), source, log: Log::default() }
    }

    pub(crate) fn settings(&self, worker: &str) -> Settings {
        Settings::new("orders-app", STREAM).worker_id(worker)
    }

    pub(crate) fn builder(&self, settings: Settings) -> WorkerBuilder {
        Worker::builder(settings)
            .store(self.store.clone())
            .source(self.source.clone())
            .clock(self.clock.clone())
            .seed(7)
    }

    /// A worker that logs every record.
    pub(crate) fn logging(&self, worker: &str) -> WorkerBuilder {
        let (log, clock) = (self.log.clone(), self.clock.clone());
        self.builder(self.settings(worker))
            .processor(move |_: &ShardContext| Logging { log: log.clone(), clock: clock.clone() })
    }

    pub(crate) async fn start(&self, worker: &str) -> WorkerHandle {
        self.logging(worker).build().unwrap().start().await.unwrap()
    }

    /// A worker and the means to kill it.
    pub(crate) async fn start_killable(&self, worker: &str) -> (WorkerHandle, Killable) {
        let killable = Killable::default();
        let worker = self.logging(worker).spawner(killable.clone()).build().unwrap();
        (worker.start().await.unwrap(), killable)
    }

    pub(crate) fn append(&self, shards: usize, count: usize) {
        for index in 0..shards {
            for _ in 0..count {
                self.source.append(&shard(index), "data");
            }
        }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    /// The row of a worker, which must be there.
    pub(crate) fn worker_row(&self, worker: &str) -> WorkerRow {
        let rows = self.store.rows().into_iter();
        let mut rows = rows.filter_map(|row| if let Row::Worker(row) = row { Some(*row) } else { None });
        rows.find(|row| row.worker.as_str() == worker).unwrap()
    }

    /// Leases per reader, in a hand-off the old owner; free ones under "-".
    pub(crate) fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for row in self.store.rows() {
            if let Row::Lease(lease) = row
                && !lease.is_ended()
            {
                let owner = lease.holder().map_or("-", |holder| holder.as_str()).to_owned();
                *owners.entry(owner).or_insert(0) += 1;
            }
        }
        owners
    }
}

pub(crate) fn owners(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(owner, count)| ((*owner).to_owned(), *count)).collect()
}

struct Logging {
    log: Log,
    clock: ManualClock,
}

#[async_trait]
impl RecordProcessor for Logging {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        for record in batch {
            self.log.seen.lock().unwrap().push(Seen {
                at: self.clock.now(),
                worker: context.shard.worker.to_string(),
                shard: context.shard.shard.id().to_string(),
                number: record.sequence_number().as_str().parse()?,
                token: context.shard.fencing_token.0,
            });
        }
        Ok(())
    }

    async fn lease_lost(&mut self, reason: LeaseLostReason) {
        self.log.note(format!("lost {reason}"));
    }

    async fn shard_ended(&mut self, context: &ProcessContext) -> Result<(), BoxError> {
        self.log.note(format!("ended {}", context.shard.shard.id()));
        Ok(())
    }

    async fn shutdown_requested(&mut self, context: &ProcessContext) -> Result<(), BoxError> {
        assert!(!context.cancelled.is_cancelled(), "the call that flushes must not find itself cancelled");
        self.log.note("shutdown requested");
        Ok(())
    }
}
