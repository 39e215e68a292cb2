//! Kinesis behind TLS on a port, and sources over connections of one's own.

use std::sync::Arc;

use aws_sdk_kinesis::Client;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use kcl_core::kinesis::{FanOutConnections, KinesisClients, KinesisSource, TrustAnchors};
use kcl_core::ports::{Spawner, SystemClock, TokioSpawner};
use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, NewRecord, ShardFilter, Tls};

use crate::scene::{APPLICATION, STREAM};

/// Kinesis on a port that speaks TLS, with a stream.
pub(crate) struct Secure {
    pub(crate) aws: LocalAws,
    tls: Tls,
}

impl Secure {
    pub(crate) async fn start(shards: u32) -> Self {
        let kinesis = LocalKinesis::new();
        kinesis.create_stream(STREAM, shards).unwrap();
        let (tls, dynamodb) = (Tls::generate().unwrap(), LocalDynamoDb::in_memory().unwrap());
        let aws = LocalAws::start_tls(kinesis, dynamodb, Addresses::default(), tls.clone()).await.unwrap();
        Secure { aws, tls }
    }

    /// The same data and the same certificates on these addresses, after everything was cut off.
    pub(crate) async fn restarted(self, addresses: Addresses) -> Self {
        let Secure { aws, tls } = self;
        let (kinesis, dynamodb) = (aws.kinesis().clone(), aws.dynamodb().clone());
        aws.stop().await;
        let aws = LocalAws::start_tls(kinesis, dynamodb, addresses, tls.clone()).await.unwrap();
        Secure { aws, tls }
    }

    pub(crate) fn anchors(&self) -> TrustAnchors {
        TrustAnchors::Pem(self.tls.ca_pem().as_bytes().to_vec())
    }

    /// The SDK's own HTTP client, with one connection for all calls.
    pub(crate) fn of_the_sdk(&self) -> SharedHttpClient {
        let store = TrustStore::empty().with_pem_certificate(self.tls.ca_pem().as_bytes());
        aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .tls_context(TlsContext::builder().with_trust_store(store).build().unwrap())
            .build_https()
    }

    pub(crate) fn client(&self) -> Client {
        let config = self.aws.kinesis().sdk_config().into_builder().http_client(self.of_the_sdk());
        let config = aws_sdk_kinesis::config::Builder::from(&config.build()).endpoint_url(self.aws.kinesis_endpoint());
        Client::from_conf(config.build())
    }

    /// A source that subscribes over connections of its own.
    pub(crate) fn source(&self) -> KinesisSource {
        self.source_over(self.clients().subscribing_over(self.connections(TokioSpawner::new())))
    }

    pub(crate) fn connections(&self, spawner: impl Spawner) -> FanOutConnections {
        FanOutConnections::new(&self.anchors(), Arc::new(SystemClock::new()), Arc::new(spawner)).unwrap()
    }

    pub(crate) fn clients(&self) -> KinesisClients {
        KinesisClients::from_client(&self.client())
    }

    pub(crate) fn source_over(&self, clients: KinesisClients) -> KinesisSource {
        KinesisSource::fan_out(clients, APPLICATION.parse().unwrap(), Arc::new(SystemClock::new()))
    }

    /// Puts so many records of so many bytes into each shard.
    pub(crate) fn put(&self, count: usize, bytes: usize) {
        let data = "x".repeat(bytes);
        for shard in self.aws.kinesis().list_shards(STREAM, ShardFilter::AtLatest).unwrap() {
            for _ in 0..count {
                let record = NewRecord::new("key", &data).with_explicit_hash_key(shard.hash_range.start);
                self.aws.kinesis().put(STREAM, record).unwrap();
            }
        }
    }
}
