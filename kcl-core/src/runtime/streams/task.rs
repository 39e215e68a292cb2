//! Keeps the set of streams as its provider says, and makes streams known and ready that leases are of.
//!
//! A stream that cannot be looked at is tried again and holds nothing else up: each look is by itself.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::config::{Provider, StreamConfig};
use super::{DueLook, Set, Stream};
use crate::plan::streams::{Changes, Identified, Missing};
use crate::ports::{BoxError, ListedShards, SourceError};
use crate::runtime::context::Context;
use crate::runtime::errands::Errands;
use crate::runtime::events::WorkerEvent;
use crate::runtime::tasks::panic_message;
use crate::types::{Backoff, Moment, StreamId};

/// How many looks are under way at a time.
const AT_A_TIME: usize = 8;

/// A provider that takes longer is not waited for.
const PROVIDER_AT_MOST: Duration = Duration::from_secs(30);

/// A look that takes longer is given up.
const LOOK_AT_MOST: Duration = Duration::from_secs(10);

const RETRY: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(30) };

type Answer = Result<Vec<StreamConfig>, String>;
type Looked = (DueLook, Result<Option<ListedShards>, String>);

/// The task of a worker that reads several streams.
pub(crate) struct StreamTask {
    context: Arc<Context>,
    errands: Arc<Errands>,
    set: Set,
    asked: Option<BoxFuture<'static, Answer>>,
    ask_at: Moment,
    looks: FuturesUnordered<BoxFuture<'static, Looked>>,
    /// The last error of the provider, until it answers.
    told: Option<String>,
}

impl StreamTask {
    pub(crate) fn new(context: Arc<Context>, errands: Arc<Errands>, set: Set) -> Self {
        StreamTask {
            ask_at: context.clock.now() + context.settings.stream_set_interval,
            context,
            errands,
            set,
            asked: None,
            looks: FuturesUnordered::new(),
            told: None,
        }
    }

    /// The first set, which the start waits for.
    pub(crate) async fn first(&mut self) -> Result<(), String> {
        let set = ask(Arc::clone(&self.context), self.set.provider.clone()).await?;
        let Changes { added, .. } = self.take_in(set)?;
        tracing::info!(streams = ?added, "streams to read");
        Ok(())
    }

    /// Works until the worker is told to stop: from then on nothing new is read.
    pub(crate) async fn run(mut self) {
        let context = Arc::clone(&self.context);
        loop {
            self.begin_looks();
            let poll =
                (self.asked.is_none() && matches!(self.set.provider, Provider::Changing(_))).then_some(self.ask_at);
            let room = self.looks.len() < AT_A_TIME;
            let look = context.streams.next_look().filter(|_| room);
            let wake = poll.into_iter().chain(look).min();
            tokio::select! {
                biased;
                () = context.stop.cancelled() => return,
                () = context.abort.cancelled() => return,
                Some((look, result)) = self.looks.next(), if !self.looks.is_empty() => self.looked(&look, result),
                answer = poll_slot(&mut self.asked), if self.asked.is_some() => self.answered(answer),
                () = context.streams.asked() => {}
                () = context.clock.sleep_until(wake.unwrap_or_default()), if wake.is_some() => self.poll_if_due(),
            }
        }
    }

    fn poll_if_due(&mut self) {
        let due = self.asked.is_none() && self.ask_at <= self.context.clock.now();
        if due && matches!(self.set.provider, Provider::Changing(_)) {
            self.asked = Some(ask(Arc::clone(&self.context), self.set.provider.clone()).boxed());
        }
    }

    fn answered(&mut self, answer: Answer) {
        self.asked = None;
        self.ask_at = self.context.clock.now() + self.context.settings.stream_set_interval;
        match answer.and_then(|set| self.take_in(set)) {
            Ok(changes) => {
                if self.told.take().is_some() {
                    tracing::info!("the streams to read are known again");
                }
                if changes != Changes::default() {
                    let Changes { added, removed } = changes;
                    tracing::info!(?added, ?removed, "the streams to read changed");
                    self.context.events.send(WorkerEvent::StreamsChanged { added, removed });
                }
            }
            Err(error) => {
                if self.told.as_ref() != Some(&error) {
                    tracing::warn!(error, "the streams to read are not known; the last ones are kept");
                }
                self.told = Some(error.clone());
                self.context.events.send(WorkerEvent::StreamSetUnknown { error });
            }
        }
    }

    fn take_in(&self, set: Vec<StreamConfig>) -> Result<Changes, String> {
        let context = &self.context;
        let streams = set.into_iter().map(|config| {
            let StreamConfig { stream: id, start, identity, source } = config;
            if let Some(known) = context.streams.get(&id) {
                return Ok((known, identity));
            }
            let source = source.map_or_else(|| (self.set.default_source)(&id), Ok)?;
            let start = start.unwrap_or(context.settings.start);
            Ok((Arc::new(Stream { id, start, source }), identity))
        });
        let streams = streams.collect::<Result<Vec<_>, String>>()?;
        context.streams.replace(streams, context.clock.now()).map_err(|error| error.to_string())
    }

    fn begin_looks(&mut self) {
        let room = AT_A_TIME.saturating_sub(self.looks.len());
        for look in self.context.streams.take_due(self.context.clock.now(), room) {
            self.looks.push(look_at(Arc::clone(&self.context), look).boxed());
        }
    }

    fn looked(&self, look: &DueLook, result: Result<Option<ListedShards>, String>) {
        let (context, stream) = (&self.context, &look.stream.id);
        let known = result.and_then(|listed| match listed {
            Some(listed) => known_by(context, stream, &listed).map_err(|missing| missing.to_string()),
            None => Ok(()),
        });
        match known {
            Ok(()) => self.errands.look_at(context.streams.looked(look, context.clock.now())),
            Err(error) => {
                let again = |failures| context.clock.now() + RETRY.delay(failures, context.random());
                if context.streams.look_failed(look, again) {
                    tracing::error!(%stream, error, "a stream cannot be made ready for reading; it is tried again");
                }
            }
        }
    }
}

/// Takes in what a listing says of who the stream is, and tells when it is another one than before.
pub(crate) fn known_by(context: &Context, stream: &StreamId, listed: &ListedShards) -> Result<(), Missing> {
    match context.streams.identified(stream, listed) {
        Identified::Same | Identified::First => Ok(()),
        Identified::Recreated(before) => {
            tracing::warn!(%stream, %before, "the stream was deleted and created again; it is read anew, and the leases of the one before are parked");
            context.events.send(WorkerEvent::StreamRecreated { stream: stream.clone(), before });
            Ok(())
        }
        Identified::Unknown(missing) => Err(missing),
    }
}

/// Makes a stream ready, and asks who it is if that is in doubt.
async fn look_at(context: Arc<Context>, look: DueLook) -> Looked {
    let until = context.clock.now() + LOOK_AT_MOST;
    let asked = async {
        let Stream { id, source, .. } = &*look.stream;
        if !look.prepared {
            source.prepare(id).await?;
        }
        if look.doubted { source.list_shards(id).await.map(Some) } else { Ok(None) }
    };
    let result: Result<_, SourceError> = tokio::select! {
        biased;
        result = asked => result,
        () = context.clock.sleep_until(until) => {
            Err(SourceError::Unavailable(format!("no answer within {LOOK_AT_MOST:?}")))
        }
    };
    (look, result.map_err(|error| error.to_string()))
}

/// Asks the provider, which is the user's code: it may panic, and it may hang.
async fn ask(context: Arc<Context>, provider: Provider) -> Answer {
    let provider = match provider {
        Provider::Fixed(streams) => return Ok(streams),
        Provider::Changing(provider) => provider,
    };
    let until = context.clock.now() + PROVIDER_AT_MOST;
    tokio::select! {
        biased;
        answer = AssertUnwindSafe(async { provider.streams().await }).catch_unwind() => match answer {
            Ok(answer) => answer.map_err(|error: BoxError| error.to_string()),
            Err(panic) => Err(format!("the provider of streams panicked: {}", panic_message(&*panic))),
        },
        () = context.clock.sleep_until(until) => Err(format!("no answer within {PROVIDER_AT_MOST:?}")),
    }
}

async fn poll_slot<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
