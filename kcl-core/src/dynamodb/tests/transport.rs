//! A store whose service is a script, and a clock that passes when somebody waits.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;

use crate::dynamodb::{DynamoDbStore, TableSettings};
use crate::ports::Clock;
use crate::types::{Moment, Timestamp};

/// What the service answers to a call.
pub(super) enum Answer {
    Is(u16, String),
    Fails(ConnectorError),
    Never,
}

type Script = dyn FnMut(&str, &str) -> Answer + Send;

/// A connector that hands operation and body of each call to a script.
#[derive(Clone)]
pub(super) struct Canned(Arc<Mutex<Script>>);

impl std::fmt::Debug for Canned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canned")
    }
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = std::str::from_utf8(request.body().bytes().unwrap_or_default()).unwrap_or_default();
        let answer = (self.0.lock().unwrap())(operation, body);
        HttpConnectorFuture::new(async move {
            match answer {
                Answer::Is(status, body) => Ok(HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))),
                Answer::Fails(error) => Err(error),
                Answer::Never => std::future::pending().await,
            }
        })
    }
}

impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A store that talks to a script, and its clock.
pub(super) fn scripted(script: impl FnMut(&str, &str) -> Answer + Send + 'static) -> (DynamoDbStore, Arc<Waits>) {
    let config = config(Canned(Arc::new(Mutex::new(script))));
    let credentials = Credentials::new("test", "test", None, None, "test");
    store(Client::from_conf(config.credentials_provider(credentials).build()))
}

/// A store without credentials.
pub(super) fn without_credentials() -> (DynamoDbStore, Arc<Waits>) {
    let canned = Canned(Arc::new(Mutex::new(|_: &str, _: &str| Answer::Is(200, "{}".to_owned()))));
    store(Client::from_conf(config(canned).build()))
}

fn config(canned: Canned) -> aws_sdk_dynamodb::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url("http://dynamodb.test")
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(1)).build())
        .http_client(canned)
}

fn store(client: Client) -> (DynamoDbStore, Arc<Waits>) {
    let clock = Arc::new(Waits::default());
    let settings = TableSettings::new(&"orders".parse().unwrap(), Duration::from_secs(10));
    (DynamoDbStore::new(client, settings, clock.clone()), clock)
}

/// A clock that stands still until somebody waits, and then jumps.
#[derive(Debug, Default)]
pub(super) struct Waits(Mutex<Vec<Duration>>);

impl Waits {
    /// How long each wait was.
    pub(super) fn waits(&self) -> Vec<Duration> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Clock for Waits {
    fn now(&self) -> Moment {
        Moment::from_origin(self.waits().iter().sum())
    }

    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }

    async fn sleep_until(&self, deadline: Moment) {
        let wait = deadline.since(self.now());
        self.0.lock().unwrap().push(wait);
    }
}
