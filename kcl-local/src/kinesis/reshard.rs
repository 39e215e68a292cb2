//! Shards: list, split, merge, scale.

use super::LocalKinesis;
use crate::model::reshard::Reshard;
use crate::model::stream::ShardPage;
use crate::model::token::PageToken;
use crate::model::{HashKey, ServiceError, ShardDescription, ShardFilter, ShardId};

impl LocalKinesis {
    /// The shards that the filter shows, by id.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream, `ResourceInUseException` while it is being created.
    pub fn list_shards(&self, stream: &str, filter: ShardFilter) -> Result<Vec<ShardDescription>, ServiceError> {
        self.list_shard_page(stream, filter, None, usize::MAX).map(|page| page.shards)
    }

    /// The first page of a listing.
    pub(crate) fn list_shard_page(
        &self,
        stream: &str,
        filter: ShardFilter,
        after: Option<ShardId>,
        limit: usize,
    ) -> Result<ShardPage, ServiceError> {
        let age = self.bent.listing_age;
        self.with_stream(stream, |stream, now| stream.list_shards(filter, after, limit, (now, age)))
    }

    /// A further page of a listing, and the name of the stream it belongs to.
    pub(crate) fn list_next_shard_page(&self, next_token: &str, limit: usize) -> Result<ShardPage, ServiceError> {
        let token = PageToken::decode(next_token)?;
        self.with_stream(&token.stream.name, |stream, now| stream.list_more_shards(&token, limit, now))
    }

    /// Splits a shard in two; the second begins at `at`. Like the other changes of shards here it is also possible on an
    /// on-demand stream, which the service would scale by itself; clients are refused there, as by the service.
    ///
    /// # Errors
    /// `InvalidArgumentException` if `at` is not inside the shard's range, or the shard is closed.
    pub fn split_shard(&self, stream: &str, shard: ShardId, at: HashKey) -> Result<(), ServiceError> {
        self.require_room(1)?;
        self.change_stream(stream, |stream, now| stream.reshard(Reshard::Split { shard, at }, now))
    }

    /// Splits a shard in the middle.
    ///
    /// # Errors
    /// As [`split_shard`](Self::split_shard).
    pub fn split_shard_evenly(&self, stream: &str, shard: ShardId) -> Result<(), ServiceError> {
        let found = self.list_shards(stream, ShardFilter::FromTrimHorizon)?.into_iter().find(|s| s.id == shard);
        let Some(found) = found else {
            return Err(ServiceError::not_found(format!("Could not find shard {shard} in stream {stream}.")));
        };
        self.split_shard(stream, shard, found.hash_range.middle())
    }

    /// Merges two neighbours. The child names `shard` as its parent and `adjacent` as its adjacent parent.
    ///
    /// # Errors
    /// `InvalidArgumentException` if they are no neighbours, or one is closed.
    pub fn merge_shards(&self, stream: &str, shard: ShardId, adjacent: ShardId) -> Result<(), ServiceError> {
        self.change_stream(stream, |stream, now| stream.reshard(Reshard::Merge { shard, adjacent }, now))
    }

    /// Gives a stream as many shards of equal width; returns how many were open before.
    ///
    /// # Errors
    /// `LimitExceededException` for more than double or less than half as many.
    pub fn update_shard_count(&self, stream: &str, target: u32) -> Result<u32, ServiceError> {
        let open = self.with_stream(stream, |stream, _| Ok(stream.open_shard_count()))?;
        self.require_room(target.saturating_sub(open))?;
        self.change_stream(stream, |stream, now| stream.reshard(Reshard::Scale { target }, now))?;
        Ok(open)
    }
}
