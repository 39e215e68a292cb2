//! Kinesis Data Streams as a source, through the AWS SDK.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use kcl_core::kinesis::{KinesisClients, KinesisSource};
//! # use kcl_core::ports::SystemClock;
//! # use kcl_core::settings::PollingSettings;
//! # fn source(client: &aws_sdk_kinesis::Client) -> KinesisSource {
//! KinesisSource::new(KinesisClients::from_client(client), PollingSettings::default(), Arc::new(SystemClock::new()))
//! # }
//! ```
//!
//! Shards are read in one of two ways, behind one [`ShardReader`], so that whoever drives it sees no difference:
//!
//! - **Polling**: `GetShardIterator` once, then `GetRecords` again and again. How often, `limits` says; how much at a time,
//!   `sizes`; what an error means, `errors`.
//! - **Enhanced fan-out** (`fan_out`): `SubscribeToShard` for a registered consumer, again and again, since a subscription
//!   lasts five minutes.
//!
//! `auto` changes between them. A position is a sequence number and not a connection, so a change loses and repeats nothing.

mod allowance;
mod auto;
mod callers;
mod clients;
pub mod codec;
#[cfg(feature = "fan-out-connections")]
mod connections;
mod convert;
mod errors;
mod fan_out;
mod gap;
mod iterator;
mod limits;
mod list;
mod origin;
mod polling;
mod silence;
mod sizes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::SharedInterceptor;
use tokio::sync::Semaphore;

use self::allowance::{Counting, Turns};
use self::auto::AutoReader;
use self::callers::Callers;
pub use self::clients::KinesisClients;
use self::codec::{Codec, decoded_by};
#[cfg(feature = "fan-out-connections")]
pub use self::connections::{ConnectionsError, FanOutConnections, TrustAnchors};
use self::fan_out::{FanOut, FanOutReader};
use self::origin::Origins;
use self::polling::PollingReader;
use crate::metric_definitions::PollingMetrics;
use crate::ports::{Clock, ListedShards, ShardReader, SourceError, StreamSource};
use crate::settings::{PollingSettings, ReaderKind};
use crate::types::{ConsumerId, Position, ShardRef, StreamId};

/// Streams of one account and region, or of others by ARN.
///
/// Cheap to clone; clones share the clients and the bound on calls in flight.
#[derive(Debug, Clone)]
pub struct KinesisSource {
    shared: Arc<Shared>,
}

/// What all readers of a source use.
#[derive(Debug)]
struct Shared {
    clients: KinesisClients,
    /// Of `GetRecords`, with the codec.
    callers: Callers,
    settings: PollingSettings,
    clock: Arc<dyn Clock>,
    calls_in_flight: Semaphore,
    metrics: PollingMetrics,
    turns: Turns,
    readers: Readers,
    origins: Origins,
}

/// How shards are read.
#[derive(Debug)]
enum Readers {
    Polling,
    FanOut(Arc<FanOut>),
    Auto(Arc<FanOut>),
}

/// What a source is made of.
pub(crate) struct SourceParts {
    pub(crate) clients: KinesisClients,
    pub(crate) kind: ReaderKind,
    pub(crate) polling: PollingSettings,
    pub(crate) consumer: ConsumerId,
    pub(crate) clock: Arc<dyn Clock>,
    /// On all metrics of the source.
    pub(crate) labels: Vec<(&'static str, String)>,
}

impl KinesisSource {
    /// A source that polls, with at most 256 reading calls in flight.
    ///
    /// All waiting between calls goes through `clock`; signing, time-outs and repetitions within a call follow the clock of
    /// the clients.
    pub fn new(clients: KinesisClients, settings: PollingSettings, clock: Arc<dyn Clock>) -> Self {
        KinesisSource::with_calls_in_flight(clients, settings, clock, DEFAULT_CALLS_IN_FLIGHT)
    }

    /// As [`new`](KinesisSource::new), with another bound on the reading calls in flight over all shards; at least 1.
    ///
    /// Each holds about 22 KB in the SDK besides its answer. Raised, more shards are read at the same time; lowered, shards
    /// wait for each other, each for no longer than a call takes.
    pub fn with_calls_in_flight(
        clients: KinesisClients,
        settings: PollingSettings,
        clock: Arc<dyn Clock>,
        calls: usize,
    ) -> Self {
        let calls_in_flight = Semaphore::new(calls.clamp(1, Semaphore::MAX_PERMITS));
        KinesisSource::made(clients, settings, clock, calls_in_flight, PollingMetrics::new(&[]), Readers::Polling)
    }

    /// A source to which a registered consumer's records are pushed. One that is given by name is registered when it is not
    /// there, and stays registered.
    pub fn fan_out(clients: KinesisClients, consumer: ConsumerId, clock: Arc<dyn Clock>) -> Self {
        let (kind, polling, labels) = (ReaderKind::FanOut, PollingSettings::default(), Vec::new());
        KinesisSource::from_parts(SourceParts { clients, kind, polling, consumer, clock, labels })
    }

    /// As [`fan_out`](KinesisSource::fan_out) where that can be had: while the consumer limit is reached or subscriptions
    /// keep failing, shards are polled.
    pub fn auto(
        clients: KinesisClients,
        polling: PollingSettings,
        consumer: ConsumerId,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (kind, labels) = (ReaderKind::Auto, Vec::new());
        KinesisSource::from_parts(SourceParts { clients, kind, polling, consumer, clock, labels })
    }

    pub(crate) fn from_parts(parts: SourceParts) -> Self {
        let SourceParts { clients, kind, polling: settings, consumer, clock, labels } = parts;
        let fan_out = || Arc::new(FanOut::new(&clients, consumer, Arc::clone(&clock), &labels));
        let readers = match kind {
            ReaderKind::Polling => Readers::Polling,
            ReaderKind::FanOut => Readers::FanOut(fan_out()),
            ReaderKind::Auto => Readers::Auto(fan_out()),
        };
        let (calls_in_flight, metrics) = (Semaphore::new(DEFAULT_CALLS_IN_FLIGHT), PollingMetrics::new(&labels));
        KinesisSource::made(clients, settings, clock, calls_in_flight, metrics, readers)
    }

    fn made(
        clients: KinesisClients,
        settings: PollingSettings,
        clock: Arc<dyn Clock>,
        calls_in_flight: Semaphore,
        metrics: PollingMetrics,
        readers: Readers,
    ) -> Self {
        let origins = Origins::default();
        let turns = Turns::new(LARGE_ANSWERS);
        let callers = Callers::new(reading(&clients.records, &clients.codec), clients.patience, Arc::clone(&clock));
        let shared = Shared { clients, callers, settings, clock, calls_in_flight, metrics, turns, readers, origins };
        KinesisSource { shared: Arc::new(shared) }
    }
}

/// A client that reads: its records are decoded by the codec, and its answers counted.
fn reading(client: &Client, codec: &Arc<dyn Codec>) -> Client {
    let mut config = client.config().to_builder();
    // Of one that is permanent nobody looks up, several times a call, whether it is switched off.
    config.push_interceptor(SharedInterceptor::permanent(Counting));
    decoded_by(&Client::from_conf(config.build()), Arc::clone(codec))
}

#[async_trait]
impl StreamSource for KinesisSource {
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError> {
        let Shared { clients, clock, origins, .. } = &*self.shared;
        let listed = list::list_shards(&clients.control, &**clock, stream).await?;
        Ok(origins.of(&clients.control, stream).await.told_by(listed))
    }

    async fn prepare(&self, stream: &StreamId) -> Result<(), SourceError> {
        match &self.shared.readers {
            Readers::FanOut(fan_out) => fan_out.consumers.ensure(stream).await,
            // Without a consumer the one polls, and the other always does.
            Readers::Polling | Readers::Auto(_) => Ok(()),
        }
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        let (source, shard) = (Arc::clone(&self.shared), shard.clone());
        match &self.shared.readers {
            Readers::Polling => Box::new(PollingReader::new(source, shard, position)),
            Readers::FanOut(fan_out) => Box::new(FanOutReader::new(Arc::clone(fan_out), shard, position)),
            Readers::Auto(fan_out) => {
                let fan_out = Arc::clone(fan_out);
                Box::new(AutoReader::new(source, fan_out, shard, position))
            }
        }
    }
}

/// Answers with a single record that is larger than its shard's share, at the same time.
const LARGE_ANSWERS: usize = 4;
/// 256 calls hold some 6 MB, and with 50 ms each they read 5,000 times a second: a thousand shards at full pace.
const DEFAULT_CALLS_IN_FLIGHT: usize = 256;
