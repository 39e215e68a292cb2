//! What a worker reads, and how its streams are reached.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::aws;
use crate::error::BuildError;
use crate::kinesis::KinesisClients;
use crate::ports::{Clock, StreamSource};
use crate::runtime::{self, Provider, Reads, Stream, StreamConfig, StreamSet};
use crate::settings::{EffectiveSettings, InvalidSettings};
use crate::types::{StreamId, WorkerId};

/// How streams are reached that come without a source.
pub(super) enum Way {
    Source(Arc<dyn StreamSource>),
    Kinesis { clients: KinesisClients, over: Option<SharedHttpClient> },
    None,
}

/// What is missing where there is no way.
const NO_WAY: BuildError =
    BuildError::Missing { missing: "a way to the stream", cure: "call .aws(..), .kinesis_client(..) or .source(..)" };

impl Way {
    fn to(
        &self,
        stream: &StreamId,
        settings: &EffectiveSettings,
        worker: &WorkerId,
        clock: &Arc<dyn Clock>,
    ) -> Option<Arc<dyn StreamSource>> {
        match self {
            Way::Source(source) => Some(Arc::clone(source)),
            Way::Kinesis { clients, over } => {
                Some(Arc::new(aws::kinesis_source(clients.clone(), over.clone(), stream, settings, worker, clock)))
            }
            Way::None => None,
        }
    }
}

/// What a worker reads: the stream that its settings name, or the set that it was given.
///
/// # Errors
/// [`BuildError`] if a stream cannot be reached, or if a set that never changes cannot be right.
pub(super) fn what_to_read(
    streams: Option<StreamSet>,
    way: Way,
    settings: &EffectiveSettings,
    worker: &WorkerId,
    clock: &Arc<dyn Clock>,
) -> Result<Reads, BuildError> {
    if let Some(StreamSet { provider }) = streams {
        if let Provider::Fixed(streams) = &provider {
            check_fixed(streams, &way)?;
        }
        let (settings, worker, clock) = (settings.clone(), worker.clone(), Arc::clone(clock));
        let default_source = move |stream: &StreamId| {
            let source = way.to(stream, &settings, &worker, &clock);
            source.ok_or_else(|| format!("the stream {stream} has no source: {NO_WAY}"))
        };
        return Ok(Reads::Many { provider, default_source: Arc::new(default_source) });
    }
    let id = settings.stream.clone().ok_or(NO_WAY)?;
    let source = way.to(&id, settings, worker, clock).ok_or(NO_WAY)?;
    Ok(Reads::One(Stream { id, start: settings.start, source }))
}

/// A set that never changes is checked now.
fn check_fixed(streams: &[StreamConfig], way: &Way) -> Result<(), BuildError> {
    let problem =
        |problem: String| BuildError::Settings(InvalidSettings { problems: vec![format!("streams: {problem}")] });
    if streams.is_empty() {
        return Err(problem("there is none".to_owned()));
    }
    if streams.iter().any(|stream| !stream.has_source()) && matches!(way, Way::None) {
        return Err(NO_WAY);
    }
    runtime::check_set(streams).map_err(|twice| problem(twice.to_string()))
}
