//! A Kinesis consumer framework: it leases the shards of a stream through a table, spreads them evenly over any number of
//! workers, reads them, hands the records to your code, and stores how far it is.
//!
//! - [`Worker`] is where to begin; [`settings::Settings`] has every option with its meaning.
//! - Your code is a function ([`WorkerBuilder::handler`]) or a [`RecordProcessor`].
//! - One worker reads one stream, or several that may come and go: [`streams`].
//! - Leases are kept in DynamoDB in the format of KCL 3.5 ([`dynamodb`]), in a SQLite file (feature `sqlite`), in memory
//!   ([`memory`]), or where you like: [`ports`] has the traits with their contracts, and the feature `testing` the suites
//!   that an implementation must pass.
//!
//! What it promises: records are processed at least once and in the order of their shard; an error or a panic of your code
//! never advances the position; a checkpoint never overtakes work, and one of a worker that lost its lease is never stored.
//!
//! # Features
//! - `aws-defaults` (default): the AWS credential chain, SSO and TLS, and the next one; re-exports `aws_config`.
//! - `fan-out-connections`: subscriptions on HTTP/2 connections of their own, on which shards do not hold each other up.
//! - `sqlite`: leases in a SQLite file, for several processes on one machine.
//! - `testing`: conformance suites, a clock and a stream that tests drive themselves.

pub mod dynamodb;
mod error;
pub mod kinesis;
pub mod memory;
pub mod metric_definitions;
mod plan;
pub mod ports;
mod row_names;
mod runtime;
pub mod settings;
mod shard;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
pub mod types;
mod worker;

pub use async_trait::async_trait;
#[cfg(feature = "aws-defaults")]
pub use aws_config;

pub use plan::assignment;

pub use error::{BuildError, WorkerError};
pub use ports::{
    BoxError, CheckpointError, Checkpointer, LeaseLostReason, ProcessContext, ProcessError, RecordProcessor,
    RecordProcessorFactory, ShardContext,
};
pub use runtime::{
    EventStream, EventsMissed, LeaseReleasedReason, RestartReason, ShardTenure, WorkerEvent, WorkerReport,
};
pub use settings::Settings;
pub use types::{Record, RecordBatch};

/// Sets of streams that one worker reads: give one to [`WorkerBuilder::streams`].
pub mod streams {
    pub use crate::runtime::{StreamConfig, StreamProvider, StreamSet};
}
pub use worker::{Worker, WorkerBuilder, WorkerHandle};
