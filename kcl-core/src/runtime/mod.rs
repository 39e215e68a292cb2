//! The async shell: it drives the pure parts and decides nothing.
//!
//! ```text
//! worker ──┬── heartbeat      writes the worker's own row
//!          ├── assigner       looks at the table, plans, begins tenures, owns the shard tasks
//!          │     └── shard task (one per tenure)   drives a ShardMachine, the reader and user code
//!          └── lease keeper   the single writer of held leases
//! ```

mod assigner;
mod budget;
mod callback;
mod context;
mod events;
mod heartbeat;
mod lease_keeper;
mod scan;
mod shard_io;
mod shard_sync;
mod shard_task;
mod supervisor;
mod tasks;
mod tenure;

pub(crate) use crate::plan::assignment::{AssignmentStrategy, strategy};
pub(crate) use context::{Context, Parts};
pub use events::{EventStream, EventsMissed, LeaseReleasedReason, ShardTenure, WorkerEvent};
pub use supervisor::WorkerReport;
pub(crate) use supervisor::{run, start};
pub(crate) use tasks::{TaskKind, Tasks};
