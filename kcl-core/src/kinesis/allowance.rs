//! What one answer may take up: its bytes are counted before they are read, and belong to the permit of whoever asked.
//!
//! Nobody knows how large an answer is before it begins to come. One that is larger than its permit
//!
//! - takes more from the budget, if the shard's share has room;
//! - is refused otherwise, and asked for again in smaller parts, if that is possible;
//! - is received all the same if not, but only so many such answers at a time, and the budget is overdrawn by them.
//!
//! What is not read meanwhile stays with the server, in the sockets, and in the bounded window of its connection.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use aws_sdk_kinesis::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

use super::silence;
use crate::ports::Clock;
use crate::types::{BytePermit, Moment};

/// The answers that overdraw the budget take turns.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Semaphore>);

impl Turns {
    /// So many at a time.
    pub(super) fn new(at_a_time: usize) -> Self {
        Turns(Arc::new(Semaphore::new(at_a_time)))
    }

    /// A turn of one's own, taken before a call is sent: an answer that waits unread may fill the connection on which the
    /// answer of whoever has the turn is to come.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).acquire_owned().await.ok()
    }
}

/// What the answer of a call may take up. Clones are the same allowance.
#[derive(Debug, Clone)]
pub(super) struct Allowance(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    turns: Turns,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct State {
    /// Of whoever waits for the answer. While nobody does, nothing is read.
    permit: Option<BytePermit>,
    too_large: TooLarge,
    /// Bytes of the answer, or of the event, that were read or are about to be.
    wire: usize,
    /// The answer was refused, and has so many bytes at least.
    refused: Option<usize>,
    turn: Option<OwnedSemaphorePermit>,
    waits_for_turn: bool,
    /// When something came last.
    heard: Moment,
    /// Over which the answer comes.
    connection: Option<CaptureSmithyConnection>,
}

/// What is done with an answer that is larger than its share has room for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TooLarge {
    /// It is received when it is its turn.
    #[default]
    InTurn,
    /// It is received at once.
    Receive,
    Refuse,
}

/// A wait for an answer. When it ends, or is dropped, the permit comes back.
#[derive(Debug)]
pub(super) struct Waiting<'a>(&'a Allowance);

/// How a wait ended.
#[derive(Debug)]
pub(super) struct Received {
    /// It covers what was received and has to be made to fit what is left of it.
    pub(super) permit: BytePermit,
    /// The answer was refused, and has so many bytes at least.
    pub(super) refused: Option<usize>,
    /// Until what was received fits its permit, no other answer overdraws the budget.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Allowance {
    pub(super) fn new(turns: &Turns, clock: &Arc<dyn Clock>) -> Self {
        let (state, turns, clock) = (Mutex::default(), turns.clone(), Arc::clone(clock));
        Allowance(Arc::new(Inner { state, turns, clock }))
    }

    /// Lets an answer be received on this permit.
    pub(super) fn wait(&self, permit: BytePermit, too_large: TooLarge) -> Waiting<'_> {
        let mut state = self.state();
        (state.permit, state.too_large) = (Some(permit), too_large);
        Waiting(self)
    }

    /// When something came last: now, if more has come and waits for its turn. A large event takes its time over a slow line;
    /// then the service is not silent, although no event is complete.
    pub(super) fn heard(&self) -> Moment {
        let state = self.state();
        if state.waits_for_turn { self.0.clock.now() } else { state.heard }
    }

    /// Nothing comes any more: whatever is called next goes over another connection.
    pub(super) fn leave_connection(&self) {
        if let Some(connection) = &self.state().connection {
            silence::leave(connection);
        }
    }

    /// Makes a call of a client with [`Counting`], whose answer may take up no more than this.
    pub(super) fn count<F: Future>(&self, call: F) -> impl Future<Output = F::Output> + use<F> {
        OF_CALL.scope(self.clone(), call)
    }

    /// Counts an answer whose length is known, if it fits into the permit: no more of it can come.
    fn covers(&self, answer: &SdkBody) -> bool {
        let Some(wire) = answer.size_hint().exact().and_then(|length| usize::try_from(length).ok()) else {
            return false;
        };
        let mut state = self.state();
        let fits = state.permit.as_mut().is_some_and(|permit| permit.grow(wire.saturating_mul(PEAK_OF_WIRE)));
        if fits {
            state.wire = wire;
        }
        fits
    }

    /// An answer from its beginning.
    fn counted(self, inner: SdkBody) -> Counted {
        self.state().wire = 0;
        let turns = PollSemaphore::new(Arc::clone(&self.0.turns.0));
        Counted { inner, allowance: self, turns, next: Next::Unknown }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting<'_> {
    /// The answer, or the event, is complete; what follows is counted anew.
    pub(super) fn end(self) -> Received {
        let mut state = self.0.state();
        (state.wire, state.waits_for_turn) = (0, false);
        let permit = state.permit.take().expect("nobody else takes it");
        Received { permit, refused: state.refused.take(), _turn: state.turn.take() }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        let returned = (state.permit.take(), state.turn.take());
        // Giving back wakes others, who may want to look here.
        drop(state);
        drop(returned);
    }
}

tokio::task_local! {
    static OF_CALL: Allowance;
}

/// Has the answers of a client counted, those of calls made within [`Allowance::count`]. Set up once for the client, as an
/// interceptor of each call would cost 6 us: an empty poll takes 40.
#[derive(Debug)]
pub(super) struct Counting;

#[dyn_dispatch_hint]
impl Intercept for Counting {
    fn name(&self) -> &'static str {
        "Counting"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let connection = config.load::<CaptureSmithyConnection>().cloned();
        // Outside of `count` nobody asks for it.
        let _nobody = OF_CALL.try_with(|allowance| allowance.state().connection = connection);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response_mut().body_mut();
        // The SDK polls all of a call in one task: that of whoever makes it.
        let allowance = OF_CALL.try_with(|allowance| (!allowance.covers(body)).then(|| allowance.clone()));
        if let Ok(Some(allowance)) = allowance {
            let inner = std::mem::replace(body, SdkBody::taken());
            *body = SdkBody::from_body_1_x(allowance.counted(inner));
        }
        Ok(())
    }
}

/// The body of an answer, of which no more is handed on than is allowed.
struct Counted {
    inner: SdkBody,
    allowance: Allowance,
    turns: PollSemaphore,
    next: Next,
}

/// What is to be counted next.
enum Next {
    /// Nothing was read yet.
    Unknown,
    /// So much was counted before it was read.
    Counted(usize),
    /// Read, and not yet allowed.
    Piece(Bytes),
}

/// The answer is larger than what may be taken up.
#[derive(Debug, thiserror::Error)]
#[error("the answer is larger than what may be held of it in memory")]
struct Refused;

impl Counted {
    /// Counts so many bytes more, as soon as they are allowed.
    fn poll_count(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<Result<(), Refused>> {
        let mut state = self.allowance.state();
        let wire = state.wire.saturating_add(bytes);
        let peak = wire.saturating_mul(PEAK_OF_WIRE);
        let (too_large, has_turn) = (state.too_large, state.turn.is_some());
        // Without a permit nobody waits: it is the beginning of an answer, which is small.
        if let Some(permit) = &mut state.permit
            && !permit.grow(peak)
        {
            match too_large {
                TooLarge::Refuse => {
                    state.refused = Some(wire);
                    return Poll::Ready(Err(Refused));
                }
                TooLarge::Receive => permit.resize(peak),
                TooLarge::InTurn if has_turn => permit.resize(peak),
                TooLarge::InTurn => {
                    state.waits_for_turn = true;
                    let Poll::Ready(turn) = self.turns.poll_acquire(context) else { return Poll::Pending };
                    state.waits_for_turn = false;
                    state.turn = turn;
                    if let Some(permit) = &mut state.permit {
                        permit.resize(peak);
                    }
                }
            }
        }
        (state.wire, state.heard) = (wire, self.allowance.0.clock.now());
        Poll::Ready(Ok(()))
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        loop {
            match &mut this.next {
                Next::Unknown => {
                    // If the length is known, all of it is counted before any of it is read.
                    let length = usize::try_from(this.inner.size_hint().lower()).unwrap_or(usize::MAX);
                    ready!(this.poll_count(context, length))?;
                    this.next = Next::Counted(length);
                }
                Next::Counted(left) => {
                    let piece = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                        Some(Ok(frame)) => match frame.into_data() {
                            Ok(piece) => piece,
                            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                        },
                        other => return Poll::Ready(other),
                    };
                    if piece.len() <= *left {
                        *left -= piece.len();
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                    this.next = Next::Piece(piece);
                }
                Next::Piece(piece) => {
                    // A piece is a view of what was read: this counts up.
                    let piece = piece.clone();
                    ready!(this.poll_count(context, piece.len()))?;
                    this.next = Next::Counted(0);
                    return Poll::Ready(Some(Ok(Frame::data(piece))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !matches!(self.next, Next::Piece(_)) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.next {
            Next::Piece(piece) => {
                let (mut hint, inner, piece) = (SizeHint::new(), self.inner.size_hint(), piece.len() as u64);
                hint.set_lower(inner.lower() + piece);
                hint
            }
            Next::Unknown | Next::Counted(_) => self.inner.size_hint(),
        }
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").finish_non_exhaustive()
    }
}

/// What an answer takes while it is received, in bytes for each byte on the wire: the body in the pieces in which it came, the
/// body in one piece, and the records, which without base64 are smaller.
const PEAK_OF_WIRE: usize = 3;
