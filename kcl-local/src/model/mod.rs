//! The model: streams, shards, records and the rules between them, as plain values.
//!
//! Nothing in here does IO, reads a clock or draws a random number. Time is an argument of every call, so a test can
//! replay any history exactly. [`Stream`] is the unit of locking: everything that happens to one stream happens in
//! one order, and above all a record is numbered and stored in one step. A reader can therefore never see record 6 and
//! miss a record 5 that is still on its way.
//!
//! | module | concept |
//! |---|---|
//! | [`time`] | [`Timestamp`]: wall time in milliseconds |
//! | [`hash`] | [`HashKey`], [`HashRange`]: where a partition key lands |
//! | [`sequence`] | [`SequenceNumber`]: the service's 56 digits, and what they hold |
//! | [`record`] | [`Payload`], [`NewRecord`], [`Record`] |
//! | [`shard`] | one shard: lineage, life time, its records in order |
//! | [`shards`] | all shards of a stream: routing, expiry, lineage |
//! | [`reshard`] | split, merge and uniform scaling |
//! | [`listing`] | which shards a listing shows |
//! | [`consumer`] | registered consumers and their subscriptions |
//! | [`limits`] | what a shard takes per second |
//! | [`rates`] | how often the control plane may be called |
//! | [`position`] | where a read begins |
//! | [`token`] | iterators and page tokens as self-contained strings |
//! | [`stream`] | [`Stream`]: status, settings, writes and reads |
//! | [`name`] | names and ARNs |
//! | [`error`] | what the service answers when it refuses |

pub mod consumer;
pub mod error;
pub mod hash;
pub mod limits;
pub mod listing;
mod log;
pub mod name;
pub mod position;
pub mod rates;
pub mod record;
pub mod reshard;
pub mod sequence;
pub mod shard;
pub mod shards;
pub mod stream;
mod tags;
pub mod time;
pub mod token;

pub use consumer::{ConsumerDescription, ConsumerStatus, FanOutEvent};
pub use error::{ErrorCode, ServiceError};
pub use hash::{HashKey, HashRange};
pub use limits::Limits;
pub use listing::ShardFilter;
pub use name::Account;
pub use position::StartingPosition;
pub use record::{NewRecord, Payload, Record};
pub use sequence::SequenceNumber;
pub use shard::{ShardDescription, ShardId};
pub use stream::{Encryption, NewStream, RecordDistribution, Stream, StreamMode, StreamStatus, StreamSummary};
pub use time::Timestamp;
