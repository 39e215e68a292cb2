//! An HTTP client for the SDK that speaks HTTP/2 without asking: one connection, made with the first call.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

/// A client of the server at `address`, such as `127.0.0.1:4568`.
pub(crate) fn prior_knowledge(address: &str) -> SharedHttpClient {
    let shared = Shared { address: address.to_owned(), sender: OnceCell::new(), tasks: Mutex::default() };
    SharedHttpClient::new(Http2(Arc::new(shared)))
}

#[derive(Debug, Clone)]
struct Http2(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: String,
    sender: OnceCell<SendRequest<SdkBody>>,
    tasks: Mutex<JoinSet<()>>,
}

impl HttpClient for Http2 {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Http2 {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let shared = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let mut sender = shared.sender.get_or_try_init(|| connect(&shared)).await?.clone();
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let response = sender.send_request(request).await.map_err(|error| ConnectorError::io(error.into()))?;
            let response = HttpResponse::try_from(response.map(SdkBody::from_body_1_x));
            response.map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

async fn connect(shared: &Shared) -> Result<SendRequest<SdkBody>, ConnectorError> {
    let socket = TcpStream::connect(&shared.address).await.map_err(|error| ConnectorError::io(error.into()))?;
    let connected = handshake(TokioExecutor::new(), TokioIo::new(socket)).await;
    let (sender, connection) = connected.map_err(|error| ConnectorError::io(error.into()))?;
    shared.tasks.lock().unwrap().spawn(async { drop(connection.await) });
    Ok(sender)
}
