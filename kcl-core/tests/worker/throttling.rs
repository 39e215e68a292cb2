//! A table that admits only so many writes, or takes its time over them, and leases that must live through it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, LeaseStore, StoreStartError};
use kcl_core::testing::ManualClock;
use kcl_core::types::{
    Condition, CreateOutcome, KeyPage, Lease, LeaseChange, LeaseKey, Moment, PageToken, Projection, RowPage,
    RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WriteOutcome,
};
use kcl_core::{EventStream, Settings, WorkerEvent, WorkerHandle, async_trait};

use crate::fleet::{Fleet, key, name};

const SECOND: Duration = Duration::from_secs(1);

/// What the table can do, and what it saw.
#[derive(Debug, Default)]
struct Table {
    /// Writes per second; no limit if absent.
    capacity: Option<f64>,
    /// How long each write takes.
    takes: Duration,
    tokens: f64,
    filled: Moment,
    under_way: usize,
    most_under_way: usize,
    admitted: usize,
    refused: usize,
}

impl Table {
    fn admit(&mut self, now: Moment) -> bool {
        let Some(capacity) = self.capacity else { return true };
        let gained = capacity * now.since(self.filled).as_secs_f64();
        // A tenth of a second's worth may come at once.
        self.tokens = (self.tokens + gained).min((capacity / 10.0).max(1.0));
        self.filled = now;
        let admitted = self.tokens >= 1.0;
        if admitted {
            self.tokens -= 1.0;
            self.admitted += 1;
        } else {
            self.refused += 1;
        }
        admitted
    }
}

#[derive(Debug, Clone)]
struct NarrowStore {
    store: MemoryStore,
    clock: ManualClock,
    table: Arc<Mutex<Table>>,
}

impl NarrowStore {
    fn new(fleet: &Fleet) -> Self {
        NarrowStore { store: fleet.store.clone(), clock: fleet.clock.clone(), table: Arc::default() }
    }

    fn set(&self, capacity: Option<f64>, takes: Duration) {
        let mut table = self.table.lock().unwrap();
        (table.capacity, table.takes, table.filled) = (capacity, takes, self.clock.now());
    }

    async fn enter(&self) -> bool {
        let (admitted, until) = {
            let mut table = self.table.lock().unwrap();
            table.under_way += 1;
            table.most_under_way = table.most_under_way.max(table.under_way);
            (table.admit(self.clock.now()), self.clock.now() + table.takes)
        };
        self.clock.sleep_until(until).await;
        self.table.lock().unwrap().under_way -= 1;
        admitted
    }
}

fn throttled() -> StoreError {
    StoreError::Throttled("beyond its capacity".into())
}

#[async_trait]
impl LeaseStore for NarrowStore {
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
        if self.enter().await {
            self.store.update(key, condition, change).await
        } else {
            WriteOutcome::Refused(throttled())
        }
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        self.store.delete(key, condition).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        if self.enter().await { self.store.transact(steps).await } else { TransactionOutcome::Refused(throttled()) }
    }
}

async fn start(fleet: &Fleet, store: &NarrowStore, settings: Settings) -> (WorkerHandle, EventStream) {
    let log = fleet.log.clone();
    let worker = fleet
        .builder(settings)
        .stores(Arc::new(store.clone()), Arc::new(fleet.store.clone()))
        .handler(move |record| {
            log.note(record.sequence_number().to_string());
            async { Ok(()) }
        })
        .build()
        .unwrap();
    let events = worker.events();
    (worker.start().await.unwrap(), events)
}

/// Ends the worker; how many leases it had lost until then.
async fn lost(mut handle: WorkerHandle, mut events: EventStream, store: &NarrowStore) -> usize {
    store.set(None, Duration::ZERO);
    handle.stop();
    handle.wait().await.unwrap();
    let mut lost = 0;
    loop {
        match events.next().await {
            Some(Ok(WorkerEvent::LeaseLost { .. })) => lost += 1,
            Some(Ok(WorkerEvent::Stopped)) => return lost,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn renewals_come_before_checkpoints_when_the_table_throttles() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 60);
        let store = NarrowStore::new(&fleet);
        // Every record asks for a checkpoint of its own: 300 a second, and 18 renewals.
        let (a, events) = start(&fleet, &store, fleet.settings("a").checkpoint_max_records(1)).await;
        fleet.pass(5 * SECOND).await;
        store.set(Some(25.0), Duration::from_millis(5));
        for _ in 0..300 {
            fleet.append(60, 1);
            fleet.pass(Duration::from_millis(200)).await;
        }
        let (admitted, refused) = {
            let table = store.table.lock().unwrap();
            (table.admitted, table.refused)
        };
        let stored: usize = (0..60)
            .filter(|&index| {
                let lease = fleet.store.lease(&key(index)).unwrap();
                lease.checkpoint.record().is_some_and(|at| at.sequence.as_str().parse::<u64>().unwrap() > 250)
            })
            .count();
        assert_eq!(lost(a, events, &store).await, 0, "{admitted} admitted, {refused} refused");
        assert_eq!(stored, 60, "checkpoints ride on the renewals");
        assert!(admitted > 1_200, "what the table can do is used: {admitted} in a minute, {refused} refused");
        assert!(refused < admitted, "and not much more is tried: {refused} refused, {admitted} admitted");
    });
}

#[test]
fn a_table_that_is_away_for_two_thirds_of_the_failover_time_costs_no_lease() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 100);
        let store = NarrowStore::new(&fleet);
        let (a, events) = start(&fleet, &store, fleet.settings("a")).await;
        fleet.pass(5 * SECOND).await;
        for _ in 0..10 {
            // Nothing at all, then less than all would like at once, and more than they need in the time that is left.
            store.set(Some(0.0), Duration::from_millis(5));
            fleet.pass(Duration::from_millis(5_500)).await;
            store.set(Some(60.0), Duration::from_millis(5));
            fleet.pass(15 * SECOND).await;
        }
        assert_eq!(lost(a, events, &store).await, 0);
    });
}

#[test]
fn only_so_many_writes_are_under_way_and_the_most_urgent_go_first() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 400);
        let store = NarrowStore::new(&fleet);
        let (a, events) = start(&fleet, &store, fleet.settings("a")).await;
        fleet.pass(5 * SECOND).await;
        // Four hundred leases, three writes each in ten seconds, half a second each.
        store.set(None, Duration::from_millis(500));
        fleet.pass(60 * SECOND).await;
        let most = store.table.lock().unwrap().most_under_way;
        assert_eq!(lost(a, events, &store).await, 0);
        assert!(most <= 128, "{most}");
    });
}

#[test]
fn writes_stay_spread_over_the_period_also_after_an_outage() {
    let clock = ManualClock::new();
    clock.run(async {
        let fleet = Fleet::new(&clock, 200);
        let store = NarrowStore::new(&fleet);
        let (a, events) = start(&fleet, &store, fleet.settings("a")).await;
        fleet.pass(5 * SECOND).await;
        store.set(Some(0.0), Duration::ZERO);
        fleet.pass(4 * SECOND).await;
        store.set(None, Duration::from_millis(5));
        fleet.pass(30 * SECOND).await;
        fleet.store.log_calls();
        let mut busiest = 0;
        for _ in 0..34 {
            fleet.pass(Duration::from_millis(100)).await;
            let calls = fleet.store.take_calls();
            let leases = (0..200).map(name).collect::<std::collections::BTreeSet<_>>();
            let writes = calls.iter().filter(|call| leases.iter().any(|name| call.request.names(name))).count();
            busiest = busiest.max(writes);
        }
        assert_eq!(lost(a, events, &store).await, 0);
        assert!(busiest <= 24, "200 writes in 3.3 s are 6 in a tenth of a second, not {busiest}");
    });
}
