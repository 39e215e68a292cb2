//! One planning cycle: look, make what is missing, plan, do it, clean, and only then prolong the lock.

use futures_util::future::join_all;

use super::{Leader, act};
use crate::error::WorkerError;
use crate::plan::assignment::{self, Plan, Planned, Step, StepAction};
use crate::runtime::scan::scan;
use crate::types::{Lease, Moment, Projection, Row, StoreError};

/// How many writes of a leader are under way at a time.
pub(super) const AT_A_TIME: usize = 32;

impl Leader {
    /// One cycle. It has completed when the table was read, a plan made, and every step of it tried: only then the lock is
    /// renewed, so that a leader which cannot do its work loses it. What becomes of a step, the next look tells.
    pub(super) async fn cycle(&mut self) -> Result<(), StoreError> {
        let begun = self.context.clock.now();
        self.scan().await?;
        self.follow_the_set();
        self.ask_for_listings(true);
        match self.create_missing().await {
            Ok(()) => self.told.uncreated = false,
            // What exists is planned all the same.
            Err(error) if error.is_retryable() => {
                if !std::mem::replace(&mut self.told.uncreated, true) {
                    tracing::warn!(%error, "missing leases cannot be created; it is tried again");
                }
            }
            Err(error) => self.context.fail(WorkerError::store("creating leases", error)),
        }
        let Some(plan) = self.plan() else { return Ok(()) };
        self.act(plan, begun).await;
        self.clean().await;
        if self.context.stop.is_cancelled() {
            return Ok(());
        }
        self.renew().await
    }

    /// Looks at the whole table.
    ///
    /// After a gap all times count anew: workers that were cut off from the table as we were deserve theirs to show life.
    /// What rows said is kept: if one is gone now, nobody else may know where it stood.
    pub(super) async fn scan(&mut self) -> Result<(), StoreError> {
        let (rows, problems) = scan(&self.context, Projection::Planning).await?;
        let wanted = self.context.streams.wanted();
        let rows = self.rows.sift(rows, problems, &wanted);
        let now = self.context.clock.now();
        if self.seen_at.is_none_or(|at| now.since(at) > self.context.settings.timings.failover) {
            self.fleet.restart();
            self.absences.restart(now);
        }
        let gone = self.fleet.observe(rows, now);
        self.absences.observe(gone, &self.fleet, now);
        self.leadership.sees(&self.fleet, now);
        self.note_parked(&wanted, now);
        self.seen_at = Some(now);
        Ok(())
    }

    /// Asks the strategy. One that panics completes no cycle: another worker may do better, and if none does, every worker
    /// goes on by itself.
    fn plan(&mut self) -> Option<Plan> {
        let snapshot = self.context.snapshot(&self.fleet, self.context.clock.now());
        self.context.metrics.unread(snapshot.unread());
        let planned = self.context.ask_strategy(|strategy| assignment::plan(strategy, &snapshot))?;
        let Planned { plan, refused, unplaced, .. } = planned;
        for refused in refused.iter().take(REFUSED_AT_MOST.saturating_sub(self.told.refused)) {
            self.told.refused += 1;
            tracing::warn!(%refused, "a step of the assignment strategy breaks a rule");
        }
        if unplaced != self.told.unplaced {
            self.told.unplaced = unplaced;
            tracing::info!(unplaced, "leases for which no worker has room");
        }
        if !plan.is_empty() {
            tracing::info!(worker_id = %self.context.worker, %plan, "assignment planned");
        }
        Some(plan)
    }

    /// Does what was planned. What takes too long is left to the next cycle, so that the lock is renewed in time.
    async fn act(&mut self, plan: Plan, begun: Moment) {
        let me = self.context.worker.clone();
        let (own, others): (Vec<Step>, Vec<Step>) =
            plan.steps.into_iter().partition(|step| step.action == StepAction::Assign { to: me.clone() });
        self.take_leases(own);
        let until = begun + self.context.settings.timings.failover / 2;
        let mut asked = Vec::new();
        for steps in others.chunks(AT_A_TIME) {
            let now = self.context.clock.now();
            if now >= until || !self.may_act() {
                break;
            }
            let seen = |step: &Step| self.fleet.leases.get(&step.lease).map(|seen| seen.lease.clone());
            let (context, errands) = (&self.context, &self.errands);
            let writes: Vec<_> = steps
                .iter()
                .filter_map(|step| Some((step, seen(step)?)))
                .map(|(step, seen)| act::perform(context, errands, step, seen))
                .collect();
            let rows: Vec<Lease> = join_all(writes).await.into_iter().flatten().collect();
            asked.extend(rows.iter().filter_map(|row| Some((row.checkpoint_owner.clone()?, row.key.clone()))));
            let rows = rows.into_iter().map(|row| Row::Lease(Box::new(row)));
            self.fleet.observe_some(rows, self.context.clock.now());
        }
        act::tell_holders(&self.context, &self.errands, &asked).await;
    }

    /// Whether this worker may still write as leader: a process that was paused finds out here.
    pub(super) fn may_act(&self) -> bool {
        !self.context.stop.is_cancelled() && self.leadership.leads(self.context.clock.now())
    }

    /// Takes for this worker alone what has no live holder, up to its share.
    pub(super) fn claim(&mut self, now: Moment) {
        let plan = assignment::claims(&self.context.snapshot(&self.fleet, now), &self.context.worker);
        if !plan.is_empty() {
            tracing::info!(worker_id = %self.context.worker, %plan, "leases claimed without a leader");
        }
        self.take_leases(plan.steps);
    }

    fn take_leases(&self, steps: Vec<Step>) {
        let seen = |step: Step| Some((self.fleet.leases.get(&step.lease)?.lease.clone(), step.to_string()));
        self.errands.take(steps.into_iter().filter_map(seen));
    }
}

/// However often a strategy breaks the rules, it is told of only so often.
const REFUSED_AT_MOST: usize = 1_000;
