//! Registered consumers, and subscriptions that push.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::LocalKinesis;
use super::streams::Cell;
use crate::model::consumer::{ConsumerDescription, ConsumerLimits, FanOutEvent, Push, SubscriptionKey};
use crate::model::{ServiceError, ShardId, StartingPosition};

/// A subscription of a registered consumer to a shard. It lasts five minutes of the service's clock at most.
///
/// Dropping it stops it, but the consumer still cannot subscribe to the shard again within five seconds, as with the
/// service.
#[derive(Debug)]
pub struct Subscription {
    kinesis: LocalKinesis,
    cell: Arc<Cell>,
    stream: String,
    key: SubscriptionKey,
    is_over: bool,
}

impl Subscription {
    /// The next event: at once where there are records, else when some arrive, and every five seconds without any.
    /// `None` when it is over: after five minutes, or behind the event that ended the shard.
    ///
    /// # Errors
    /// `ResourceInUseException` if another subscription took over, `ResourceNotFoundException` if stream, consumer or
    /// shard are gone. Then it is over as well.
    ///
    /// # Cancel safety
    /// Dropping the future loses no event.
    pub async fn next(&mut self) -> Option<Result<FanOutEvent, ServiceError>> {
        while !self.is_over {
            // Before the look at the stream: what happens between the look and the wait would be missed otherwise.
            let mut changed = std::pin::pin!(self.cell.changed.notified());
            changed.as_mut().enable();
            let pushed = self.kinesis.with_stream(&self.stream, |stream, now| stream.push(&self.key, now));
            match pushed {
                Ok(Push::Event(event)) => return Some(Ok(event)),
                Ok(Push::End) => self.is_over = true,
                Ok(Push::Wait(until)) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = self.kinesis.clock().sleep_until(until) => {}
                    }
                }
                Err(error) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

impl LocalKinesis {
    /// Registers a consumer of a stream for enhanced fan-out.
    ///
    /// # Errors
    /// `ResourceInUseException` if there is one of this name, `LimitExceededException` beyond
    /// [`Settings::consumer_limit`](crate::Settings::consumer_limit).
    pub fn register_consumer(&self, stream: &str, consumer: &str) -> Result<ConsumerDescription, ServiceError> {
        self.register_consumer_with(stream, consumer, BTreeMap::new())
    }

    /// Registers a consumer that has tags from the start.
    ///
    /// # Errors
    /// As [`register_consumer`](Self::register_consumer); `InvalidArgumentException` for more than 50 tags.
    pub fn register_consumer_with(
        &self,
        stream: &str,
        consumer: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<ConsumerDescription, ServiceError> {
        let creating = if self.settings().limits.are_on() { MAX_CREATING } else { u32::MAX };
        let limits = ConsumerLimits { registered: self.settings().consumer_limit, creating };
        self.change_stream(stream, |stream, now| stream.register_consumer(consumer, tags, limits, now))
    }

    /// The tags of a consumer.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name.
    pub fn consumer_tags(&self, stream: &str, consumer: &str) -> Result<BTreeMap<String, String>, ServiceError> {
        self.with_stream(stream, |stream, _| stream.consumer_tags(consumer).cloned())
    }

    /// Adds tags to a consumer, or changes their values.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name, `InvalidArgumentException` for more than 50.
    pub fn add_consumer_tags(
        &self,
        stream: &str,
        consumer: &str,
        tags: BTreeMap<String, String>,
    ) -> Result<(), ServiceError> {
        self.change_stream(stream, |stream, _| stream.add_consumer_tags(consumer, tags))
    }

    /// Removes tags from a consumer.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name.
    pub fn remove_consumer_tags<'a>(
        &self,
        stream: &str,
        consumer: &str,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ServiceError> {
        self.change_stream(stream, |stream, _| stream.remove_consumer_tags(consumer, keys))
    }

    /// Removes a consumer, and ends its subscriptions.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none.
    pub fn deregister_consumer(&self, stream: &str, consumer: &str) -> Result<(), ServiceError> {
        self.change_stream(stream, |stream, now| stream.deregister_consumer(consumer, now))
    }

    /// A consumer.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none.
    pub fn consumer(&self, stream: &str, consumer: &str) -> Result<ConsumerDescription, ServiceError> {
        self.with_stream(stream, |stream, _| stream.consumer(consumer))
    }

    /// The consumers of a stream, by name.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is no such stream.
    pub fn consumers(&self, stream: &str) -> Result<Vec<ConsumerDescription>, ServiceError> {
        self.with_stream(stream, |stream, _| Ok(stream.consumers().collect()))
    }

    /// The ARN of a consumer.
    #[must_use]
    pub fn consumer_arn(&self, stream: &str, consumer: &ConsumerDescription) -> String {
        let (stream, name, second) = (self.stream_arn(stream), &consumer.name, consumer.created.as_secs());
        format!("{stream}/consumer/{name}:{second}")
    }

    /// Refuses what [`subscribe_to_shard`](Self::subscribe_to_shard) would refuse now.
    pub(crate) fn check_subscribe(
        &self,
        stream: &str,
        consumer: &str,
        shard: ShardId,
        position: StartingPosition,
    ) -> Result<(), ServiceError> {
        self.with_stream(stream, |stream, now| stream.check_subscribe(consumer, shard, position, now))
    }

    /// Subscribes a consumer to a shard.
    ///
    /// # Errors
    /// `ResourceInUseException` if the consumer is not active, or subscribed to the shard less than five seconds ago;
    /// `ResourceNotFoundException` if there is no such stream, consumer or shard; `InvalidArgumentException` if the shard
    /// has no such position.
    pub fn subscribe_to_shard(
        &self,
        stream: &str,
        consumer: &str,
        shard: ShardId,
        position: StartingPosition,
    ) -> Result<Subscription, ServiceError> {
        let cell = self.cell(stream)?;
        let key = self.with_stream(stream, |stream, now| stream.subscribe(consumer, shard, position, now))?;
        Ok(Subscription { kinesis: self.clone(), cell, stream: stream.to_owned(), key, is_over: false })
    }
}

/// How many consumers of a stream may be CREATING at the same time, where limits are on.
const MAX_CREATING: u32 = 5;
