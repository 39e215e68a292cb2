//! What a worker that stops does for those who stay: the lock first, then a last look at who is there.

use tokio::sync::oneshot;

use super::Leader;
use crate::plan::fleet_view::FleetView;
use crate::plan::leadership;
use crate::types::WriteOutcome;

impl Leader {
    /// Gives the lock up, if this worker has it, looks at the fleet once more and passes it on. What was seen before is not
    /// enough: when a fleet is stopped one by one, the worker that looked alive a second ago is gone. A fleet that cannot be
    /// seen is not passed on.
    pub(super) async fn stop(mut self, last_look: oneshot::Sender<FleetView>) {
        self.release().await;
        self.forget_duties();
        if self.scan().await.is_ok() {
            let _nobody_needs_it = last_look.send(self.fleet);
        }
    }

    /// A leader that drains must not hold the others up: whoever is next leads while this worker still works.
    async fn release(&mut self) {
        let (version, now) = (self.context.version(), self.context.clock.now());
        let standby = leadership::standby(&self.fleet, &self.context.worker, now, self.context.settings.timings.expiry);
        let Some((mut expected, mut row)) = self.leadership.release(version, standby, now) else { return };
        for _ in 0..ATTEMPTS {
            let outcome = self.context.attempt(self.context.fleet.write_leader(&expected, &row)).await;
            match outcome {
                WriteOutcome::Applied(_) => {
                    tracing::info!(worker_id = %self.context.worker, "this worker has given up the lead");
                    return;
                }
                // A renewal whose answer was lost, or this very write.
                WriteOutcome::Conflict(there) if there.owner == self.context.worker && !there.released => {
                    expected = crate::types::Expect::Is(there.version);
                    // That renewal counted a cycle.
                    row.cycle = row.cycle.max(there.cycle);
                }
                WriteOutcome::Conflict(_) | WriteOutcome::Missing | WriteOutcome::Unreadable(_) => return,
                WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => {
                    tracing::debug!(%error, "the lock is not given up yet");
                }
            }
        }
        tracing::info!("the lock could not be given up; it runs out by itself");
    }
}

/// How often it is tried. Whoever stops does not wait for a store that is away.
const ATTEMPTS: usize = 3;
