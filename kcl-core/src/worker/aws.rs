//! Clients from what the user hands over. Endpoint, credentials, region and TLS stay theirs.

use std::time::Duration;

use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_types::SdkConfig;

/// A Kinesis client for this configuration.
pub(super) fn kinesis_client(config: &SdkConfig) -> aws_sdk_kinesis::Client {
    let behavior = config.behavior_version().unwrap_or_else(BehaviorVersion::v2026_01_12);
    let config = aws_sdk_kinesis::config::Builder::from(config).behavior_version(behavior).build();
    aws_sdk_kinesis::Client::from_conf(config)
}

/// A DynamoDB client for this configuration.
pub(super) fn dynamodb_client(config: &SdkConfig) -> aws_sdk_dynamodb::Client {
    let behavior = config.behavior_version().unwrap_or_else(BehaviorVersion::v2026_01_12);
    let config = aws_sdk_dynamodb::config::Builder::from(config).behavior_version(behavior).build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// A copy of the client for the lease table: without retries, since whoever holds a lease decides whether time is left for
/// another attempt, and with a retry quota of its own, so that a throttled data path never starves renewals. The time of an
/// attempt is the runtime's business; the bound here only keeps a dead connection from being held for ever.
pub(super) fn for_leases(client: &aws_sdk_dynamodb::Client) -> aws_sdk_dynamodb::Client {
    let ours = TimeoutConfig::builder().operation_attempt_timeout(LONGEST_CALL).operation_timeout(LONGEST_CALL);
    let timeouts = match client.config().timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours),
        None => ours,
    };
    let mut builder = client
        .config()
        .to_builder()
        .retry_config(RetryConfig::disabled())
        .retry_partition(RetryPartition::custom("kcl-leases").build())
        .timeout_config(timeouts.build());
    if let Ok(library) = aws_sdk_dynamodb::config::FrameworkMetadata::new("kcl-rust", Some(env!("CARGO_PKG_VERSION"))) {
        builder = builder.framework_metadata(library);
    }
    aws_sdk_dynamodb::Client::from_conf(builder.build())
}

const LONGEST_CALL: Duration = Duration::from_secs(5);
