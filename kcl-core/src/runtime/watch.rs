//! What shard tasks say of themselves, and where it is read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::events::ShardTenure;
use super::tenure::SharedTenure;
use crate::metric_definitions::ShardMetrics;
use crate::shard::watchdog::{Counts, Stated, Wait, Waits};
use crate::types::{LeaseKey, Moment};

/// One shard in one tenure, as its task describes it. Shared by the task, what it waits for, and the watchdog.
pub(crate) struct ShardWatch {
    pub(crate) tenure: Arc<ShardTenure>,
    pub(crate) shared: Arc<SharedTenure>,
    pub(crate) metrics: ShardMetrics,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    waits: Waits,
    counts: Counts,
    /// How far behind the tip the last answer was, and when it came.
    lag: Option<(Duration, Moment)>,
}

impl ShardWatch {
    pub(crate) fn new(tenure: Arc<ShardTenure>, shared: Arc<SharedTenure>, metrics: ShardMetrics) -> Arc<Self> {
        Arc::new(ShardWatch { tenure, shared, metrics, said: Mutex::default() })
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task is started, perhaps anew: it waits for nothing yet.
    pub(crate) fn begin(&self, now: Moment) {
        self.shared.orders.begin_run();
        let mut said = self.said();
        said.waits = Waits { stated: now, ..Waits::default() };
        said.counts.starts += 1;
    }

    /// User code runs, or came to an end.
    pub(crate) fn handler(&self, since: Option<Moment>) {
        self.said().waits.handler = since.map(|since| Stated { wait: Wait::Handler, since });
    }

    /// User code processed something, well or not. That it was initialised is no progress: every start brings that.
    pub(crate) fn processed(&self) {
        self.said().counts.progress += 1;
    }

    /// The source, or what must be known before it is asked, is waited for.
    pub(crate) fn reading(&self, wait: Wait, since: Moment) {
        self.said().waits.reading = Some(Stated { wait, since });
    }

    /// An answer came, with how far behind the tip it was if it says so.
    pub(crate) fn answered(&self, lag: Option<Duration>, now: Moment) {
        let mut said = self.said();
        said.waits.reading = None;
        said.counts.progress += 1;
        if let Some(lag) = lag {
            said.lag = Some((lag, now));
            self.metrics.lag.set(lag.as_secs_f64());
        }
    }

    /// What was asked is given up.
    pub(crate) fn gave_up(&self) {
        self.said().waits.reading = None;
    }

    /// The write that ends the tenure is under way.
    pub(crate) fn writing(&self, since: Option<Moment>) {
        self.said().waits.writing = since.map(|since| Stated { wait: Wait::CheckpointWrite, since });
    }

    /// What else is to be known before the task sleeps.
    pub(crate) fn sleeps(&self, alarm: Option<Moment>, has_work: bool, ending: bool, now: Moment) {
        let mut said = self.said();
        said.waits = Waits { alarm, has_work, ending, stated: now, ..said.waits };
    }

    pub(crate) fn look(&self) -> (Waits, Counts) {
        let said = self.said();
        (said.waits, said.counts)
    }

    /// A shard that is not read falls behind although no answer says so.
    pub(crate) fn let_lag_grow(&self, now: Moment) {
        if let Some((lag, at)) = self.said().lag
            && now.since(at) >= SILENT
        {
            self.metrics.lag.set((lag + now.since(at)).as_secs_f64());
        }
    }
}

/// Readers answer more often than this, also when nothing is new.
const SILENT: Duration = Duration::from_secs(60);

/// All shards of this worker that are worked on.
#[derive(Default)]
pub(crate) struct Watchlist {
    shards: Mutex<BTreeMap<LeaseKey, Arc<ShardWatch>>>,
}

impl Watchlist {
    /// Puts a shard on the list, until the guard is dropped.
    pub(crate) fn watch(self: &Arc<Self>, watch: &Arc<ShardWatch>) -> OnList {
        self.shards().insert(watch.tenure.lease.clone(), Arc::clone(watch));
        OnList { list: Arc::clone(self), watch: Arc::clone(watch) }
    }

    /// All that are on the list now.
    pub(crate) fn all(&self) -> Vec<Arc<ShardWatch>> {
        self.shards().values().cloned().collect()
    }

    fn shards(&self) -> MutexGuard<'_, BTreeMap<LeaseKey, Arc<ShardWatch>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A shard on the list. It is taken off when this is dropped, however its task ends.
pub(crate) struct OnList {
    list: Arc<Watchlist>,
    watch: Arc<ShardWatch>,
}

impl Drop for OnList {
    fn drop(&mut self) {
        let mut shards = self.list.shards();
        // A later tenure of the lease may stand there already.
        if shards.get(&self.watch.tenure.lease).is_some_and(|watch| Arc::ptr_eq(watch, &self.watch)) {
            shards.remove(&self.watch.tenure.lease);
        }
    }
}
