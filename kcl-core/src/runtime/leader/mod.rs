//! The leader's work, on whichever worker has the lock: looks at the leader row, and plans for all, watches, or rests.
//!
//! Every worker runs this task. What to do follows from the row ([`Leadership`]); a worker that does not lead reads that one
//! row with each heartbeat and scans nothing, except the standby, and all of them while no planning cycle is seen to complete.

mod act;
mod cycle;
mod listing;
mod lock;
mod parked;
mod stop;
mod sync;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use super::context::Context;
use super::errands::Errands;
use super::scan::RowReporter;
use super::streams::known_by;
use crate::error::WorkerError;
use crate::plan::fleet_view::FleetView;
use crate::plan::leadership::{Duty, Leadership};
use crate::plan::parking::Parking;
use crate::plan::shard_sync::absence::Absences;
use crate::ports::ListedShards;
use crate::types::{Moment, StoreError, StreamId, Timestamp};
use listing::{Answer, StreamSync};

/// The task that looks after the whole fleet, when it is this worker's turn.
pub(crate) struct Leader {
    context: Arc<Context>,
    errands: Arc<Errands>,
    leadership: Leadership,
    fleet: FleetView,
    absences: Absences,
    rows: RowReporter,
    parking: Parking,
    /// What is known of each stream, and what is to be done about it.
    streams: BTreeMap<StreamId, StreamSync>,
    /// Listings that were asked for.
    answers: FuturesUnordered<BoxFuture<'static, Answer>>,
    /// When the table was last seen as a whole.
    seen_at: Option<Moment>,
    told: Told,
}

/// What was logged last, so that only changes are.
#[derive(Debug, Default)]
struct Told {
    leads: bool,
    blind: bool,
    uncreated: bool,
    claims: bool,
    unreadable_lock: bool,
    unplaced: usize,
    refused: usize,
}

impl Leader {
    pub(crate) fn new(context: Arc<Context>, errands: Arc<Errands>) -> Self {
        let now = context.clock.now();
        let spread = context.random_fraction();
        Leader {
            leadership: Leadership::new(context.worker.clone(), context.settings.timings, spread, now),
            fleet: FleetView::default(),
            absences: Absences::default(),
            rows: RowReporter::default(),
            parking: Parking::default(),
            streams: BTreeMap::new(),
            answers: FuturesUnordered::new(),
            seen_at: None,
            told: Told::default(),
            context,
            errands,
        }
    }

    /// The first look, before the worker counts as started: if nobody leads, the leases that are missing are created now,
    /// so that LATEST means the moment of the start, and so that a table that cannot be written fails the start.
    /// That of a set of streams is listed by whoever leads, so that a stream which does not answer holds no start up.
    pub(crate) async fn start(&mut self) -> Result<(), StoreError> {
        self.look().await?;
        if let Duty::Take(free) = self.leadership.duty(self.context.clock.now()) {
            self.take(free).await?;
        }
        if self.leadership.leads(self.context.clock.now()) {
            self.scan().await?;
            self.create_missing().await?;
        } else {
            self.forget_duties();
        }
        Ok(())
    }

    /// Works until the worker is told to stop; then gives the lock up, and passes on what it sees of the fleet.
    pub(crate) async fn run(mut self, last_look: oneshot::Sender<FleetView>) {
        let context = Arc::clone(&self.context);
        let mut next = context.clock.now();
        while !context.stop.is_cancelled() && !context.abort.is_cancelled() {
            tokio::select! {
                biased;
                () = context.abort.cancelled() => return,
                () = context.stop.cancelled() => break,
                Some(answer) = self.answers.next(), if !self.answers.is_empty() => {
                    if self.listed(answer) {
                        next = context.clock.now();
                    }
                }
                () = context.clock.sleep_until(next) => next = self.round().await,
            }
        }
        if !context.abort.is_cancelled() {
            self.stop(last_look).await;
        }
    }

    /// One look at the row, and what it asks for. Calls are not broken off when the worker stops: each has its time, and
    /// between them the stop is noticed.
    /// Yields when the next one is due.
    async fn round(&mut self) -> Moment {
        let begun = self.context.clock.now();
        let result = self.work().await;
        self.tell();
        let next = self.leadership.next_look(begun);
        match result {
            Ok(()) => {
                if std::mem::take(&mut self.told.blind) {
                    tracing::info!("the lease table answers again");
                }
                next
            }
            Err(error) => {
                // A table that is short of capacity must not be scanned by all who miss its leader.
                let rest = matches!(error, StoreError::Throttled(_)) && !self.told.leads;
                self.blind(error);
                if rest { next.max(begun + self.context.settings.timings.failover / 2) } else { next }
            }
        }
    }

    async fn work(&mut self) -> Result<(), StoreError> {
        let now = self.context.clock.now();
        if self.leadership.must_look(now)
            && let Err(error) = self.look().await
        {
            // A table that does not answer is left in peace until nobody can lead.
            let alone = matches!(error, StoreError::Denied(_)) || self.leadership.may_claim(now);
            return if alone { self.watch_all_the_same(error).await } else { Err(error) };
        }
        match self.leadership.duty(self.context.clock.now()) {
            Duty::Follow => Ok(()),
            Duty::Watch => self.watch().await,
            Duty::Take(free) => match self.take(free).await {
                Ok(true) => self.cycle().await,
                Ok(false) => self.watch().await,
                Err(error) => self.watch_all_the_same(error).await,
            },
            Duty::Lead => self.cycle().await,
        }
    }

    /// The leader row cannot be read or written. Workers stay warm and help themselves in the end, whatever is wrong with
    /// that one row.
    async fn watch_all_the_same(&mut self, error: StoreError) -> Result<(), StoreError> {
        if error.is_retryable() {
            self.watch().await?;
        }
        Err(error)
    }

    /// Keeps ages warm; and takes for this worker alone what it has seen expire, if nobody leads.
    async fn watch(&mut self) -> Result<(), StoreError> {
        self.scan().await?;
        let now = self.context.clock.now();
        let claims = self.leadership.may_claim(now);
        if claims && !self.told.claims {
            tracing::warn!("no leader plans; this worker takes what it sees without a live holder");
        }
        self.told.claims = claims;
        if claims {
            self.claim(now);
        }
        Ok(())
    }

    /// Takes in what a stream answered; true if there is something to do about it at once.
    fn listed(&mut self, Answer { stream, asked, result }: Answer) -> bool {
        let (context, now) = (&self.context, self.context.clock.now());
        let sync = self.streams.get_mut(&stream.id).filter(|sync| Arc::ptr_eq(&sync.stream, &stream));
        // One that was removed meanwhile, or is another by now.
        let Some(sync) = sync else { return false };
        let known = |listed| known_by(context, &stream.id, &listed).map(|()| listed).map_err(|error| error.to_string());
        let hurry = match result.map_err(|error| error.to_string()).and_then(known) {
            Ok(listed) => {
                // Of many streams one is always listed, and there is not to be a cycle for each.
                let hurry = !sync.listing.known || context.streams.only().is_some();
                sync.listing.take_in(&stream.id, listed, asked, now + context.settings.timings.shard_sync);
                hurry
            }
            Err(error) => {
                sync.listing.failed(now, context, &stream.id, &error);
                false
            }
        };
        self.ask_for_listings(false);
        hurry
    }

    /// Takes in the listing with which a worker starts.
    pub(crate) fn take_in(&mut self, stream: &StreamId, listed: ListedShards, asked: Timestamp) {
        let due = self.context.clock.now() + self.context.settings.timings.shard_sync;
        self.follow_the_set();
        if let Some(sync) = self.streams.get_mut(stream) {
            sync.listing.take_in(stream, listed, asked, due);
        }
    }

    /// What a leader was about to do is not to be done when this worker leads again: by then others may have done it, and
    /// more.
    fn forget_duties(&mut self) {
        self.streams.clear();
        self.answers.clear();
        self.context.metrics.unread((0, Duration::ZERO));
        self.context.metrics.parked(0);
    }

    fn blind(&mut self, error: StoreError) {
        if !error.is_retryable() {
            self.context.fail(WorkerError::store("reading the lease table", error));
        } else if !std::mem::replace(&mut self.told.blind, true) {
            tracing::warn!(%error, "the lease table does not answer as it should; it is tried again");
        }
    }

    fn tell(&mut self) {
        let leads = self.leadership.leads(self.context.clock.now());
        if self.told.leads && !leads {
            tracing::info!(worker_id = %self.context.worker, "this worker leads the fleet no longer");
            self.forget_duties();
        }
        self.told.leads = leads;
    }
}
