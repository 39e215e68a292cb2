//! One process: a real worker, from its build to its end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kcl_core::types::WorkerId;
use kcl_core::{Settings, Worker, WorkerError, WorkerEvent, WorkerReport};
use tokio_util::sync::CancellationToken;

use super::broken::{Kit, Variant};
use super::clock::Machine;
use super::executor::{Executor, ProcessId, ProcessSpawner};
use super::fabric::Fabric;
use super::handler::{Factory, Handlers};
use super::observation::{Observation, shard_of};
use super::recorder::Recorder;
use super::scenario::Reader;
use super::source::SimSource;
use super::store::SimStore;
use super::stream::{STREAM, Stream};
use super::wire;

/// What all processes of a fleet are made of.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) recorder: Recorder,
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) handlers: Arc<Handlers>,
    /// What reads the stream.
    pub(crate) reader: Reader,
    /// Whether the table has transactions.
    pub(crate) transactions: bool,
    /// How the protocol is broken, if it is.
    pub(crate) variant: Option<Variant>,
    /// Processes that have ended, for whoever drives the run.
    pub(crate) ended: Arc<Mutex<Vec<(ProcessId, Outcome)>>>,
}

pub(crate) type Outcome = Result<WorkerReport, WorkerError>;

/// What one process has of its own.
pub(crate) struct Own {
    pub(crate) process: ProcessId,
    pub(crate) worker: String,
    pub(crate) machine: Machine,
    pub(crate) seed: u64,
    pub(crate) failover: Duration,
    pub(crate) settings: Settings,
    /// Cancelled to ask it to stop.
    pub(crate) stop: CancellationToken,
}

/// A holder takes the time a moment before it sends, and clocks that drift show whole nanoseconds.
const ROUNDING: Duration = Duration::from_millis(2);

impl World {
    /// Starts a process.
    pub(crate) fn start(&self, own: Own) {
        let (world, process) = (self.clone(), own.process);
        let term = own.machine.true_span(own.failover).saturating_sub(ROUNDING);
        self.recorder.observe(Observation::Started { process, worker: own.worker.clone(), term });
        let run = async move {
            let outcome = world.run(own).await;
            let how = match &outcome {
                Ok(report) => format!("{report:?}"),
                Err(error) => format!("{error:?}"),
            };
            world.recorder.observe(Observation::Ended { process, how });
            world.ended.lock().unwrap_or_else(PoisonError::into_inner).push((process, outcome));
        };
        self.executor.spawn(process, Box::pin(run));
    }

    async fn run(&self, own: Own) -> Outcome {
        let Own { process, worker, machine, seed, failover, settings, stop } = own;
        let library = wire::source(self.reader, &self.stream, (process, &machine));
        let store =
            SimStore { fabric: Arc::clone(&self.fabric), process, transactions: self.transactions, began: None };
        let builder = Worker::builder(settings.or(Settings::new("simulation", STREAM)).worker_id(&worker));
        let worker = WorkerId::new(worker).expect("the names of a run are in order");
        let worker = Kit { store, machine, worker, failover }
            .equip(self.variant, builder)
            .source(SimSource { stream: Arc::clone(&self.stream), process, library })
            .spawner(ProcessSpawner { executor: self.executor.clone(), process })
            .seed(seed)
            .processor(Factory { handlers: Arc::clone(&self.handlers), process })
            .build()
            .expect("the settings of a scenario are in range");
        let mut events = worker.events();
        let mut handle = worker.start().await?;
        let mut asked = false;
        loop {
            tokio::select! {
                biased;
                Some(Ok(event)) = events.next() => self.tell(process, &event),
                () = stop.cancelled(), if !asked => {
                    asked = true;
                    handle.stop();
                }
                outcome = handle.wait() => return outcome,
            }
        }
    }

    fn tell(&self, process: ProcessId, event: &WorkerEvent) {
        if let WorkerEvent::LeaseLost { tenure, reason } = event
            && let Some(shard) = shard_of(tenure.lease.as_str())
        {
            let (epoch, reason) = (tenure.epoch, *reason);
            self.recorder.observe(Observation::Lost { process, shard, epoch, reason });
        } else {
            self.recorder.note(|| format!("{process} says {event:?}"));
        }
    }
}
