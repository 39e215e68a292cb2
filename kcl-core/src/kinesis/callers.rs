//! Calls for records, made in places that are used again.
//!
//! The future of a call of the SDK has 22 KB. An idle shard must not keep them, and to find room for them anew at each poll is
//! what would cost most of it, beside the call itself: up to 6 us of the allocator's time, where a plain loop, which makes
//! all its calls in one place, has none of it. So calls are made by *callers*, each of which makes one after the other, for
//! whatever shard; there are as many as there are calls in flight.
//!
//! A caller also sees to it that its calls come to an end, with a timer that it keeps: one that was set for a call that is over
//! goes off too early for the present one, and is set anew only then. So it costs a timer in half a minute, not one a call.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::errors::Fault;
use crate::ports::Clock;
use crate::types::Moment;

/// What is asked for. The SDK's own request is larger than all else that a reader holds during a call.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) iterator: String,
    pub(super) limit: u16,
    pub(super) stream_arn: Option<String>,
}

/// What came of a call, besides what its body was decoded to.
pub(super) type Answered = Result<(), Fault>;

/// Makes the calls of a source.
pub(super) struct Callers {
    client: Client,
    clock: Arc<dyn Clock>,
    /// How long a call may take, unless the client sees to it.
    patience: Option<Duration>,
    /// Those that have nothing to do now.
    idle: Mutex<Vec<Caller>>,
}

impl Callers {
    /// Of a client that decodes with a codec.
    pub(super) fn new(client: Client, patience: Option<Duration>, clock: Arc<dyn Clock>) -> Self {
        Callers { client, clock, patience, idle: Mutex::default() }
    }

    /// Makes the call; nothing, if it is not answered in time. Cancel safe if the call is: one that is given up takes its
    /// caller with it.
    pub(super) async fn call(&self, request: Request) -> Option<Answered> {
        let idle = self.idle().pop();
        let mut caller = idle.unwrap_or_else(|| Caller::new(self.client.clone()));
        at(&caller.desk).request = Some(request);
        let until = self.patience.map(|patience| self.clock.now() + patience);
        let answered = poll_fn(|context| match caller.poll_call(context) {
            Poll::Ready(answered) => Poll::Ready(Some(answered)),
            Poll::Pending => match until {
                Some(until) => caller.poll_late(until, &self.clock, context).map(|()| None),
                None => Poll::Pending,
            },
        })
        .await?;
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push(caller);
        }
        Some(answered)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Caller>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Callers({} idle)", self.idle().len())
    }
}

/// A future that makes calls, and where it is told which and leaves what came of them.
struct Caller {
    desk: Arc<Mutex<Desk>>,
    calls: Pin<Box<dyn Future<Output = Infallible> + Send>>,
    /// Goes off when a call has taken too long: the present one, or one before it.
    alarm: Option<BoxFuture<'static, ()>>,
}

#[derive(Default)]
struct Desk {
    request: Option<Request>,
    answered: Option<Answered>,
}

impl Caller {
    fn new(client: Client) -> Self {
        let desk = Arc::default();
        Caller { calls: Box::pin(make_calls(client, Arc::clone(&desk))), desk, alarm: None }
    }

    fn poll_call(&mut self, context: &mut Context<'_>) -> Poll<Answered> {
        let Poll::Pending = self.calls.as_mut().poll(context);
        at(&self.desk).answered.take().map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready once `until` has passed. No call may take longer than another, so no alarm is set for later.
    fn poll_late(&mut self, until: Moment, clock: &Arc<dyn Clock>, context: &mut Context<'_>) -> Poll<()> {
        while clock.now() < until {
            let alarm = self.alarm.get_or_insert_with(|| {
                let clock = Arc::clone(clock);
                async move { clock.sleep_until(until).await }.boxed()
            });
            ready!(alarm.as_mut().poll(context));
            self.alarm = None;
        }
        Poll::Ready(())
    }
}

/// Whoever brings a request polls this, so nobody has to be woken for one.
async fn make_calls(client: Client, desk: Arc<Mutex<Desk>>) -> Infallible {
    loop {
        let request = poll_fn(|_| at(&desk).request.take().map_or(Poll::Pending, Poll::Ready)).await;
        let Request { iterator, limit, stream_arn } = request;
        let call = client.get_records().shard_iterator(iterator).limit(limit.into()).set_stream_arn(stream_arn);
        let answered = match call.send().await {
            // The codec has read all of it.
            Ok(_) => Ok(()),
            Err(error) => Err(Fault::of(&error)),
        };
        at(&desk).answered = Some(answered);
    }
}

fn at(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Those above are given up: calls in flight come and go by few at a time, and idle shards have to bear what is kept.
const MOST_IDLE: usize = 8;
