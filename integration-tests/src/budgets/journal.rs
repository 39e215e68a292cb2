//! Who had which shard when, as user code sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::{
    BoxError, ProcessContext, ProcessError, RecordBatch, RecordProcessor, RecordProcessorFactory, ShardContext,
};

use crate::sim::executor::ProcessId;
use crate::sim::timeline::{At, Timeline};

/// What one processor was given.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenure {
    pub(super) process: ProcessId,
    pub(super) first: Option<At>,
    pub(super) last: Option<At>,
    /// User code has come to an end, as it was asked to.
    pub(super) drained: Option<At>,
}

/// All tenures of each shard, the latest last. Clones share it.
#[derive(Clone)]
pub(super) struct Journal {
    shards: Arc<Mutex<Vec<Vec<Tenure>>>>,
}

impl Journal {
    pub(super) fn new(shards: usize) -> Self {
        Journal { shards: Arc::new(Mutex::new(vec![Vec::new(); shards])) }
    }

    /// The tenures of each shard.
    pub(super) fn shards(&self) -> MutexGuard<'_, Vec<Vec<Tenure>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who reads each shard.
    pub(super) fn readers(&self) -> Vec<Option<ProcessId>> {
        let reader = |tenures: &Vec<Tenure>| {
            tenures.last().filter(|tenure| tenure.first.is_some() && tenure.drained.is_none()).map(|last| last.process)
        };
        self.shards().iter().map(reader).collect()
    }

    /// The shards that these processes read.
    pub(super) fn read_by(&self, processes: &[ProcessId]) -> Vec<usize> {
        let readers = self.readers().into_iter().enumerate();
        readers.filter(|(_, reader)| reader.is_some_and(|by| processes.contains(&by))).map(|(shard, _)| shard).collect()
    }

    /// When a shard was first read by somebody who began after this time.
    pub(super) fn first_since(&self, shard: usize, since: At) -> Option<At> {
        self.shards()[shard].iter().filter_map(|tenure| tenure.first).find(|first| *first > since)
    }
}

/// The number in a shard's name.
pub(super) fn number(shard: &str) -> Option<usize> {
    shard.strip_prefix("shardId-")?.parse().ok()
}

/// What user code does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// How long a record takes.
    pub(super) work: Duration,
    /// It asks for a checkpoint itself when the last one was this long ago.
    pub(super) asks: Option<Duration>,
}

/// User code of one process.
pub(super) struct Factory {
    pub(super) journal: Journal,
    pub(super) timeline: Timeline,
    pub(super) process: ProcessId,
    pub(super) habits: Habits,
}

impl RecordProcessorFactory for Factory {
    fn processor(&self, shard: &ShardContext) -> Box<dyn RecordProcessor> {
        let shard = number(shard.shard.id().as_str()).expect("all shards are the stream's");
        let tenure = {
            let tenures = &mut self.journal.shards()[shard];
            tenures.push(Tenure { process: self.process, first: None, last: None, drained: None });
            tenures.len() - 1
        };
        let (journal, timeline) = (self.journal.clone(), self.timeline.clone());
        let asked = timeline.now();
        Box::new(Processor { journal, timeline, habits: self.habits, shard, tenure, asked })
    }
}

struct Processor {
    journal: Journal,
    timeline: Timeline,
    habits: Habits,
    shard: usize,
    tenure: usize,
    asked: At,
}

impl Processor {
    fn note(&self, note: impl FnOnce(&mut Tenure)) {
        note(&mut self.journal.shards()[self.shard][self.tenure]);
    }
}

#[async_trait]
impl RecordProcessor for Processor {
    async fn process_records(&mut self, _batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let now = self.timeline.now();
        self.note(|tenure| tenure.first = tenure.first.or(Some(now)));
        self.timeline.sleep(self.habits.work).await;
        let now = self.timeline.now();
        self.note(|tenure| tenure.last = Some(now));
        if self.habits.asks.is_some_and(|every| now - self.asked >= every) {
            self.asked = now;
            context.checkpointer.checkpoint().await.map_err(ProcessError::transient)?;
        }
        Ok(())
    }

    async fn shutdown_requested(&mut self, _context: &ProcessContext) -> Result<(), BoxError> {
        let now = self.timeline.now();
        self.note(|tenure| tenure.drained = Some(now));
        Ok(())
    }
}
