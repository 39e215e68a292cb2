//! The table: a store in memory behind a network, and what is asked of it.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{FleetStore, LeaseStore, StoreStartError};
use kcl_core::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, RowPage, RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WorkerRow,
    WriteOutcome,
};
use tokio::sync::oneshot;

use super::traffic::{Answer, Call, Traffic, lease_call};
use crate::sim::table::settled;
use crate::sim::timeline::Timeline;

/// The table, and the way there. Clones share it.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) store: MemoryStore,
    timeline: Timeline,
    state: Arc<Mutex<State>>,
}

struct State {
    random: fastrand::Rng,
    traffic: Traffic,
    /// The share of calls that are not answered; half of them have their effect all the same.
    unanswered: f64,
}

/// A page of DynamoDB has 1 MiB; about so many leases.
const PAGE: usize = 2_500;

/// A call takes 20 ms on average, there and back: so much for one way, up to a half more or less.
const WAY: Duration = Duration::from_millis(10);

impl Table {
    pub(super) fn new(timeline: Timeline, random: fastrand::Rng) -> Self {
        let store = MemoryStore::new();
        store.set_page_size(NonZeroUsize::new(PAGE).expect("a page has rows"));
        let state = State { random, traffic: Traffic::default(), unanswered: 0.0 };
        Table { store, timeline, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.state().traffic
    }

    /// From now on this share of the calls gets no answer.
    pub(super) fn leave_unanswered(&self, share: f64) {
        self.state().unanswered = share;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long the way there and the way back take, and whether the request and the answer arrive.
    fn fate(&self, call: Call) -> ((Duration, Duration), (bool, bool)) {
        let state = &mut *self.state();
        let mut way = || WAY.mul_f64(0.5 + state.random.f64());
        let ways = (way(), way());
        let answered = state.unanswered == 0.0 || state.random.f64() >= state.unanswered;
        let arrives = answered || state.random.bool();
        let counts = state.traffic.of(call);
        counts.calls += 1;
        counts.unanswered += u64::from(!answered);
        (ways, (arrives, answered))
    }

    /// Makes a call. What was sent has its effect whatever becomes of its sender. One without an answer never ends: its
    /// sender has to lose patience.
    async fn call<R: Answer>(&self, call: Call, run: impl FnOnce(&MemoryStore) -> R + Send + 'static) -> R {
        let ((there, back), (arrives, answered)) = self.fate(call);
        let (reply, answer) = oneshot::channel();
        if arrives {
            let table = self.clone();
            self.timeline.after(there, move || {
                let result = run(&table.store);
                {
                    let mut state = table.state();
                    let counts = state.traffic.of(call);
                    counts.failed += u64::from(result.failed());
                    counts.units += result.units();
                }
                if answered {
                    // Whoever asked may be gone.
                    table.timeline.clone().after(back, move || drop(reply.send(result)));
                }
            });
        }
        match answer.await {
            Ok(result) => result,
            Err(_lost) => std::future::pending().await,
        }
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

#[async_trait]
impl LeaseStore for Table {
    async fn start(&self) -> Result<(), StoreStartError> {
        // The table exists: one look.
        self.timeline.sleep(2 * WAY).await;
        settled(self.store.start())
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        self.call(Call::ScanPage, move |store| settled(store.scan(projection, page))).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        let owner = owner.clone();
        self.call(Call::IndexPage, move |store| settled(store.owned_by(&owner, page))).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        let key = key.clone();
        self.call(Call::GetLease, move |store| settled(store.get(&key))).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        let lease = lease.clone();
        self.call(Call::LeaseChange, move |store| settled(store.create(&lease))).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        let (key, condition, change) = (key.clone(), condition.clone(), change.clone());
        let call = lease_call(&condition, &change);
        self.call(call, move |store| settled(store.update(&key, &condition, &change))).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        let (key, condition) = (key.clone(), condition.clone());
        self.call(Call::LeaseChange, move |store| settled(store.delete(&key, &condition))).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        let steps = steps.to_vec();
        self.call(Call::LeaseChange, move |store| settled(store.transact(&steps))).await
    }
}

#[async_trait]
impl FleetStore for Table {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        let (heartbeat, seen) = (heartbeat.clone(), seen.cloned());
        self.call(Call::WorkerRow, move |store| settled(store.join(&heartbeat, seen.as_ref()))).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        let heartbeat = heartbeat.clone();
        self.call(Call::WorkerRow, move |store| settled(store.heartbeat(&heartbeat))).await
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        let (worker, incarnation) = (worker.clone(), incarnation.clone());
        self.call(Call::WorkerRow, move |store| settled(store.leave(&worker, &incarnation))).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        let worker = worker.clone();
        self.call(Call::GetWorker, move |store| settled(store.worker(&worker))).await
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        let (worker, lease) = (worker.clone(), lease.clone());
        self.call(Call::Notice, move |store| settled(store.notify(&worker, &lease))).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        let seen = seen.clone();
        self.call(Call::WorkerRow, move |store| settled(store.remove_worker(&seen))).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        self.call(Call::GetLeader, |store| settled(store.leader())).await
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        let (expected, row) = (expected.clone(), row.clone());
        self.call(Call::LeaderRow, move |store| settled(store.write_leader(&expected, &row))).await
    }
}
