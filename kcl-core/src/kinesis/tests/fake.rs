//! A Kinesis of one closure, behind the SDK's HTTP connector: no sockets, no TLS, the real wire format.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Builder, Config, Credentials, Region, RuntimeComponents};
use aws_sdk_kinesis::error::ConnectorError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

/// One request as it arrived.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) operation: String,
    pub(super) user_agent: String,
    pub(super) body: Value,
}

impl Call {
    pub(super) fn text(&self, member: &str) -> Option<&str> {
        self.body[member].as_str()
    }
}

/// What the server does with a request.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// HTTP 200 with a body.
    Json(Value),
    /// HTTP 200 with a body and a `Date` header.
    Dated(Value, &'static str),
    /// An error in the service's own words.
    Error(u16, &'static str, &'static str),
    /// Anything at all.
    Raw(u16, Vec<u8>),
    /// The connection breaks.
    Broken,
    /// No answer, ever.
    Silence,
}

type Handler = dyn Fn(&Call) -> Reply + Send + Sync;

#[derive(Clone)]
pub(super) struct Fake {
    handler: Arc<Handler>,
    calls: Arc<Mutex<Vec<Call>>>,
    left: Arc<AtomicUsize>,
}

impl Fake {
    pub(super) fn new(handler: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> Self {
        Fake { handler: Arc::new(handler), calls: Arc::default(), left: Arc::default() }
    }

    pub(super) fn client(&self) -> Client {
        Client::from_conf(self.config().build())
    }

    pub(super) fn config(&self) -> Builder {
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .http_client(self.clone())
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Over how many calls' connections nothing more is to be sent.
    pub(super) fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Tells the SDK of a connection, as its own connectors do.
    fn connect(&self, request: HttpRequest) {
        let request = request.try_into_http1x().unwrap();
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            let left = Arc::clone(&self.left);
            capture.set_connection_retriever(move || {
                let left = Arc::clone(&left);
                let leave = move || {
                    left.fetch_add(1, Ordering::Relaxed);
                };
                Some(ConnectionMetadata::builder().proxied(false).poison_fn(leave).build())
            });
        }
    }

    pub(super) fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| call.operation == operation).count()
    }
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl HttpClient for Fake {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Fake {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.strip_prefix("Kinesis_20131202.").unwrap_or(target).to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or(Value::Null);
        let user_agent = request.headers().get("x-amz-user-agent").unwrap_or_default().to_owned();
        let call = Call { operation, user_agent, body };
        self.connect(request);
        let fake = self.clone();
        HttpConnectorFuture::new(async move {
            // Two points at which the caller may lose interest: before the server has seen the request, and after.
            tokio::task::yield_now().await;
            fake.calls.lock().unwrap().push(call.clone());
            let reply = (fake.handler)(&call);
            tokio::task::yield_now().await;
            respond(reply).await
        })
    }
}

async fn respond(reply: Reply) -> Result<HttpResponse, ConnectorError> {
    let response = |status: u16, body: Vec<u8>| HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    Ok(match reply {
        Reply::Json(body) => response(200, body.to_string().into_bytes()),
        Reply::Dated(body, date) => {
            let mut response = response(200, body.to_string().into_bytes());
            response.headers_mut().insert("date", date);
            response
        }
        Reply::Error(status, code, message) => {
            let body = json!({ "__type": code, "message": message });
            let mut response = response(status, body.to_string().into_bytes());
            response.headers_mut().insert("x-amzn-requestid", "request-1");
            response
        }
        Reply::Raw(status, body) => response(status, body),
        Reply::Broken => return Err(ConnectorError::io("connection reset by peer".into())),
        Reply::Silence => std::future::pending().await,
    })
}
