//! Clients from what the user hands over, and components over them. Endpoint, credentials, region and TLS stay theirs.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::BehaviorVersion;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;

use crate::dynamodb::{DynamoDbStore, TableSettings};
use crate::kinesis::{KinesisClients, KinesisSource, SourceParts};
use crate::ports::{Clock, FleetStore, LeaseStore, Spawner};
use crate::settings::EffectiveSettings;
use crate::types::{StreamId, WorkerId};

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

/// Leases and worker rows in DynamoDB.
pub(super) fn dynamodb_store(
    client: &aws_sdk_dynamodb::Client,
    settings: &EffectiveSettings,
    clock: &Arc<dyn Clock>,
) -> (Arc<dyn LeaseStore>, Arc<dyn FleetStore>) {
    let mut table = TableSettings::new(&settings.application, settings.failover_time);
    table.table = settings.table_name.to_string();
    let store = Arc::new(DynamoDbStore::new(for_leases(client), table, Arc::clone(clock)));
    (Arc::clone(&store) as Arc<dyn LeaseStore>, store)
}

/// A stream in Kinesis, with subscriptions over another HTTP client where there is one.
pub(super) fn kinesis_source(
    clients: KinesisClients,
    subscribing_over: Option<SharedHttpClient>,
    stream: &StreamId,
    settings: &EffectiveSettings,
    worker: &WorkerId,
    clock: &Arc<dyn Clock>,
) -> KinesisSource {
    KinesisSource::from_parts(SourceParts {
        clients: match subscribing_over {
            Some(http) => clients.subscribing_over(http),
            None => clients,
        },
        kind: settings.reader,
        polling: settings.polling,
        consumer: settings.consumer.clone(),
        clock: Arc::clone(clock),
        labels: vec![
            ("application", settings.application.to_string()),
            ("stream", stream.name().to_string()),
            ("worker", worker.to_string()),
        ],
    })
}

/// Connections for subscriptions, for a client that has none of its user's choice: with the SDK's own, all calls would be on
/// one connection. A client that was given an HTTP client has it for a reason: it leads elsewhere, or trusts others.
#[cfg(feature = "fan-out-connections")]
pub(super) fn own_connections(
    client: &aws_sdk_kinesis::Client,
    clock: &Arc<dyn Clock>,
    spawner: &Arc<dyn Spawner>,
) -> Option<SharedHttpClient> {
    use crate::kinesis::{FanOutConnections, TrustAnchors};
    if client.config().http_client().is_some() {
        return None;
    }
    let connections = FanOutConnections::new(&TrustAnchors::System, Arc::clone(clock), Arc::clone(spawner));
    Some(SharedHttpClient::new(connections.expect("the system's anchors are not read before they are needed")))
}

#[cfg(not(feature = "fan-out-connections"))]
pub(super) fn own_connections(
    _client: &aws_sdk_kinesis::Client,
    _clock: &Arc<dyn Clock>,
    _spawner: &Arc<dyn Spawner>,
) -> Option<SharedHttpClient> {
    None
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
