//! What a plan costs: one look at a fleet, from rows to checked steps, and how that grows with the fleet.
//!
//! `cargo bench -p kcl-core --bench planning`
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]

use std::time::{Duration, Instant};

use kcl_core::assignment::{AssignmentStrategy, Count, LeaseState, Load, Rules, Snapshot, WorkerState, plan};
use kcl_core::types::{Checkpoint, Lease, LeaseKey, Moment, Throughput, WorkerId, WorkerRow};

/// What state the fleet is in.
#[derive(Debug, Clone, Copy)]
enum Situation {
    /// Nobody reads anything.
    Start,
    /// Everything is even.
    Even,
    /// The last worker has joined and has nothing.
    Join,
    /// The last worker is dead.
    Crash,
}

struct Fleet {
    leases: Vec<Lease>,
    workers: Vec<WorkerRow>,
    situation: Situation,
}

impl Fleet {
    fn new(leases: usize, workers: usize, situation: Situation) -> Self {
        let workers: Vec<WorkerRow> =
            (0..workers).map(|index| WorkerRow::new(WorkerId::new(format!("worker-{index:04}")).unwrap())).collect();
        let holders = workers.len() - usize::from(matches!(situation, Situation::Join));
        let lease = |index: usize| {
            let key = LeaseKey::new(format!("shardId-{index:012}")).unwrap();
            let mut lease = Lease::unowned(key, Checkpoint::TrimHorizon, 1);
            lease.throughput = Some(Throughput((index % 7) as f64 * 100.0));
            lease.owner = match situation {
                Situation::Start => None,
                // In turns of 7, so that loads are even, too.
                _ => Some(workers[index / 7 % holders].worker.clone()),
            };
            lease
        };
        Fleet { leases: (0..leases).map(lease).collect(), workers, situation }
    }

    fn snapshot(&self) -> Snapshot<'_> {
        let rules = Rules::from_failover_time(Duration::from_secs(10));
        let dead = self.workers.last().filter(|_| matches!(self.situation, Situation::Crash)).map(|row| &row.worker);
        let leases = self.leases.iter().map(|row| {
            let mut lease = LeaseState::new(row);
            lease.silent = if row.owner.as_ref() == dead { rules.expiry * 2 } else { Duration::ZERO };
            lease
        });
        let workers = self.workers.iter().map(|row| {
            let mut worker = WorkerState::new(row);
            worker.live = Some(&row.worker) != dead;
            worker
        });
        Snapshot::new(leases.collect(), workers.collect(), rules, Moment::default(), 0)
    }

    /// The best of some runs, and how many steps the plan has.
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
    fn measure(&self, strategy: &dyn AssignmentStrategy) -> (Duration, usize) {
        let runs = (0..5).map(|_| {
            let start = Instant::now();
            let planned = plan(strategy, &self.snapshot());
            let time = start.elapsed();
            assert!(planned.refused.is_empty() && planned.unplaced == 0);
            (time, planned.plan.steps.len())
        });
        runs.min().unwrap()
    }
}

fn main() {
    // `cargo test --all-targets` runs this program too, without this argument.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("strategy situation  leases workers  steps       time   per lease  against 1,000 x 5");
    for (name, strategy) in [("count", &Count as &dyn AssignmentStrategy), ("load", &Load)] {
        for situation in [Situation::Start, Situation::Even, Situation::Join, Situation::Crash] {
            let (mut first, sizes) = (None, [(1_000, 5), (10_000, 50), (100_000, 500)]);
            for (leases, workers) in sizes {
                let (time, steps) = Fleet::new(leases, workers, situation).measure(strategy);
                let per_lease = time.as_secs_f64() * 1e6 / leases as f64;
                let ratio = per_lease / *first.get_or_insert(per_lease);
                let situation = format!("{situation:?}").to_lowercase();
                println!(
                    "{name:8} {situation:9} {leases:7} {workers:7} {steps:6} {:8.2} ms {per_lease:8.2} µs {ratio:8.1}",
                    time.as_secs_f64() * 1e3
                );
            }
        }
    }
}
