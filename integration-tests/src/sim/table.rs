//! The one table of a fleet: a store in memory, what each call changed in it, and how it was a moment ago.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use kcl_core::memory::{MemoryStore, Request};
use kcl_core::ports::LeaseStore;
use kcl_core::types::{Lease, LeaseKey, PageToken, Projection, Row, RowPage, StoreError};

use super::executor::ProcessId;
use super::observation::Observation;
use super::recorder::Recorder;
use super::timeline::{At, Timeline};

/// The table.
pub(crate) struct Table {
    store: MemoryStore,
    timeline: Timeline,
    recorder: Recorder,
    /// The newest version last.
    past: Mutex<BTreeMap<String, Versions>>,
}

/// What stood under a key, each until then.
type Versions = VecDeque<(At, Option<Row>)>;

/// No read lags behind by more than this.
pub(crate) const STALENESS: Duration = Duration::from_secs(1);

impl Table {
    pub(crate) fn new(store: MemoryStore, timeline: Timeline, recorder: Recorder) -> Self {
        Table { store, timeline, recorder, past: Mutex::default() }
    }

    /// Lets a request take effect now, and tells what it changed.
    pub(crate) fn land<R>(
        &self,
        (process, sent): (ProcessId, At),
        request: &Request,
        run: &dyn Fn(&MemoryStore) -> R,
    ) -> R {
        let (leases, worker) = rows_of(request);
        let before: Vec<Option<Lease>> = leases.iter().map(|key| self.store.lease(key)).collect();
        let worker_before = worker.and_then(|key| self.row(key));
        let result = run(&self.store);
        for (key, before) in leases.into_iter().zip(before) {
            let after = self.store.lease(&key);
            if before != after {
                self.remember(key.as_str(), before.clone().map(|lease| Row::Lease(Box::new(lease))));
                let (before, after) = (before.map(Box::new), after.map(Box::new));
                self.recorder.observe(Observation::Written { process, sent, key, before, after });
            }
        }
        if let Some(key) = worker {
            self.remember(key, worker_before);
        }
        result
    }

    /// A page of a scan as it would have been `lag` ago.
    pub(crate) fn stale_scan(
        &self,
        projection: Projection,
        page: Option<PageToken>,
        lag: Duration,
    ) -> Result<RowPage, StoreError> {
        let mut answer = settled(self.store.scan(projection, page))?;
        let then = self.timeline.now().saturating_sub(lag);
        let past = self.past();
        answer.rows = answer
            .rows
            .into_iter()
            .filter_map(|row| match past.get(key_of(&row)).and_then(|versions| version_at(versions, then)) {
                Some(old) => old.clone(),
                None => Some(row),
            })
            .collect();
        Ok(answer)
    }

    /// Who leads, as the table says.
    pub(crate) fn leader(&self) -> Option<String> {
        self.store.rows().into_iter().find_map(|row| match row {
            Row::Leader(row) => Some(row.owner.to_string()),
            _ => None,
        })
    }

    /// Who holds something, as the table says.
    pub(crate) fn holders(&self) -> BTreeSet<String> {
        let holder = |row| match row {
            Row::Lease(lease) if !lease.is_ended() => lease.holder().map(ToString::to_string),
            _ => None,
        };
        self.store.rows().into_iter().filter_map(holder).collect()
    }

    /// The open leases that this worker holds, in rows that have not changed for this long.
    pub(crate) fn held_by(&self, worker: &str, unchanged: Duration) -> Vec<LeaseKey> {
        let before = self.timeline.now().saturating_sub(unchanged);
        let past = self.past();
        let settled = |key: &LeaseKey| {
            past.get(key.as_str()).and_then(|versions| versions.back()).is_none_or(|(changed, _)| *changed <= before)
        };
        let held = |row| match row {
            Row::Lease(lease) if !lease.is_ended() => {
                lease.holder().is_some_and(|holder| holder.as_str() == worker).then_some(lease.key)
            }
            _ => None,
        };
        self.store.rows().into_iter().filter_map(held).filter(settled).collect()
    }

    /// Whether there is such a row.
    pub(crate) fn has(&self, key: &LeaseKey) -> bool {
        self.store.lease(key).is_some()
    }

    /// Somebody deletes a row by hand.
    pub(crate) fn delete(&self, key: &LeaseKey) {
        let before = self.store.lease(key);
        self.store.remove_row(key.as_str());
        self.remember(key.as_str(), before.map(|lease| Row::Lease(Box::new(lease))));
        self.recorder.observe(Observation::Deleted { key: key.clone() });
    }

    fn row(&self, key: &str) -> Option<Row> {
        self.store.rows().into_iter().find(|row| key_of(row) == key)
    }

    fn remember(&self, key: &str, old: Option<Row>) {
        let now = self.timeline.now();
        let mut past = self.past();
        let versions = past.entry(key.to_owned()).or_default();
        versions.push_back((now, old));
        while versions.front().is_some_and(|(until, _)| *until + STALENESS < now) {
            versions.pop_front();
        }
    }

    fn past(&self) -> MutexGuard<'_, BTreeMap<String, Versions>> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first version that was still there at that time; nothing if the one of today was.
fn version_at(versions: &Versions, then: At) -> Option<&Option<Row>> {
    versions.iter().find(|(until, _)| *until > then).map(|(_, row)| row)
}

/// The key under which the leader row is remembered.
const LEADER: &str = "Leader";

/// The leases that a request may change, and the worker row.
fn rows_of(request: &Request) -> (Vec<LeaseKey>, Option<&str>) {
    match request {
        Request::Create(lease) => (vec![lease.key.clone()], None),
        Request::Update { key, .. } | Request::Delete { key, .. } => (vec![key.clone()], None),
        Request::Transact(steps) => (steps.iter().map(|step| step.key().clone()).collect(), None),
        Request::Join { heartbeat, .. } | Request::Heartbeat(heartbeat) => {
            (Vec::new(), Some(heartbeat.worker.as_str()))
        }
        Request::Leave { worker, .. } | Request::Notify { worker, .. } => (Vec::new(), Some(worker.as_str())),
        Request::RemoveWorker(seen) => (Vec::new(), Some(seen.worker.as_str())),
        Request::WriteLeader { .. } => (Vec::new(), Some(LEADER)),
        _ => (Vec::new(), None),
    }
}

fn key_of(row: &Row) -> &str {
    match row {
        Row::Lease(lease) => lease.key.as_str(),
        Row::Worker(worker) => worker.worker.as_str(),
        Row::Leader(_) => LEADER,
        Row::Other { key, .. } => key,
        // Kinds of rows to come are never stale.
        _ => "",
    }
}

/// The answer of a call to the store in memory, which never waits.
pub(crate) fn settled<T>(call: impl Future<Output = T>) -> T {
    call.now_or_never().expect("a call of the store in memory is ready at once")
}
