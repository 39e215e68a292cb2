//! The async shell: it drives the pure parts and decides nothing.
//!
//! ```text
//! worker ──┬── heartbeat      writes the worker's own row, and reads its inbox
//!          ├── leader         looks at the leader row; plans for all, or watches, or rests
//!          ├── streams        knows which streams are wanted, if there are several
//!          ├── assigner       sees to the leases it hears of, owns the shard tasks
//!          │     └── shard task (one per tenure)   drives a ShardMachine, the reader and user code
//!          └── lease keeper   the single writer of held leases
//! ```

mod assigner;
mod budget;
mod callback;
mod context;
mod errands;
mod events;
mod heartbeat;
mod leader;
mod lease_keeper;
mod orders;
mod scan;
mod shard_sync;
mod shard_task;
mod start;
mod streams;
mod supervisor;
mod tasks;
mod tenure;
mod watch;
mod watchdog;

pub(crate) use crate::plan::assignment::{AssignmentStrategy, strategy};
pub use crate::shard::watchdog::RestartReason;
pub(crate) use context::{Context, Parts};
pub use events::{EventStream, EventsMissed, LeaseReleasedReason, ShardTenure, WorkerEvent};
pub(crate) use start::start;
pub(crate) use streams::{Provider, Reads, Stream, check_set};
pub use streams::{StreamConfig, StreamProvider, StreamSet};
pub use supervisor::WorkerReport;
pub(crate) use supervisor::run;
pub(crate) use tasks::{TaskKind, Tasks};
