//! What the leader knows of each stream: its shards, when to ask again, and what is to be done.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use super::Leader;
use crate::plan::fleet_view::FleetView;
use crate::plan::shard_sync;
use crate::plan::shard_sync::absence::Absences;
use crate::plan::shard_sync::coverage::Hole;
use crate::ports::{ListedShards, SourceError};
use crate::runtime::context::Context;
use crate::runtime::streams::Stream;
use crate::types::{Backoff, LeaseKey, Moment, Shard, StreamId, StreamIdentity, Timestamp};

/// What a stream answered.
pub(super) struct Answer {
    pub(super) stream: Arc<Stream>,
    /// When it was asked.
    pub(super) asked: Timestamp,
    pub(super) result: Result<ListedShards, SourceError>,
}

/// One stream.
pub(super) struct StreamSync {
    pub(super) stream: Arc<Stream>,
    pub(super) listing: Listing,
    /// Rows of shards that are over.
    pub(super) removable: Vec<LeaseKey>,
    /// What was told of them last.
    pub(super) holes: Vec<Hole>,
    /// It was told that the rows are of another stream.
    pub(super) mismatch_told: bool,
}

/// What is known of the shards of a stream, and when to ask again.
#[derive(Default)]
pub(super) struct Listing {
    asking: bool,
    /// It was listed since this worker leads.
    pub(super) known: bool,
    pub(super) due: Moment,
    failures: u32,
    /// The last answer, until everything it asks for is done.
    pub(super) fresh: Option<Listed>,
    /// Children without a row that are not missing.
    pub(super) settled: BTreeSet<LeaseKey>,
}

#[derive(Clone)]
pub(super) struct Listed {
    pub(super) shards: Arc<Vec<Shard>>,
    /// The instant to which LATEST is pinned.
    pub(super) at: Timestamp,
    pub(super) stream_created: Option<Timestamp>,
}

impl Listing {
    /// Whether it is time to ask, or rows of the stream call for it. `in_keys`: as it stands in them, if they are to be looked
    /// at.
    fn is_due(
        &self,
        in_keys: Option<Option<&str>>,
        now: Moment,
        absences: &Absences,
        fleet: &FleetView,
        expiry: Duration,
    ) -> bool {
        if self.asking || self.fresh.is_some() {
            return false;
        }
        let calls_for_it = |stream: Option<&str>| {
            let vanished = absences.next(stream, expiry).is_some_and(|at| at <= now);
            vanished || shard_sync::without_row(stream, fleet).any(|key| !self.settled.contains(&key))
        };
        now >= self.due || in_keys.is_some_and(calls_for_it)
    }

    /// Takes in an answer; `due`: when to ask again, if nothing calls for it before.
    pub(super) fn take_in(&mut self, stream: &StreamId, listed: ListedShards, asked: Timestamp, due: Moment) {
        if self.failures > 0 {
            tracing::info!(%stream, "the shards of the stream can be listed again");
        }
        self.asking = false;
        self.known = true;
        self.failures = 0;
        self.due = due;
        // LATEST is pinned to the service's clock; without one, to ours from before it was asked, so that nothing is missed.
        let at = listed.service_time.unwrap_or(asked);
        let ListedShards { shards, stream_created, .. } = listed;
        self.fresh = Some(Listed { shards: Arc::new(shards), at, stream_created });
    }

    pub(super) fn failed(&mut self, now: Moment, context: &Context, stream: &StreamId, error: &str) {
        if self.failures == 0 {
            tracing::warn!(%stream, error, "the shards of the stream cannot be listed; it is tried again");
        }
        self.asking = false;
        self.failures = self.failures.saturating_add(1);
        self.due = now + RETRY.delay(self.failures, context.random());
    }
}

impl Leader {
    /// Has a place for each stream that is wanted, and for no other.
    pub(super) fn follow_the_set(&mut self) {
        let wanted = self.context.streams.all();
        self.streams.retain(|_, sync| wanted.iter().any(|stream| Arc::ptr_eq(stream, &sync.stream)));
        for stream in wanted {
            self.streams.entry(stream.id.clone()).or_insert_with(|| StreamSync {
                stream,
                listing: Listing::default(),
                removable: Vec::new(),
                holes: Vec::new(),
                mismatch_told: false,
            });
        }
    }

    /// Asks the streams of which it is time, some at once, without waiting for the answers. The others have their turn when
    /// these have answered. `look_at_rows`: also such that rows call for.
    pub(super) fn ask_for_listings(&mut self, look_at_rows: bool) {
        let (now, expiry) = (self.context.clock.now(), self.context.settings.timings.expiry);
        let wanted = self.context.streams.wanted();
        for (id, sync) in &mut self.streams {
            if self.answers.len() >= LISTINGS_AT_A_TIME {
                break;
            }
            let identity = wanted.in_keys(id).filter(|_| look_at_rows);
            let in_keys = identity.map(|identity| identity.map(StreamIdentity::as_str));
            if sync.listing.is_due(in_keys, now, &self.absences, &self.fleet, expiry) {
                sync.listing.asking = true;
                self.answers.push(list(Arc::clone(&self.context), Arc::clone(&sync.stream)).boxed());
            }
        }
    }
}

async fn list(context: Arc<Context>, stream: Arc<Stream>) -> Answer {
    let asked = context.wall();
    let limit = context.clock.now() + LISTING_AT_MOST;
    let result = tokio::select! {
        biased;
        result = stream.source.list_shards(&stream.id) => result,
        () = context.clock.sleep_until(limit) => {
            Err(SourceError::Unavailable(format!("no answer within {LISTING_AT_MOST:?}")))
        }
    };
    Answer { stream, asked, result }
}

/// A listing that takes longer is given up.
const LISTING_AT_MOST: Duration = Duration::from_secs(10);

/// How many streams are asked at a time. The service answers 20 questions for creation times in a second.
const LISTINGS_AT_A_TIME: usize = 8;

const RETRY: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(30) };
