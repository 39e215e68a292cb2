//! Registered consumers, and subscriptions that push.

use std::sync::Arc;

use super::LocalKinesis;
use super::streams::Cell;
use crate::model::consumer::{ConsumerDescription, FanOutEvent, Push, SubscriptionKey};
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
        let limit = self.settings().consumer_limit;
        self.change_stream(stream, |stream, now| stream.register_consumer(consumer, limit, now))
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
