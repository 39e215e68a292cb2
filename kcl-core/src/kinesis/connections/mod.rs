//! HTTP connections for subscriptions, apart from those of all other calls.
//!
//! The SDK's HTTP client puts all calls to an endpoint on one HTTP/2 connection, whose flow-control window has room for two
//! subscriptions that are not read; a third one stops every other call. Its builder has no setting for that. Here a
//! connection carries a bounded number of subscriptions, and its window has room for all of them and one more: a shard that
//! nobody reads takes up its own window and nothing else.
//!
//! | file | knows |
//! |---|---|
//! | `pool` | which connection a call takes, and when another one is opened |
//! | `dial` | how a connection is made: proxy, TLS, HTTP/2 or HTTP/1.1 |
//! | `body` | the answer, which keeps its place on the connection until it is dropped |

mod body;
mod dial;
mod pool;

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Uri};

use self::dial::Dialer;
use self::pool::Pool;
use crate::ports::{Clock, Spawner};

/// Whom to trust when connecting over TLS.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TrustAnchors {
    /// The certificates that the system trusts.
    System,
    /// These certificates and no others, in PEM; several may stand one after the other.
    Pem(Vec<u8>),
}

/// An HTTP client for subscriptions: its own connections, each for a bounded number of streams and with windows that keep
/// streams from holding each other up. Clones share the connections.
///
/// Over TLS it speaks HTTP/2, or HTTP/1.1 where the server wants that; to `http://` endpoints HTTP/1.1, with a connection
/// for each subscription. Proxies are those of the environment (`HTTPS_PROXY`, `NO_PROXY` and so on), as with the SDK.
#[derive(Clone)]
pub struct FanOutConnections {
    pool: Arc<Pool>,
}

/// Connections cannot be made as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionsError {
    /// The trust anchors hold no certificate, or something else.
    #[error("the trusted certificates cannot be read: {0}")]
    TrustAnchors(String),
}

impl FanOutConnections {
    /// Connections to servers that these anchors vouch for. They are opened when they are needed, with time-outs on `clock`
    /// and tasks on `spawner`.
    ///
    /// # Errors
    /// [`ConnectionsError`] if the anchors are no certificates. Those of the system are read when they are needed.
    pub fn new(
        trust: &TrustAnchors,
        clock: Arc<dyn Clock>,
        spawner: Arc<dyn Spawner>,
    ) -> Result<Self, ConnectionsError> {
        let dialer = Dialer::new(trust, clock, spawner)?;
        Ok(FanOutConnections { pool: Arc::new(Pool::new(dialer)) })
    }
}

impl HttpClient for FanOutConnections {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FanOutConnections {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let pool = Arc::clone(&self.pool);
        HttpConnectorFuture::new(async move {
            let mut request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            name_host(&mut request)?;
            let response = pool.send(request).await?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// HTTP/1.1 wants the host in a header; HTTP/2 does no harm with it.
fn name_host(request: &mut Request<SdkBody>) -> Result<(), ConnectorError> {
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().ok_or_else(|| no_host(request.uri()))?;
        let host = HeaderValue::from_str(authority.as_str()).map_err(|error| ConnectorError::user(error.into()))?;
        request.headers_mut().insert(HOST, host);
    }
    Ok(())
}

fn no_host(uri: &Uri) -> ConnectorError {
    ConnectorError::user(format!("the endpoint {uri} names no host").into())
}

impl fmt::Debug for FanOutConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FanOutConnections").finish_non_exhaustive()
    }
}
