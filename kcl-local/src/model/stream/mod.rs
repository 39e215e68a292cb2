//! A stream: its life, its settings, its records.

mod control;
mod data;
mod fan_out;
mod kinds;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::consumer::Consumers;
use super::error::ServiceError;
use super::limits::Limits;
use super::log::Entry;
use super::name::Account;
use super::record::Payload;
use super::reshard::Reshard;
use super::shard::ShardId;
use super::shards::Shards;
use super::time::Timestamp;
use super::token::StreamKey;

pub use control::Retention;
pub(crate) use control::check_distribution;
pub(crate) use data::MAX_RECORDS_PER_READ;
pub use data::{EntryError, Placed, PutResult, RecordBatch, check_batch};
pub use kinds::{Encryption, NewStream, RecordDistribution, StreamMode, StreamStatus};
pub use view::{ShardPage, StreamSummary};

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
    #[serde(default)]
    distribution: RecordDistribution,
    /// How many records found their shard without a key.
    #[serde(skip)]
    spread: u64,
    #[serde(skip)]
    limits: Limits,
    /// Whose stream it is, for messages.
    #[serde(skip)]
    account: String,
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
            distribution: new.distribution,
            spread: 0,
            limits: Limits::Off,
            account: String::new(),
            consumers: Consumers::default(),
            activity: 0,
        };
        stream.settle(now);
        stream
    }

    /// Puts it in its place: the account it belongs to, which messages name, and whether rates are limited there.
    pub fn settle_in(&mut self, account: &Account, limits: Limits) {
        self.account.clone_from(&account.id);
        self.limits = limits;
    }

    /// As messages name it.
    pub(crate) fn full_name(&self) -> String {
        format!("{} under account {}", self.name, self.account)
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
            Change::Mode(mode) => {
                self.mode = mode;
                if mode == StreamMode::Provisioned {
                    // Such a stream has no other.
                    self.distribution = RecordDistribution::UserPartitionKey;
                }
            }
            Change::MaxRecord { kib } => self.max_record_kib = kib,
            Change::Retention(retention) => self.retention = retention,
        }
    }

    fn require_active(&self) -> Result<(), ServiceError> {
        match self.status() {
            StreamStatus::Active => Ok(()),
            status => Err(ServiceError::in_use(format!(
                "Stream {} is not ACTIVE, instead in state {status}: wait until it is ACTIVE",
                self.full_name()
            ))),
        }
    }

    /// Records can be written and read in every state but `CREATING`.
    fn require_created(&self) -> Result<(), ServiceError> {
        match self.phase {
            Phase::Creating { .. } => Err(ServiceError::not_found(format!(
                "Stream {} not found: it is still CREATING, wait until it is ACTIVE",
                self.full_name()
            ))),
            _ => Ok(()),
        }
    }
}

const DEFAULT_RETENTION: Duration = Duration::from_hours(24);
