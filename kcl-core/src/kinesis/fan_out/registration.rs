//! Finding the registered consumer of a stream, or registering it.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::operation::describe_stream_consumer::DescribeStreamConsumerError;
use aws_sdk_kinesis::operation::register_stream_consumer::RegisterStreamConsumerError;
use aws_sdk_kinesis::types::ConsumerStatus;
use aws_sdk_kinesis::{Client, Config};

use super::super::errors::Fault;
use crate::ports::{Clock, ReadError, SourceError};
use crate::types::{Backoff, ConsumerId, ShardRef, StreamId};

/// What is needed to find a consumer or to register it.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) client: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) consumer: ConsumerId,
    pub(super) stream: StreamId,
}

/// A consumer as the service describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Registered {
    pub(super) arn: Arc<str>,
    pub(super) status: ConsumerStatus,
}

/// Why there is no consumer to subscribe with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoConsumer {
    /// The stream takes no more. The text says so for people.
    Limit(String),
    /// The one that was given by ARN does not exist.
    Missing(String),
    /// A call failed.
    Fault(Fault),
}

impl Registration {
    /// The consumer, as soon as it can subscribe.
    pub(super) async fn active(&self) -> Result<Arc<str>, NoConsumer> {
        let begun = self.clock.now();
        let mut looks = 0;
        loop {
            let found = self.ensure().await?;
            if found.status == ConsumerStatus::Active {
                return Ok(found.arn);
            }
            let waited = self.clock.now().since(begun);
            if waited >= PATIENCE {
                return Err(NoConsumer::Fault(Fault::Unavailable(format!(
                    "the consumer {} has been {} for {}s and cannot subscribe before it is ACTIVE",
                    self.consumer,
                    found.status.as_str(),
                    waited.as_secs()
                ))));
            }
            looks += 1;
            tracing::debug!(stream = %self.stream, consumer = %self.consumer, status = found.status.as_str(), "waiting");
            // No jitter: all shards of a worker share this wait.
            self.clock.sleep_until(self.clock.now() + STATUS_BACKOFF.delay(looks, u64::MAX)).await;
        }
    }

    /// The consumer, whatever its status. One that is known by name and not there is registered; it is fine if another
    /// worker does so at the same time.
    pub(super) async fn ensure(&self) -> Result<Registered, NoConsumer> {
        if let Some(arn) = self.consumer.arn() {
            let found = self.describe(None).await?;
            return found.ok_or_else(|| {
                NoConsumer::Missing(format!("there is no consumer {arn}; name one, and it is registered by the worker"))
            });
        }
        let stream = self.stream_arn().await?;
        let mut refused = 0;
        loop {
            if let Some(found) = self.describe(Some(&stream)).await? {
                return Ok(found);
            }
            let Some(error) = self.register(&stream).await? else { continue };
            refused += 1;
            // The same code means that too many are registered, that too many are being registered, and too many calls.
            let count = self.consumers().await?;
            if count >= LEAST_LIMIT {
                return Err(NoConsumer::Limit(format!(
                    "stream {} has {count} registered consumers and takes no more (20, or 50 with On-demand Advantage), so \
                     {} cannot be registered ({error})",
                    self.stream, self.consumer
                )));
            }
            if refused > BORNE {
                return Err(NoConsumer::Fault(Fault::Throttled(error)));
            }
            self.clock.sleep_until(self.clock.now() + STATUS_BACKOFF.delay(refused, u64::MAX)).await;
        }
    }

    async fn describe(&self, stream: Option<&str>) -> Result<Option<Registered>, NoConsumer> {
        let call = self.client.describe_stream_consumer();
        let call = match stream {
            Some(stream) => call.stream_arn(stream).consumer_name(self.consumer.as_str()),
            None => call.consumer_arn(self.consumer.as_str()),
        };
        match call.send().await {
            Ok(output) => {
                let described = output.consumer_description.ok_or_else(|| unclear("DescribeStreamConsumer"))?;
                Ok(Some(Registered { arn: described.consumer_arn.into(), status: described.consumer_status }))
            }
            Err(error) if error.as_service_error().is_some_and(is_missing) => Ok(None),
            Err(error) => Err(NoConsumer::Fault(Fault::of(&error))),
        }
    }

    /// Registers the consumer; an answer in words if the service refused for a limit. What became of it, the next look says.
    async fn register(&self, stream: &str) -> Result<Option<String>, NoConsumer> {
        let call = self.client.register_stream_consumer().stream_arn(stream).consumer_name(self.consumer.as_str());
        // The SDK takes a limit that is reached for throttling, and would call again and again.
        let once = Config::builder().retry_config(RetryConfig::disabled());
        let error = match call.customize().config_override(once).send().await {
            Ok(_) => {
                tracing::info!(stream = %self.stream, consumer = %self.consumer, "consumer registered; it stays registered");
                return Ok(None);
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            // Another worker was quicker.
            Some(RegisterStreamConsumerError::ResourceInUseException(_)) => Ok(None),
            Some(RegisterStreamConsumerError::LimitExceededException(limit)) => {
                Ok(Some(limit.message().unwrap_or("LimitExceededException").to_owned()))
            }
            _ => Err(NoConsumer::Fault(Fault::of(&error))),
        }
    }

    async fn stream_arn(&self) -> Result<Arc<str>, NoConsumer> {
        match self.stream.arn() {
            Some(arn) => Ok(arn.into()),
            None => Ok(self.summary().await?.0),
        }
    }

    async fn consumers(&self) -> Result<i32, NoConsumer> {
        Ok(self.summary().await?.1)
    }

    async fn summary(&self) -> Result<(Arc<str>, i32), NoConsumer> {
        let call = self.client.describe_stream_summary();
        let call = match self.stream.arn() {
            Some(arn) => call.stream_arn(arn),
            None => call.stream_name(self.stream.name().as_str()),
        };
        let output = call.send().await.map_err(|error| NoConsumer::Fault(Fault::of(&error)))?;
        let summary = output.stream_description_summary.ok_or_else(|| unclear("DescribeStreamSummary"))?;
        Ok((summary.stream_arn.into(), summary.consumer_count.unwrap_or_default()))
    }
}

impl NoConsumer {
    /// As the error of a reader.
    pub(crate) fn into_read_error(self, shard: &ShardRef) -> ReadError {
        match self {
            NoConsumer::Limit(text) => ReadError::Invalid(format!("{text}; deregister one that is not used")),
            NoConsumer::Missing(text) => ReadError::Invalid(text),
            NoConsumer::Fault(fault) => fault.into_read_error(shard),
        }
    }

    /// As the error of a preparation.
    pub(crate) fn into_source_error(self, stream: &StreamId) -> SourceError {
        match self {
            NoConsumer::Limit(text) => SourceError::ConsumerLimit(text),
            NoConsumer::Missing(text) => SourceError::Invalid(text),
            NoConsumer::Fault(fault) => fault.into_source_error(stream),
        }
    }

    /// For the log.
    pub(crate) fn text(&self) -> &str {
        match self {
            NoConsumer::Limit(text) | NoConsumer::Missing(text) => text,
            NoConsumer::Fault(fault) => fault.text(),
        }
    }
}

fn is_missing(error: &DescribeStreamConsumerError) -> bool {
    matches!(error, DescribeStreamConsumerError::ResourceNotFoundException(_))
}

fn unclear(operation: &str) -> NoConsumer {
    NoConsumer::Fault(Fault::Unavailable(format!("{operation} answered without a description")))
}

/// A consumer is usually ACTIVE within some seconds. Whoever waits longer than this is told, and waits on.
const PATIENCE: Duration = Duration::from_secs(60);
const STATUS_BACKOFF: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(5) };
/// No stream takes fewer.
const LEAST_LIMIT: i32 = 20;
/// Five consumers may be in CREATING at a time, and five calls made in a second: both pass within some seconds.
const BORNE: u32 = 4;
