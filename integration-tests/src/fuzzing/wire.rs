//! A service of one closure, under the SDK's clients: whatever it says comes over the wire, in these pieces.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;
use aws_types::sdk_config::SharedCredentialsProvider;
use bytes::Bytes;
use http_body_util::StreamBody;
use hyper::body::Frame;
use kcl_core::testing::ManualClock;

use crate::virtual_sleep::sleep_of;

type Answering = dyn Fn(&str, &[u8]) -> Vec<Bytes> + Send + Sync;

/// Answers an operation and the body of its request with the pieces of a body; every answer is a success.
#[derive(Clone)]
pub(super) struct Wire(Arc<Answering>);

impl Wire {
    pub(super) fn new(answer: impl Fn(&str, &[u8]) -> Vec<Bytes> + Send + Sync + 'static) -> Self {
        Wire(Arc::new(answer))
    }

    /// What a client needs to talk to it, in virtual time.
    pub(super) fn config(&self, clock: &ManualClock) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(kcl_local::credentials()))
            .retry_config(RetryConfig::disabled())
            .sleep_impl(sleep_of(clock))
            .http_client(self.clone())
            .build()
    }
}

/// An answer in one piece.
pub(super) fn whole(body: impl Into<Bytes>) -> Vec<Bytes> {
    vec![body.into()]
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let mut pieces = (self.0)(operation, request.body().bytes().unwrap_or_default());
        let body = match pieces.pop() {
            Some(only) if pieces.is_empty() => SdkBody::from(only),
            last => {
                let pieces = pieces.into_iter().chain(last).map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
                SdkBody::from_body_1_x(StreamBody::new(futures_util::stream::iter(pieces)))
            }
        };
        let status = 200_u16.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, body)))
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}
