//! Changes to a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Change, Encryption, Phase, RecordDistribution, Stream, StreamMode};
use crate::model::error::ServiceError;
use crate::model::hash::HashKey;
use crate::model::reshard::Reshard;
use crate::model::shard::{Shard, ShardId};
use crate::model::tags;
use crate::model::time::Timestamp;

/// The direction in which a call may change how long records are kept: the service has one call for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// To this many hours, which are more.
    Increase(u32),
    /// To this many hours, which are less.
    Decrease(u32),
}

impl Stream {
    /// Begins to delete the stream.
    pub fn delete(&mut self, now: Timestamp) {
        self.activity += 1;
        if !matches!(self.phase, Phase::Deleting { .. }) {
            self.phase = Phase::Deleting { until: now.plus(self.transition) };
        }
    }

    /// Splits, merges or scales.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active; `ResourceNotFoundException`, `InvalidArgumentException`
    /// or `LimitExceededException` if the change is not possible.
    pub fn reshard(&mut self, reshard: Reshard, now: Timestamp) -> Result<(), ServiceError> {
        self.require_active()?;
        match reshard {
            Reshard::Split { shard, at } => self.check_split(shard, at)?,
            Reshard::Merge { shard, adjacent } => self.check_merge(shard, adjacent)?,
            Reshard::Scale { target } => self.check_scale(target)?,
        }
        self.begin(Change::Reshard(reshard), now);
        Ok(())
    }

    /// Changes how long records are kept.
    ///
    /// # Errors
    /// `InvalidArgumentException` if that is not the direction or out of bounds, `ResourceInUseException` if the
    /// stream is not active.
    pub fn change_retention(&mut self, change: Retention, now: Timestamp) -> Result<(), ServiceError> {
        self.require_active()?;
        let current = (self.retention.as_secs() / 3600) as u32;
        let (hours, fits, wrong, cure) = match change {
            Retention::Increase(hours) => (hours, hours >= current, "shorter", "Decrease"),
            Retention::Decrease(hours) => (hours, hours <= current, "longer", "Increase"),
        };
        let asked = format!("Requested retention period ({hours} hours)");
        let problem = if hours < MIN_RETENTION_HOURS {
            format!("Minimum allowed retention period is {MIN_RETENTION_HOURS} hours. {asked} is too short.")
        } else if hours > MAX_RETENTION_HOURS {
            format!("Maximum allowed retention period is {MAX_RETENTION_HOURS} hours. {asked} is too long.")
        } else if !fits {
            format!(
                "{asked} for stream {} can not be {wrong} than existing retention period ({current} hours). Use \
                 {cure}StreamRetentionPeriod API.",
                self.name
            )
        } else {
            self.begin(Change::Retention(Duration::from_hours(u64::from(hours))), now);
            return Ok(());
        };
        Err(ServiceError::invalid_argument(problem))
    }

    /// Changes how records find their shard, at once.
    ///
    /// # Errors
    /// `InvalidArgumentException` if a provisioned stream is to have another way than keys, `ResourceInUseException` if
    /// the stream is not active.
    pub fn change_distribution(&mut self, distribution: RecordDistribution) -> Result<(), ServiceError> {
        self.require_active()?;
        check_distribution(distribution, self.mode)?;
        self.distribution = distribution;
        Ok(())
    }

    /// Changes how the stream gets its capacity.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active.
    pub fn change_mode(&mut self, mode: StreamMode, now: Timestamp) -> Result<(), ServiceError> {
        self.require_active()?;
        self.begin(Change::Mode(mode), now);
        Ok(())
    }

    /// Switches encryption on or off for the records to come.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active.
    pub fn change_encryption(&mut self, encryption: Encryption, now: Timestamp) -> Result<(), ServiceError> {
        self.require_active()?;
        self.begin(Change::Encryption(encryption), now);
        Ok(())
    }

    /// Changes the size of the largest record, in KiB.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active.
    pub fn change_max_record(&mut self, kib: u32, now: Timestamp) -> Result<(), ServiceError> {
        self.require_active()?;
        self.begin(Change::MaxRecord { kib }, now);
        Ok(())
    }

    /// The tags.
    #[must_use]
    pub fn tags(&self) -> &BTreeMap<String, String> {
        &self.tags
    }

    /// Adds tags, or changes their values.
    ///
    /// # Errors
    /// `InvalidArgumentException` if there would be more than 50.
    pub fn add_tags(&mut self, tags: BTreeMap<String, String>) -> Result<(), ServiceError> {
        tags::add(&mut self.tags, tags, || format!("stream {}", self.name))
    }

    /// Removes tags; unknown keys do not matter.
    pub fn remove_tags<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) {
        tags::remove(&mut self.tags, keys);
    }

    /// The shard-level metrics that are switched on. They are remembered, nothing is measured.
    pub fn metrics(&mut self) -> &mut BTreeSet<String> {
        &mut self.metrics
    }

    fn check_split(&self, id: ShardId, at: HashKey) -> Result<(), ServiceError> {
        let shard = self.open_shard(id)?;
        let range = shard.hash_range;
        if range.split_at(at).is_none() {
            return Err(ServiceError::invalid_argument(format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {id} in stream {} is not both greater than one \
                 plus the shard's StartingHashKey {} and less than the shard's EndingHashKey {}.",
                self.name, range.start, range.end
            )));
        }
        Ok(())
    }

    fn check_merge(&self, id: ShardId, adjacent: ShardId) -> Result<(), ServiceError> {
        let (shard, neighbour) = (self.open_shard(id)?, self.open_shard(adjacent)?);
        if shard.hash_range.joined_with(&neighbour.hash_range).is_none() {
            return Err(ServiceError::invalid_argument(format!(
                "Shards {id} and {adjacent} in stream {} are not an adjacent pair of shards eligible for merging",
                self.name
            )));
        }
        Ok(())
    }

    fn check_scale(&self, target: u32) -> Result<(), ServiceError> {
        let open = self.shards.open_count();
        let counts = format!("Current open shard count: {open}, Target shard count: {target}");
        if target > MAX_TARGET {
            return Err(ServiceError::limit_exceeded(format!(
                "UpdateShardCount cannot scale a stream to more than {MAX_TARGET} shards. {counts}"
            )));
        }
        if target > open * 2 {
            return Err(ServiceError::limit_exceeded(format!(
                "UpdateShardCount cannot scale up over double your current open shard count. {counts}"
            )));
        }
        if target * 2 < open {
            return Err(ServiceError::limit_exceeded(format!(
                "UpdateShardCount cannot scale down below half your current open shard count. {counts}"
            )));
        }
        Ok(())
    }

    fn open_shard(&self, id: ShardId) -> Result<&Shard, ServiceError> {
        let shard = self.existing_shard(id)?;
        if !shard.is_open() {
            return Err(ServiceError::invalid_argument(format!(
                "Shard {id} in stream {} has already been merged or split, and thus is not eligible for merging or \
                 splitting.",
                self.name
            )));
        }
        Ok(shard)
    }

    pub(super) fn existing_shard(&self, id: ShardId) -> Result<&Shard, ServiceError> {
        self.shards
            .find(id)
            .ok_or_else(|| ServiceError::not_found(format!("Shard {id} in stream {} does not exist", self.full_name())))
    }
}

/// Refuses what a stream of this mode cannot have.
///
/// # Errors
/// `InvalidArgumentException`.
pub(crate) fn check_distribution(distribution: RecordDistribution, mode: StreamMode) -> Result<(), ServiceError> {
    if distribution == RecordDistribution::Auto && mode == StreamMode::Provisioned {
        return Err(ServiceError::invalid_argument(
            "The record distribution strategy AUTO is only supported for streams in mode ON_DEMAND",
        ));
    }
    Ok(())
}

const MIN_RETENTION_HOURS: u32 = 24;
const MAX_RETENTION_HOURS: u32 = 8760;
/// How many shards UpdateShardCount gives a stream at most.
const MAX_TARGET: u32 = 10_000;
