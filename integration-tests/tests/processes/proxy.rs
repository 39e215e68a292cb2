//! A server between the workers and a service, that passes calls on, falls silent, or denies what it has done.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They are passed on.
    Through,
    /// They are taken, and neither passed on nor ever answered.
    Silent,
    /// They are passed on, but of the writes to a row that were applied every second one is answered by an error.
    HalfDenied,
}

/// Ends with its test.
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    mode: watch::Sender<Mode>,
    noted: Arc<Mutex<Noted>>,
}

/// What became of calls.
#[derive(Default)]
struct Noted {
    denied: Denied,
    /// The client hung up before the answer was there.
    abandoned: usize,
}

/// By row, how many writes were applied and how many of them denied.
type Denied = BTreeMap<String, (usize, usize)>;

#[derive(Clone)]
struct Calls {
    upstream: String,
    mode: watch::Receiver<Mode>,
    noted: Arc<Mutex<Noted>>,
}

impl Proxy {
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
    pub(crate) async fn before(endpoint: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = endpoint.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        let (mode, modes) = watch::channel(Mode::Through);
        let noted = Arc::<Mutex<Noted>>::default();
        let calls = Calls { upstream, mode: modes, noted: Arc::clone(&noted) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let calls = calls.clone();
                let service = service_fn(move |request| calls.clone().answer(request));
                // A client that goes away in the middle is what this is about.
                let server = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(async move { drop(server.await) });
            }
        });
        Proxy { endpoint: format!("http://{address}"), mode, noted }
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// For each row how many writes were applied, and how many of them were answered by an error.
    pub(crate) fn denied(&self) -> Denied {
        self.noted.lock().unwrap().denied.clone()
    }

    /// How many calls were given up by their clients before the answer was there.
    pub(crate) fn abandoned(&self) -> usize {
        self.noted.lock().unwrap().abandoned
    }
}

impl Calls {
    async fn answer(mut self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        if *self.mode.borrow_and_update() == Mode::Silent {
            // Nobody hears of it even when it speaks again: the client has hung up long ago.
            let _test_is_over = self.mode.wait_for(|mode| *mode != Mode::Silent).await;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let mut waits = Waits { noted: Arc::clone(&self.noted), over: false };
        let answer = self.passed_on(request).await;
        waits.over = true;
        answer
    }

    async fn passed_on(&self, request: Request<Incoming>) -> io::Result<Response<Full<Bytes>>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let write = written_row(&head, &body);
        let response = pass_on(&self.upstream, Request::from_parts(head, Full::new(body))).await?;
        let applied = write.filter(|_| response.status() == StatusCode::OK);
        match applied {
            Some(row) if *self.mode.borrow() == Mode::HalfDenied && self.denies(&row) => Ok(sorry()),
            _ => Ok(response),
        }
    }

    fn denies(&self, row: &str) -> bool {
        let mut noted = self.noted.lock().unwrap();
        let (applied, answered_by_error) = noted.denied.entry(row.to_owned()).or_default();
        *applied += 1;
        let deny = *applied % 2 == 1;
        *answered_by_error += usize::from(deny);
        deny
    }
}

/// Dropped with its call if the client hangs up.
struct Waits {
    noted: Arc<Mutex<Noted>>,
    over: bool,
}

impl Drop for Waits {
    fn drop(&mut self) {
        if !self.over {
            self.noted.lock().unwrap().abandoned += 1;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the connection ends with its one call")]
async fn pass_on(upstream: &str, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
    let stream = TcpStream::connect(upstream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(async move { drop(connection.await) });
    let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Response::from_parts(head, Full::new(body)))
}

/// The key of the row that a call to DynamoDB writes, the first of several.
fn written_row(head: &hyper::http::request::Parts, body: &Bytes) -> Option<String> {
    let target = head.headers.get("x-amz-target")?.to_str().ok()?;
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let key = match target.rsplit('.').next()? {
        "UpdateItem" | "DeleteItem" => &body["Key"],
        "PutItem" => &body["Item"],
        "TransactWriteItems" => &body["TransactItems"][0]["Update"]["Key"],
        _ => return None,
    };
    Some(key["leaseKey"]["S"].as_str().unwrap_or_default().to_owned())
}

fn sorry() -> Response<Full<Bytes>> {
    let body = r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError","message":"we are sorry"}"#;
    let response = Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR);
    let response = response.header("content-type", "application/x-amz-json-1.0").body(Full::new(body.into()));
    response.unwrap()
}
