//! Who has a lease, and whether that is as it should be.

use super::snapshot::{LeaseState, Snapshot};
use crate::types::WorkerId;

/// Who has a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing<'a> {
    /// Its shard is processed to the end: nobody needs to have it.
    Ended,
    /// Nobody has it.
    Free,
    /// Its holder has been silent for too long and is taken for dead.
    Expired {
        /// The holder.
        holder: &'a WorkerId,
    },
    /// It waits for a worker that is gone or stops, and that never began to hold it, or for which its holder has waited in
    /// vain in a hand-off.
    Stranded {
        /// The worker that it names.
        with: &'a WorkerId,
    },
    /// Somebody holds it, or was given it and is about to.
    Held {
        /// The holder.
        by: &'a WorkerId,
    },
    /// It is on its way from its holder to another worker.
    HandingOver {
        /// The holder.
        from: &'a WorkerId,
        /// Who waits for it.
        to: &'a WorkerId,
    },
}

/// The order matters: whoever is silent is dead, whatever hand-off he was asked for.
pub(super) fn standing<'a>(lease: &LeaseState<'a>, fleet: &Snapshot<'a>) -> Standing<'a> {
    let row = lease.row;
    if row.is_ended() {
        return Standing::Ended;
    }
    let Some(holder) = row.holder() else { return Standing::Free };
    if lease.silent > fleet.rules().expiry {
        return Standing::Expired { holder };
    }
    match (&row.checkpoint_owner, &row.owner) {
        (Some(_), Some(to)) if is_overdue(lease, fleet) && is_gone(to, fleet) => Standing::Stranded { with: to },
        (Some(from), Some(to)) => Standing::HandingOver { from, to },
        (None, Some(with)) if !has_begun(lease) && is_gone(with, fleet) => Standing::Stranded { with },
        // Also a row that names only a `checkpointOwner`, which no library writes: he holds it.
        _ => Standing::Held { by: holder },
    }
}

/// Whether a pending hand-off should have been completed by its holder.
pub(super) fn is_overdue(lease: &LeaseState<'_>, fleet: &Snapshot<'_>) -> bool {
    lease.pending.is_some_and(|pending| pending > fleet.rules().overdue)
}

/// Whether the owner may have begun to hold the lease. Each of our workers writes its name as the last owner when it begins;
/// a Java worker begins without that, and its first renewal shows in the counter.
fn has_begun(lease: &LeaseState<'_>) -> bool {
    lease.row.last_owner == lease.row.owner || !lease.row.last_written_by_us()
}

/// Whether a worker will not begin to hold anything: it left, it is dead, or it stops. Of a Java worker whose row has not
/// moved yet nothing is known.
fn is_gone(worker: &WorkerId, fleet: &Snapshot<'_>) -> bool {
    fleet.worker(worker).is_none_or(|worker| !worker.takes_leases() && (worker.row.is_ours() || worker.moved))
}
