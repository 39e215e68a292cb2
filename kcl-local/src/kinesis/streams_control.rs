//! Streams as a whole: create, delete, describe, change.

use std::collections::BTreeMap;

use super::LocalKinesis;
use crate::model::name::is_stream_name;
use crate::model::stream::{Retention, check_distribution};
use crate::model::{
    Encryption, NewStream, RecordDistribution, ServiceError, ShardDescription, ShardId, StreamMode, StreamStatus,
    StreamSummary,
};

impl LocalKinesis {
    /// Creates a provisioned stream.
    ///
    /// # Errors
    /// `ResourceInUseException` if it exists, `LimitExceededException` beyond the account's shards,
    /// `ValidationException` for a name the service would refuse.
    pub fn create_stream(&self, name: &str, shards: u32) -> Result<(), ServiceError> {
        self.create_stream_with(NewStream::provisioned(name, shards))
    }

    /// Creates a stream of any kind.
    ///
    /// # Errors
    /// As [`create_stream`](Self::create_stream).
    pub fn create_stream_with(&self, new: NewStream) -> Result<(), ServiceError> {
        if !is_stream_name(&new.name) {
            return Err(ServiceError::validation(format!(
                "1 validation error detected: Value '{}' at 'streamName' failed to satisfy constraint: Member must \
                 satisfy regular expression pattern: [a-zA-Z0-9_.-]{{1,128}}",
                new.name
            )));
        }
        if new.shards == 0 {
            return Err(ServiceError::validation(
                "1 validation error detected: Value '0' at 'shardCount' failed to satisfy constraint: Member must have \
                 value greater than or equal to 1",
            ));
        }
        check_distribution(new.distribution, new.mode)?;
        self.require_room(new.shards)?;
        self.require_room_for_mode(new.mode)?;
        self.require_few_being_created()?;
        self.insert_stream(new)
    }

    /// Deletes a stream.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none.
    pub fn delete_stream(&self, name: &str) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, now| {
            stream.delete(now);
            Ok(())
        })
    }

    /// A stream in short.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none.
    pub fn stream_summary(&self, name: &str) -> Result<StreamSummary, ServiceError> {
        self.with_stream(name, |stream, _| Ok(stream.summary()))
    }

    /// All streams, by name.
    #[must_use]
    pub fn stream_summaries(&self) -> Vec<StreamSummary> {
        self.each_stream(|stream| stream.summary())
    }

    /// Where a stream is in its life.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none.
    pub fn stream_status(&self, name: &str) -> Result<StreamStatus, ServiceError> {
        self.with_stream(name, |stream, _| Ok(stream.status()))
    }

    /// The stream with its shards after `after`, up to `limit`, and whether there are more.
    pub(crate) fn describe_stream(
        &self,
        name: &str,
        after: Option<ShardId>,
        limit: usize,
    ) -> Result<(StreamSummary, Vec<ShardDescription>, bool), ServiceError> {
        self.with_stream(name, |stream, _| {
            let (shards, more) = stream.describe_shards(after, limit);
            Ok((stream.summary(), shards, more))
        })
    }

    /// Changes how long records are kept.
    ///
    /// # Errors
    /// `InvalidArgumentException` if it is the wrong direction or not within 24 hours and 365 days.
    pub fn change_retention(&self, name: &str, change: Retention) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, now| stream.change_retention(change, now))
    }

    /// Changes how a stream gets its capacity.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active, `LimitExceededException` for too many on-demand streams.
    pub fn change_mode(&self, name: &str, mode: StreamMode) -> Result<(), ServiceError> {
        self.require_room_for_mode(mode)?;
        self.change_stream(name, |stream, now| stream.change_mode(mode, now))
    }

    /// Changes how records find their shard.
    ///
    /// # Errors
    /// `InvalidArgumentException` if a provisioned stream is to have another way than keys, `ResourceInUseException` if
    /// the stream is not active.
    pub fn change_distribution(&self, name: &str, distribution: RecordDistribution) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, _| stream.change_distribution(distribution))
    }

    /// Switches encryption on or off for the records to come.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active.
    pub fn change_encryption(&self, name: &str, encryption: Encryption) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, now| stream.change_encryption(encryption, now))
    }

    /// Changes the size of the largest record, in KiB.
    ///
    /// # Errors
    /// `ResourceInUseException` if the stream is not active.
    pub fn change_max_record(&self, name: &str, kib: u32) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, now| stream.change_max_record(kib, now))
    }

    /// The tags of a stream.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn tags(&self, name: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.with_stream(name, |stream, _| Ok(stream.tags().clone()))
    }

    /// Adds tags to a stream, or changes their values.
    ///
    /// # Errors
    /// `InvalidArgumentException` for more than 50.
    pub fn add_tags(&self, name: &str, tags: BTreeMap<String, String>) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, _| stream.add_tags(tags))
    }

    /// Removes tags from a stream.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn remove_tags<'a>(&self, name: &str, keys: impl IntoIterator<Item = &'a str>) -> Result<(), ServiceError> {
        self.change_stream(name, |stream, _| {
            stream.remove_tags(keys);
            Ok(())
        })
    }

    /// Changes which shard-level metrics are switched on; returns them as they were and as they are. They are remembered,
    /// nothing is measured.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn change_metrics(
        &self,
        name: &str,
        change: impl FnOnce(&mut std::collections::BTreeSet<String>),
    ) -> Result<(Vec<String>, Vec<String>), ServiceError> {
        self.change_stream(name, |stream, _| {
            let before = stream.metrics().iter().cloned().collect();
            change(stream.metrics());
            Ok((before, stream.metrics().iter().cloned().collect()))
        })
    }

    /// How many shards of the account take records.
    #[must_use]
    pub fn open_shard_count(&self) -> u32 {
        self.each_stream(|stream| stream.open_shard_count()).into_iter().sum()
    }

    /// How many of the account's streams are on-demand streams.
    #[must_use]
    pub fn on_demand_stream_count(&self) -> u32 {
        let is_on_demand = |summary: &StreamSummary| summary.mode == StreamMode::OnDemand;
        self.stream_summaries().iter().filter(|summary| is_on_demand(summary)).count() as u32
    }

    /// Refuses what would open more shards than the account may have. Two calls at once may both pass when only one
    /// should; the limit protects the machine's memory, not an invoice.
    pub(super) fn require_room(&self, more: u32) -> Result<(), ServiceError> {
        let (open, limit) = (self.open_shard_count(), self.settings().shard_limit);
        if open.saturating_add(more) > limit {
            return Err(ServiceError::limit_exceeded(format!(
                "This request would exceed the shard limit for the account {} in {}. Current shard count for the \
                 account: {open}. Limit: {limit}. Number of additional shards that would have resulted from this \
                 request: {more}.",
                self.settings().account.id,
                self.settings().account.region
            )));
        }
        Ok(())
    }

    fn require_few_being_created(&self) -> Result<(), ServiceError> {
        if !self.settings().limits.are_on() {
            return Ok(());
        }
        let statuses = self.each_stream(|stream| stream.status());
        let creating = statuses.into_iter().filter(|status| *status == StreamStatus::Creating).count();
        if creating >= MAX_CREATING {
            return Err(ServiceError::limit_exceeded(format!(
                "{creating} streams of account {} are CREATING, which is the limit: wait until one is ACTIVE.",
                self.settings().account.id
            )));
        }
        Ok(())
    }

    fn require_room_for_mode(&self, mode: StreamMode) -> Result<(), ServiceError> {
        let limit = self.settings().on_demand_stream_limit;
        if mode == StreamMode::OnDemand && self.on_demand_stream_count() >= limit {
            return Err(ServiceError::limit_exceeded(format!(
                "This request would exceed the limit of {limit} on-demand streams of account {}.",
                self.settings().account.id
            )));
        }
        Ok(())
    }
}

/// How many streams may be CREATING at the same time, where limits are on.
const MAX_CREATING: usize = 5;
