//! A transport that loses answers, and one that keeps pages small.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use serde_json::Value;

/// What happens to one call of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The service does it, and the connection breaks before the answer is here.
    AnswerLost,
    /// The service does it, and then answers with status 500 and a page of HTML.
    AnsweredWithHtml,
    /// The connection breaks before the service has seen anything; the client cannot know.
    RequestLost,
}

/// Plays faults, each once, on the calls of one operation; a limit is added to scans and queries if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    inner: SharedHttpClient,
    faults: Arc<Mutex<VecDeque<Fault>>>,
    operation: &'static str,
    page_limit: Option<u32>,
}

impl Transport {
    pub(crate) fn with_faults(operation: &'static str, faults: impl IntoIterator<Item = Fault>) -> Self {
        let faults = Arc::new(Mutex::new(faults.into_iter().collect()));
        Transport { inner: plain(), faults, operation, page_limit: None }
    }

    pub(crate) fn with_small_pages(limit: u32) -> Self {
        Transport { page_limit: Some(limit), ..Transport::with_faults("", []) }
    }

    fn limited(&self, operation: &str, mut request: HttpRequest) -> HttpRequest {
        let (Some(limit), "Scan" | "Query") = (self.page_limit, operation) else { return request };
        let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        body["Limit"] = limit.into();
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        request
    }
}

fn plain() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().build_http()
}

impl HttpClient for Transport {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Connector { inner, transport: self.clone() })
    }
}

#[derive(Debug)]
struct Connector {
    inner: SharedHttpConnector,
    transport: Transport,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mine = operation == self.transport.operation;
        let fault = if mine { self.transport.faults.lock().unwrap().pop_front() } else { None };
        let broken = || ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        if fault == Some(Fault::RequestLost) {
            return HttpConnectorFuture::ready(Err(broken()));
        }
        let answer = self.inner.call(self.transport.limited(&operation, request));
        HttpConnectorFuture::new(async move {
            let answer = answer.await?;
            match fault {
                None => Ok(answer),
                Some(Fault::AnsweredWithHtml) => {
                    Ok(HttpResponse::new(500.try_into().unwrap(), SdkBody::from("<html>sorry</html>")))
                }
                Some(_) => Err(broken()),
            }
        })
    }
}
