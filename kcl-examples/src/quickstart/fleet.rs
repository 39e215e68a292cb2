//! The workers, and killing one.

use std::time::Duration;

use anyhow::Context;
use futures_util::future::{join_all, select_all, try_join_all};
use kcl_core::settings::{ReadLimit, ReaderKind};
use kcl_core::{
    ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext, Worker, WorkerError,
    WorkerHandle, WorkerReport, async_trait,
};
use tokio_util::sync::CancellationToken;

use super::cloud::{Cloud, NAME};
use super::mortal::MortalSpawner;
use super::tally::Tally;
use crate::common::program::Usage;
use crate::common::signals::Signals;

/// The workers of one application that are alive.
#[derive(Debug)]
pub(super) struct Fleet {
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    name: String,
    handle: WorkerHandle,
    death: CancellationToken,
}

/// How all workers are set.
#[derive(Debug, Clone, Copy)]
pub(super) struct FleetSettings {
    pub(super) workers: usize,
    pub(super) failover_time: Duration,
    pub(super) reader: ReaderKind,
    pub(super) read_limit: ReadLimit,
}

impl Fleet {
    /// Starts all workers at the same time.
    pub(super) async fn start(settings: FleetSettings, cloud: &Cloud, tally: &Tally) -> anyhow::Result<Fleet> {
        let starting = (1..=settings.workers).map(|number| start(number, settings, cloud, tally.clone()));
        Ok(Fleet { members: try_join_all(starting).await? })
    }

    /// Kills a worker: that of this name, else the first. Returns its name.
    pub(super) fn kill(&mut self, name: Option<&str>) -> Option<String> {
        let index = self.members.iter().position(|member| Some(member.name.as_str()) == name).unwrap_or(0);
        if index >= self.members.len() {
            return None;
        }
        let victim = self.members.remove(index);
        victim.death.cancel();
        Some(victim.name)
    }

    /// Returns once a worker has ended by itself, with its name and the reason. Cancel safe.
    pub(super) async fn ended(&mut self) -> (String, Result<WorkerReport, WorkerError>) {
        let waiting = self.members.iter_mut().map(|member| {
            Box::pin(async move {
                let outcome = member.handle.wait().await;
                (member.name.clone(), outcome)
            })
        });
        let waiting: Vec<_> = waiting.collect();
        if waiting.is_empty() {
            return std::future::pending().await;
        }
        select_all(waiting).await.0
    }

    /// Stops the workers: they give their leases back. A signal ends them at once.
    pub(super) async fn stop(mut self, signals: &mut Signals) -> anyhow::Result<()> {
        for member in &self.members {
            member.handle.stop();
        }
        let stopping = self.members.iter_mut().map(async |member| {
            let outcome = member.handle.wait().await;
            outcome.map(drop).with_context(|| format!("{} did not stop in order", member.name))
        });
        tokio::select! {
            biased;
            outcomes = join_all(stopping) => outcomes.into_iter().collect(),
            signal = signals.next() => Err(anyhow::anyhow!("{signal} while the workers gave their leases back")),
        }
    }
}

impl FleetSettings {
    fn of_each(self) -> Settings {
        // As short as the read limit lets it be, within reason.
        let idle = match self.read_limit {
            ReadLimit::None => Duration::from_millis(50),
            _ => Duration::from_millis(200),
        };
        let settings = Settings::new(NAME, NAME).failover_time(self.failover_time);
        settings.reader(self.reader).read_limit(self.read_limit).idle_interval(idle)
    }

    /// Says what is wrong with them.
    pub(super) fn check(self) -> Result<(), Usage> {
        self.of_each().resolve().map(drop).map_err(|wrong| Usage(wrong.to_string()))
    }
}

async fn start(number: usize, settings: FleetSettings, cloud: &Cloud, tally: Tally) -> anyhow::Result<Member> {
    let name = format!("worker-{number}");
    let options = settings.of_each().worker_id(&name);
    let death = CancellationToken::new();
    let worker = Worker::builder(options)
        .kinesis_client(cloud.kinesis.clone())
        .dynamodb_client(cloud.dynamodb.clone())
        .spawner(MortalSpawner::new(death.clone()))
        .processor(move |_: &ShardContext| Reader { tally: tally.clone() })
        .build()?;
    let handle = worker.start().await.with_context(|| format!("{name} does not start"))?;
    Ok(Member { name, handle, death })
}

/// Counts what it is given.
#[derive(Debug)]
struct Reader {
    tally: Tally,
}

#[async_trait]
impl RecordProcessor for Reader {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let records: Vec<_> = batch.iter().collect();
        let sequences = records.iter().map(|record| record.sequence_number().as_str());
        self.tally.read(context.shard.shard.id().as_str(), sequences);
        Ok(())
    }
}
