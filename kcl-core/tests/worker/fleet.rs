//! A fleet in virtual time: a scripted stream, a store in memory, workers that can be killed, and a log of all deliveries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, Spawner};
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{LeaseKey, Moment, ShardId, ShardRef, StreamId};
use kcl_core::{
    BoxError, LeaseLostReason, ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext,
    Worker, WorkerBuilder, WorkerHandle, async_trait,
};
use tokio::task::JoinSet;

/// One record as a worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub at: Moment,
    pub worker: String,
    pub shard: String,
    pub number: u64,
    pub token: u64,
}

/// What happened, in order.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub notes: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn notes(&self) -> Vec<String> {
        self.notes.lock().unwrap().clone()
    }

    pub fn note(&self, text: impl Into<String>) {
        self.notes.lock().unwrap().push(text.into());
    }

    /// The numbers of a shard's records in the order of delivery.
    pub fn numbers(&self, shard: &str) -> Vec<u64> {
        self.seen().iter().filter(|seen| seen.shard == shard).map(|seen| seen.number).collect()
    }
}

/// Tasks of one worker, which can be dropped all at once: what SIGKILL does to a process.
#[derive(Debug, Clone, Default)]
pub struct Killable {
    tasks: Arc<Mutex<JoinSet<()>>>,
}

impl Killable {
    pub fn kill(&self) {
        *self.tasks.lock().unwrap() = JoinSet::new();
    }
}

impl Spawner for Killable {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.tasks.lock().unwrap().spawn(task);
    }
}

pub struct Fleet {
    pub clock: ManualClock,
    pub store: MemoryStore,
    pub source: ScriptedSource,
    pub log: Log,
}

pub const STREAM: &str = "orders";

pub fn stream() -> StreamId {
    STREAM.parse().unwrap()
}

pub fn shard(index: usize) -> ShardRef {
    ShardRef::new(stream(), ShardId::new(name(index)).unwrap())
}

pub fn name(index: usize) -> String {
    format!("shardId-{index:012}")
}

pub fn key(index: usize) -> LeaseKey {
    shard(index).lease_key()
}

impl Fleet {
    pub fn new(clock: &ManualClock, shards: usize) -> Self {
        let source = ScriptedSource::new(clock.clone());
        for index in 0..shards {
            source.add_shard(&shard(index), None);
        }
        Fleet { clock: clock.clone(), store: MemoryStore::new(), source, log: Log::default() }
    }

    pub fn settings(&self, worker: &str) -> Settings {
        Settings::new("orders-app", STREAM).worker_id(worker)
    }

    pub fn builder(&self, settings: Settings) -> WorkerBuilder {
        Worker::builder(settings)
            .store(self.store.clone())
            .source(self.source.clone())
            .clock(self.clock.clone())
            .seed(7)
    }

    /// A worker that logs every record.
    pub fn logging(&self, worker: &str) -> WorkerBuilder {
        let (log, clock) = (self.log.clone(), self.clock.clone());
        self.builder(self.settings(worker)).processor(move |_: &ShardContext| Logging {
            log: log.clone(),
            clock: clock.clone(),
        })
    }

    pub async fn start(&self, worker: &str) -> WorkerHandle {
        self.logging(worker).build().unwrap().start().await.unwrap()
    }

    /// A worker and the means to kill it.
    pub async fn start_killable(&self, worker: &str) -> (WorkerHandle, Killable) {
        let killable = Killable::default();
        let worker = self.logging(worker).spawner(killable.clone()).build().unwrap();
        (worker.start().await.unwrap(), killable)
    }

    pub fn append(&self, shards: usize, count: usize) {
        for index in 0..shards {
            for _ in 0..count {
                self.source.append(&shard(index), "data");
            }
        }
    }

    pub async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    /// Leases per owner; free ones under "-".
    pub fn owners(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for row in self.store.rows() {
            if let kcl_core::types::Row::Lease(lease) = row
                && !lease.is_ended()
            {
                let owner = lease.owner.as_ref().map_or("-", |owner| owner.as_str()).to_owned();
                *owners.entry(owner).or_insert(0) += 1;
            }
        }
        owners
    }
}

pub fn owners(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
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
