//! The body of an answer, which keeps its place on the connection.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use super::pool::Place;

/// An answer as it comes in.
#[derive(Debug)]
pub(super) struct Answer {
    body: Incoming,
    /// Given back when the answer is dropped, read or not; a connection for one call has none.
    _place: Option<Place>,
}

impl Answer {
    pub(super) fn new(body: Incoming, place: Option<Place>) -> Self {
        Answer { body, _place: place }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
