//! The consumers to subscribe with: one per stream, found or registered once, for all shards together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};

use super::registration::{NoConsumer, Registration};
use crate::ports::{Clock, SourceError};
use crate::types::{Backoff, ConsumerId, Moment, StreamId};

/// The consumer of each stream that is read.
pub(crate) struct Consumers {
    client: Client,
    clock: Arc<dyn Clock>,
    consumer: ConsumerId,
    searches: Mutex<BTreeMap<StreamId, Search>>,
}

/// One search for a consumer. All who need it wait for the same one; whoever is polled drives it for all.
#[derive(Clone)]
pub(crate) struct Search {
    found: Shared<BoxFuture<'static, Result<Arc<str>, Failed>>>,
    failures: u32,
}

/// A search that failed, and when the next one may begin.
#[derive(Debug, Clone)]
struct Failed {
    why: NoConsumer,
    again: Moment,
}

impl Consumers {
    pub(crate) fn new(client: Client, clock: Arc<dyn Clock>, consumer: ConsumerId) -> Self {
        Consumers { client, clock, consumer, searches: Mutex::default() }
    }

    /// The search for the consumer of this stream: the one there is, or a new one if there is none or the last one failed
    /// long enough ago.
    pub(crate) fn search(&self, stream: &StreamId) -> Search {
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match searches.get(stream) {
            Some(search) if !search.is_stale(self.clock.now()) => return search.clone(),
            Some(failed) => failed.failures,
            None => 0,
        };
        let search = self.begin(stream, failures);
        searches.insert(stream.clone(), search.clone());
        search
    }

    /// The consumer was there and is not any more, or never was this one: look again.
    pub(crate) fn forget(&self, stream: &StreamId, arn: &str) {
        let mut searches = self.searches.lock().unwrap_or_else(PoisonError::into_inner);
        if searches.get(stream).is_some_and(|search| search.peek().is_some_and(|found| found.is_ok_and(|it| it == arn)))
        {
            searches.remove(stream);
        }
    }

    /// Sees to it that there is a consumer, whether or not it can subscribe yet.
    ///
    /// # Errors
    /// [`SourceError`]; `ConsumerLimit` if the stream takes no more.
    pub(crate) async fn ensure(&self, stream: &StreamId) -> Result<(), SourceError> {
        let ensured = self.registration(stream).ensure().await;
        ensured.map(drop).map_err(|why| why.into_source_error(stream))
    }

    fn begin(&self, stream: &StreamId, failures: u32) -> Search {
        let (registration, clock) = (self.registration(stream), Arc::clone(&self.clock));
        let found = async move {
            registration.active().await.map_err(|why| {
                tracing::warn!(stream = %registration.stream, why = why.text(), "no consumer to subscribe with");
                Failed { why, again: clock.now() + BACKOFF.delay(failures + 1, u64::MAX) }
            })
        };
        Search { found: found.boxed().shared(), failures: failures + 1 }
    }

    fn registration(&self, stream: &StreamId) -> Registration {
        let (client, clock, consumer) = (self.client.clone(), Arc::clone(&self.clock), self.consumer.clone());
        Registration { client, clock, consumer, stream: stream.clone() }
    }
}

impl Search {
    /// Waits for the outcome. Dropping the future stops nothing for others.
    pub(crate) async fn outcome(self) -> Result<Arc<str>, NoConsumer> {
        self.found.await.map_err(|failed| failed.why)
    }

    /// The outcome, if it is known.
    pub(crate) fn peek(&self) -> Option<Result<&str, &NoConsumer>> {
        self.found.peek().map(|found| match found {
            Ok(arn) => Ok(&**arn),
            Err(failed) => Err(&failed.why),
        })
    }

    fn is_stale(&self, now: Moment) -> bool {
        matches!(self.found.peek(), Some(Err(failed)) if failed.again <= now)
    }
}

impl fmt::Debug for Consumers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumers").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
