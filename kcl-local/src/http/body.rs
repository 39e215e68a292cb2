//! Bodies of answers: whole, or as they come.

use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use hyper::body::{Frame, SizeHint};

use crate::clock::Sleep;

/// The body of an answer. Most are whole; those that a fault breaks, and event streams, come in pieces.
pub struct Body(Source);

enum Source {
    Whole(Bytes),
    /// The lock is never contended: it makes the stream shareable between threads, as the SDK wants its bodies.
    Pieces(Mutex<Pieces>),
}

pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, ConnectionLost>> + Send>>;

/// The connection broke, or the server wanted it to look like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("connection reset by a fault rule")]
pub struct ConnectionLost;

/// How a body ends that is cut short.
pub(crate) enum Cut {
    /// As if that were all of it.
    End,
    /// The connection breaks.
    Break,
    /// Nothing comes any more until the time is over, or at all.
    Stall(Option<Sleep>),
}

impl Body {
    /// A body that is all there.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self(Source::Whole(bytes.into()))
    }

    pub(crate) fn pieces(pieces: impl Stream<Item = Result<Bytes, ConnectionLost>> + Send + 'static) -> Self {
        // Fused: some readers look once more after the end.
        Self(Source::Pieces(Mutex::new(Box::pin(pieces.fuse()))))
    }

    /// The bytes, if they are all there; else the body itself.
    pub(crate) fn into_whole(self) -> Result<Bytes, Self> {
        match self.0 {
            Source::Whole(bytes) => Ok(bytes),
            pieces @ Source::Pieces(_) => Err(Self(pieces)),
        }
    }

    /// The same body up to `length` bytes, and then the cut. A body that is shorter is cut where it ends.
    pub(crate) fn cut(self, length: u64, cut: Cut) -> Self {
        let state = (self.into_pieces(), length, Some(cut));
        Self::pieces(stream::unfold(state, |(mut pieces, left, cut)| async move {
            let Some(kind) = cut else {
                // After a stall the rest follows.
                return pieces.next().await.map(|piece| (piece, (pieces, left, None)));
            };
            if left > 0
                && let Some(piece) = pieces.next().await
            {
                return Some(shorten(piece, pieces, left, kind));
            }
            match kind {
                Cut::End => None,
                Cut::Break => Some((Err(ConnectionLost), (ended(), 0, None))),
                Cut::Stall(None) => std::future::pending().await,
                Cut::Stall(Some(pause)) => {
                    pause.await;
                    pieces.next().await.map(|piece| (piece, (pieces, 0, None)))
                }
            }
        }))
    }

    fn into_pieces(self) -> Pieces {
        match self.0 {
            Source::Whole(bytes) => Box::pin(stream::iter((!bytes.is_empty()).then_some(Ok(bytes)))),
            Source::Pieces(pieces) => pieces.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

type Step = (Result<Bytes, ConnectionLost>, (Pieces, u64, Option<Cut>));

/// Lets as much of the piece pass as is left, and puts the rest back.
fn shorten(piece: Result<Bytes, ConnectionLost>, pieces: Pieces, left: u64, cut: Cut) -> Step {
    match piece {
        Ok(mut bytes) if bytes.len() as u64 > left => {
            let rest = bytes.split_off(usize::try_from(left).unwrap_or(usize::MAX));
            (Ok(bytes), (Box::pin(stream::iter([Ok(rest)]).chain(pieces)), 0, Some(cut)))
        }
        Ok(bytes) => {
            let left = left - bytes.len() as u64;
            (Ok(bytes), (pieces, left, Some(cut)))
        }
        Err(lost) => (Err(lost), (ended(), 0, None)),
    }
}

fn ended() -> Pieces {
    Box::pin(stream::empty())
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = ConnectionLost;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ConnectionLost>>> {
        match &mut self.0 {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Pieces(pieces) => {
                let pieces = pieces.get_mut().unwrap_or_else(PoisonError::into_inner);
                pieces.as_mut().poll_next(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Source::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Pieces(_) => SizeHint::new(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Whole(bytes) => f.debug_tuple("Body").field(&bytes.len()).finish(),
            Source::Pieces(_) => f.write_str("Body(pieces)"),
        }
    }
}
