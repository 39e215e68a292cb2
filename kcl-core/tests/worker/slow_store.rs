//! A store whose answers to updates come late, and a fleet on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::memory::{Fault, FaultRule, MemoryStore, Operation};
use kcl_core::ports::{Clock, LeaseStore, StoreStartError};
use kcl_core::testing::ManualClock;
use kcl_core::types::{
    Condition, CreateOutcome, KeyPage, Lease, LeaseChange, LeaseKey, Moment, PageToken, Projection, RowPage,
    RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};
use kcl_core::{LeaseLostReason, WorkerEvent, async_trait};

use crate::fleet::{Fleet, key, name};

/// Applies updates at once and answers not before a certain time.
#[derive(Debug)]
struct SlowStore {
    store: MemoryStore,
    clock: ManualClock,
    /// In milliseconds since the clock's origin.
    not_before: Arc<AtomicU64>,
}

#[async_trait]
impl LeaseStore for SlowStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.store.start().await
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        self.store.scan(projection, page).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        self.store.owned_by(owner, page).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        self.store.get(key).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        self.store.create(lease).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        let outcome = self.store.update(key, condition, change).await;
        let not_before = Duration::from_millis(self.not_before.load(Ordering::SeqCst));
        self.clock.sleep_until(Moment::from_origin(not_before)).await;
        outcome
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.store.delete(key, condition).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        self.store.transact(steps).await
    }
}

#[test]
fn a_renewal_that_is_confirmed_at_the_deadline_leaves_no_lease_that_nobody_reads() {
    let clock = ManualClock::new();
    clock.run(async {
        // The answer to a write that was sent in time comes just before, at, and just after the deadline of 10 s.
        for answer in [9_999, 10_000, 10_001] {
            let fleet = Fleet::new(&clock, 1);
            let not_before = Arc::new(AtomicU64::new(0));
            let store = fleet.store.clone();
            let slow = SlowStore { store, clock: clock.clone(), not_before: Arc::clone(&not_before) };
            let worker = fleet.logging("a").stores(Arc::new(slow), Arc::new(fleet.store.clone())).build().unwrap();
            let mut events = worker.events();
            let begun = u64::try_from(clock.now().since_origin().as_millis()).unwrap();
            let mut a = worker.start().await.unwrap();
            let refused = Fault::Refuse(StoreError::Throttled("slow".into()));
            fleet.store.script(FaultRule::new(refused).on(Operation::Update).row(name(0)).after(1).always());
            fleet.pass(Duration::from_millis(9_100)).await;
            fleet.store.clear_script();
            not_before.store(begun + answer, Ordering::SeqCst);
            fleet.pass(Duration::from_secs(3)).await;
            fleet.append(1, 2);
            fleet.pass(Duration::from_secs(15)).await;
            assert_eq!(fleet.log.numbers(&name(0)), [1, 2], "with the answer after {answer} ms");
            a.stop();
            a.wait().await.unwrap();
            assert_eq!(fleet.store.lease(&key(0)).unwrap().owner, None);
            while let Some(Ok(event)) = events.next().await {
                if let WorkerEvent::LeaseLost { reason, .. } = &event {
                    assert_eq!(*reason, LeaseLostReason::Expired);
                }
                if event == WorkerEvent::Stopped {
                    break;
                }
            }
        }
    });
}
