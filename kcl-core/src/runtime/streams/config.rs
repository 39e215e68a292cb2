//! The set of streams as users give it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::plan::streams::{Many, Twice};
use crate::ports::{BoxError, StreamSource};
use crate::settings::InitialPosition;
use crate::types::{StreamId, StreamIdentity};

/// One stream of a set: which, where it begins, and how it is reached.
///
/// ```
/// use kcl_core::settings::InitialPosition;
/// use kcl_core::streams::StreamConfig;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clicks = StreamConfig::new("clicks".parse()?).start(InitialPosition::Latest);
/// let taken_over = StreamConfig::new("orders".parse()?).identity("123456789012:orders:1700000000".parse()?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct StreamConfig {
    pub(super) stream: StreamId,
    pub(super) start: Option<InitialPosition>,
    pub(super) identity: Option<StreamIdentity>,
    pub(super) source: Option<Arc<dyn StreamSource>>,
}

impl StreamConfig {
    /// A stream that is read as the settings and the builder of the worker say.
    pub fn new(stream: StreamId) -> Self {
        StreamConfig { stream, start: None, identity: None, source: None }
    }

    /// Where shards begin that have no checkpoint yet. Default: the setting `start`.
    pub fn start(mut self, start: InitialPosition) -> Self {
        self.start = Some(start);
        self
    }

    /// Under which identity the stream stands in the lease table. Default: its account, its name and its creation time, as
    /// its service tells them. Programs that use the Java library give identities of their own choice: whoever goes on with
    /// their table says the same. With it nobody notices when the stream is deleted and created again: say another one then.
    pub fn identity(mut self, identity: StreamIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Read the stream from here: a [`KinesisSource`](crate::kinesis::KinesisSource) over clients with credentials or of a
    /// region of their own, or with another reader than the other streams have. Default: as the builder and the setting
    /// `reader` say.
    pub fn source(mut self, source: impl StreamSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }
}

impl StreamConfig {
    /// Whether it came with a source.
    pub(crate) fn has_source(&self) -> bool {
        self.source.is_some()
    }
}

/// Whether each stream is named once.
pub(crate) fn check_set(streams: &[StreamConfig]) -> Result<(), Twice> {
    let names = streams.iter().map(|config| (config.stream.clone(), config.identity.clone()));
    Many::default().replace(names.collect()).map(drop)
}

impl From<StreamId> for StreamConfig {
    fn from(stream: StreamId) -> Self {
        StreamConfig::new(stream)
    }
}

/// Says which streams a worker is to read, again and again while it runs: from a file, a database, a list of all streams with
/// a tag.
///
/// # Contract
/// - All workers of a fleet should be told the same within a minute or two. Until then a stream may wait: whoever leads
///   decides which leases are given out, and a worker takes none of a stream that it does not know.
/// - A stream that is left out is handed back, with everything completed stored, and forgotten after
///   [`stream_grace`](crate::Settings::stream_grace). So an answer that is not complete must be an error: then the set stays
///   as it was.
/// - A stream that stays keeps the start position and the source with which it came; only another identity is taken over.
/// - Called by one task, never twice at a time. A call that takes longer than 30 s, or panics, counts as an error.
#[async_trait]
pub trait StreamProvider: Send + Sync + 'static {
    /// The streams that are wanted now.
    ///
    /// # Errors
    /// Any error keeps the last set, and is logged and told as
    /// [`StreamSetUnknown`](crate::WorkerEvent::StreamSetUnknown). At the start there is no last set: it is tried again until
    /// [`start_timeout`](crate::Settings::start_timeout), then the worker does not start.
    async fn streams(&self) -> Result<Vec<StreamConfig>, BoxError>;
}

/// The streams that one worker reads, beside each other, with one lease table and one fleet.
///
/// The table has the form that the Java library gives to one of several streams, and a table of one stream cannot become one:
/// its leases are left alone.
#[derive(Clone)]
pub struct StreamSet {
    pub(crate) provider: Provider,
}

#[derive(Clone)]
pub(crate) enum Provider {
    Fixed(Vec<StreamConfig>),
    Changing(Arc<dyn StreamProvider>),
}

impl StreamSet {
    /// These streams.
    pub fn fixed<S: Into<StreamConfig>>(streams: impl IntoIterator<Item = S>) -> Self {
        StreamSet { provider: Provider::Fixed(streams.into_iter().map(Into::into).collect()) }
    }

    /// The streams that a provider names, which is asked every
    /// [`stream_set_interval`](crate::Settings::stream_set_interval).
    pub fn provided(provider: impl StreamProvider) -> Self {
        StreamSet { provider: Provider::Changing(Arc::new(provider)) }
    }
}

impl fmt::Debug for StreamSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.provider {
            Provider::Fixed(streams) => f.debug_list().entries(streams.iter().map(|config| &config.stream)).finish(),
            Provider::Changing(_) => f.write_str("StreamSet(provided)"),
        }
    }
}
