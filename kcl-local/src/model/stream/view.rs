//! What can be seen of a stream.

use std::time::Duration;

use super::{Encryption, Phase, RecordDistribution, Stream, StreamMode, StreamStatus};
use crate::model::error::ServiceError;
use crate::model::listing::ShardFilter;
use crate::model::shard::{Shard, ShardDescription, ShardId};
use crate::model::time::Timestamp;
use crate::model::token::PageToken;

/// A stream in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// Where it is in its life.
    pub status: StreamStatus,
    /// How it gets its capacity.
    pub mode: StreamMode,
    /// When it was created. A stream that was deleted and created again is told apart by this.
    pub created: Timestamp,
    /// How long records are kept.
    pub retention_hours: u32,
    /// Encryption of new records.
    pub encryption: Encryption,
    /// How many shards take records.
    pub open_shards: u32,
    /// How records find their shard.
    pub distribution: RecordDistribution,
    /// The size of the largest record, in KiB.
    pub max_record_kib: u32,
    /// How many consumers are registered.
    pub consumers: u32,
    /// The shard-level metrics that are switched on.
    pub metrics: Vec<String>,
}

/// A page of a listing of shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardPage {
    /// The shards, by id.
    pub shards: Vec<ShardDescription>,
    /// Where to go on; `None` on the last page.
    pub next_token: Option<String>,
}

impl Stream {
    /// The stream in short.
    #[must_use]
    pub fn summary(&self) -> StreamSummary {
        StreamSummary {
            name: self.name.clone(),
            status: self.status(),
            mode: self.mode,
            created: self.created,
            retention_hours: (self.retention.as_secs() / 3600) as u32,
            encryption: self.encryption.clone(),
            open_shards: self.shards.open_count(),
            distribution: self.distribution,
            max_record_kib: self.max_record_kib,
            consumers: self.consumers.all().count() as u32,
            metrics: self.metrics.iter().cloned().collect(),
        }
    }

    /// When it was created.
    #[must_use]
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// The shards after `after`, up to `limit`, and whether there are more: what `DescribeStream` shows.
    #[must_use]
    pub fn describe_shards(&self, after: Option<ShardId>, limit: usize) -> (Vec<ShardDescription>, bool) {
        let mut shards = self.shards.all().filter(|shard| after.is_none_or(|after| shard.id > after));
        let page = shards.by_ref().take(limit).map(Shard::describe).collect();
        (page, shards.next().is_some())
    }

    /// The first page of a listing: shards after `after` that the filter shows, up to `limit`; as it is `now`, or as it
    /// was `age` ago.
    ///
    /// # Errors
    /// `ResourceInUseException` while the stream is being created.
    pub(crate) fn list_shards(
        &self,
        filter: ShardFilter,
        after: Option<ShardId>,
        limit: usize,
        (now, age): (Timestamp, Duration),
    ) -> Result<ShardPage, ServiceError> {
        if matches!(self.phase, Phase::Creating { .. }) {
            self.require_active()?;
        }
        let generation =
            if age.is_zero() { self.shards.generation() } else { self.shards.generation_at(now.minus(age)) };
        Ok(self.page(filter, after, generation, limit, now))
    }

    /// A further page.
    ///
    /// # Errors
    /// `ExpiredNextTokenException`, or `InvalidArgumentException` if the token belongs to a stream of the same name that
    /// was deleted.
    pub(crate) fn list_more_shards(
        &self,
        token: &PageToken,
        limit: usize,
        now: Timestamp,
    ) -> Result<ShardPage, ServiceError> {
        if token.stream.created != self.created {
            return Err(ServiceError::invalid_argument(format!(
                "NextToken is not valid: it belongs to a stream {} that was deleted.",
                self.name
            )));
        }
        token.check_age(now)?;
        Ok(self.page(token.filter, Some(token.after), token.generation, limit, now))
    }

    fn page(
        &self,
        filter: ShardFilter,
        after: Option<ShardId>,
        generation: u32,
        limit: usize,
        now: Timestamp,
    ) -> ShardPage {
        let mut shown = self
            .shards
            .all()
            .filter(|shard| after.is_none_or(|after| shard.id > after))
            .filter(|shard| filter.shows(shard, &self.shards, generation));
        let shards: Vec<_> = shown.by_ref().take(limit).map(Shard::describe).collect();
        let more = shown.next().is_some();
        let next_token = shards
            .last()
            .filter(|_| more)
            .map(|last| PageToken { stream: self.key(), after: last.id, filter, generation, issued: now }.encode());
        ShardPage { shards, next_token }
    }
}
