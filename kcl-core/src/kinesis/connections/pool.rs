//! Which connection a call takes, and when another one is opened.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use hyper::client::conn::{http1, http2};
use hyper::header::PROXY_AUTHORIZATION;
use hyper::{Request, Response, Uri};
use tokio::sync::watch;

use super::body::Answer;
use super::dial::{Dialed, Dialer};

/// The connections to all servers.
pub(super) struct Pool {
    dialer: Arc<Dialer>,
    servers: Mutex<BTreeMap<String, Server>>,
}

/// The connections to one server.
#[derive(Default)]
struct Server {
    connections: Vec<Arc<Connection>>,
    /// The one that is being opened. All who need it wait for it, so that many calls at once open one and not many.
    dialing: Option<Dialing>,
    /// It speaks HTTP/1.1: each call has a connection for itself.
    is_http1: bool,
}

type Dialing = Shared<BoxFuture<'static, Result<Made, Arc<str>>>>;

/// What a dial came to, for all who waited for it.
#[derive(Clone)]
enum Made {
    Http2(Arc<Connection>),
    /// Good for one call: whoever comes first takes it.
    Http1(Arc<Mutex<Option<http1::SendRequest<SdkBody>>>>),
}

/// An HTTP/2 connection.
#[derive(Debug)]
struct Connection {
    sender: http2::SendRequest<SdkBody>,
    server_limit: Arc<AtomicUsize>,
    streams: AtomicUsize,
    /// Whether a call on it was answered. Before, nobody knows how many streams the server allows.
    answered: watch::Sender<bool>,
    /// A call on it was given up without an answer: it takes no new ones, and ends with those that it has.
    doubted: AtomicBool,
}

/// A stream's place on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connection: Arc<Connection>,
    answered: bool,
}

/// What became of a request.
enum Sent {
    Answered(Response<Answer>),
    /// The server had said on this connection that it takes no more calls. Nobody has seen this one.
    TooLate(Request<SdkBody>),
}

/// How a call gets on.
enum Way {
    Place(Place),
    /// Until the first call on a new connection is answered.
    Wait(watch::Receiver<bool>),
    Dial(Dialing),
    OwnConnection,
}

impl Pool {
    pub(super) fn new(dialer: Dialer) -> Self {
        Pool { dialer: Arc::new(dialer), servers: Mutex::default() }
    }

    /// Sends a request over a connection that has room for it.
    pub(super) async fn send(&self, mut request: Request<SdkBody>) -> Result<Response<Answer>, ConnectorError> {
        let server = server_of(request.uri());
        loop {
            match self.way(&server, request.uri()) {
                Way::Place(place) => match place.send(request).await? {
                    Sent::Answered(response) => return Ok(response),
                    Sent::TooLate(unsent) => request = unsent,
                },
                // If the connection is gone, the next look says so.
                Way::Wait(mut answered) => drop(answered.wait_for(|answered| *answered).await),
                Way::Dial(dialing) => {
                    let made = dialing.await;
                    match self.made(&server, made)? {
                        Some(sender) => return self.send_alone(sender, request).await,
                        None => continue,
                    }
                }
                Way::OwnConnection => match self.dialer.dial(request.uri()).await.map_err(unreachable)? {
                    Dialed::Http1(sender) => return self.send_alone(sender, request).await,
                    Dialed::Http2 { .. } => self.server(&server, |server| server.is_http1 = false),
                },
            }
        }
    }

    fn way(&self, name: &str, uri: &Uri) -> Way {
        self.server(name, |server| {
            // A connection that was closed, or that is doubted and has no streams left, goes.
            server.connections.retain(|connection| !connection.is_over());
            if let Some(place) = server.connections.iter().find_map(|connection| connection.place()) {
                return Way::Place(place);
            }
            if let Some(new) = server.connections.iter().find(|connection| connection.is_new()) {
                return Way::Wait(new.answered.subscribe());
            }
            if server.is_http1 {
                return Way::OwnConnection;
            }
            let dialing = server.dialing.get_or_insert_with(|| self.dial(uri.clone()));
            Way::Dial(dialing.clone())
        })
    }

    fn dial(&self, uri: Uri) -> Dialing {
        let dialer = Arc::clone(&self.dialer);
        let made = async move {
            Ok(match dialer.dial(&uri).await? {
                Dialed::Http2 { sender, server_limit } => Made::Http2(Arc::new(Connection {
                    sender,
                    server_limit,
                    streams: AtomicUsize::new(0),
                    answered: watch::Sender::new(false),
                    doubted: AtomicBool::new(false),
                })),
                Dialed::Http1(sender) => Made::Http1(Arc::new(Mutex::new(Some(sender)))),
            })
        };
        made.boxed().shared()
    }

    /// Takes down what was dialed, the first time; a connection for one call goes to whoever is first.
    fn made(
        &self,
        name: &str,
        made: Result<Made, Arc<str>>,
    ) -> Result<Option<http1::SendRequest<SdkBody>>, ConnectorError> {
        self.server(name, |server| {
            if server.dialing.as_ref().is_some_and(|dialing| dialing.peek().is_some()) {
                server.dialing = None;
            }
            match made {
                Ok(Made::Http2(connection)) => {
                    if connection.is_over() {
                        // After an answer to somebody else it is only too late for this one.
                        return match *connection.answered.borrow() {
                            true => Ok(None),
                            false => Err(unreachable("the server closed the connection at once")),
                        };
                    }
                    if !server.connections.iter().any(|known| Arc::ptr_eq(known, &connection)) {
                        server.connections.push(connection);
                    }
                    Ok(None)
                }
                Ok(Made::Http1(sender)) => {
                    server.is_http1 = true;
                    Ok(sender.lock().unwrap_or_else(PoisonError::into_inner).take())
                }
                Err(error) => Err(unreachable(error.to_string())),
            }
        })
    }

    async fn send_alone(
        &self,
        mut sender: http1::SendRequest<SdkBody>,
        mut request: Request<SdkBody>,
    ) -> Result<Response<Answer>, ConnectorError> {
        match self.dialer.forwarded(request.uri()) {
            // A proxy has to know where the call goes on to.
            Some(Some(demanded)) => {
                request.headers_mut().insert(PROXY_AUTHORIZATION, demanded);
            }
            Some(None) => {}
            None => *request.uri_mut() = origin_form(request.uri()),
        }
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok(response.map(|body| Answer::new(body, None)))
    }

    fn server<T>(&self, name: &str, look: impl FnOnce(&mut Server) -> T) -> T {
        let mut servers: MutexGuard<'_, _> = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        look(servers.entry(name.to_owned()).or_default())
    }
}

impl Connection {
    /// A place for one more stream, if there is room. A new connection has room for one.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let room = if self.is_new() { 1 } else { MOST_STREAMS.min(self.server_limit.load(Ordering::Relaxed)) };
        let free = !self.doubted.load(Ordering::Relaxed) && self.streams.load(Ordering::Relaxed) < room;
        // Places are given under the pool's lock, so no two callers see the same one free.
        free.then(|| {
            self.streams.fetch_add(1, Ordering::Relaxed);
            Place { connection: Arc::clone(self), answered: false }
        })
    }

    fn is_new(&self) -> bool {
        !*self.answered.borrow() && !self.doubted.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        let left = self.streams.load(Ordering::Relaxed);
        self.sender.is_closed() || (left == 0 && self.doubted.load(Ordering::Relaxed))
    }
}

impl Place {
    async fn send(mut self, request: Request<SdkBody>) -> Result<Sent, ConnectorError> {
        let spare = copy_of(&request);
        match self.connection.sender.clone().try_send_request(request).await {
            Ok(response) => {
                self.answered = true;
                self.connection.answered.send_replace(true);
                Ok(Sent::Answered(response.map(|body| Answer::new(body, Some(self)))))
            }
            Err(mut refused) => {
                let unsent = refused.take_message().or_else(|| spare.filter(|_| is_going_away(refused.error())));
                // A connection that never answered is no better than the next one: then the server is out of order.
                match unsent.filter(|_| *self.connection.answered.borrow()) {
                    Some(request) => Ok(Sent::TooLate(request)),
                    None => Err(broken(refused.into_error())),
                }
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connection.streams.fetch_sub(1, Ordering::Relaxed);
        if !self.answered {
            // The caller lost patience, or the call failed: the connection may be dead. Those who wait for its first answer
            // look again.
            self.connection.doubted.store(true, Ordering::Relaxed);
            self.connection.answered.send_replace(true);
        }
    }
}

/// The same request once more, if its body can be sent twice.
fn copy_of(request: &Request<SdkBody>) -> Option<Request<SdkBody>> {
    let mut copy = Request::new(request.body().try_clone()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// Whether the server ends the connection in good order and did not look at the call any more.
fn is_going_away(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        let goes = cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR);
        cause.is_remote() && (goes || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

fn server_of(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()))
}

/// What HTTP/1.1 sends to the server itself.
fn origin_form(uri: &Uri) -> Uri {
    let path = uri.path_and_query().cloned();
    path.map_or_else(|| Uri::from_static("/"), Uri::from)
}

fn unreachable(error: impl Into<String>) -> ConnectorError {
    ConnectorError::io(error.into().into())
}

fn broken(error: hyper::Error) -> ConnectorError {
    ConnectorError::io(error.into())
}

/// Servers are said to allow about a hundred; and one connection is one TCP flow and one task.
pub(super) const MOST_STREAMS: usize = 64;
