//! The seams: traits that adapters implement and the runtime drives.
//!
//! Each trait's documentation is its contract; `kcl_core::testing` (feature `testing`) has a conformance suite for each
//! store, which every implementation, yours too, should pass. Nothing here decides anything.

mod clock;
mod fleet_store;
mod lease_store;
mod processor;
mod row_by_row;
mod spawner;
mod stream_source;

pub use clock::{Clock, SystemClock};
pub use fleet_store::FleetStore;
pub use lease_store::{LeaseStore, StoreStartError};
pub use processor::{
    BoxError, CheckpointError, CheckpointSink, Checkpointer, FailureScope, LeaseLostReason, ProcessContext,
    ProcessError, RecordProcessor, RecordProcessorFactory, ShardContext,
};
pub use row_by_row::transact_row_by_row;
pub use spawner::{Spawner, TokioSpawner};
pub use stream_source::{DataLoss, Fetched, ListedShards, ReadError, ShardReader, SourceError, StreamSource};
