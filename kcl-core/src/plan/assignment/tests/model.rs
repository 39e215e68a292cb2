//! A fleet that lives: workers join, stop and die, shards split and end, plans are carried out, and time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::plan::assignment::{AssignmentStrategy, Planned, Rules, Snapshot, StepAction, plan, successors};
use crate::plan::fleet_view::FleetView;
use crate::types::{Checkpoint, Lease, LeaseKey, Moment, Row, ShardId, Throughput, WorkerId, WorkerRow};

use super::fixture::{key, rules, worker};

/// What may happen between two looks of the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Join,
    Crash,
    Stop,
    Restart,
    Split,
    Quiet,
}

/// A worker as it really is.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) row: WorkerRow,
    pub(super) alive: bool,
    died_at: u64,
}

/// Which differences there are between workers and between leases.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Variety {
    pub(super) capacities: bool,
    pub(super) zones: bool,
    pub(super) limits: bool,
    pub(super) loads: bool,
}

pub(super) struct Model {
    pub(super) leases: BTreeMap<LeaseKey, Lease>,
    pub(super) workers: BTreeMap<WorkerId, Process>,
    view: FleetView,
    rules: Rules,
    variety: Variety,
    chance: u64,
    pub(super) second: u64,
}

impl Model {
    pub(super) fn new(leases: usize, variety: Variety, seed: u64) -> Self {
        let view = FleetView::default();
        let (leases_, workers) = (BTreeMap::new(), BTreeMap::new());
        let mut model = Model { leases: leases_, workers, view, rules: rules(), variety, chance: seed, second: 100 };
        for _ in 0..leases {
            model.create(&[]);
        }
        model
    }

    /// A number below `below`.
    fn draw(&mut self, below: u64) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.chance ^ (self.chance >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 33) % below
    }

    /// A number from 0 to 1.
    pub(super) fn fraction(&mut self) -> f64 {
        self.draw(1 << 24) as f64 / f64::from(1 << 24)
    }

    /// Writes what a lease carries.
    pub(super) fn carries(&mut self, lease: usize, throughput: f64) {
        if let Some(row) = self.leases.values_mut().nth(lease) {
            row.throughput = Some(Throughput(throughput));
        }
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let index = self.draw(from.len().max(1) as u64) as usize;
        from.get(index).cloned()
    }

    fn create(&mut self, parents: &[LeaseKey]) {
        let name = format!("s-{:03}", self.leases.len());
        let mut lease = Lease::unowned(key(&name), Checkpoint::TrimHorizon, 1);
        lease.parents = parents.iter().map(|parent| ShardId::new(parent.as_str()).unwrap()).collect();
        if self.variety.loads {
            let heavy = [1, 1, 10, 100][self.draw(4) as usize];
            lease.throughput = Some(Throughput((self.draw(20) * heavy) as f64));
        }
        self.leases.insert(lease.key.clone(), lease);
    }

    pub(super) fn alive(&self) -> Vec<WorkerId> {
        self.workers.iter().filter(|(_, process)| process.alive).map(|(id, _)| id.clone()).collect()
    }

    pub(super) fn happen(&mut self, event: Event, strategy: &dyn AssignmentStrategy) {
        match event {
            Event::Join => self.join(),
            Event::Crash => {
                let alive = self.alive();
                if let Some(process) = self.pick(&alive).and_then(|id| self.workers.get_mut(&id)) {
                    (process.alive, process.died_at) = (false, self.second);
                }
            }
            Event::Stop => self.stop(strategy),
            Event::Restart => {
                let dead: Vec<WorkerId> = self.workers.keys().filter(|id| !self.workers[*id].alive).cloned().collect();
                if let Some(process) = self.pick(&dead).and_then(|id| self.workers.get_mut(&id)) {
                    process.alive = true;
                }
            }
            Event::Split => {
                let open: Vec<LeaseKey> = self.readable();
                let Some(parent) = self.pick(&open) else { return };
                self.create(std::slice::from_ref(&parent));
                self.create(std::slice::from_ref(&parent));
                // Some end at once, the others keep their children waiting.
                if self.draw(2) == 0 {
                    let row = self.leases.get_mut(&parent).unwrap();
                    row.checkpoint = Checkpoint::ShardEnd;
                    (row.owner, row.checkpoint_owner) = (None, None);
                }
            }
            Event::Quiet => {}
        }
    }

    pub(super) fn join(&mut self) {
        let id = worker(&format!("w-{:02}", self.workers.len()));
        let mut row = WorkerRow::new(id.clone());
        row.implementation = Some("kcl-core/test".into());
        row.heartbeat = Some(0);
        if self.variety.capacities {
            row.capacity = Some([0.5, 1.0, 2.0, 3.0][self.draw(4) as usize]);
        }
        if self.variety.zones {
            row.zone = Some(["x", "y", "z"][self.draw(3) as usize].to_owned());
        }
        if self.variety.limits && self.draw(2) == 0 {
            row.max_leases = Some(1 + self.draw(8));
        }
        self.workers.insert(id, Process { row, alive: true, died_at: 0 });
    }

    /// Hands everything over to successors, and leaves.
    fn stop(&mut self, strategy: &dyn AssignmentStrategy) {
        let alive = self.alive();
        let Some(leaving) = self.pick(&alive) else { return };
        self.look();
        let held = |lease: &&Lease| lease.owner.as_ref() == Some(&leaving) && lease.checkpoint_owner.is_none();
        let leases: BTreeSet<LeaseKey> = self.leases.values().filter(held).map(|lease| lease.key.clone()).collect();
        let next = successors(strategy, &self.snapshot(), &leaving, &leases);
        for to in next.values() {
            assert!(*to != leaving && self.snapshot().worker(to).is_some_and(|to| to.takes_leases()));
        }
        for lease in leases {
            let row = self.leases.get_mut(&lease).unwrap();
            row.owner = next.get(&lease).cloned();
            row.last_owner = Some(leaving.clone());
            bump(row);
        }
        for row in self.leases.values_mut().filter(|row| row.checkpoint_owner.as_ref() == Some(&leaving)) {
            row.checkpoint_owner = None;
            row.last_owner = Some(leaving.clone());
            bump(row);
        }
        self.workers.remove(&leaving);
    }

    /// Two seconds pass: live workers renew, adopt and hand over, and the leader looks.
    pub(super) fn pass(&mut self) {
        self.second += 2;
        let keys: Vec<LeaseKey> = self.leases.keys().cloned().collect();
        for key in keys {
            let finishes = self.draw(2) == 0;
            let row = self.leases.get_mut(&key).unwrap();
            let Some(holder) = row.holder().cloned().filter(|id| self.workers.get(id).is_some_and(|w| w.alive)) else {
                continue;
            };
            if row.checkpoint_owner.is_some() && finishes {
                row.checkpoint_owner = None;
            }
            row.last_owner = Some(holder);
            bump(row);
        }
        for process in self.workers.values_mut().filter(|process| process.alive) {
            process.row.heartbeat = process.row.heartbeat.map(|count| count + 1);
        }
        let second = self.second;
        self.workers.retain(|_, process| process.alive || second - process.died_at < 40);
        self.look();
    }

    fn look(&mut self) {
        let leases = self.leases.values().map(|lease| Row::Lease(Box::new(lease.clone())));
        let workers = self.workers.values().map(|process| Row::Worker(Box::new(process.row.clone())));
        let rows: Vec<Row> = leases.chain(workers).collect();
        self.view.observe(rows, self.now());
    }

    fn now(&self) -> Moment {
        Moment::from_origin(Duration::from_secs(self.second))
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        self.view.snapshot(self.rules, self.now(), 7)
    }

    /// Plans, checks that the plan does no harm, and carries it out; `failing` of ten steps find a row that has changed.
    pub(super) fn plan(&mut self, strategy: &dyn AssignmentStrategy, failing: u64) -> Planned {
        let planned = plan(strategy, &self.snapshot());
        assert_eq!(planned.refused, [], "{strategy:?} breaks a rule");
        self.check(&planned);
        for step in &planned.plan.steps {
            if self.draw(10) < failing {
                continue;
            }
            let row = self.leases.get_mut(&step.lease).unwrap();
            match &step.action {
                StepAction::Assign { to } => {
                    (row.owner, row.checkpoint_owner) = (Some(to.clone()), None);
                    bump(row);
                }
                StepAction::Move { from, to } => {
                    (row.owner, row.checkpoint_owner) = (Some(to.clone()), Some(from.clone()));
                }
                StepAction::Complete => {
                    row.checkpoint_owner = None;
                    bump(row);
                }
            }
        }
        planned
    }

    /// What no plan may do, judged by how things really are.
    fn check(&self, planned: &Planned) {
        let mut named = BTreeSet::new();
        let readable = self.readable();
        let seen = self.snapshot();
        for step in &planned.plan.steps {
            assert!(named.insert(&step.lease), "two steps for {}", step.lease);
            let row = &self.leases[&step.lease];
            if let Some(to) = step.target() {
                let target = self.workers.get(to).unwrap_or_else(|| panic!("{step}: nobody there"));
                assert!(target.alive || self.second - target.died_at <= 12, "{step}: dead for long");
                assert!(readable.contains(&step.lease), "{step}: nothing to read");
            }
            if let StepAction::Assign { .. } = step.action {
                let holder = row.holder().and_then(|holder| self.workers.get(holder));
                let pending = seen.lease(&step.lease).and_then(|lease| lease.pending);
                let reads = holder.is_some_and(|holder| holder.alive && row.last_owner == row.holder().cloned())
                    && pending.is_none_or(|pending| pending <= self.rules.overdue);
                assert!(!reads, "{step}: taken from a worker that reads it");
            }
        }
        let moves = planned.plan.steps.iter().filter(|step| matches!(step.action, StepAction::Move { .. })).count();
        assert!(moves <= seen.move_budget());
        self.check_limits(planned);
    }

    fn check_limits(&self, planned: &Planned) {
        for (id, process) in &self.workers {
            let Some(most) = process.row.max_leases else { continue };
            let gets = planned.plan.steps.iter().filter(|step| step.target() == Some(id)).count();
            let assigned = |row: &Lease| {
                let steps = planned.plan.steps.iter();
                steps.clone().any(|step| step.lease == row.key && matches!(step.action, StepAction::Assign { .. }))
            };
            let dead = |row: &Lease| row.holder().is_none_or(|id| !self.workers.get(id).is_some_and(|w| w.alive));
            let kept = self.leases.values().filter(|row| !row.is_ended() && !assigned(row) && !dead(row));
            let has =
                kept.filter(|row| row.owner.as_ref() == Some(id) || row.checkpoint_owner.as_ref() == Some(id)).count();
            assert!(gets == 0 || has + gets <= most as usize, "{id} has {has}, gets {gets}, may have {most}");
        }
    }

    pub(super) fn readable(&self) -> Vec<LeaseKey> {
        let open = |key: &LeaseKey| self.leases.get(key).is_some_and(|parent| !parent.is_ended());
        let rows = self.leases.values().filter(|row| !row.is_ended());
        rows.filter(|row| !row.parents.iter().any(|parent| open(&row.sibling_key(parent))))
            .map(|row| row.key.clone())
            .collect()
    }

    /// How many readable leases each worker that lives has.
    pub(super) fn counts(&self) -> BTreeMap<WorkerId, usize> {
        let mut counts: BTreeMap<WorkerId, usize> = self.alive().into_iter().map(|id| (id, 0)).collect();
        for lease in self.readable() {
            let row = &self.leases[&lease];
            let is_held = row.holder().is_some_and(|holder| self.workers.get(holder).is_some_and(|w| w.alive));
            if let Some(count) = row.owner.as_ref().filter(|_| is_held).and_then(|owner| counts.get_mut(owner)) {
                *count += 1;
            }
        }
        counts
    }

    /// Lets time pass without events until nothing is planned any more for a while; the plans until then.
    pub(super) fn settle(&mut self, strategy: &dyn AssignmentStrategy) -> Vec<Planned> {
        let (mut plans, mut quiet) = (Vec::new(), 0);
        for _ in 0..200 {
            self.pass();
            let planned = self.plan(strategy, 0);
            quiet = if planned.plan.is_empty() { quiet + 1 } else { 0 };
            plans.push(planned);
            // Longer than a minute, after which leases may be moved again, and than any death takes to be noticed.
            if quiet > 35 {
                return plans;
            }
        }
        panic!("it does not come to rest; the last plan: {}", plans[plans.len() - 1].plan);
    }
}

fn bump(row: &mut Lease) {
    row.counter += 1;
    row.own_counter = Some(row.counter);
}
