//! A fleet under way: time moves on, tasks run, and what the script says befalls somebody.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::types::LeaseKey;
use kcl_core::{Settings, WorkerError};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::checker::{Checker, Violation};
use super::clock::Machine;
use super::executor::{Executor, ProcessId};
use super::fabric::Fabric;
use super::handler::Handlers;
use super::observation::Observation;
use super::process::{Outcome, Own, World};
use super::recorder::Recorder;
use super::scenario::Scenario;
use super::script::{Comeback, Step};
use super::stream::Stream;
use super::table::Table;
use super::timeline::{At, Timeline};

/// A fleet under way.
pub(crate) struct Fleet {
    pub(super) scenario: Scenario,
    pub(super) timeline: Timeline,
    pub(crate) world: World,
    random: fastrand::Rng,
    /// What is to happen, in order.
    pub(super) agenda: BTreeMap<(At, u64), Step>,
    noted: u64,
    machines: BTreeMap<u32, Machine>,
    pub(super) processes: BTreeMap<ProcessId, Process>,
    next_process: u32,
    next_worker: u32,
    pub(super) writing: bool,
    /// The process whose way to the table was broken last.
    troubled: Option<ProcessId>,
    /// The process whose scans hang, or did.
    pub(super) hung: Option<ProcessId>,
    /// The row that was last deleted by hand, and when.
    deleted: Option<(LeaseKey, At)>,
}

pub(super) struct Process {
    pub(super) worker: u32,
    pub(super) stop: CancellationToken,
    pub(super) paused: bool,
}

impl Fleet {
    pub(crate) fn new(seed: u64, scenario: Scenario, options: &Options) -> Result<Self, kcl_local::ServiceError> {
        let mut seeds = fastrand::Rng::with_seed(seed);
        let mut random = || fastrand::Rng::with_seed(seeds.u64(..));
        let timeline = Timeline::default();
        let mut checker = Checker::default();
        checker.set_undisturbed(scenario.faults.is_none());
        let recorder = Recorder::new(timeline.clone(), checker, options.log);
        recorder.note(|| format!("{scenario:?}"));
        let executor = Executor::new(random());
        let store = MemoryStore::new();
        if let Some(rows) = std::num::NonZeroUsize::new(scenario.page) {
            store.set_page_size(rows);
        }
        let table = Table::new(store, timeline.clone(), recorder.clone());
        let ways = (scenario.failover, scenario.rates.clone(), random());
        let fabric = Arc::new(Fabric::new(table, timeline.clone(), recorder.clone(), ways));
        let reads = (scenario.reads.clone(), random());
        let stream = Stream::new(&timeline, &recorder, (scenario.shards, scenario.batch), reads)?;
        let handlers = Handlers::new(&timeline, &recorder, scenario.habits.clone(), random());
        let Scenario { reader, transactions, .. } = scenario;
        let (variant, ended) = (options.variant, Arc::default());
        let world = World { executor, recorder, fabric, stream, handlers, reader, transactions, variant, ended };
        let mut fleet = Fleet {
            timeline,
            world,
            random: random(),
            agenda: BTreeMap::new(),
            noted: 0,
            machines: BTreeMap::new(),
            processes: BTreeMap::new(),
            next_process: 0,
            next_worker: scenario.workers,
            writing: true,
            troubled: None,
            hung: None,
            deleted: None,
            scenario,
        };
        for (at, step) in fleet.scenario.script.clone() {
            fleet.plan(at, step);
        }
        Ok(fleet)
    }

    fn plan(&mut self, at: At, step: Step) {
        self.agenda.insert((at, self.noted), step);
        self.noted += 1;
    }

    /// Lets things happen until `until`.
    pub(crate) fn run_until(&mut self, until: At) -> Result<(), Violation> {
        loop {
            self.run_tasks()?;
            let due = self.timeline.next_due().unwrap_or(At::MAX);
            let step = self.agenda.keys().next().map_or(At::MAX, |(at, _)| *at);
            if due.min(step) > until {
                self.timeline.advance_to(until);
                return Ok(());
            }
            if step <= due {
                self.timeline.advance_to(step);
                if let Some((_, step)) = self.agenda.pop_first() {
                    self.apply(step);
                }
            } else {
                self.timeline.fire_next();
            }
        }
    }

    fn run_tasks(&mut self) -> Result<(), Violation> {
        while self.world.executor.run_one() {}
        if self.timeline.has_spun() {
            return Err(Violation::new("tasks wait", "one of them spins while no time passes"));
        }
        let ended = std::mem::take(&mut *self.world.ended.lock().unwrap_or_else(PoisonError::into_inner));
        for (process, outcome) in ended {
            self.ended(process, &outcome)?;
        }
        self.world.recorder.violation().map_or(Ok(()), Err)
    }

    pub(super) fn apply(&mut self, step: Step) {
        match step {
            Step::Write => self.write(),
            step => {
                self.world.recorder.note(|| format!("{step:?}"));
                self.happen(step);
            }
        }
    }

    pub(super) fn happen(&mut self, step: Step) {
        match step {
            Step::Join(worker) => {
                let worker = worker.unwrap_or_else(|| {
                    self.next_worker += 1;
                    self.next_worker - 1
                });
                self.start(worker);
            }
            Step::Leave => {
                if self.staying().count() > 1
                    && let Some(process) = self.anyone()
                {
                    self.processes[&process].stop.cancel();
                }
            }
            Step::Crash(comeback) => self.crash(comeback),
            Step::Pause(time) => {
                if let Some(process) = self.anyone() {
                    self.pause(process);
                    self.plan(self.timeline.now() + time, Step::Resume(process));
                }
            }
            Step::Resume(process) => self.resume(process),
            // A stream that cannot be changed this way now, stays as it is.
            Step::Split => drop(self.world.stream.reshard(false, MOST_SHARDS)),
            Step::Merge => drop(self.world.stream.reshard(true, MOST_SHARDS)),
            Step::Entangle { lag, pause } => {
                if let Ok(Some(child)) = self.world.stream.split_to_merge(lag, MOST_SHARDS) {
                    self.plan(self.timeline.now() + pause, Step::MergeChild(child));
                }
            }
            Step::MergeChild(child) => drop(self.world.stream.merge_child(child)),
            Step::Break { same, time, loss, answers } => {
                let before = self.troubled.filter(|process| same && self.processes.contains_key(process));
                self.troubled = before.or_else(|| self.a_holder()).or_else(|| self.anyone());
                if let Some(process) = self.troubled {
                    self.world.fabric.break_link(process, time, (loss, answers));
                }
            }
            Step::Flicker { deaf, well, cut } => {
                if let Some(process) = self.a_holder() {
                    self.world.fabric.break_link(process, deaf, (1.0, 1.0));
                    self.plan(self.timeline.now() + deaf + well, Step::Cut(process, cut));
                }
            }
            Step::Cut(process, time) => self.world.fabric.break_link(process, time, (1.0, 0.0)),
            Step::Stall(time) => self.world.fabric.stall(time),
            Step::FailLock(time) => self.world.fabric.fail_lock(time),
            Step::Throttle(time) => self.world.fabric.throttle(time),
            Step::DeleteRow => self.delete_row(),
            Step::Jump(millis) => {
                if let Some(process) = self.anyone() {
                    self.machines[&self.processes[&process].worker].jump(millis);
                }
            }
            Step::FailReads(time) => self.world.stream.fail(time),
            Step::HangReads(time) => drop(self.world.stream.hang_some(time)),
            Step::Slow { leader, time, slowness } => {
                let leads = self.leader().filter(|_| leader);
                if let Some(process) = leads.or_else(|| self.anyone()) {
                    self.world.fabric.slow_down(process, time, slowness);
                }
            }
            Step::HangScans { leader, time } => {
                let leads = self.leader().filter(|_| leader);
                if let Some(process) = leads.or_else(|| self.anyone()) {
                    self.hung = Some(process);
                    self.world.fabric.hang_scans(self.hung, self.timeline.now() + time);
                }
            }
            Step::Write => self.write(),
        }
    }

    fn write(&mut self) {
        if self.writing {
            let written = self.world.stream.write();
            debug_assert!(written.is_ok(), "the stream is open for ever");
            let pause = self.scenario.write_every.mul_f64(2.0 * self.random.f64());
            self.plan(self.timeline.now() + pause, Step::Write);
        }
    }

    /// Processes that were not asked to stop.
    pub(super) fn staying(&self) -> impl Iterator<Item = ProcessId> {
        self.processes.iter().filter(|(_, process)| !process.stop.is_cancelled()).map(|(id, _)| *id)
    }

    fn anyone(&mut self) -> Option<ProcessId> {
        let all: Vec<ProcessId> = self.processes.keys().copied().collect();
        (!all.is_empty()).then(|| all[self.random.usize(..all.len())])
    }

    fn leader(&self) -> Option<ProcessId> {
        let leader = self.world.fabric.table.leader()?;
        self.processes.iter().find(|(_, process)| name(process.worker) == leader).map(|(id, _)| *id)
    }

    /// One at a time: of two rows that are missing, one may be all that told of the other; and what made the last one again
    /// may come a second time, late. And never while an answer may be under way: a row that nobody has yet heard of is made
    /// again as if for the first time, with the fencing token it had.
    fn delete_row(&mut self) {
        let now = self.timeline.now();
        let heals =
            |(key, at): &(LeaseKey, At)| !self.world.fabric.table.has(key) || now < *at + 3 * self.scenario.failover;
        if self.deleted.as_ref().is_some_and(heals) {
            return;
        }
        let Some(holder) = self.a_holder().filter(|process| !self.processes[process].paused) else { return };
        let attempt = self.scenario.failover / 10;
        let held = self.world.fabric.table.held_by(&name(self.processes[&holder].worker), attempt);
        if !held.is_empty() {
            let key = held[self.random.usize(..held.len())].clone();
            self.world.fabric.table.delete(&key);
            self.deleted = Some((key, now));
        }
    }

    /// Who holds something: what befalls the others shows less.
    fn a_holder(&mut self) -> Option<ProcessId> {
        let holders = self.world.fabric.table.holders();
        let holds = |process: &Process| holders.contains(&name(process.worker));
        let all: Vec<ProcessId> =
            self.processes.iter().filter(|(_, process)| holds(process)).map(|(id, _)| *id).collect();
        (!all.is_empty()).then(|| all[self.random.usize(..all.len())])
    }

    /// Whether somebody is there who can look at the table, and stays.
    pub(super) fn somebody_sees(&self) -> bool {
        self.staying().any(|process| self.hung != Some(process))
    }

    fn start(&mut self, worker: u32) {
        if self.processes.values().any(|process| process.worker == worker) {
            return;
        }
        let process = ProcessId(self.next_process);
        self.next_process += 1;
        let machine = self.machine(worker);
        let stop = CancellationToken::new();
        let mut settings = Settings::default().failover_time(self.scenario.failover);
        if let Some(interval) = self.scenario.checkpoint_interval {
            settings = settings.checkpoint_interval(interval);
        }
        self.processes.insert(process, Process { worker, stop: stop.clone(), paused: false });
        let seed = self.random.u64(..);
        let failover = self.scenario.failover;
        self.world.start(Own { process, worker: name(worker), machine, seed, failover, settings, stop });
    }

    /// The machine of a worker; made when the worker first starts.
    fn machine(&mut self, worker: u32) -> Machine {
        let drifts = self.scenario.faults.has(super::fault::Fault::Drift);
        // The extremes are what must be endured.
        let drift = match (drifts, self.random.u8(..8)) {
            (false, _) => 0,
            (true, 0..3) => self.scenario.slowest,
            (true, 3..6) => self.scenario.slowest + 50_000,
            (true, _) => self.scenario.slowest + self.random.i64(0..50_000),
        };
        let up = Duration::from_secs(self.random.u64(..100_000));
        let made = || Machine::new(self.timeline.clone(), up, drift);
        self.machines.entry(worker).or_insert_with(made).clone()
    }

    fn crash(&mut self, comeback: Comeback) {
        let Some(process) = self.anyone() else { return };
        let Some(gone) = self.processes.remove(&process) else { return };
        self.world.recorder.observe(Observation::Crashed { process });
        self.world.executor.kill(process);
        let now = self.timeline.now();
        match comeback {
            Comeback::Never => {}
            Comeback::SameId(delay) => self.plan(now + delay, Step::Join(Some(gone.worker))),
            Comeback::NewId(delay) => self.plan(now + delay, Step::Join(None)),
        }
    }

    fn pause(&mut self, process: ProcessId) {
        if let Some(state) = self.processes.get_mut(&process)
            && !std::mem::replace(&mut state.paused, true)
        {
            self.world.executor.pause(process);
            self.world.recorder.observe(Observation::Paused { process });
        }
    }

    pub(super) fn resume(&mut self, process: ProcessId) {
        if let Some(state) = self.processes.get_mut(&process)
            && std::mem::replace(&mut state.paused, false)
        {
            self.world.executor.resume(process);
            // It counts as running once it has seen what time it is.
            let recorder = self.world.recorder.clone();
            self.timeline.after(Duration::from_nanos(1), move || recorder.observe(Observation::Resumed { process }));
        }
    }

    /// A process has ended. One that failed is started again, as its supervisor would.
    fn ended(&mut self, process: ProcessId, outcome: &Outcome) -> Result<(), Violation> {
        let Some(gone) = self.processes.remove(&process) else { return Ok(()) };
        if let Err(WorkerError::Internal { task, message }) = outcome {
            return Err(Violation::new("the runtime has no defects", format!("{process}, {task}: {message}")));
        }
        if !gone.stop.is_cancelled() {
            let soon = self.timeline.now() + Duration::from_millis(200 + self.random.u64(..2_000));
            self.plan(soon, Step::Join(Some(gone.worker)));
        }
        Ok(())
    }
}

fn name(worker: u32) -> String {
    format!("w{worker}")
}

/// No stream of a run has more shards open.
const MOST_SHARDS: usize = 10;
