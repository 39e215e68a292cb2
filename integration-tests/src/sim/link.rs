//! What becomes of one call on its way to the table and back: decided from a link's state and chance alone.

use std::time::Duration;

use kcl_core::memory::{Operation, Request};

use super::timeline::At;

/// How often calls go wrong. All zero: they never do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    pub(crate) outlier: f64,
    pub(crate) lost_request: f64,
    pub(crate) lost_reply: f64,
    pub(crate) late_reply: f64,
    pub(crate) late_request: f64,
    pub(crate) duplicate: f64,
    pub(crate) throttled: f64,
    pub(crate) stale_scan: f64,
}

/// The state of a worker's way to the table, the part that all workers share included.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link {
    /// Nothing is answered until then; what was asked meanwhile happens then.
    pub(crate) stalled_until: At,
    /// The leader lock cannot be written until then.
    pub(crate) lock_fails_until: At,
    /// Nearly everything is refused until then.
    pub(crate) throttled_until: At,
    /// Most of what is asked until then is lost, one way or the other.
    pub(crate) broken_until: At,
    /// How much of it, and of how much of that only the answer.
    pub(crate) loss: f64,
    pub(crate) answers: f64,
    /// Everything takes long until then: up to this much each way.
    pub(crate) slow_until: At,
    pub(crate) slowness: Duration,
    /// Scans are not answered until then.
    pub(crate) scans_hang_until: At,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fate {
    /// It takes effect after `there`, and the answer comes `back` later.
    Answered { there: Duration, back: Duration },
    /// The store says no.
    Refused { after: Duration },
    /// It has no effect, and nothing is heard but that the connection broke, `heard` after it was sent.
    RequestLost { heard: Duration },
    /// It takes effect after `there`, which may be long after its sender heard that the connection broke.
    ReplyLost { there: Duration, heard: Duration },
    /// It takes effect after `there` and once more `again` later. The answer is that to the first or to the second time.
    Twice { there: Duration, again: Duration, back: Duration, second_answers: bool },
}

impl Fate {
    /// After this long the call has no effect any more.
    pub(crate) fn longest(&self) -> Duration {
        match self {
            Fate::Answered { there, .. } | Fate::ReplyLost { there, .. } => *there,
            Fate::Twice { there, again, .. } => *there + *again,
            Fate::Refused { .. } | Fate::RequestLost { .. } => Duration::ZERO,
        }
    }
}

/// After this long without an answer the client gives a call up by itself.
const PATIENCE: Duration = Duration::from_secs(5);

/// Decides about one call, sent `now`.
pub(crate) fn fate(
    random: &mut fastrand::Rng,
    rates: &Rates,
    link: &Link,
    request: &Request,
    (now, failover): (At, Duration),
) -> Fate {
    let stall = link.stalled_until.saturating_sub(now);
    let slowness = if now < link.slow_until { link.slowness } else { Duration::ZERO };
    let mut way = || way(random) + slowness.mul_f64(random.f64());
    let (there, back) = (stall + way(), way());
    if now < link.lock_fails_until && request.operation() == Operation::WriteLeader {
        return Fate::RequestLost { heard: there + back };
    }
    if now < link.scans_hang_until && request.operation() == Operation::Scan {
        return Fate::RequestLost { heard: PATIENCE };
    }
    if now < link.broken_until && random.f64() < link.loss {
        return lost(random, link.answers, there);
    }
    if now < link.throttled_until && random.f64() < 0.9 || random.f64() < rates.throttled {
        return Fate::Refused { after: there + back };
    }
    if random.f64() < rates.lost_request {
        return Fate::RequestLost { heard: broken(random, there + back) };
    }
    if random.f64() < rates.lost_reply {
        return Fate::ReplyLost { there, heard: there + broken(random, back) };
    }
    if random.f64() < rates.late_reply {
        return Fate::Answered { there, back: failover.mul_f64(random.f64() * 1.3) };
    }
    // Reads have no effect that could come late or twice.
    let writes = !matches!(
        request.operation(),
        Operation::Start
            | Operation::Scan
            | Operation::OwnedBy
            | Operation::Get
            | Operation::Worker
            | Operation::Leader
    );
    if writes && random.f64() < rates.late_request {
        let late = failover.mul_f64(random.f64() * 2.5);
        return Fate::ReplyLost { there: there + late, heard: broken(random, back) };
    }
    if writes && random.f64() < rates.duplicate {
        let most = if random.bool() { failover * 2 } else { failover / 20 };
        let again = most.mul_f64(random.f64());
        return Fate::Twice { there, again, back, second_answers: random.bool() };
    }
    if random.f64() < rates.outlier {
        return Fate::Answered { there: there + failover.mul_f64(random.f64() * 0.4), back };
    }
    Fate::Answered { there, back }
}

fn lost(random: &mut fastrand::Rng, answers: f64, there: Duration) -> Fate {
    let heard = broken(random, there);
    if random.f64() < answers { Fate::ReplyLost { there, heard: there + heard } } else { Fate::RequestLost { heard } }
}

/// One way of a healthy call: 1 to 30 ms, mostly short.
fn way(random: &mut fastrand::Rng) -> Duration {
    Duration::from_micros(1_000 + (random.f64().powi(3) * 29_000.0) as u64)
}

/// When the sender hears that its connection broke: at once, or when it has waited for long.
fn broken(random: &mut fastrand::Rng, soon: Duration) -> Duration {
    if random.bool() { soon } else { PATIENCE }
}
