//! A fleet whose workers join, stop and crash when they are told.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kcl_core::ports::FleetStore;
use kcl_core::types::WorkerId;
use kcl_core::{Settings, Worker, WorkerError};
use tokio_util::sync::CancellationToken;

use super::journal::{Factory, Habits, Journal};
use super::stream::Stream;
use super::table::Table;
use crate::sim::clock::Machine;
use crate::sim::executor::{Executor, ProcessId, ProcessSpawner};
use crate::sim::table::settled;
use crate::sim::timeline::{At, Timeline};

/// A fleet did not come to rest, or a worker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck(String);

impl Stuck {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Stuck(what.into())
    }
}

impl fmt::Display for Stuck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Stuck {}

/// What a fleet is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) workers: usize,
    pub(super) leases: usize,
    pub(super) checkpoint_interval: Option<Duration>,
    pub(super) habits: Habits,
}

impl Shape {
    pub(super) fn new(workers: usize, leases: usize) -> Self {
        let habits = Habits { work: Duration::from_millis(5), asks: None };
        Shape { workers, leases, checkpoint_interval: None, habits }
    }
}

/// The failover time of all figures.
const FAILOVER: Duration = Duration::from_secs(10);

pub(super) struct Fleet {
    timeline: Timeline,
    executor: Executor,
    pub(super) table: Table,
    pub(super) journal: Journal,
    pub(super) random: fastrand::Rng,
    stream: Stream,
    shape: Shape,
    processes: BTreeMap<ProcessId, Process>,
    next: u32,
    failed: Arc<Mutex<Option<Stuck>>>,
}

struct Process {
    worker: String,
    stop: CancellationToken,
}

impl Fleet {
    /// Without any workers.
    pub(super) fn new(seed: u64, shape: Shape) -> Self {
        let mut seeds = fastrand::Rng::with_seed(seed);
        let mut random = || fastrand::Rng::with_seed(seeds.u64(..));
        let timeline = Timeline::default();
        Fleet {
            executor: Executor::new(random()),
            table: Table::new(timeline.clone(), random()),
            journal: Journal::new(shape.leases),
            random: random(),
            stream: Stream::new(timeline.clone(), random(), shape.leases),
            timeline,
            shape,
            processes: BTreeMap::new(),
            next: 0,
            failed: Arc::default(),
        }
    }

    /// At rest, at some instant of it.
    pub(super) fn settled(seed: u64, shape: Shape) -> Result<Self, Stuck> {
        let mut fleet = Fleet::new(seed, shape);
        for _ in 0..shape.workers {
            fleet.join();
            let pause = Duration::from_secs(2).mul_f64(fleet.random.f64() / shape.workers as f64);
            fleet.run_for(pause)?;
        }
        if !fleet.wait(Duration::from_secs(180), Fleet::is_even)? {
            return Err(Stuck::new(format!("seed {seed}: {shape:?} is not evenly spread after 180 s")));
        }
        let rest = Duration::from_secs(20).mul_f64(1.0 + fleet.random.f64());
        fleet.run_for(rest)?;
        Ok(fleet)
    }

    pub(super) fn now(&self) -> At {
        self.timeline.now()
    }

    /// Starts a worker. Its id says nothing of its age.
    pub(super) fn join(&mut self) -> ProcessId {
        let process = ProcessId(self.next);
        self.next += 1;
        let worker = format!("worker-{:08x}", self.random.u32(..));
        let stop = CancellationToken::new();
        let mut settings = Settings::new("budgets", "orders").worker_id(&worker).failover_time(FAILOVER);
        if let Some(interval) = self.shape.checkpoint_interval {
            settings = settings.checkpoint_interval(interval);
        }
        let up = Duration::from_secs(self.random.u64(..100_000));
        let machine = Machine::new(self.timeline.clone(), up, 0);
        let journal = self.journal.clone();
        let (timeline, habits) = (self.timeline.clone(), self.shape.habits);
        let built = Worker::builder(settings)
            .stores(Arc::new(self.table.clone()), Arc::new(self.table.clone()))
            .clock(machine)
            .source(self.stream.clone())
            .spawner(ProcessSpawner { executor: self.executor.clone(), process })
            .seed(self.random.u64(..))
            .processor(Factory { journal, timeline, process, habits })
            .build();
        let worker_built = built.expect("the settings are in range");
        let (asked, failed) = (stop.clone(), Arc::clone(&self.failed));
        let run = async move {
            if let Err(error) = run(worker_built, asked).await {
                *failed.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Stuck::new(format!("{process}: {error}")));
            }
        };
        self.executor.spawn(process, Box::pin(run));
        self.processes.insert(process, Process { worker, stop });
        process
    }

    /// Asks a worker to stop.
    pub(super) fn stop(&mut self, process: ProcessId) {
        if let Some(process) = self.processes.remove(&process) {
            process.stop.cancel();
        }
    }

    /// Ends a worker without its knowing. What it has sent is on its way.
    pub(super) fn crash(&mut self, process: ProcessId) {
        self.processes.remove(&process);
        self.executor.kill(process);
    }

    /// Workers that were neither stopped nor crashed.
    pub(super) fn processes(&self) -> Vec<ProcessId> {
        self.processes.keys().copied().collect()
    }

    /// The process that leads, and its standby, as the table says.
    pub(super) fn leaders(&self) -> (Option<ProcessId>, Option<ProcessId>) {
        let row = settled(self.table.store.leader()).ok().flatten().and_then(Result::ok);
        let by = |worker: &WorkerId| {
            self.processes.iter().find(|(_, process)| process.worker == worker.as_str()).map(|(id, _)| *id)
        };
        let leader = row.as_ref().filter(|row| !row.released).and_then(|row| by(&row.owner));
        (leader, row.as_ref().and_then(|row| row.standby.as_ref()).and_then(by))
    }

    /// Each worker reads its share, and every shard is read.
    pub(super) fn is_even(&self) -> bool {
        let mut counts: BTreeMap<ProcessId, usize> = self.processes.keys().map(|process| (*process, 0)).collect();
        for reader in self.journal.readers() {
            let Some(count) = reader.and_then(|reader| counts.get_mut(&reader)) else { return false };
            *count += 1;
        }
        let (leases, workers) = (self.shape.leases, self.processes.len().max(1));
        counts.values().all(|count| (leases / workers..=leases.div_ceil(workers)).contains(count))
    }

    pub(super) fn run_for(&mut self, time: Duration) -> Result<(), Stuck> {
        let until = self.now() + time;
        loop {
            while self.executor.run_one() {}
            if self.timeline.has_spun() {
                return Err(Stuck::new("a task spins while no time passes"));
            }
            match self.timeline.next_due() {
                Some(due) if due <= until => self.timeline.fire_next(),
                _ => break,
            }
        }
        self.timeline.advance_to(until);
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
    }

    /// Lets time pass until something is so, looked at now and then; false if it is not so after all that time.
    pub(super) fn wait(&mut self, most: Duration, done: impl Fn(&Fleet) -> bool) -> Result<bool, Stuck> {
        let until = self.now() + most;
        while !done(self) {
            if self.now() >= until {
                return Ok(false);
            }
            self.run_for(Duration::from_millis(100))?;
        }
        Ok(true)
    }
}

async fn run(worker: Worker, stop: CancellationToken) -> Result<(), WorkerError> {
    let mut handle = worker.start().await?;
    let mut asked = false;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled(), if !asked => {
                asked = true;
                handle.stop();
            }
            outcome = handle.wait() => return outcome.map(drop),
        }
    }
}
