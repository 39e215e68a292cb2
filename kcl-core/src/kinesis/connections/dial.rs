//! Making a connection.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use hyper::Uri;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper::rt::{Read, Write};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::pool::MOST_STREAMS;
use super::{ConnectionsError, TrustAnchors};
use crate::ports::{Clock, Spawner};

/// Makes connections.
pub(super) struct Dialer {
    trust: Trust,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    proxies: Matcher,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
}

enum Trust {
    /// Read from the system when they are needed: that takes a moment, and not everybody needs them.
    System,
    Roots(RootCertStore),
}

/// A connection that was made.
pub(super) enum Dialed {
    /// For many calls at a time; with how many the server lets go on at once.
    Http2 { sender: http2::SendRequest<SdkBody>, server_limit: Arc<AtomicUsize> },
    /// For one call.
    Http1(http1::SendRequest<SdkBody>),
}

impl Dialer {
    pub(super) fn new(
        trust: &TrustAnchors,
        clock: Arc<dyn Clock>,
        spawner: Arc<dyn Spawner>,
    ) -> Result<Self, ConnectionsError> {
        let trust = match trust {
            TrustAnchors::System => Trust::System,
            TrustAnchors::Pem(pem) => Trust::Roots(roots_in(pem).map_err(ConnectionsError::TrustAnchors)?),
        };
        Ok(Dialer { trust, tls: OnceLock::new(), proxies: Matcher::from_env(), clock, spawner })
    }

    /// Connects to where this address leads. The error is in words: whoever waits for one connection shares it.
    pub(super) async fn dial(&self, uri: &Uri) -> Result<Dialed, String> {
        tokio::select! {
            biased;
            dialed = self.connect(uri) => dialed,
            () = self.clock.sleep_until(self.clock.now() + PATIENCE) => {
                Err(format!("no connection to {} within {PATIENCE:?}", uri.authority().map_or("", |host| host.as_str())))
            }
        }
    }

    /// What a call to a plain endpoint has to be turned to if a proxy passes it on: the proxy's demand, if it has one.
    pub(super) fn forwarded(&self, uri: &Uri) -> Option<Option<hyper::header::HeaderValue>> {
        let proxy = self.proxies.intercept(uri).filter(|_| uri.scheme_str() != Some("https"))?;
        Some(proxy.basic_auth().cloned())
    }

    async fn connect(&self, uri: &Uri) -> Result<Dialed, String> {
        if uri.scheme_str() != Some("https") {
            let target = self.proxies.intercept(uri).map_or_else(|| uri.clone(), |proxy| proxy.uri().clone());
            let socket = call(&mut tcp(), target).await?;
            return self.http1(socket).await;
        }
        let socket = match self.proxies.intercept(uri) {
            None => call(&mut tcp(), uri.clone()).await?,
            Some(proxy) => {
                let tunnel = Tunnel::new(proxy.uri().clone(), tcp());
                let mut tunnel = match proxy.basic_auth() {
                    Some(auth) => tunnel.with_auth(auth.clone()),
                    None => tunnel,
                };
                call(&mut tunnel, uri.clone()).await?
            }
        };
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
        let tls = TlsConnector::from(self.tls()?);
        let socket =
            tls.connect(name, socket.into_inner()).await.map_err(|error| format!("TLS with {host}: {error}"))?;
        match socket.get_ref().1.alpn_protocol() {
            Some(b"h2") => self.http2(TokioIo::new(socket)).await,
            _ => self.http1(TokioIo::new(socket)).await,
        }
    }

    async fn http2(&self, socket: impl Read + Write + Unpin + Send + 'static) -> Result<Dialed, String> {
        let mut builder = http2::Builder::new(Tasks(Arc::clone(&self.spawner)));
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG);
        let (sender, connection) = builder.handshake(socket).await.map_err(|error| error.to_string())?;
        let server_limit = Arc::new(AtomicUsize::new(connection.current_max_send_streams()));
        let limit = Arc::clone(&server_limit);
        let driven = Driven { connection, limit };
        self.spawner.spawn("fan-out connection", Box::pin(driven));
        Ok(Dialed::Http2 { sender, server_limit })
    }

    async fn http1(&self, socket: impl Read + Write + Unpin + Send + 'static) -> Result<Dialed, String> {
        let (mut sender, connection) = http1::handshake(socket).await.map_err(|error| error.to_string())?;
        let connection = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection failed");
            }
        };
        self.spawner.spawn("fan-out connection", Box::pin(connection));
        sender.ready().await.map_err(|error| error.to_string())?;
        Ok(Dialed::Http1(sender))
    }

    fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| client_config(&self.trust).map(Arc::new)).clone()
    }
}

/// Drives a connection, and notes how many streams the server allows.
struct Driven<C> {
    connection: C,
    limit: Arc<AtomicUsize>,
}

impl<T> Future for Driven<http2::Connection<T, SdkBody, Tasks>>
where
    T: Read + Write + Unpin + Send + 'static,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let outcome = Pin::new(&mut self.connection).poll(context);
        self.limit.store(self.connection.current_max_send_streams(), Ordering::Relaxed);
        if let Err(error) = ready!(outcome) {
            tracing::debug!(%error, "connection failed");
        }
        Poll::Ready(())
    }
}

/// Lets HTTP/2 start the tasks that write requests.
#[derive(Debug, Clone)]
struct Tasks(Arc<dyn Spawner>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.0.spawn("fan-out request", Box::pin(task));
    }
}

fn tcp() -> HttpConnector {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp
}

async fn call<S>(connector: &mut S, uri: Uri) -> Result<TokioIo<TcpStream>, String>
where
    S: Service<Uri, Response = TokioIo<TcpStream>>,
    S::Error: std::error::Error,
{
    let words = |error: S::Error| {
        let error: &dyn std::error::Error = &error;
        std::iter::successors(Some(error), |error| error.source())
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(": ")
    };
    std::future::poll_fn(|context| connector.poll_ready(context)).await.map_err(words)?;
    connector.call(uri).await.map_err(words)
}

fn roots_in(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("there is no certificate in PEM".to_owned()) } else { Ok(roots) }
}

fn client_config(trust: &Trust) -> Result<ClientConfig, String> {
    let roots = match trust {
        Trust::Roots(roots) => roots.clone(),
        Trust::System => {
            let mut roots = RootCertStore::empty();
            // Some of a system's certificates may be of no use; what counts is that there are others.
            let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if added == 0 {
                return Err("this system trusts no certificate; give some of your own".to_owned());
            }
            roots
        }
    };
    let builder = match provider() {
        Some(provider) => ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions(),
        None => {
            return Err("there is no TLS: enable the feature tls-aws-lc, or install a provider of rustls".to_owned());
        }
    };
    let mut config = builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// That of the process, if it was given one; else the SDK's.
fn provider() -> Option<Arc<rustls::crypto::CryptoProvider>> {
    let installed = rustls::crypto::CryptoProvider::get_default().cloned();
    #[cfg(feature = "tls-aws-lc")]
    let installed = installed.or_else(|| Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider())));
    installed
}

/// Connecting, TLS and the handshake. Whoever subscribes has ten seconds for all of it.
const PATIENCE: Duration = Duration::from_secs(5);
/// A shard at full rate, 2 MB/s, over a line with a round trip of 100 ms. What is pushed to a shard that nobody reads takes
/// up so much memory, until its subscription is given up.
const STREAM_WINDOW: u32 = 256 << 10;
/// Room for all streams and one more: with less, streams that are not read would hold up the others.
const CONNECTION_WINDOW: u32 = (MOST_STREAMS as u32 + 1) * STREAM_WINDOW;
/// A connection that is dead is noticed even if nobody waits for an event.
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);
