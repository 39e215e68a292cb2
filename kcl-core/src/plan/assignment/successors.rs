//! Who goes on when a worker stops.

use std::collections::{BTreeMap, BTreeSet};

use super::AssignmentStrategy;
use super::review::plan;
use super::snapshot::Snapshot;
use super::steps::StepAction;
use crate::types::{Lease, LeaseKey, WorkerId};

/// Who should read these leases when the worker `leaving` stops: what the strategy would do with them if nobody held them and
/// that worker were gone.
///
/// A lease that is not in the answer has no successor: no worker is there or has room, or there is nothing to read yet.
/// Workers that have shown life while they were observed are preferred to such that may be relics.
pub fn successors(
    strategy: &dyn AssignmentStrategy,
    snapshot: &Snapshot<'_>,
    leaving: &WorkerId,
    leases: &BTreeSet<LeaseKey>,
) -> BTreeMap<LeaseKey, WorkerId> {
    let freed: BTreeMap<&LeaseKey, Lease> = snapshot
        .leases()
        .iter()
        .filter(|lease| leases.contains(lease.key()) && !lease.row.is_ended())
        .map(|lease| (lease.key(), without_holder(lease.row)))
        .collect();
    let mut found = place(strategy, snapshot, leaving, &freed, true);
    if found.is_empty() {
        found = place(strategy, snapshot, leaving, &freed, false);
    }
    found
}

fn without_holder(row: &Lease) -> Lease {
    let mut row = row.clone();
    (row.owner, row.checkpoint_owner) = (None, None);
    row
}

fn place(
    strategy: &dyn AssignmentStrategy,
    snapshot: &Snapshot<'_>,
    leaving: &WorkerId,
    freed: &BTreeMap<&LeaseKey, Lease>,
    proven_only: bool,
) -> BTreeMap<LeaseKey, WorkerId> {
    let (mut leases, mut workers) = snapshot.parts();
    for lease in &mut leases {
        if let Some(row) = freed.get(lease.key()) {
            lease.row = row;
            (lease.pending, lease.given_up) = (None, false);
        }
    }
    for worker in &mut workers {
        worker.live &= worker.id() != leaving && (worker.moved || !proven_only);
    }
    let without = Snapshot::new(leases, workers, *snapshot.rules(), snapshot.now(), snapshot.seed());
    let steps = plan(strategy, &without).plan.steps;
    let assigned = steps.into_iter().filter_map(|step| match step.action {
        StepAction::Assign { to } if freed.contains_key(&step.lease) => Some((step.lease, to)),
        _ => None,
    });
    assigned.collect()
}
