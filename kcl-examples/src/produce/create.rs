//! Creating the stream if it is missing.

use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::DisplayErrorContext;
use aws_sdk_kinesis::types::StreamStatus;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::StreamId;

use crate::common::program::Usage;

/// Creates the stream unless it exists, and waits until it can be written to.
pub(super) async fn if_missing(client: &Client, stream: &StreamId, shards: NonZeroU32) -> anyhow::Result<()> {
    if stream.arn().is_some() {
        return Err(
            Usage("--create-shards needs the stream's name: an ARN says where a stream is already".into()).into()
        );
    }
    let shards = i32::try_from(shards.get()).context("--create-shards is too large")?;
    let name = stream.name().as_str();
    if let Err(error) = client.create_stream().stream_name(name).shard_count(shards).send().await {
        let exists = error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception());
        anyhow::ensure!(exists, "the stream {name} cannot be created: {}", DisplayErrorContext(&error));
    }
    let clock = SystemClock::new();
    let begun = clock.now();
    loop {
        let described = client.describe_stream_summary().stream_name(name).send().await;
        let described =
            described.map_err(|error| anyhow::anyhow!("the stream {name}: {}", DisplayErrorContext(&error)))?;
        let status = described.stream_description_summary().map(|summary| summary.stream_status().clone());
        match status {
            Some(StreamStatus::Active | StreamStatus::Updating) => return Ok(()),
            status if clock.now().since(begun) > PATIENCE => {
                let status = status.map_or_else(|| "unknown".to_owned(), |status| status.to_string());
                anyhow::bail!("the stream {name} is still {status} after {} s; try again later", PATIENCE.as_secs());
            }
            _ => clock.sleep_until(clock.now() + LOOK_EVERY).await,
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(500);
