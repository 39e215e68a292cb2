//! Values: identifiers, positions, rows, records and time. They import nothing else of this crate, do no IO and know no
//! clock; constructors validate, afterwards nothing needs checking.

mod aggregate;
mod budget;
mod consumer;
mod fleet;
mod ids;
mod lease;
mod lease_write;
mod position;
mod record;
mod shard;
mod store_error;
mod stream_identity;
mod time;

pub use aggregate::AggregateError;
pub(crate) use aggregate::is_aggregate;
#[cfg(test)]
pub(crate) use aggregate::tests as aggregate_codec;
pub use budget::{ByteAccount, BytePermit};
pub use consumer::ConsumerId;
pub use fleet::{Heartbeat, KeyPage, LeaderRow, PageToken, Projection, Row, RowPage, RowProblem, WorkerRow};
pub use ids::{
    ApplicationName, Epoch, FencingToken, Incarnation, InvalidId, LeaseKey, ShardId, ShardRef, StreamId, StreamName,
    Tenure, WorkerId,
};
pub use lease::{Lease, MultiStream, PendingCheckpoint, Throughput};
pub use lease_write::{
    Change, Condition, CreateOutcome, Expect, LeaseChange, OwnerSwitches, StepResult, TRANSACTION_LIMIT,
    TransactionOutcome, TransactionStep, WriteOutcome,
};
pub use position::{Checkpoint, InvalidSequenceNumber, Position, RecordPosition, SequenceNumber};
pub use record::{
    BatchBuilder, CorruptAggregate, DecodeError, EncryptionType, IntoRecords, OpenedBatch, OutOfOrder, Record,
    RecordBatch, RecordEntry,
};
pub use shard::{ChildShard, HashRange, Shard, ShardEnd};
pub use store_error::StoreError;
pub use stream_identity::StreamIdentity;
pub use time::{Backoff, Moment, Timestamp};
