//! A service on a socket: HTTP/1.1 and HTTP/2 (prior knowledge, or ALPN with TLS) on one port.

mod connection;

use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::http::Service;
use crate::tls::Tls;

/// Serves `service` on `listener` until `shutdown` resolves; then takes no more connections, ends the idle ones, lets
/// requests under way finish, and returns.
///
/// # Errors
/// If the listener fails. A connection that fails is that client's business, and is logged.
///
/// # Cancel safety
/// Dropping the future closes the listener and every connection at once. Nothing goes on in the background.
pub async fn serve(
    listener: TcpListener,
    service: impl Service,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_with(listener, service, None, shutdown).await
}

/// The same behind TLS.
///
/// # Errors
/// As [`serve`]. A client that cannot agree on TLS is that client's business.
///
/// # Cancel safety
/// As [`serve`].
pub async fn serve_tls(
    listener: TcpListener,
    service: impl Service,
    tls: &Tls,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    serve_with(listener, service, Some(TlsAcceptor::from(tls.config())), shutdown).await
}

async fn serve_with(
    listener: TcpListener,
    service: impl Service,
    tls: Option<TlsAcceptor>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let closing = CancellationToken::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            // Shutdown first: a flood of new connections must not keep the server alive.
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    tracing::trace!(%peer, "connected");
                    connections.spawn(connection::run(socket, tls.clone(), service.clone(), closing.clone()));
                }
                // The client went away before it was accepted. Any other failure would come again at once, for ever.
                Err(error) if is_of_one_client(&error) => tracing::debug!(%error, "connection lost at accept"),
                Err(error) => return Err(error),
            },
        }
    }
    drop(listener);
    closing.cancel();
    drain(connections).await;
    Ok(())
}

/// Waits for requests under way, but not for a client that never finishes sending one.
#[expect(clippy::disallowed_methods, reason = "ends real sockets in real time; the model's clock has no part in it")]
async fn drain(mut connections: JoinSet<()>) {
    let all_ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(GRACE, all_ended).await.is_err() {
        tracing::debug!("connections cut off at shutdown");
    }
}

fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

const GRACE: Duration = Duration::from_secs(2);
