//! Carries a fault out.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Response;

use super::rule::Fault;
use crate::clock::Clock;
use crate::http::{Body, ConnectionLost, Cut, Exchange, GoAway};

/// An error to answer with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: String,
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Refused {
    /// The error that a fault means, if it means one; `throttled` is the service's code for too much.
    pub(crate) fn by(fault: &Fault, throttled: &str) -> Option<Self> {
        let refused = |code: &str, message: &str| Self { code: code.into(), status: 400, message: message.into() };
        match fault {
            Fault::Error { code, status, message } => {
                Some(Self { code: code.clone(), status: *status, message: message.clone() })
            }
            Fault::Throttle => Some(refused(throttled, "Rate exceeded (by a fault rule).")),
            Fault::ExpiredIterator => Some(refused("ExpiredIteratorException", "Iterator expired (by a fault rule).")),
            _ => None,
        }
    }
}

/// Answers a call that meets `fault`. `answer` carries the call out, `refuse` makes an answer of an error.
pub(crate) fn inject(
    fault: Fault,
    clock: &Arc<dyn Clock>,
    throttled: &str,
    answer: impl FnOnce() -> Exchange,
    refuse: impl FnOnce(&Refused) -> Response<Bytes>,
) -> Exchange {
    if let Some(refused) = Refused::by(&fault, throttled) {
        let response = refuse(&refused).map(Body::whole);
        return Box::pin(std::future::ready(Ok(response)));
    }
    match fault {
        Fault::ConnectionError => Box::pin(std::future::ready(Err(ConnectionLost))),
        Fault::LostAnswer => {
            let answered = answer();
            Box::pin(async move { answered.await.and(Err(ConnectionLost)) })
        }
        Fault::LateAnswer { delay } => {
            let late = clock.sleep_until(clock.now().plus(delay));
            let answered = answer();
            Box::pin(async move {
                let response = answered.await;
                late.await;
                response
            })
        }
        Fault::GoAway => {
            let answered = answer();
            Box::pin(async move {
                let mut response = answered.await?;
                response.extensions_mut().insert(GoAway);
                Ok(response)
            })
        }
        Fault::TruncatedBody { bytes } => cut(answer(), bytes, Cut::End),
        Fault::Reset { bytes } => cut(answer(), bytes, Cut::Break),
        Fault::StalledStream { bytes, pause } => {
            let pause = pause.map(|pause| clock.sleep_until(clock.now().plus(pause)));
            cut(answer(), bytes, Cut::Stall(pause))
        }
        // A list is stale because of what is in it: that is for the service itself to do.
        _ => answer(),
    }
}

fn cut(answered: Exchange, bytes: u64, cut: Cut) -> Exchange {
    Box::pin(async move { answered.await.map(|response| response.map(|body| body.cut(bytes, cut))) })
}
