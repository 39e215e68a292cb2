//! What a stream can be, and what it begins with.

use std::collections::BTreeMap;
use std::fmt;

/// How a stream gets its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum StreamMode {
    /// As many shards as it is given.
    Provisioned,
    /// Shards are the service's business; begins with four.
    OnDemand,
}

impl StreamMode {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provisioned => "PROVISIONED",
            Self::OnDemand => "ON_DEMAND",
        }
    }
}

/// How records find their shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum RecordDistribution {
    /// By their hash key.
    #[default]
    UserPartitionKey,
    /// Evenly, whatever their keys are. For on-demand streams alone.
    Auto,
}

impl RecordDistribution {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserPartitionKey => "USER_PARTITION_KEY",
            Self::Auto => "AUTO",
        }
    }
}

/// Where a stream is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStatus {
    /// Not usable yet.
    Creating,
    /// Usable, and may be changed.
    Active,
    /// Usable while a change is under way.
    Updating,
    /// About to be gone.
    Deleting,
}

impl StreamStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        }
    }
}

impl fmt::Display for StreamStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Encryption at rest, as far as a client can see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Encryption {
    /// None.
    None,
    /// With a key of the key management service.
    Kms {
        /// The key's id, ARN or alias, as it was given.
        key_id: String,
    },
}

/// What a stream begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStream {
    /// Its name, unique in the account.
    pub name: String,
    /// How it gets its capacity.
    pub mode: StreamMode,
    /// How many shards it begins with.
    pub shards: u32,
    /// The size of the largest record, in KiB.
    pub max_record_kib: u32,
    /// How records find their shard.
    pub distribution: RecordDistribution,
    /// Its first tags.
    pub tags: BTreeMap<String, String>,
}

impl NewStream {
    /// A provisioned stream.
    #[must_use]
    pub fn provisioned(name: &str, shards: u32) -> Self {
        Self {
            name: name.to_owned(),
            mode: StreamMode::Provisioned,
            shards,
            max_record_kib: DEFAULT_MAX_RECORD_KIB,
            distribution: RecordDistribution::UserPartitionKey,
            tags: BTreeMap::new(),
        }
    }

    /// An on-demand stream.
    #[must_use]
    pub fn on_demand(name: &str) -> Self {
        Self { mode: StreamMode::OnDemand, ..Self::provisioned(name, ON_DEMAND_SHARDS) }
    }
}

/// How many shards an on-demand stream begins with.
const ON_DEMAND_SHARDS: u32 = 4;
const DEFAULT_MAX_RECORD_KIB: u32 = 1024;
