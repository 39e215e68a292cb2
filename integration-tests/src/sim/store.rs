//! The lease and fleet store of one process: every call goes through the fabric.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use kcl_core::memory::Request;
use kcl_core::ports::{FleetStore, LeaseStore, StoreStartError, transact_row_by_row};
use kcl_core::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, RowPage, RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WorkerRow,
    WriteOutcome,
};

use super::executor::ProcessId;
use super::fabric::{Caller, Fabric};
use super::table::settled;
use super::timeline::At;

/// A process's store.
#[derive(Clone)]
pub(crate) struct SimStore {
    pub(crate) fabric: Arc<Fabric>,
    pub(crate) process: ProcessId,
    /// Whether the table has transactions.
    pub(crate) transactions: bool,
    /// When the call began of which this is a part, if there is one.
    pub(crate) began: Option<At>,
}

impl SimStore {
    fn caller(&self) -> Caller {
        Caller { process: self.process, began: self.began }
    }
}

#[async_trait]
impl LeaseStore for SimStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        let call = self.fabric.call(self.caller(), Request::Start, |store| settled(store.start()));
        tokio::select! {
            biased;
            answer = call => answer,
            // A start is many calls, each with the time-out of its client; the runtime has none around all of them.
            () = self.fabric.attempt() => {
                Err(StoreStartError::Store(StoreError::Unavailable("no answer in time (simulated)".into())))
            }
        }
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        let request = Request::Scan { projection, page: page.clone() };
        let (fabric, lag) = (Arc::clone(&self.fabric), self.fabric.staleness());
        self.fabric.call(self.caller(), request, move |_| fabric.table.stale_scan(projection, page.clone(), lag)).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        let request = Request::OwnedBy { owner: owner.clone(), page: page.clone() };
        let owner = owner.clone();
        self.fabric.call(self.caller(), request, move |store| settled(store.owned_by(&owner, page.clone()))).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        let request = Request::Get(key.clone());
        let key = key.clone();
        self.fabric.call(self.caller(), request, move |store| settled(store.get(&key))).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        let request = Request::Create(Box::new(lease.clone()));
        let lease = lease.clone();
        self.fabric.call(self.caller(), request, move |store| settled(store.create(&lease))).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        let (key, condition, change) = (key.clone(), condition.clone(), change.clone());
        let request =
            Request::Update { key: key.clone(), condition: condition.clone(), change: Box::new(change.clone()) };
        let run = move |store: &kcl_core::memory::MemoryStore| settled(store.update(&key, &condition, &change));
        self.fabric.call(self.caller(), request, run).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        let (key, condition) = (key.clone(), condition.clone());
        let request = Request::Delete { key: key.clone(), condition: condition.clone() };
        self.fabric.call(self.caller(), request, move |store| settled(store.delete(&key, &condition))).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        if !self.transactions {
            // To whoever sends them, all of it is sent at once.
            let parts = SimStore { began: Some(self.fabric.now()), ..self.clone() };
            return transact_row_by_row(&parts, steps).await;
        }
        let steps = steps.to_vec();
        let request = Request::Transact(steps.clone());
        self.fabric.call(self.caller(), request, move |store| settled(store.transact(&steps))).await
    }
}

#[async_trait]
impl FleetStore for SimStore {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        let (heartbeat, seen) = (heartbeat.clone(), seen.cloned());
        let request = Request::Join { heartbeat: Box::new(heartbeat.clone()), seen: seen.clone().map(Box::new) };
        self.fabric.call(self.caller(), request, move |store| settled(store.join(&heartbeat, seen.as_ref()))).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        let heartbeat = heartbeat.clone();
        let request = Request::Heartbeat(Box::new(heartbeat.clone()));
        self.fabric.call(self.caller(), request, move |store| settled(store.heartbeat(&heartbeat))).await
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        let (worker, incarnation) = (worker.clone(), incarnation.clone());
        let request = Request::Leave { worker: worker.clone(), incarnation: incarnation.clone() };
        self.fabric.call(self.caller(), request, move |store| settled(store.leave(&worker, &incarnation))).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        let worker = worker.clone();
        let request = Request::Worker(worker.clone());
        self.fabric.call(self.caller(), request, move |store| settled(store.worker(&worker))).await
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        let (worker, lease) = (worker.clone(), lease.clone());
        let request = Request::Notify { worker: worker.clone(), lease: lease.clone() };
        self.fabric.call(self.caller(), request, move |store| settled(store.notify(&worker, &lease))).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        let seen = seen.clone();
        let request = Request::RemoveWorker(Box::new(seen.clone()));
        self.fabric.call(self.caller(), request, move |store| settled(store.remove_worker(&seen))).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        self.fabric.call(self.caller(), Request::Leader, |store| settled(store.leader())).await
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        let (expected, row) = (expected.clone(), row.clone());
        let request = Request::WriteLeader { expected: expected.clone(), row: Box::new(row.clone()) };
        self.fabric.call(self.caller(), request, move |store| settled(store.write_leader(&expected, &row))).await
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStore({})", self.process)
    }
}
