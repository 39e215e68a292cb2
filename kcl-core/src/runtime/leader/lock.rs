//! Reads and writes the leader row.

use super::Leader;
use crate::plan::leadership::{self, Free, LockNews};
use crate::types::{LeaderRow, StoreError, WriteOutcome};

impl Leader {
    /// Reads the row.
    pub(super) async fn look(&mut self) -> Result<(), StoreError> {
        let context = &self.context;
        let answer = context.within_attempt(context.fleet.leader()).await;
        let answer = answer.unwrap_or_else(|| Err(context.no_answer()))?;
        let now = context.clock.now();
        match answer {
            None => self.leadership.observe(None, now),
            Some(Ok(row)) => self.leadership.observe(Some(row), now),
            Some(Err(problem)) => {
                self.leadership.observe_unreadable();
                if !std::mem::replace(&mut self.told.unreadable_lock, true) {
                    tracing::error!(%problem, "the leader row cannot be read; nobody can lead while it stands there");
                }
            }
        }
        Ok(())
    }

    /// Tries to take the lock; true if this worker leads now.
    pub(super) async fn take(&mut self, free: Free) -> Result<bool, StoreError> {
        let version = self.context.version();
        let (expected, row) = self.leadership.take(version, self.context.clock.now());
        let outcome = self.context.attempt(self.context.fleet.write_leader(&expected, &row)).await;
        let leads = self.hear(outcome)?;
        if leads && !std::mem::replace(&mut self.told.leads, true) {
            tracing::info!(worker_id = %self.context.worker, reason = free.as_str(), "this worker leads the fleet");
        }
        Ok(leads)
    }

    /// Renews the lock: a planning cycle is complete.
    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        let expiry = self.context.settings.timings.expiry;
        let standby = leadership::standby(&self.fleet, &self.context.worker, now, expiry);
        let version = self.context.version();
        if let Some((expected, row)) = self.leadership.renew(version, standby, now) {
            let outcome = self.context.attempt(self.context.fleet.write_leader(&expected, &row)).await;
            self.hear(outcome)?;
        }
        Ok(())
    }

    fn hear(&mut self, outcome: WriteOutcome<LeaderRow>) -> Result<bool, StoreError> {
        match self.leadership.answer(outcome, self.context.clock.now()) {
            LockNews::Held => Ok(true),
            LockNews::Lost => Ok(false),
            LockNews::Unsure(error) => Err(error),
        }
    }
}
