//! Where errands are done: some at a time, each a read and at most one write, until a tenure begins or there is nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::error::WorkerError;
use crate::plan::look::{self, Look};
use crate::plan::streams::Standing;
use crate::plan::transition::{self, LeaseWrite};
use crate::runtime::context::Context;
use crate::runtime::errands::{Errand, Errands};
use crate::runtime::lease_keeper::LeaseKeeper;
use crate::runtime::streams::Stream;
use crate::runtime::tenure::SharedTenure;
use crate::settings::InitialPosition;
use crate::types::{Lease, LeaseKey, Moment, StoreError, WorkerId, WriteOutcome};

/// How many errands are under way at a time.
const AT_A_TIME: usize = 64;

/// A tenure that began.
pub(super) struct Begun {
    pub(super) shared: Arc<SharedTenure>,
    pub(super) stream: Arc<Stream>,
    pub(super) reason: String,
}

/// What came of an errand.
enum Outcome {
    Begun(Begun),
    /// There is nothing more to do.
    Done,
    /// The lease is ours once this worker has handed it over.
    Pending(WorkerId),
    /// It changed meanwhile.
    Again,
    /// The store did not answer.
    Unanswered,
    /// The store cannot be used any more.
    Broken(StoreError),
}

type Keys = Result<BTreeSet<LeaseKey>, StoreError>;

/// The errands of this worker.
pub(super) struct Desk {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    errands: Arc<Errands>,
    waiting: BTreeMap<LeaseKey, Errand>,
    /// Rows to look at again, and when.
    later: BTreeMap<LeaseKey, Moment>,
    /// Hand-offs to us that were seen: from whom, and since when.
    pending: BTreeMap<LeaseKey, (WorkerId, Moment)>,
    busy: BTreeSet<LeaseKey>,
    under_way: FuturesUnordered<BoxFuture<'static, (LeaseKey, Outcome)>>,
    /// The question to the index for all rows that name us, in case a hint was lost.
    index: Option<BoxFuture<'static, Keys>>,
    index_at: Moment,
}

impl Desk {
    pub(super) fn new(context: Arc<Context>, keeper: LeaseKeeper, errands: Arc<Errands>) -> Self {
        Desk {
            // At once: a predecessor with our id may have left rows that name us.
            index_at: context.clock.now(),
            context,
            keeper,
            errands,
            waiting: BTreeMap::new(),
            later: BTreeMap::new(),
            pending: BTreeMap::new(),
            busy: BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            index: None,
        }
    }

    /// Does errands until one begins a tenure; yields it with the reason. `is_running` tells for which leases a task is
    /// there. Cancel safe.
    pub(super) async fn granted(&mut self, is_running: impl Fn(&LeaseKey) -> bool) -> Begun {
        let context = Arc::clone(&self.context);
        let errands = Arc::clone(&self.errands);
        loop {
            self.begin_errands(&is_running);
            let wake = self.later.values().copied().chain(self.index.is_none().then_some(self.index_at)).min();
            tokio::select! {
                biased;
                Some((key, outcome)) = self.under_way.next(), if !self.under_way.is_empty() => {
                    if let Some(begun) = self.finish(key, outcome) {
                        return begun;
                    }
                }
                keys = poll_slot(&mut self.index), if self.index.is_some() => self.indexed(keys, &is_running),
                () = errands.posted() => self.collect(),
                () = context.clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => self.wake(),
            }
        }
    }

    /// Drops what is under way. A tenure that begins all the same is given back by the lease keeper.
    pub(super) fn abandon(&mut self) {
        self.under_way.clear();
    }

    fn collect(&mut self) {
        let (errands, all) = self.errands.collect();
        self.waiting.extend(errands);
        if all {
            self.index_at = self.context.clock.now();
        }
    }

    fn wake(&mut self) {
        let now = self.context.clock.now();
        let due: Vec<LeaseKey> = self.later.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
        for key in due {
            self.later.remove(&key);
            self.waiting.entry(key).or_insert(Errand::Look);
        }
        if self.index.is_none() && self.index_at <= now {
            self.index = Some(Box::pin(named(Arc::clone(&self.context))));
        }
    }

    fn indexed(&mut self, keys: Keys, is_running: &impl Fn(&LeaseKey) -> bool) {
        self.index = None;
        self.index_at = self.context.clock.now() + self.context.settings.timings.failover;
        match keys {
            Ok(keys) => {
                let news = keys.into_iter().filter(|key| !is_running(key) && !self.later.contains_key(key));
                for key in news.collect::<Vec<_>>() {
                    self.waiting.entry(key).or_insert(Errand::Look);
                }
            }
            Err(error) => self.report("asking for the leases of this worker", error),
        }
    }

    fn begin_errands(&mut self, is_running: &impl Fn(&LeaseKey) -> bool) {
        let room = AT_A_TIME - self.busy.len();
        let ready: Vec<LeaseKey> =
            self.waiting.keys().filter(|key| !self.busy.contains(*key)).take(room).cloned().collect();
        for key in ready {
            let Some(errand) = self.waiting.remove(&key) else { continue };
            self.later.remove(&key);
            self.busy.insert(key.clone());
            let job = Job {
                context: Arc::clone(&self.context),
                keeper: self.keeper.clone(),
                running: is_running(&key),
                pending: self.pending.get(&key).cloned(),
                key,
            };
            self.under_way.push(Box::pin(job.run(errand)));
        }
    }

    fn finish(&mut self, key: LeaseKey, outcome: Outcome) -> Option<Begun> {
        self.busy.remove(&key);
        let now = self.context.clock.now();
        let timings = &self.context.settings.timings;
        if !matches!(outcome, Outcome::Pending(_) | Outcome::Again | Outcome::Unanswered) {
            self.pending.remove(&key);
        }
        match outcome {
            Outcome::Begun(begun) => return Some(begun),
            Outcome::Done => {}
            Outcome::Again => drop(self.later.insert(key, now + timings.inbox)),
            Outcome::Unanswered => {
                let pause = timings.heartbeat.mul_f64(0.5 + self.context.random_fraction() / 2.0);
                self.later.insert(key, now + pause);
            }
            Outcome::Pending(from) => {
                let first =
                    self.pending.get(&key).filter(|(worker, _)| *worker == from).map_or(now, |(_, since)| *since);
                self.pending.insert(key.clone(), (from, first));
                self.later.insert(key, now + timings.pending);
            }
            Outcome::Broken(error) => self.report("reading a lease", error),
        }
        None
    }

    fn report(&self, action: &'static str, error: StoreError) {
        if error.is_retryable() {
            tracing::debug!(%error, action, "not answered; it is tried again");
        } else {
            self.context.fail(WorkerError::store(action, error));
        }
    }
}

/// All keys that the index has under this worker's id.
pub(super) async fn named(context: Arc<Context>) -> Keys {
    let (mut keys, mut page) = (BTreeSet::new(), None);
    loop {
        let answer = context.within_attempt(context.leases.owned_by(&context.worker, page.take())).await;
        let answer = answer.unwrap_or_else(|| Err(context.no_answer()))?;
        keys.extend(answer.keys);
        match answer.next {
            Some(next) => page = Some(next),
            None => return Ok(keys),
        }
    }
}

/// One errand.
struct Job {
    context: Arc<Context>,
    keeper: LeaseKeeper,
    key: LeaseKey,
    running: bool,
    pending: Option<(WorkerId, Moment)>,
}

impl Job {
    async fn run(self, errand: Errand) -> (LeaseKey, Outcome) {
        let outcome = match errand {
            Errand::Take { .. } if self.running => Outcome::Done,
            Errand::Take { seen, why } => {
                let write = transition::take(&seen, &self.context.worker);
                self.begin(write, &seen, why).await
            }
            Errand::Look => self.look().await,
        };
        (self.key, outcome)
    }

    async fn look(&self) -> Outcome {
        let context = &self.context;
        let answer = context.within_attempt(context.leases.get(&self.key)).await;
        let mut row = match answer.unwrap_or_else(|| Err(context.no_answer())) {
            Ok(Some(Ok(row))) if context.streams.wanted().standing(&row) != Standing::Foreign => row,
            // Rows that are none of ours, or cannot be read, are reported by whoever scans.
            Ok(_) => return Outcome::Done,
            Err(error) if error.is_retryable() => return Outcome::Unanswered,
            Err(error) => return Outcome::Broken(error),
        };
        loop {
            let overdue = context.settings.timings.overdue;
            match look::look(&row, &context.worker, self.running, self.pending_for(&row), overdue) {
                Look::Nothing => {
                    if self.running {
                        context.streams.doubt(&row, context.clock.now(), context.settings.timings.shard_sync);
                    }
                    return Outcome::Done;
                }
                Look::Wait => return row.checkpoint_owner.map_or(Outcome::Done, Outcome::Pending),
                Look::HandOver => {
                    self.keeper.learn(row).await;
                    return Outcome::Done;
                }
                Look::Adopt(write) => return self.begin(write, &row, "the row names this worker".to_owned()).await,
                // The row of a child that this worker has just made may be pointed at before its task is there.
                Look::Complete(_)
                    if row.checkpoint_owner.as_ref() == Some(&context.worker)
                        && self.keeper.may_hold(&self.key).await =>
                {
                    return Outcome::Again;
                }
                Look::Complete(write) => match self.complete(write, &row).await {
                    Ok(completed) => row = completed,
                    Err(outcome) => return outcome,
                },
            }
        }
    }

    /// For how long the hand-off that the row shows has been seen.
    fn pending_for(&self, row: &Lease) -> Duration {
        let same = self.pending.as_ref().filter(|(from, _)| row.checkpoint_owner.as_ref() == Some(from));
        same.map_or(Duration::ZERO, |(_, since)| self.context.clock.now().since(*since))
    }

    async fn begin(&self, mut write: LeaseWrite, seen: &Lease, why: String) -> Outcome {
        let pause = self.context.settings.timings.shard_sync;
        let Some(stream) = self.context.streams.to_read(seen, self.context.clock.now(), pause) else {
            tracing::debug!(lease_key = %self.key, "the stream of the lease is not wanted here, or not known yet");
            return Outcome::Done;
        };
        let instant = match stream.start {
            InitialPosition::AtTimestamp(instant) => Some(instant),
            InitialPosition::TrimHorizon | InitialPosition::Latest => None,
        };
        transition::pin_start(&mut write, seen, self.context.wall(), instant);
        match self.keeper.begin(self.key.clone(), write).await {
            Ok(shared) => Outcome::Begun(Begun { shared, stream, reason: why }),
            Err(reason) => {
                // Whatever became of it: the row is read again, and adopted if it names us.
                tracing::debug!(lease_key = %self.key, reason, "lease not gained");
                Outcome::Again
            }
        }
    }

    /// Completes a hand-off; yields the row as it is then, which may name us.
    async fn complete(&self, write: LeaseWrite, seen: &Lease) -> Result<Lease, Outcome> {
        let context = &self.context;
        let update = context.leases.update(&self.key, &write.condition, &write.change);
        match context.attempt(update).await {
            WriteOutcome::Applied(row) => {
                let (from, to) = (seen.checkpoint_owner.as_ref(), row.owner.as_ref());
                tracing::info!(lease_key = %self.key, ?from, ?to, "hand-off completed in its holder's place");
                if let Some(to) = to.filter(|to| **to != context.worker) {
                    context.notice(to, &self.key).await;
                }
                Ok(row)
            }
            WriteOutcome::Conflict(_) | WriteOutcome::Unreadable(_) | WriteOutcome::Missing => Err(Outcome::Again),
            WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) if error.is_retryable() => {
                Err(Outcome::Unanswered)
            }
            WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) => Err(Outcome::Broken(error)),
        }
    }
}

async fn poll_slot<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
