//! One connection.

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::http::{Body, ConnectionLost, GoAway, Service};

/// Answers the requests of a connection until the client ends it, or `closing` asks for an end.
pub(super) async fn run(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    service: impl Service,
    closing: CancellationToken,
) {
    // Answers are written whole; waiting for more would only add 40 ms to small ones.
    let _ = socket.set_nodelay(true);
    let Some(tls) = tls else { return converse(socket, service, closing).await };
    let accepted = tokio::select! {
        biased;
        accepted = tls.accept(socket) => accepted,
        () = closing.cancelled() => return,
    };
    match accepted {
        Ok(socket) => converse(socket, service, closing).await,
        Err(error) => tracing::debug!(%error, "no TLS with this client"),
    }
}

async fn converse(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: impl Service,
    closing: CancellationToken,
) {
    let builder = builder();
    // Of this connection; the end of the server ends it too.
    let leaving = closing.child_token();
    let handler = service_fn(|request| handle(service.clone(), request, leaving.clone()));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(socket), handler));
    let outcome = tokio::select! {
        biased;
        outcome = &mut connection => outcome,
        () = leaving.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection failed");
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http2()
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(HTTP2_STREAMS);
    builder
}

/// An error ends the connection without an answer, or the stream of an HTTP/2 connection.
async fn handle(
    service: impl Service,
    request: Request<Incoming>,
    leaving: CancellationToken,
) -> Result<Response<Body>, ConnectionLost> {
    let (head, body) = request.into_parts();
    let response = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => service.exchange(Request::from_parts(head, body.to_bytes())).await?,
        Err(error) => refuse_body(&*error).map(Body::whole),
    };
    if response.extensions().get::<GoAway>().is_some() {
        leaving.cancel();
    }
    Ok(response)
}

fn refuse_body(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Response<Bytes> {
    let too_large = error.is::<http_body_util::LengthLimitError>();
    let (status, text) = if too_large {
        (StatusCode::PAYLOAD_TOO_LARGE, format!("the request has more than {MAX_BODY} bytes, which no operation needs"))
    } else {
        (StatusCode::BAD_REQUEST, format!("the request could not be read: {error}"))
    };
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
}

/// 10 MiB of records are 14 MiB in base64, to which come keys, names and quotes.
const MAX_BODY: usize = 24 * 1024 * 1024;
/// Large enough that a PutRecords of usual size needs no round trip for flow control.
const HTTP2_STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
const HTTP2_STREAMS: u32 = 1000;
