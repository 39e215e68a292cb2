//! Whose a stream is and when it was created: what tells it from others, also from an earlier one of the same name.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::Config;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;

use super::convert;
use super::errors::Fault;
use crate::ports::ListedShards;
use crate::types::{StreamId, Timestamp};

/// What tells a stream from all others, as far as the service tells.
#[derive(Debug, Default)]
pub(super) struct Origin {
    created: Option<Timestamp>,
    account: Option<String>,
}

impl Origin {
    /// Says it with the listing.
    pub(super) fn told_by(self, listed: ListedShards) -> ListedShards {
        let listed = match self.created {
            Some(at) => listed.created(at),
            None => listed,
        };
        match self.account {
            Some(account) => listed.owned_by(account),
            None => listed,
        }
    }
}

/// Asks for the origins of streams.
#[derive(Debug, Default)]
pub(super) struct Origins {
    denied: AtomicBool,
}

impl Origins {
    /// The origin of the stream; nothing of it if that cannot be found out now. Shards are listed and read all the same: what is
    /// lost is only that a stream which was deleted and created again is recognised.
    pub(super) async fn of(&self, client: &Client, stream: &StreamId) -> Origin {
        let call = client.describe_stream_summary();
        let call = match stream.arn() {
            Some(arn) => call.stream_arn(arn),
            None => call.stream_name(stream.name().as_str()),
        };
        let timeouts = TimeoutConfig::builder().operation_timeout(PATIENCE).build();
        let settings = Config::builder().timeout_config(timeouts);
        match call.customize().config_override(settings).send().await {
            Ok(output) => {
                let Some(summary) = output.stream_description_summary else { return Origin::default() };
                let created = convert::timestamp(&summary.stream_creation_timestamp);
                let arn = StreamId::by_arn(&summary.stream_arn).ok();
                Origin {
                    // The SDK puts the epoch where an answer says nothing.
                    created: (created.as_millis() > 0).then_some(created),
                    account: arn.as_ref().and_then(StreamId::account).map(str::to_owned),
                }
            }
            Err(error) => {
                match Fault::of(&error) {
                    Fault::Denied(text) if !self.denied.swap(true, Ordering::Relaxed) => {
                        tracing::warn!(%stream, %text, "a stream that is deleted and created again will not be recognised: allow kinesis:DescribeStreamSummary");
                    }
                    fault => tracing::debug!(%stream, ?fault, "the stream's creation time is not known"),
                }
                Origin::default()
            }
        }
    }
}

/// An answer that takes longer is not waited for.
const PATIENCE: Duration = Duration::from_secs(3);
