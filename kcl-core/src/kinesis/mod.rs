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
//! Shards are read by polling: `GetShardIterator` once, then `GetRecords` again and again. How often, `limits` says; how
//! much at a time, `sizes`; what an error means, `errors`. Every reader stands behind
//! [`ShardReader`], so that another way of reading changes nothing for
//! whoever drives it.

mod clients;
mod convert;
mod errors;
mod iterator;
mod limits;
mod list;
mod polling;
mod sizes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

pub use self::clients::KinesisClients;
use self::polling::PollingReader;
use crate::ports::{Clock, ListedShards, ShardReader, SourceError, StreamSource};
use crate::settings::PollingSettings;
use crate::types::{Position, ShardRef, StreamId};

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
    settings: PollingSettings,
    clock: Arc<dyn Clock>,
    calls_in_flight: Semaphore,
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
        KinesisSource { shared: Arc::new(Shared { clients, settings, clock, calls_in_flight }) }
    }
}

#[async_trait]
impl StreamSource for KinesisSource {
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError> {
        list::list_shards(&self.shared.clients.control, &*self.shared.clock, stream).await
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        Box::new(PollingReader::new(self.shared.clone(), shard.clone(), position))
    }
}

/// 256 calls hold some 6 MB, and with 50 ms each they read 5,000 times a second: a thousand shards at full pace.
const DEFAULT_CALLS_IN_FLIGHT: usize = 256;
