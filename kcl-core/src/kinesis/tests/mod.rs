//! Tests over the real SDK and the real wire format, with a fake server inside the process.

mod allowance;
mod clients;
mod clock;
mod decoding;
mod fake;
mod listing;
mod reading;
mod robustness;
mod shard;
mod sharing;

use std::sync::Arc;
use std::time::Duration;

use self::clock::TestClock;
use self::fake::{Call, Fake, Reply};
use super::{KinesisClients, KinesisSource};
use crate::settings::{PollingSettings, ReadLimit};
use crate::types::{ShardRef, StreamId};

const ARN: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders";

fn by_name() -> StreamId {
    "orders".parse().unwrap()
}

fn shard_of(stream: StreamId) -> ShardRef {
    ShardRef::new(stream, "shardId-000000000000".parse().unwrap())
}

fn settings(read_limit: ReadLimit) -> PollingSettings {
    PollingSettings { read_limit, idle_interval: Duration::from_secs(1) }
}

fn source_with(fake: &Fake, read_limit: ReadLimit, clock: &Arc<TestClock>) -> KinesisSource {
    KinesisSource::new(KinesisClients::from_client(&fake.client()), settings(read_limit), clock.clone())
}
