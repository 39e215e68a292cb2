//! [`LocalKinesis`]: the handle to the model, and its direct API.

mod data;
mod fan_out;
mod reshard;
mod streams;
mod streams_control;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, WallClock};
use crate::faults::Faults;
use crate::model::rates::ControlRates;
use crate::model::stream::EntryError;
use crate::model::{Account, Limits, ServiceError, ShardId, Timestamp};
use crate::store::{DataError, DataFolder, KinesisStore};
use streams::Streams;

pub use fan_out::Subscription;

/// Kinesis Data Streams in this process.
///
/// Cheap to clone; all clones are the same service. The methods are the direct API, made for tests that want to set a
/// scene or look behind it; clients come in through [`http_client`](Self::http_client) or [`serve`](crate::serve).
///
/// ```
/// use kcl_local::{LocalKinesis, ShardFilter, StartingPosition};
///
/// # fn main() -> Result<(), kcl_local::ServiceError> {
/// let kinesis = LocalKinesis::new();
/// kinesis.create_stream("orders", 2)?;
/// let placed = kinesis.put_record("orders", "customer-7", "a cup of tea")?;
/// let iterator = kinesis.shard_iterator("orders", placed.shard_id, StartingPosition::TrimHorizon)?;
/// let batch = kinesis.get_records(&iterator, 10)?;
/// assert_eq!(batch.records[0].sequence_number, placed.sequence_number);
/// assert_eq!(kinesis.list_shards("orders", ShardFilter::AtLatest)?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LocalKinesis {
    shared: Arc<Shared>,
    bent: Bent,
}

/// How this handle, and no other, differs from the truth: what a fault does to the one call it befalls.
#[derive(Debug, Clone, Default)]
struct Bent {
    listing_age: Duration,
    refused_entries: Option<(ShardId, EntryError)>,
}

#[derive(Debug)]
struct Shared {
    settings: Settings,
    clock: Arc<dyn Clock>,
    streams: Streams,
    requests: AtomicU64,
    control_rates: Mutex<ControlRates>,
    faults: Faults,
    /// The file, where the data is to outlive the process.
    store: Option<KinesisStore>,
}

/// How a [`LocalKinesis`] behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Account and region, as they appear in ARNs. Default: 000000000000 in us-east-1.
    pub account: Account,
    /// How long a stream stays CREATING, UPDATING or DELETING. Default: zero, so that no test has to wait. Raise it to
    /// see how a client gets on with a stream that is not ready; the time is the clock's.
    pub transition: Duration,
    /// How many open shards the account may have. Default: 20,000.
    pub shard_limit: u32,
    /// How many on-demand streams the account may have. Default: 50.
    pub on_demand_stream_limit: u32,
    /// How many consumers a stream may have. Default: 20; the service raises it to 50 on request.
    pub consumer_limit: u32,
    /// Whether rates are limited. Default: off, so that no test is throttled by accident. Switch them on to see how a
    /// client gets on with the service's limits; the time is the clock's. Rates of shards count for every way in, those
    /// of the control plane for SDK clients and HTTP alone: a test that sets its scene in code is not slowed down.
    pub limits: Limits,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: Account::default(),
            transition: Duration::ZERO,
            shard_limit: 20_000,
            on_demand_stream_limit: 50,
            consumer_limit: 20,
            limits: Limits::Off,
        }
    }
}

impl LocalKinesis {
    /// A service without streams, on the machine's clock.
    #[must_use]
    pub fn new() -> Self {
        Self::with_settings(Settings::default(), Arc::new(WallClock))
    }

    /// A service without streams, on a clock of your own.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self::with_settings(Settings::default(), clock)
    }

    /// A service without streams that behaves as the settings say.
    #[must_use]
    pub fn with_settings(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self::assemble(settings, clock, Streams::default(), None)
    }

    /// The service whose data is in this folder. It goes on where it was: streams, consumers, records, sequence numbers;
    /// iterators and tokens stay valid.
    ///
    /// # Errors
    /// If the file cannot be opened, or was written by another version.
    pub fn open(folder: &DataFolder, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, DataError> {
        let (store, loaded) = KinesisStore::open(folder)?;
        let streams = Streams::restored(loaded, &settings);
        Ok(Self::assemble(settings, clock, streams, Some(store)))
    }

    fn assemble(settings: Settings, clock: Arc<dyn Clock>, streams: Streams, store: Option<KinesisStore>) -> Self {
        let shared = Shared {
            settings,
            clock,
            streams,
            requests: AtomicU64::new(0),
            control_rates: Mutex::default(),
            faults: Faults::default(),
            store,
        };
        Self { shared: Arc::new(shared), bent: Bent::default() }
    }

    /// The time as the model sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// How the service behaves.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// The faults that callers meet; none until a test sets some.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.clock
    }

    /// The same service, listing shards as it would have some time ago.
    pub(crate) fn listing_as_of(&self, age: Duration) -> Self {
        let bent = Bent { listing_age: age, ..self.bent.clone() };
        Self { shared: Arc::clone(&self.shared), bent }
    }

    /// The same service, refusing the records of a batch that go to this shard.
    pub(crate) fn refusing_entries(&self, shard: ShardId, error: EntryError) -> Self {
        let bent = Bent { refused_entries: Some((shard, error)), ..self.bent.clone() };
        Self { shared: Arc::clone(&self.shared), bent }
    }

    fn entry_error(&self, shard: ShardId) -> Option<EntryError> {
        self.bent.refused_entries.as_ref().filter(|(refused, _)| *refused == shard).map(|(_, error)| error.clone())
    }

    /// The ARN that a stream of this name has.
    #[must_use]
    pub fn stream_arn(&self, name: &str) -> String {
        self.settings().account.stream_arn(name)
    }

    /// Counts a call of the control plane, if there is room for it. `stream` is only asked where limits are on.
    pub(crate) fn admit_control(
        &self,
        operation: &str,
        stream: impl FnOnce() -> Option<String>,
    ) -> Result<(), ServiceError> {
        if !self.settings().limits.are_on() {
            return Ok(());
        }
        let stream = stream().unwrap_or_default();
        let now = self.now();
        let mut rates = self.shared.control_rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.admit(operation, &stream, now)
    }

    /// Counts the requests, which gives each its id.
    pub(crate) fn next_request(&self) -> u64 {
        self.shared.requests.fetch_add(1, Ordering::Relaxed)
    }
}

impl Default for LocalKinesis {
    fn default() -> Self {
        Self::new()
    }
}
