//! A service under an SDK client of the same process, without a socket.

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use http_body_util::BodyExt;
use hyper::Request;

use crate::dynamodb::LocalDynamoDb;
use crate::http::{Body, Service};
use crate::kinesis::LocalKinesis;

/// An HTTP client for the AWS SDK that hands requests to `service`, whatever host they are for.
///
/// Nothing in it waits for a timer or a thread: on tokio's paused clock the calls of a test take no time and come in
/// the same order in every run.
#[must_use]
pub fn http_client(service: impl Service) -> SharedHttpClient {
    SharedHttpClient::new(InProcess(service))
}

/// Region, credentials that are made up, and [`http_client`]: all that an SDK client needs to talk to `service`. For a
/// service that you wrapped; the services of this crate have a method of this name.
#[must_use]
pub fn sdk_config(service: impl Service, region: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials()))
        .http_client(http_client(service))
        .build()
}

/// Credentials that are made up. No service of this crate looks at them, but an SDK client does not start without.
#[must_use]
pub fn credentials() -> Credentials {
    Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "kcl-local")
}

impl LocalKinesis {
    /// All that an SDK client in this process needs, without a socket: `Client::new(&kinesis.sdk_config())`.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(self.clone(), &self.settings().account.region)
    }

    /// An HTTP client for an SDK configuration of your own.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        http_client(self.clone())
    }
}

impl LocalDynamoDb {
    /// All that an SDK client in this process needs, without a socket: `Client::new(&dynamodb.sdk_config())`.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        sdk_config(self.clone(), DYNAMODB_REGION)
    }

    /// An HTTP client for an SDK configuration of your own.
    #[must_use]
    pub fn http_client(&self) -> SharedHttpClient {
        http_client(self.clone())
    }
}

#[derive(Debug, Clone)]
struct InProcess<S>(S);

impl<S: Service> HttpClient for InProcess<S> {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl<S: Service> HttpConnector for InProcess<S> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let service = self.0.clone();
        HttpConnectorFuture::new(async move { answer(&service, request).await })
    }
}

async fn answer<S: Service>(service: &S, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
    let (head, body) = request.into_parts();
    // The SDK watches how fast a request is read. One that is left unread fails as too slow after five seconds.
    let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
    // A call over a socket always lets other tasks run. A consumer that polls in a loop relies on it.
    tokio::task::yield_now().await;
    let response = service.exchange(Request::from_parts(head, body)).await;
    let response = response.map_err(|lost| ConnectorError::io(lost.into()))?;
    HttpResponse::try_from(response.map(sdk_body)).map_err(|error| ConnectorError::other(error.into(), None))
}

fn sdk_body(body: Body) -> SdkBody {
    match body.into_whole() {
        Ok(bytes) => SdkBody::from(bytes),
        Err(pieces) => SdkBody::from_body_1_x(pieces),
    }
}

/// The access key id that goes with every service of this crate.
pub const ACCESS_KEY_ID: &str = "local";
/// The secret access key that goes with every service of this crate.
pub const SECRET_ACCESS_KEY: &str = "local";
/// The region in the ARNs that the database gives its tables.
const DYNAMODB_REGION: &str = "us-east-1";
