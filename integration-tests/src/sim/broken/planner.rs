//! A leader lock that outlives the work of its holder.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::ports::{Clock, FleetStore};
use kcl_core::types::{
    Expect, Heartbeat, Incarnation, LeaderRow, LeaseKey, Moment, RowProblem, StoreError, WorkerId, WorkerRow,
    WriteOutcome,
};

use crate::sim::clock::Machine;
use crate::sim::store::SimStore;

/// Renews the lock with each heartbeat while the planner is stuck. The planner does not know: it is shown its own version.
#[derive(Debug)]
pub(super) struct RenewedByTimer {
    store: SimStore,
    clock: Machine,
    /// A planner that renewed within this time is not stuck.
    patience: Duration,
    lock: Mutex<Lock>,
}

#[derive(Debug, Default)]
struct Lock {
    /// The row as this process wrote it last, and when its planner did.
    held: Option<(LeaderRow, Moment)>,
    /// The version that the planner wrote last.
    planned: Option<String>,
    /// Versions that the timer has written.
    timed: Vec<String>,
    count: u64,
}

impl RenewedByTimer {
    pub(super) fn new(store: SimStore, clock: Machine, failover: Duration) -> Self {
        RenewedByTimer { store, clock, patience: failover / 2, lock: Mutex::default() }
    }

    /// The row as the planner is to see it.
    fn disguise(&self, mut row: LeaderRow) -> LeaderRow {
        let lock = self.lock();
        if let Some(planned) = lock.planned.as_ref().filter(|_| lock.timed.contains(&row.version)) {
            row.version.clone_from(planned);
        }
        row
    }

    /// The next renewal, if the planner is stuck: what must stand there, and the new row.
    fn renewal(&self) -> Option<(Expect<String>, LeaderRow)> {
        let now = self.clock.now();
        let lock = &mut *self.lock();
        let (mut row, at) = lock.held.clone().filter(|(_, at)| now.since(*at) > self.patience)?;
        let expected = Expect::Is(row.version.clone());
        lock.count += 1;
        row.version = format!("{}-{}-{}", row.owner, at.since_origin().as_nanos(), lock.count);
        row.cycle = row.cycle.map(|cycle| cycle + 1);
        lock.timed.push(row.version.clone());
        Some((expected, row))
    }

    async fn renew_if_stuck(&self) {
        let Some((expected, row)) = self.renewal() else { return };
        let outcome = self.store.write_leader(&expected, &row).await;
        let lock = &mut *self.lock();
        match outcome {
            WriteOutcome::Applied(row) => lock.held = lock.held.take().map(|(_, at)| (row, at)),
            // An earlier one of these, whose answer never came.
            WriteOutcome::Conflict(row) if lock.timed.contains(&row.version) => {
                lock.held = lock.held.take().map(|(_, at)| (row, at));
            }
            WriteOutcome::Conflict(_) | WriteOutcome::Missing => lock.held = None,
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lock> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl FleetStore for RenewedByTimer {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        self.store.join(heartbeat, seen).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        let outcome = self.store.heartbeat(heartbeat).await;
        self.renew_if_stuck().await;
        outcome
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        self.store.leave(worker, incarnation).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        self.store.worker(worker).await
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        self.store.notify(worker, lease).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        self.store.remove_worker(seen).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        Ok(self.store.leader().await?.map(|row| row.map(|row| self.disguise(row))))
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        let actual = {
            let lock = self.lock();
            match (&lock.held, &lock.planned) {
                (Some((held, _)), Some(planned)) if *expected == Expect::Is(planned.clone()) => {
                    Expect::Is(held.version.clone())
                }
                _ => expected.clone(),
            }
        };
        match self.store.write_leader(&actual, row).await {
            WriteOutcome::Applied(row) => {
                let lock = &mut *self.lock();
                lock.timed.clear();
                lock.planned = Some(row.version.clone());
                lock.held = (!row.released).then(|| (row.clone(), self.clock.now()));
                WriteOutcome::Applied(row)
            }
            WriteOutcome::Conflict(row) => WriteOutcome::Conflict(self.disguise(row)),
            outcome => outcome,
        }
    }
}
