//! One step of a plan: a conditional write, and a hint to those it concerns.

use crate::error::WorkerError;
use crate::plan::assignment::{Step, StepAction};
use crate::plan::transition::{self, LeaseWrite};
use crate::runtime::context::Context;
use crate::runtime::errands::Errands;
use crate::types::{Lease, LeaseKey, WorkerId, WriteOutcome};

/// Does one step on a lease that was `seen`; yields the row as it is now, if that is known.
pub(super) async fn perform(context: &Context, errands: &Errands, step: &Step, seen: Lease) -> Option<Lease> {
    let LeaseWrite { condition, change } = write(step, &seen)?;
    match context.attempt(context.leases.update(&step.lease, &condition, &change)).await {
        WriteOutcome::Applied(row) => {
            for worker in concerned(&row) {
                tell(context, errands, worker, &row.key).await;
            }
            Some(row)
        }
        WriteOutcome::Conflict(row) => {
            tracing::debug!(%step, "the lease changed meanwhile");
            Some(row)
        }
        WriteOutcome::Missing | WriteOutcome::Unreadable(_) => None,
        WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => {
            tracing::debug!(%step, %error, "not confirmed");
            if !error.is_retryable() {
                context.fail(WorkerError::store("assigning a lease", error));
            }
            None
        }
    }
}

fn write(step: &Step, seen: &Lease) -> Option<LeaseWrite> {
    match &step.action {
        StepAction::Assign { to } => Some(transition::assign(seen, to)),
        StepAction::Move { to, .. } => transition::ask_to_hand_over(seen, to),
        StepAction::Complete => transition::complete_hand_over(seen),
    }
}

/// Who should look at the row: whom it names. In a hand-off that was asked for these are both the holder, who drains, and
/// the one who prepares for it.
fn concerned(row: &Lease) -> impl Iterator<Item = &WorkerId> {
    row.checkpoint_owner.iter().chain(row.owner.as_ref())
}

/// Points a worker at a row.
async fn tell(context: &Context, errands: &Errands, worker: &WorkerId, lease: &LeaseKey) {
    if *worker == context.worker {
        errands.look_at([lease.clone()]);
    } else {
        context.notice(worker, lease).await;
    }
}
