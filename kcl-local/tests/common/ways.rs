//! The ways for a client to reach the services.

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Region, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, Tls};

use super::{cbor, http2};

/// How a client reaches the services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// The connector, without a socket.
    InProcess,
    Http1,
    /// By prior knowledge.
    Http2,
    /// HTTP/2, agreed on by ALPN.
    Tls,
    /// The compact binary encoding, over HTTP/1.1.
    Cbor,
}

pub(crate) const WAYS: [Way; 5] = [Way::InProcess, Way::Http1, Way::Http2, Way::Tls, Way::Cbor];

impl Way {
    /// A client of the service, and the server in between, if there is one.
    pub(crate) async fn reach(self, kinesis: &LocalKinesis, database: &LocalDynamoDb) -> (Client, Option<LocalAws>) {
        let (kinesis, database) = (kinesis.clone(), database.clone());
        match self {
            Self::InProcess => (Client::new(&kinesis.sdk_config()), None),
            Self::Tls => {
                let tls = Tls::generate().unwrap();
                let aws = LocalAws::start_tls(kinesis, database, Addresses::default(), tls.clone()).await.unwrap();
                (client_through(trusting(tls.ca_pem()), &aws.kinesis_endpoint()), Some(aws))
            }
            Self::Http1 | Self::Http2 | Self::Cbor => {
                let aws = LocalAws::start_with(kinesis, database, Addresses::default()).await.unwrap();
                let endpoint = aws.kinesis_endpoint();
                let http = match self {
                    Self::Http2 => http2::prior_knowledge(&endpoint["http://".len()..]),
                    Self::Cbor => cbor::translated(aws_smithy_http_client::Builder::new().build_http()),
                    _ => aws_smithy_http_client::Builder::new().build_http(),
                };
                (client_through(http, &endpoint), Some(aws))
            }
        }
    }
}

/// An HTTP client that trusts the authority and no other.
pub(crate) fn trusting(ca_pem: &str) -> SharedHttpClient {
    let store = TrustStore::empty().with_pem_certificate(ca_pem.as_bytes());
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(TlsContext::builder().with_trust_store(store).build().unwrap())
        .build_https()
}

pub(crate) fn client_through(http: SharedHttpClient, endpoint: &str) -> Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .http_client(http)
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}
