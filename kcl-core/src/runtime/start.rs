//! Makes a worker ready, in order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use super::errands::Errands;
use super::heartbeat::HeartbeatTask;
use super::leader::Leader;
use super::streams::{Stream, StreamTask};
use crate::error::WorkerError;
use crate::ports::{ListedShards, SourceError, StoreStartError};
use crate::types::{Backoff, Moment, Timestamp};

/// What the start hands to the run.
pub(crate) struct Started {
    pub(super) errands: Arc<Errands>,
    pub(super) heartbeat: HeartbeatTask,
    pub(super) leader: Leader,
    /// Of a worker that reads a set of streams.
    pub(super) streams: Option<StreamTask>,
}

/// Makes the worker ready: the table, its own row, and where nobody leads the leases. What cannot be reached is tried again
/// until the start time-out is over; what is wrong fails at once.
pub(crate) async fn start(context: &Arc<Context>) -> Result<Started, WorkerError> {
    let begun = context.clock.now();
    let until = begun + context.settings.start_timeout;
    let mut retry = StartRetry { context, until, failures: 0, told: String::new() };
    loop {
        match context.leases.start().await {
            Ok(()) => break,
            Err(StoreStartError::Store(error)) if error.is_retryable() && retry.pause().await => {
                if retry.is_news(&error) {
                    tracing::warn!(%error, "the lease table is not ready yet; it is tried again");
                }
            }
            Err(StoreStartError::Store(error)) => return Err(WorkerError::store("opening the lease table", error)),
            Err(error) => return Err(WorkerError::LeaseTable(error)),
        }
    }
    let errands = Arc::new(Errands::default());
    let heartbeat = HeartbeatTask::new(Arc::clone(context), Arc::clone(&errands));
    let leader = Leader::new(Arc::clone(context), Arc::clone(&errands));
    let set = context.streams.set().map(|set| StreamTask::new(Arc::clone(context), Arc::clone(&errands), set.clone()));
    let mut started = Started { errands, heartbeat, leader, streams: set };
    let mut joined = false;
    loop {
        // An endpoint that takes the call and never answers must not stretch the start.
        let result = tokio::select! {
            biased;
            result = first_steps(context, &mut started, &mut joined) => result,
            () = context.clock.sleep_until(retry.until + LAST_CALL) => {
                let silent = "it did not answer before the start time-out".to_owned();
                return Err(match started.streams {
                    Some(_) => WorkerError::StreamSet(silent),
                    None => WorkerError::stream(LISTING, SourceError::Unavailable(silent)),
                });
            }
        };
        match result {
            Ok(()) => return Ok(started),
            Err(error) if is_retryable(&error) && retry.pause().await => {
                if retry.is_news(&error) {
                    tracing::warn!(%error, "the worker cannot start yet; it is tried again");
                }
            }
            Err(error) => {
                if joined {
                    started.heartbeat.leave().await;
                }
                return Err(error);
            }
        }
    }
}

/// A stream that is the only one is looked at first: a worker that names a wrong one leaves no trace in the table. Then the
/// worker's row, so that whoever leads counts on it; then the lead, if nobody has it.
async fn first_steps(context: &Arc<Context>, started: &mut Started, joined: &mut bool) -> Result<(), WorkerError> {
    let listed = match (context.streams.only(), &mut started.streams) {
        (Some(stream), _) => Some((list(context, &stream).await?, stream.id.clone())),
        (None, Some(task)) => {
            task.first().await.map_err(WorkerError::StreamSet)?;
            None
        }
        (None, None) => None,
    };
    if !*joined {
        started.heartbeat.join().await.map_err(|error| WorkerError::store("writing the worker row", error))?;
        *joined = true;
    }
    if let Some(((asked, listed), stream)) = listed {
        started.leader.take_in(&stream, listed, asked);
    }
    let looked = started.leader.start().await;
    looked.map_err(|error| WorkerError::store("creating leases", error))?;
    context.failure().map_or(Ok(()), |error| Err(error.clone()))
}

async fn list(context: &Context, stream: &Stream) -> Result<(Timestamp, ListedShards), WorkerError> {
    let prepared = stream.source.prepare(&stream.id).await;
    prepared.map_err(|error| WorkerError::stream("preparing to read the stream", error))?;
    let asked = context.wall();
    let listed = stream.source.list_shards(&stream.id).await.map_err(|error| WorkerError::stream(LISTING, error))?;
    Ok((asked, listed))
}

fn is_retryable(error: &WorkerError) -> bool {
    match error {
        WorkerError::Store { error, .. } => error.is_retryable(),
        WorkerError::Stream { error, .. } => error.is_retryable(),
        // The provider is the user's, and nobody else knows what its errors mean.
        WorkerError::StreamSet(_) => true,
        WorkerError::LeaseTable(_)
        | WorkerError::WorkerIdTaken { .. }
        | WorkerError::StreamRecreated { .. }
        | WorkerError::Internal { .. }
        | WorkerError::Signals(_)
        | WorkerError::Aborted => false,
    }
}

struct StartRetry<'a> {
    context: &'a Context,
    until: Moment,
    failures: u32,
    /// The error that was logged last.
    told: String,
}

impl StartRetry<'_> {
    /// Whether an error is another one than the last: each is logged once, not with every attempt.
    fn is_news(&mut self, error: &impl fmt::Display) -> bool {
        let text = error.to_string();
        let news = text != self.told;
        self.told = text;
        news
    }

    /// Waits before the next attempt; false if the time is over.
    async fn pause(&mut self) -> bool {
        self.failures += 1;
        let delay = START_BACKOFF.delay(self.failures, self.context.random());
        let next = self.context.clock.now() + delay;
        if next >= self.until {
            return false;
        }
        self.context.clock.sleep_until(next).await;
        true
    }
}

const LISTING: &str = "listing the shards of the stream";
/// A call that began before the start time-out may take this much longer.
const LAST_CALL: Duration = Duration::from_secs(5);

const START_BACKOFF: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) };
