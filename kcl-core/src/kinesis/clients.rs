//! The SDK clients of a source: one per way of failing.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_kinesis::config::timeout::{TimeoutConfig, TimeoutConfigBuilder};
use aws_sdk_kinesis::config::{FrameworkMetadata, HttpClient};

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
    /// How records are decoded.
    pub(super) codec: Arc<dyn Codec>,
    /// Subscriptions have connections of their own.
    pub(super) apart: bool,
}

impl KinesisClients {
    /// Derives all from the user's client.
    ///
    /// Endpoint, credentials, region, TLS, HTTP client, clock, interceptors and the protection against stalled streams stay
    /// as they are. What changes:
    /// - Retries: none for `GetRecords` and `SubscribeToShard`; the SDK's standard mode with 3 attempts for control calls. Each client has its own
    ///   retry quota, so that a throttled data path does not use up that of anything else in the process.
    /// - Time-outs, where the client has none: 30 s for the one attempt of `GetRecords` (10 MB take 16 s at 5 Mbit/s), 5 s for
    ///   an attempt and 20 s for all of a control call. A client that sets or disables them itself keeps its choice. None of
    ///   them bounds a subscription: the reader does.
    /// - A connection on which a call had no answer in time takes no further calls.
    /// - The user agent names this library.
    ///
    /// # Panics
    /// Never, for a client that itself could be built.
    pub fn from_client(client: &Client) -> Self {
        let control =
            TimeoutConfig::builder().operation_attempt_timeout(CONTROL_ATTEMPT).operation_timeout(CONTROL_CALL);
        // There is one attempt, and each time-out is a timer for each call.
        let records = TimeoutConfig::builder().operation_attempt_timeout(RECORDS_CALL);
        KinesisClients {
            control: derive(client, "kcl-kinesis-control", RetryConfig::standard(), control),
            records: derive(client, "kcl-kinesis-records", RetryConfig::disabled(), records.clone()),
            subscriptions: derive(client, "kcl-kinesis-fan-out", RetryConfig::disabled(), records),
            codec: Arc::new(SdkCodec::default()),
            apart: false,
        }
    }

    /// Takes two clients as they are. `records` should not retry: the SDK's retries would hide throttling from the reader
    /// and add seconds to each call. It subscribes, too, unless there is a client of its own for that.
    pub fn new(control: Client, records: Client) -> Self {
        let (subscriptions, codec) = (records.clone(), Arc::new(SdkCodec::default()));
        KinesisClients { control, subscriptions, records, codec, apart: false }
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

fn derive(client: &Client, purpose: &'static str, retry: RetryConfig, ours: TimeoutConfigBuilder) -> Client {
    let config = client.config();
    let timeouts = match config.timeout_config() {
        Some(theirs) => theirs.to_builder().take_unset_from(ours),
        None => ours,
    };
    let mut builder = config
        .to_builder()
        .retry_config(retry)
        // A custom partition owns its quota; one made by name shares it with every partition of that name in the process.
        .retry_partition(RetryPartition::custom(purpose).build())
        .timeout_config(timeouts.build())
        .interceptor(LeaveSilent);
    if let Ok(library) = FrameworkMetadata::new("kcl-rust", Some(env!("CARGO_PKG_VERSION"))) {
        builder = builder.framework_metadata(library);
    }
    Client::from_conf(builder.build())
}

/// A page of ListShards or an iterator is a small answer: a slow attempt is a lost one.
const CONTROL_ATTEMPT: Duration = Duration::from_secs(5);
/// Three attempts and the delays between them.
const CONTROL_CALL: Duration = Duration::from_secs(20);
/// Includes reading the body, up to 10 MB of records (14 MB on the wire).
const RECORDS_CALL: Duration = Duration::from_secs(30);
