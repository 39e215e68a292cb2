//! The SDK clients of a source: one per way of failing.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_kinesis::config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_sdk_kinesis::config::{Builder, FrameworkMetadata, HttpClient, StalledStreamProtectionConfig};

use super::codec::{Codec, SdkCodec};
use super::silence::LeaveSilent;

/// Three clients of one account and region: one for control calls (`ListShards`, `GetShardIterator`, registered consumers),
/// which the SDK repeats when they fail, and one each for `GetRecords` and `SubscribeToShard`, whose repetition the reader
/// decides.
///
/// Cheap to clone; the HTTP connections are those of the client it was made from.
#[derive(Debug, Clone)]
pub struct KinesisClients {
    pub(super) control: Client,
    pub(super) records: Client,
    pub(super) subscriptions: Client,
    /// Within what time `GetRecords` is answered, unless the client of those calls sees to it.
    pub(super) patience: Option<Duration>,
    /// How records are decoded.
    pub(super) codec: Arc<dyn Codec>,
    /// Subscriptions have connections of their own.
    pub(super) apart: bool,
}

impl KinesisClients {
    /// Derives all from the user's client.
    ///
    /// Endpoint, credentials, region, TLS, HTTP client, clock and interceptors stay as they are. What changes:
    /// - Retries: none for `GetRecords` and `SubscribeToShard`; the SDK's standard mode with 3 attempts for control calls. Each client has its own
    ///   retry quota, so that a throttled data path does not use up that of anything else in the process.
    /// - Time-outs, where the client has none: 30 s for the one attempt of `GetRecords` (10 MB take 16 s at 5 Mbit/s), 5 s for
    ///   an attempt and 20 s for all of a control call. A client that sets or disables them itself keeps its choice. None of
    ///   them bounds a subscription: the reader does.
    /// - The protection against stalled streams is off for `GetRecords` where the 30 s are ours: they bound the body, too.
    /// - A connection on which a call had no answer in time takes no further calls.
    /// - The user agent names this library, but for `GetRecords`: to put it together anew costs each poll 1 us.
    ///
    /// # Panics
    /// Never, for a client that itself could be built.
    pub fn from_client(client: &Client) -> Self {
        let control =
            TimeoutConfig::builder().operation_attempt_timeout(CONTROL_ATTEMPT).operation_timeout(CONTROL_CALL);
        let subscriptions = TimeoutConfig::builder().operation_attempt_timeout(RECORDS_CALL);
        let (records, patience) = records(client);
        KinesisClients {
            control: named(derive(client, "kcl-kinesis-control", RetryConfig::standard(), control)),
            records: Client::from_conf(records.build()),
            subscriptions: named(derive(client, "kcl-kinesis-fan-out", RetryConfig::disabled(), subscriptions)),
            patience,
            codec: Arc::new(SdkCodec::default()),
            apart: false,
        }
    }

    /// Takes two clients as they are. `records` should not retry: the SDK's retries would hide throttling from the reader
    /// and add seconds to each call. It subscribes, too, unless there is a client of its own for that.
    pub fn new(control: Client, records: Client) -> Self {
        let (subscriptions, codec) = (records.clone(), Arc::new(SdkCodec::default()));
        KinesisClients { control, subscriptions, records, patience: None, codec, apart: false }
    }

    /// Subscribes over this HTTP client, such as [`FanOutConnections`](super::FanOutConnections), and makes all other calls as
    /// before.
    #[must_use]
    pub fn subscribing_over(self, http: impl HttpClient + 'static) -> Self {
        let config = self.subscriptions.config().to_builder().http_client(http);
        let subscriptions = Client::from_conf(config.build());
        KinesisClients { subscriptions, apart: true, ..self }
    }

    /// Subscribes through this client, taken as it is. It should not retry.
    #[must_use]
    pub fn with_subscriptions(self, subscriptions: Client) -> Self {
        KinesisClients { subscriptions, ..self }
    }

    /// Decodes records in this way instead of the SDK's; all else stays the SDK's (see [`codec`](super::codec)).
    #[must_use]
    pub fn decoding_with(self, codec: impl Codec) -> Self {
        self.with_codec(Arc::new(codec))
    }

    pub(crate) fn with_codec(self, codec: Arc<dyn Codec>) -> Self {
        KinesisClients { codec, ..self }
    }
}

/// The client that polls, and how long its calls may take.
///
/// The SDK sets up a timer for each call, and one more that watches its body. Where the user leaves it to us, neither is
/// there: the callers see to it, with timers that stay from call to call.
fn records(client: &Client) -> (Builder, Option<Duration>) {
    let theirs = client.config().timeout_config().and_then(TimeoutConfig::operation_attempt_timeout);
    let ours = TimeoutConfig::builder().operation_attempt_timeout(RECORDS_CALL);
    let patience = merged(client, ours).operation_attempt_timeout();
    let builder = derive(client, "kcl-kinesis-records", RetryConfig::disabled(), TimeoutConfig::builder());
    if theirs.is_some() || patience.is_none() {
        return (builder.interceptor(LeaveSilent), None);
    }
    (builder.stalled_stream_protection(StalledStreamProtectionConfig::disabled()), patience)
}

fn derive(client: &Client, purpose: &'static str, retry: RetryConfig, ours: TimeoutConfigBuilder) -> Builder {
    let builder = client.config().to_builder().retry_config(retry);
    // A custom partition owns its quota; one made by name shares it with every partition of that name in the process.
    builder.retry_partition(RetryPartition::custom(purpose).build()).timeout_config(merged(client, ours))
}

/// The time-outs of the user, and where there are none ours.
fn merged(client: &Client, ours: TimeoutConfigBuilder) -> TimeoutConfig {
    match client.config().timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours).build(),
        None => ours.build(),
    }
}

/// A client that names this library, and leaves silent connections behind.
fn named(mut builder: Builder) -> Client {
    if let Ok(library) = FrameworkMetadata::new("kcl-rust", Some(env!("CARGO_PKG_VERSION"))) {
        builder = builder.framework_metadata(library);
    }
    Client::from_conf(builder.interceptor(LeaveSilent).build())
}

/// A page of ListShards or an iterator is a small answer: a slow attempt is a lost one.
const CONTROL_ATTEMPT: Duration = Duration::from_secs(5);
/// Three attempts and the delays between them.
const CONTROL_CALL: Duration = Duration::from_secs(20);
/// Includes reading the body, up to 10 MB of records (14 MB on the wire).
const RECORDS_CALL: Duration = Duration::from_secs(30);
