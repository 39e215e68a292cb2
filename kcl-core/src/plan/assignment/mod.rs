//! Who should read which shard: snapshots of a fleet in, plans with reasons out.
//!
//! The leader of a fleet looks at the lease table every other second, asks an [`AssignmentStrategy`] what should be done,
//! checks that against the rules that hold for every strategy ([`plan`]), and does it. [`Count`] and [`Load`] come with the
//! library; an own one is handed to the builder of the worker.
//!
//! Each step says why, and that is what the log has:
//!
//! | text | meaning |
//! |---|---|
//! | `assign s-1 to w-1: free` | nobody held it |
//! | `assign s-1 to w-1: free, w-2 gave it up` | its holder lives and stopped reading it: its task failed again and again |
//! | `assign s-1 to w-1: expired, owner w-2 silent 11.3 s` | its holder is dead, or cut off from the table |
//! | `assign s-1 to w-1: it waits for w-2, which is gone` | it was meant for a worker that left before it began |
//! | `move s-1 from w-1 to w-2: w-1 has 5, its share is 3; w-2 has 1` | [`Count`] evens out |
//! | `move s-1 from w-1 to w-2: w-1 carries 140 % of the mean load, w-2 60 %` | [`Load`] evens out |
//! | `complete s-1: w-1 was asked 44.3 s ago to hand it over to w-2` | the holder did not finish in time |
//!
//! ```
//! use kcl_core::assignment::{AssignmentStrategy, LeaseState, Plan, Rules, Snapshot, Step, WorkerState, plan};
//! use kcl_core::types::{Checkpoint, Lease, LeaseKey, Moment, WorkerId, WorkerRow};
//!
//! /// All shards on the first worker that lives; the others stand by.
//! #[derive(Debug)]
//! struct ActivePassive;
//!
//! impl AssignmentStrategy for ActivePassive {
//!     fn propose(&self, snapshot: &Snapshot<'_>) -> Plan {
//!         let Some(active) = snapshot.workers().iter().find(|worker| worker.takes_leases()) else {
//!             return Plan::default();
//!         };
//!         let idle = snapshot.leases().iter().filter(|lease| lease.needs_worker());
//!         Plan::from(Vec::from_iter(idle.map(|lease| Step::assign(lease.key(), active.id(), "it is the active one"))))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let lease = Lease::unowned(LeaseKey::new("shardId-000000000000")?, Checkpoint::TrimHorizon, 1);
//! let (a, b) = (WorkerRow::new(WorkerId::new("w-1")?), WorkerRow::new(WorkerId::new("w-2")?));
//! let rules = Rules::from_failover_time(std::time::Duration::from_secs(10));
//! let workers = vec![WorkerState::new(&a), WorkerState::new(&b)];
//! let snapshot = Snapshot::new(vec![LeaseState::new(&lease)], workers, rules, Moment::default(), 0);
//! let planned = plan(&ActivePassive, &snapshot);
//! assert_eq!(planned.plan.to_string(), "assign shardId-000000000000 to w-1: it is the active one");
//! # Ok(()) }
//! ```

mod claims;
mod count;
mod load;
mod reason;
mod review;
mod share;
mod snapshot;
mod standing;
mod steps;
mod successors;
mod tie;

pub use claims::claims;
pub use count::Count;
pub use load::Load;
pub use review::{Planned, Refused, plan};
pub use snapshot::{LeaseState, Rules, Snapshot, WorkerState};
pub use standing::Standing;
pub use steps::{Plan, Step, StepAction};
pub use successors::successors;

use std::sync::Arc;

use crate::settings::AssignmentKind;

/// The strategy that the settings name.
pub(crate) fn strategy(kind: AssignmentKind) -> Arc<dyn AssignmentStrategy> {
    match kind {
        AssignmentKind::Count => Arc::new(Count),
        AssignmentKind::Load => Arc::new(Load),
    }
}

/// A way to spread leases over workers.
///
/// A strategy is asked once in each planning cycle, every other second, by whichever worker leads; give all workers of a
/// fleet the same. It should propose nothing where nothing is gained: each move interrupts a shard for a moment, and a
/// proposal that is not written, because a row changed meanwhile, is simply made again in the next cycle. What breaks a rule
/// is refused and logged ([`plan`]).
pub trait AssignmentStrategy: std::fmt::Debug + Send + Sync + 'static {
    /// What should happen now. Equal snapshots must give equal plans: take the time and the seed from the snapshot.
    fn propose(&self, snapshot: &Snapshot<'_>) -> Plan;
}

#[cfg(test)]
mod tests;
