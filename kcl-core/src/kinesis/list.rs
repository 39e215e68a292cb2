//! The shards of a stream: every page, in order, and the service's time of the first one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_sdk_kinesis::operation::list_shards::ListShardsOutput;
use aws_smithy_types::date_time::{DateTime, Format};

use super::convert;
use super::errors::Fault;
use crate::ports::{Clock, ListedShards, SourceError};
use crate::types::{Backoff, Shard, StreamId, Timestamp};

/// Lists all shards of `stream`.
///
/// Throttling is waited out for a while, on top of the SDK's own repetitions; a page token that expired begins the listing
/// anew.
///
/// # Errors
/// [`SourceError`]; `Invalid` also if the pages never end or a shard makes no sense.
pub(super) async fn list_shards(
    client: &Client,
    clock: &dyn Clock,
    stream: &StreamId,
) -> Result<ListedShards, SourceError> {
    let mut failures = 0;
    let mut listing = Listing::new(stream);
    loop {
        let page = listing.page(client).await;
        let fault = match page {
            Ok(Progress::More) => continue,
            Ok(Progress::Complete) => return Ok(listing.finish()),
            Err(PageError::Source(error)) => return Err(error),
            Err(PageError::Call(fault)) => fault,
        };
        failures += 1;
        match fault {
            Fault::Throttled(text) if failures <= PATIENCE => {
                tracing::debug!(%stream, failures, %text, "listing of shards is throttled");
                // No jitter: one worker of a fleet lists, so there is nobody to run into.
                clock.sleep_until(clock.now() + BACKOFF.delay(failures, u64::MAX)).await;
            }
            Fault::Expired(text) if failures <= PATIENCE => {
                tracing::debug!(%stream, %text, "the page token expired, listing anew");
                listing = Listing::new(stream);
            }
            fault => return Err(fault.into_source_error(stream)),
        }
    }
}

/// A listing in progress.
struct Listing<'a> {
    stream: &'a StreamId,
    shards: Vec<Shard>,
    service_time: Option<Timestamp>,
    token: Option<String>,
    seen: BTreeSet<String>,
}

enum Progress {
    More,
    Complete,
}

enum PageError {
    Call(Fault),
    Source(SourceError),
}

impl<'a> Listing<'a> {
    fn new(stream: &'a StreamId) -> Self {
        Listing { stream, shards: Vec::new(), service_time: None, token: None, seen: BTreeSet::new() }
    }

    async fn page(&mut self, client: &Client) -> Result<Progress, PageError> {
        let date = ServiceDate::default();
        let request = client.list_shards();
        let request = match (&self.token, self.stream.arn()) {
            // The token stands for the stream; naming both is refused.
            (Some(token), _) => request.next_token(token),
            (None, Some(arn)) => request.stream_arn(arn),
            (None, None) => request.stream_name(self.stream.name().as_str()),
        };
        let answer = request.customize().interceptor(date.clone()).send().await;
        let output = answer.map_err(|error| PageError::Call(Fault::of(&error)))?;
        if self.token.is_none() {
            // Of the first page only: what is pinned to it must not be later than when the listing began.
            self.service_time = date.taken();
        }
        self.accept(output).map_err(PageError::Source)
    }

    fn accept(&mut self, output: ListShardsOutput) -> Result<Progress, SourceError> {
        for shard in output.shards.unwrap_or_default() {
            let shard = convert::shard(shard).map_err(|error| SourceError::Invalid(error.to_string()))?;
            self.shards.push(shard);
        }
        let Some(token) = output.next_token.filter(|token| !token.is_empty()) else { return Ok(Progress::Complete) };
        if self.seen.len() >= MOST_PAGES || !self.seen.insert(token.clone()) {
            let pages = self.seen.len() + 1;
            return Err(SourceError::Invalid(format!(
                "the list of shards of {} does not end: after {pages} pages the token {token:?} asks for more",
                self.stream
            )));
        }
        self.token = Some(token);
        Ok(Progress::More)
    }

    fn finish(mut self) -> ListedShards {
        self.shards.sort_by(|a, b| a.id.cmp(&b.id));
        // A stream that changes while it is listed may show a shard on two pages; the later page comes second.
        self.shards.reverse();
        self.shards.dedup_by(|a, b| a.id == b.id);
        self.shards.reverse();
        ListedShards::new(self.shards, self.service_time)
    }
}

/// Notes the `Date` header of an answer, which the SDK does not hand out with the output.
#[derive(Debug, Clone, Default)]
struct ServiceDate(Arc<Mutex<Option<Timestamp>>>);

impl ServiceDate {
    fn taken(&self) -> Option<Timestamp> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for ServiceDate {
    fn name(&self) -> &'static str {
        "ServiceDate"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let header = context.response().headers().get("date");
        // Whole seconds, cut off: never later than the service's clock. Of several attempts the last one is the answer.
        let date = header.and_then(|text| DateTime::from_str(text, Format::HttpDate).ok());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = date.as_ref().map(convert::timestamp);
        Ok(())
    }
}

/// A page holds a thousand shards, and the largest streams have some tens of thousands.
const MOST_PAGES: usize = 1_000;
/// With the SDK's three attempts each, a listing gives up after half a minute of throttling.
const PATIENCE: u32 = 6;
const BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(10) };
