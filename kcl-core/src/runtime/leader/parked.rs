//! Leases of streams that are no longer wanted.

use futures_util::future::join_all;

use super::cycle::AT_A_TIME;
use super::{Leader, act};
use crate::error::WorkerError;
use crate::plan::parking;
use crate::plan::streams::{Standing, Wanted};
use crate::types::{Lease, LeaseKey, Moment, StreamId, WorkerId, WriteOutcome};

impl Leader {
    /// Notes for how long leases have been parked.
    pub(super) fn note_parked(&mut self, wanted: &Wanted, now: Moment) {
        let is_parked = |lease: &Lease| wanted.standing(lease).is_parked();
        let parked = self.fleet.leases.values().map(|seen| &seen.lease).filter(|lease| is_parked(lease));
        for stream in self.parking.observe(parked, now) {
            let grace = self.context.settings.stream_grace;
            tracing::info!(
                stream,
                ?grace,
                "leases of a stream that is not wanted are parked; they are removed when they have not moved for that long"
            );
        }
        self.absences.forget(is_parked);
    }

    /// Removes leases that have been parked for long, some in each cycle.
    pub(super) async fn remove_parked(&mut self) {
        let (now, settings) = (self.context.clock.now(), &self.context.settings);
        // A row that moves has a holder, who may be about to give it back.
        let grace = settings.stream_grace.max(settings.timings.expiry);
        self.context.metrics.parked(self.parking.len());
        let due: Vec<Lease> = self.parking.due(grace, now).take(AT_A_TIME).cloned().collect();
        let context = &self.context;
        let removals = due.iter().map(|lease| async {
            let condition = parking::removal(lease);
            context.attempt(context.leases.delete(&lease.key, &condition)).await
        });
        for (lease, outcome) in due.iter().zip(join_all(removals).await) {
            match outcome {
                WriteOutcome::Applied(_) | WriteOutcome::Missing => {
                    self.fleet.leases.remove(&lease.key);
                    tracing::info!(lease_key = %lease.key, checkpoint = %lease.checkpoint, "a lease of a stream that is not wanted was removed");
                }
                WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) if !error.is_retryable() => {
                    self.context.fail(WorkerError::store("removing a lease", error));
                }
                outcome => tracing::debug!(lease_key = %lease.key, ?outcome, "lease not removed"),
            }
        }
    }

    /// Points the holders of leases of the stream that had this name before at them: they may not know that it was made
    /// anew.
    pub(super) async fn recall(&mut self, stream: &StreamId) {
        if self.parking.is_empty() {
            return;
        }
        let wanted = self.context.streams.wanted();
        let leases = self.fleet.leases.values().map(|seen| &seen.lease);
        let former = leases.filter(|lease| wanted.standing(lease) == Standing::Former(stream) && !lease.is_ended());
        let held: Vec<(WorkerId, LeaseKey)> =
            former.filter_map(|lease| Some((lease.holder()?.clone(), lease.key.clone()))).collect();
        for some in held.chunks(AT_A_TIME) {
            join_all(some.iter().map(|(holder, lease)| act::tell(&self.context, &self.errands, holder, lease))).await;
        }
    }
}
