//! What becomes of aggregates that cannot be opened.

use serde::{Deserialize, Serialize};

/// What becomes of a record that begins like an aggregate of the Kinesis Producer Library and cannot be opened: a wrong
/// checksum, or content that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CorruptAggregates {
    /// The shard stops there and is reported as stalled, with position and cause: nothing is passed over unseen.
    #[default]
    Stop,
    /// It is delivered as one record, as it came, with an event and a log line. The KCL does this, without telling.
    Deliver,
}
