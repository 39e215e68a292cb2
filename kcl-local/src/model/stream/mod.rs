//! A stream: its life, its settings, its records.

mod control;
mod data;
mod fan_out;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::consumer::Consumers;
use super::error::ServiceError;
use super::limits::Limits;
use super::log::Entry;
use super::record::Payload;
use super::reshard::Reshard;
use super::shard::ShardId;
use super::shards::Shards;
use super::time::Timestamp;
use super::token::StreamKey;

pub use control::Retention;
pub(crate) use data::MAX_RECORDS_PER_READ;
pub use data::{EntryError, Placed, PutResult, RecordBatch, check_batch};
pub use view::{ShardPage, StreamSummary};

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
    /// Its first tags.
    pub tags: BTreeMap<String, String>,
}

impl NewStream {
    /// A provisioned stream.
    #[must_use]
    pub fn provisioned(name: &str, shards: u32) -> Self {
        let mode = StreamMode::Provisioned;
        Self { name: name.to_owned(), mode, shards, max_record_kib: DEFAULT_MAX_RECORD_KIB, tags: BTreeMap::new() }
    }

    /// An on-demand stream.
    #[must_use]
    pub fn on_demand(name: &str) -> Self {
        Self { mode: StreamMode::OnDemand, ..Self::provisioned(name, ON_DEMAND_SHARDS) }
    }
}

/// What a deleted stream leaves behind, so that one of its name can be told apart from it even if it is created within
/// the same millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Predecessor {
    created: Timestamp,
    /// The highest leading part of its sequence numbers.
    second: u64,
}

/// A stream. All methods take the time, which every caller takes under the lock that guards the stream.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Stream {
    name: String,
    created: Timestamp,
    mode: StreamMode,
    phase: Phase,
    /// How long each of CREATING, UPDATING and DELETING lasts; a stream that takes no time is never seen in them.
    transition: Duration,
    shards: Shards,
    retention: Duration,
    encryption: Encryption,
    max_record_kib: u32,
    tags: BTreeMap<String, String>,
    metrics: BTreeSet<String>,
    #[serde(skip)]
    limits: Limits,
    #[serde(default)]
    consumers: Consumers,
    /// Grows with everything that a subscription could be waiting for.
    #[serde(skip)]
    activity: u64,
}

/// The status, until when it lasts, and what happens then.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Phase {
    Creating { until: Timestamp, shards: u32 },
    Active,
    Updating { until: Timestamp, change: Change },
    Deleting { until: Timestamp },
}

/// What a stream is `UPDATING` for.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
enum Change {
    Reshard(Reshard),
    Encryption(Encryption),
    Mode(StreamMode),
    MaxRecord { kib: u32 },
    Retention(Duration),
}

impl Stream {
    /// A stream that begins to exist now. Its name was checked, and is free.
    #[must_use]
    pub fn create(new: NewStream, predecessor: Option<Predecessor>, transition: Duration, now: Timestamp) -> Self {
        let earliest = predecessor.map_or(now, |gone| gone.created.plus(Duration::from_millis(1)));
        let mut stream = Self {
            name: new.name,
            created: now.max(earliest),
            mode: new.mode,
            phase: Phase::Creating { until: now.plus(transition), shards: new.shards },
            transition,
            shards: Shards::none(predecessor.map_or(0, |gone| gone.second + 1)),
            retention: DEFAULT_RETENTION,
            encryption: Encryption::None,
            max_record_kib: new.max_record_kib,
            tags: new.tags,
            metrics: BTreeSet::new(),
            limits: Limits::Off,
            consumers: Consumers::default(),
            activity: 0,
        };
        stream.settle(now);
        stream
    }

    /// Limits the rates of its shards, or no longer does.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Brings the stream to `now`: ends transitions that are over and forgets what is too old. Has to be called before
    /// anything else is asked of the stream. Says whether a transition ended.
    pub fn settle(&mut self, now: Timestamp) -> bool {
        let mut ended = true;
        match std::mem::replace(&mut self.phase, Phase::Active) {
            Phase::Creating { until, shards } if until <= now => self.shards.open_uniform(shards, until),
            Phase::Updating { until, change } if until <= now => self.apply(change, until),
            unfinished => {
                self.phase = unfinished;
                ended = false;
            }
        }
        ended |= self.consumers.settle(now);
        self.activity += u64::from(ended);
        self.shards.expire(now, self.retention);
        ended
    }

    /// Grows with everything that a subscription could be waiting for.
    pub(crate) fn activity(&self) -> u64 {
        self.activity
    }

    /// Nothing that is kept arrived at this time or before; `None` if nothing can be too old.
    #[must_use]
    pub fn horizon(&self, now: Timestamp) -> Option<Timestamp> {
        Shards::horizon(now, self.retention)
    }

    /// Puts a record back that was saved: at the same place, with the same number.
    pub(crate) fn restore(
        &mut self,
        shard: ShardId,
        ordinal: u64,
        (payload, arrival, encrypted): (Payload, Timestamp, bool),
    ) {
        self.shards.restore(shard, ordinal, Entry { payload, arrival, encrypted });
    }

    /// Whether the stream was deleted and the deletion is over.
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        matches!(self.phase, Phase::Deleting { until } if until <= now)
    }

    /// What to tell a stream of the same name that is created after this one.
    #[must_use]
    pub fn as_predecessor(&self) -> Predecessor {
        Predecessor { created: self.created, second: self.shards.highest_second() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> StreamStatus {
        match self.phase {
            Phase::Creating { .. } => StreamStatus::Creating,
            Phase::Active => StreamStatus::Active,
            Phase::Updating { .. } => StreamStatus::Updating,
            Phase::Deleting { .. } => StreamStatus::Deleting,
        }
    }

    /// How many shards take records, or will when the stream is created.
    #[must_use]
    pub fn open_shard_count(&self) -> u32 {
        match self.phase {
            Phase::Creating { shards, .. } => shards,
            _ => self.shards.open_count(),
        }
    }

    fn key(&self) -> StreamKey {
        StreamKey { name: self.name.clone(), created: self.created }
    }

    /// Starts a change: at once if transitions take no time, else when the stream has been `UPDATING` for long enough.
    fn begin(&mut self, change: Change, now: Timestamp) {
        if self.transition.is_zero() {
            self.apply(change, now);
        } else {
            self.phase = Phase::Updating { until: now.plus(self.transition), change };
        }
    }

    fn apply(&mut self, change: Change, now: Timestamp) {
        self.activity += 1;
        match change {
            Change::Reshard(reshard) => reshard.apply(&mut self.shards, now),
            Change::Encryption(encryption) => self.encryption = encryption,
            Change::Mode(mode) => self.mode = mode,
            Change::MaxRecord { kib } => self.max_record_kib = kib,
            Change::Retention(retention) => self.retention = retention,
        }
    }

    fn require_active(&self) -> Result<(), ServiceError> {
        match self.status() {
            StreamStatus::Active => Ok(()),
            status => Err(ServiceError::in_use(format!(
                "Stream {} is not ACTIVE, instead in state {status}: wait until it is ACTIVE",
                self.name
            ))),
        }
    }

    /// Records can be written and read in every state but `CREATING`.
    fn require_created(&self) -> Result<(), ServiceError> {
        match self.phase {
            Phase::Creating { .. } => Err(ServiceError::not_found(format!(
                "Stream {} not found: it is still CREATING, wait until it is ACTIVE",
                self.name
            ))),
            _ => Ok(()),
        }
    }
}

/// How many shards an on-demand stream begins with.
pub(crate) const ON_DEMAND_SHARDS: u32 = 4;
pub(crate) const DEFAULT_MAX_RECORD_KIB: u32 = 1024;
const DEFAULT_RETENTION: Duration = Duration::from_hours(24);
