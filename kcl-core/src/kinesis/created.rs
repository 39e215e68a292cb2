//! When a stream was created: what tells it from an earlier one of the same name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Config;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;

use super::convert;
use super::errors::Fault;
use crate::types::{StreamId, Timestamp};

/// Asks when streams were created, as far as the service tells.
#[derive(Debug, Default)]
pub(super) struct CreationTimes {
    denied: AtomicBool,
}

impl CreationTimes {
    /// When the stream was created; `None` if that cannot be found out now. Shards are listed and read all the same: what is
    /// lost is only that a stream which was deleted and created again is recognised.
    pub(super) async fn of(&self, client: &Client, stream: &StreamId) -> Option<Timestamp> {
        let call = client.describe_stream_summary();
        let call = match stream.arn() {
            Some(arn) => call.stream_arn(arn),
            None => call.stream_name(stream.name().as_str()),
        };
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let settings = Config::builder().timeout_config(timeouts);
        match call.customize().config_override(settings).send().await {
            Ok(output) => {
                let summary = output.stream_description_summary?;
                let created = convert::timestamp(&summary.stream_creation_timestamp);
                // The SDK puts the epoch where an answer says nothing.
                (created.as_millis() > 0).then_some(created)
            }
            Err(error) => {
                match Fault::of(&error) {
                    Fault::Denied(text) if !self.denied.swap(true, Ordering::Relaxed) => {
                        tracing::warn!(%stream, %text, "a stream that is deleted and created again will not be recognised: allow kinesis:DescribeStreamSummary");
                    }
                    fault => tracing::debug!(%stream, ?fault, "the stream's creation time is not known"),
                }
                None
            }
        }
    }
}

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);
