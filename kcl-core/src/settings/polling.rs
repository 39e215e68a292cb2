//! How polling readers call the service.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Whether polling keeps to the service's read limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum ReadLimit {
    /// Per shard 5 calls/s and 2 MB/s, shared fairly with other applications by backing off when throttled.
    #[default]
    Service,
    /// No limit of our own: ask again at once. For servers without limits, such as emulators.
    None,
}

/// How polling readers call the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PollingSettings {
    /// Whether to keep to the service's read limits.
    pub read_limit: ReadLimit,
    /// How long to wait at the tip of a shard before asking again.
    pub idle_interval: Duration,
}

impl Default for PollingSettings {
    fn default() -> Self {
        PollingSettings { read_limit: ReadLimit::Service, idle_interval: Duration::from_secs(1) }
    }
}
