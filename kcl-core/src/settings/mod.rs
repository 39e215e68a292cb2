//! Settings: numbers, durations and names, apart from components (clients, stores, clocks).
//!
//! [`Settings`] holds what was set explicitly, wherever it came from; layers are put on top of each other with
//! [`Settings::or`], and [`Settings::resolve`] fills in the defaults and refuses what is wrong, with every problem listed.
//!
//! ```
//! use std::time::Duration;
//! use kcl_core::settings::Settings;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file: Settings = serde_json::from_str(r#"{ "failover_time": "20s", "read_limit": "none" }"#)?;
//! let code = Settings::new("orders-app", "orders").failover_time(Duration::from_secs(5));
//! let settings = code.or(Settings::from_env()).or(file).resolve()?;
//! assert_eq!(settings.failover_time, Duration::from_secs(5));
//! # Ok(()) }
//! ```

mod aggregates;
mod effective;
mod options;
mod polling;
mod timings;
mod value;

pub use aggregates::CorruptAggregates;
pub(crate) use effective::StreamsNamed;
pub use effective::{CheckpointSettings, EffectiveSettings, InvalidSettings};
pub use options::Settings;
pub use polling::{PollingSettings, ReadLimit};
pub use timings::Timings;
pub use value::{Bytes, parse_bytes, parse_duration};

use crate::types::Timestamp;

/// Where a shard is read from that has no checkpoint yet. What has a checkpoint goes on there, whatever this says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialPosition {
    /// With the oldest record that the stream holds.
    TrimHorizon,
    /// With what arrives after the lease was created: pinned to that instant, so nothing is lost before the first read.
    Latest,
    /// With what arrived at or after this instant.
    AtTimestamp(Timestamp),
}

/// How leases are spread over the workers of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssignmentKind {
    /// Each worker has as many as the others, by capacity: [`Count`](crate::assignment::Count).
    Count,
    /// Each worker carries as much as the others, by capacity: [`Load`](crate::assignment::Load).
    Load,
}

/// How shards are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReaderKind {
    /// GetRecords calls, whose limits all applications of a stream share.
    Polling,
    /// Enhanced fan-out: the service pushes to a registered consumer, which has 2 MB/s of every shard to itself.
    FanOut,
    /// Enhanced fan-out where it can be had, polling while it cannot, and back.
    Auto,
}
