//! The way from one worker to the table: every call takes its time, may not come through, and is counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::async_trait;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, FleetStore, LeaseStore, StoreStartError};
use kcl_core::testing::ManualClock;
use kcl_core::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, RowPage, RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WorkerRow,
    WriteOutcome,
};

/// Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Wire {
    store: MemoryStore,
    clock: ManualClock,
    delay: Duration,
    cut: Arc<AtomicBool>,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl Wire {
    pub(crate) fn new(store: &MemoryStore, clock: &ManualClock, delay: Duration) -> Self {
        let (cut, calls) = (Arc::default(), Arc::default());
        Wire { store: store.clone(), clock: clock.clone(), delay, cut, calls }
    }

    /// From now on nothing is answered, and nothing arrives.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.cut.store(false, Ordering::SeqCst);
    }

    /// How often each operation was asked for since the last call; `conflict` and `exists` count answers.
    pub(crate) fn take_calls(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    fn count(&self, name: &'static str) {
        *self.calls.lock().unwrap().entry(name).or_insert(0) += 1;
    }

    /// Half of the time on the way there, half on the way back.
    async fn call<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        self.count(name);
        self.travel().await;
        let answer = call.await;
        self.travel().await;
        answer
    }

    async fn travel(&self) {
        if self.cut.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if !self.delay.is_zero() {
            self.clock.sleep_until(self.clock.now() + self.delay / 2).await;
        }
    }

    async fn write<R>(&self, name: &'static str, call: impl Future<Output = WriteOutcome<R>>) -> WriteOutcome<R> {
        let outcome = self.call(name, call).await;
        if matches!(outcome, WriteOutcome::Conflict(_)) {
            self.count("conflict");
        }
        outcome
    }
}

#[async_trait]
impl LeaseStore for Wire {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.call("start", self.store.start()).await
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        self.call("scan", self.store.scan(projection, page)).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        self.call("owned_by", self.store.owned_by(owner, page)).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        self.call("get", self.store.get(key)).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        let outcome = self.call("create", self.store.create(lease)).await;
        if outcome == CreateOutcome::Exists {
            self.count("exists");
        }
        outcome
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        self.write("update", self.store.update(key, condition, change)).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.write("delete", self.store.delete(key, condition)).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        self.call("transact", self.store.transact(steps)).await
    }
}

#[async_trait]
impl FleetStore for Wire {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        self.write("join", self.store.join(heartbeat, seen)).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        self.write("heartbeat", self.store.heartbeat(heartbeat)).await
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        self.write("leave", self.store.leave(worker, incarnation)).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        self.call("worker", self.store.worker(worker)).await
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        self.write("notify", self.store.notify(worker, lease)).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        self.write("remove_worker", self.store.remove_worker(seen)).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        self.call("leader", self.store.leader()).await
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        self.write("write_leader", self.store.write_leader(expected, row)).await
    }
}
