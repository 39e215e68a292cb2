//! HTTP without a socket: what the connector and the server have in common.

mod body;
pub(crate) mod kinesis;

use std::pin::Pin;

use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};

use crate::model::Timestamp;

pub(crate) use body::Cut;
pub use body::{Body, ConnectionLost};

/// An answer on its way.
pub type Exchange = Pin<Box<dyn Future<Output = Result<Response<Body>, ConnectionLost>> + Send>>;

/// On an answer: the connection that carries it takes no more calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GoAway;

/// A service that answers HTTP requests.
///
/// [`serve`](crate::serve) puts it on a socket, [`http_client`](crate::http_client) under an SDK client in the same
/// process. Wrap it to change what clients see.
///
/// # Contract
/// `answer` does not wait for anything. It runs on the caller's thread, and takes as long as the work takes. `exchange`
/// takes effect when it is called, not when its future is polled.
pub trait Service: Clone + std::fmt::Debug + Send + Sync + 'static {
    /// Answers one request, whole body in and out.
    fn answer(&self, request: Request<Bytes>) -> Response<Bytes>;

    /// Answers one request as the network would: perhaps late, in pieces, or not at all. A service that only ever answers
    /// at once and in full need not bother.
    fn exchange(&self, request: Request<Bytes>) -> Exchange {
        at_once(self.answer(request))
    }
}

/// An answer that is there already.
pub(crate) fn at_once(response: Response<Bytes>) -> Exchange {
    Box::pin(std::future::ready(Ok(response.map(Body::whole))))
}

/// The operation that a request of an AWS JSON protocol asks for, without the name of the service.
pub(crate) fn operation<'a>(headers: &'a HeaderMap, service_prefix: &str) -> Option<&'a str> {
    headers.get("x-amz-target")?.to_str().ok()?.strip_prefix(service_prefix)
}

/// Answers what is no call of an operation: a look whether the server is there, or a mistake.
pub(crate) fn answer_non_post(method: &Method) -> (StatusCode, &'static str) {
    match *method {
        Method::GET | Method::HEAD => (StatusCode::OK, "healthy"),
        _ => (StatusCode::NOT_FOUND, "<UnknownOperationException/>\n"),
    }
}

/// An answer with the headers that every answer has.
pub(crate) fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
    request: u64,
    now: Timestamp,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(REQUEST_ID, text(&request_id(request)));
    headers.insert(DATE, text(&http_date(now)));
    response
}

/// A header value of printable text.
pub(crate) fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

/// An id in the form of the service's, the same for the same request of the same test.
fn request_id(request: u64) -> String {
    let mut random = fastrand::Rng::with_seed(request);
    let (high, low) = (random.u64(..), random.u64(..));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

/// The time of the model, not of the machine: clients compare it with arrival times.
fn http_date(now: Timestamp) -> String {
    use aws_smithy_types::date_time::Format;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let date = aws_smithy_types::DateTime::from_secs(seconds).fmt(Format::HttpDate);
    date.unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
pub(crate) const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
