//! Kinesis Data Streams in a process, with DynamoDB beside it: for demos, tests and simulations.
//!
//! One model, reached in four ways:
//!
//! - **In code**: [`LocalKinesis`] creates streams, writes, reads and reshards.
//! - **Under an SDK client in the same process**, without a socket: [`LocalKinesis::sdk_config`] or
//!   [`LocalKinesis::http_client`], and the same of [`LocalDynamoDb`].
//! - **Over HTTP/1.1 and HTTP/2**, for any client in any language: [`serve`], or [`LocalAws`] for both services on
//!   free ports.
//! - **As a program**: `local-aws`.
//!
//! # Three lines in a test
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kinesis = kcl_local::LocalKinesis::new();
//! kinesis.create_stream("orders", 2)?;
//! let client = aws_sdk_kinesis::Client::new(&kinesis.sdk_config());
//!
//! let shards = client.list_shards().stream_name("orders").send().await?;
//! assert_eq!(shards.shards().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! # Time
//! The model reads a [`Clock`]: the machine's, one that a test moves by hand ([`ManualClock`]), or one that follows
//! tokio's paused clock ([`TokioClock`]). Retention, iterators that expire, lag and the states of a stream all follow
//! it, and so does the `Date` header of every answer.
//!
//! # Beyond the calm day
//! - [`Limits::Service`] throttles as the service does; [`Settings`] has it off.
//! - [`Faults`], one switch per service, brings errors, lost and late answers, broken bodies, by rule and by seed.
//! - [`DataFolder`] keeps the data of both services over a restart, also after kill -9.
//! - [`LocalKinesis::subscribe_to_shard`], and `SubscribeToShard` for clients, push records to registered consumers.
//! - [`Tls`] puts both ports behind TLS.
//!
//! # Layers
//! [`model`] is pure: values and rules, no IO, no clock, no chance. [`LocalKinesis`] puts a lock around each stream
//! and a clock beside it. The dispatcher turns a name and a body into a call. Connector and server carry bytes.

mod api;
mod clock;
mod connector;
mod dynamodb;
mod faults;
mod http;
mod kinesis;
mod local_aws;
pub mod model;
mod port;
mod server;
mod store;
mod tls;

pub use clock::{Clock, ManualClock, Sleep, TokioClock, WallClock};
pub use connector::{ACCESS_KEY_ID, SECRET_ACCESS_KEY, credentials, http_client, sdk_config};
pub use dynamodb::{LocalDynamoDb, OpenError};
pub use faults::{Fault, FaultFileError, FaultPlan, FaultRule, FaultService, Faults, parse_faults};
pub use http::{Body, ConnectionLost, Exchange, Service};
pub use kinesis::{LocalKinesis, Settings, Subscription};
pub use local_aws::{Addresses, LocalAws, StartError};
pub use model::stream::{EntryError, Placed, PutResult, RecordBatch, Retention};
pub use model::{
    Account, ConsumerDescription, ConsumerStatus, Encryption, ErrorCode, FanOutEvent, HashKey, HashRange, Limits,
    NewRecord, NewStream, Record, RecordDistribution, SequenceNumber, ServiceError, ShardDescription, ShardFilter,
    ShardId, StartingPosition, StreamMode, StreamStatus, StreamSummary, Timestamp,
};
pub use server::{serve, serve_tls};
pub use store::{DataError, DataFolder, TornTail};
pub use tls::{Tls, TlsError};
