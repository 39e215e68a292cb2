//! One step of a plan: a conditional write, and a hint to those it concerns.

use futures_util::future::join_all;

use super::cycle::AT_A_TIME;
use crate::error::WorkerError;
use crate::plan::assignment::{Step, StepAction};
use crate::plan::transition::{self, LeaseWrite};
use crate::runtime::context::Context;
use crate::runtime::errands::Errands;
use crate::types::{Lease, LeaseKey, WorkerId, WriteOutcome};

/// Does one step on a lease that was `seen`, and tells whoever is to have it; yields the row as it is now, if that is known.
pub(super) async fn perform(context: &Context, errands: &Errands, step: &Step, seen: Lease) -> Option<Lease> {
    let LeaseWrite { condition, change } = write(step, &seen)?;
    match context.attempt(context.leases.update(&step.lease, &condition, &change)).await {
        WriteOutcome::Applied(row) => {
            if let Some(worker) = &row.owner {
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

/// Tells holders that they are asked for their leases; a while after their successors were told, who look into their inboxes
/// at other moments: a holder that drains at once must not wait for one that does not know yet. A holder that renews
/// meanwhile hears of it, too.
pub(super) async fn tell_holders(context: &Context, errands: &Errands, asked: &[(WorkerId, LeaseKey)]) {
    if asked.is_empty() {
        return;
    }
    let at = context.clock.now() + context.settings.timings.inbox / 2;
    tokio::select! {
        biased;
        () = context.stop.cancelled() => {}
        () = context.clock.sleep_until(at) => {}
    }
    for some in asked.chunks(AT_A_TIME) {
        join_all(some.iter().map(|(holder, lease)| tell(context, errands, holder, lease))).await;
    }
}

/// Points a worker at a row.
pub(super) async fn tell(context: &Context, errands: &Errands, worker: &WorkerId, lease: &LeaseKey) {
    if *worker == context.worker {
        errands.look_at([lease.clone()]);
    } else {
        context.notice(worker, lease).await;
    }
}
