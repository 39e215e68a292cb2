//! What logs and metrics are told of subscriptions.

use std::fmt;
use std::sync::Arc;

use super::subscription::{Reason, State, Telling};
use crate::metric_definitions::FanOutMetrics;
use crate::types::ShardRef;

/// Tells of all subscriptions of a source.
#[derive(Clone)]
pub(crate) struct Told {
    metrics: Arc<FanOutMetrics>,
}

/// Tells of one subscription: where it stands, and how it ends.
#[derive(Debug)]
pub(super) struct SubscriptionTold {
    told: Told,
    shard: ShardRef,
    standing: Option<usize>,
}

impl Told {
    /// With these labels on every metric.
    pub(crate) fn new(labels: &[(&'static str, String)]) -> Self {
        let mut reasons: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        reasons.extend([RENEWAL, SUSPENDED]);
        Told { metrics: Arc::new(FanOutMetrics::new(labels, &STANDINGS, &reasons)) }
    }

    pub(super) fn of(&self, shard: &ShardRef) -> SubscriptionTold {
        SubscriptionTold { told: self.clone(), shard: shard.clone(), standing: None }
    }

    /// A shard is read by subscription from now on, and was polled before.
    pub(crate) fn changed_to_fan_out(&self, shard: &ShardRef) {
        self.metrics.to_fan_out.increment(1);
        tracing::debug!(stream = %shard.stream(), shard_id = %shard.id(), "read by enhanced fan-out from now on");
    }

    /// A shard is polled from now on.
    pub(crate) fn changed_to_polling(&self, shard: &ShardRef, why: &str) {
        self.metrics.to_polling.increment(1);
        tracing::info!(stream = %shard.stream(), shard_id = %shard.id(), why, "polled from now on");
    }
}

impl SubscriptionTold {
    /// It stands here now.
    pub(super) fn stands(&mut self, state: State) {
        let standing = match state {
            State::Starting => None,
            State::Opening { .. } => Some(0),
            State::Live => Some(1),
            State::Renewing | State::Reopening(_) => Some(2),
            State::Suspended => Some(3),
        };
        self.change(standing);
    }

    pub(super) fn opened(&self, consumer: &str) {
        tracing::debug!(stream = %self.shard.stream(), shard_id = %self.shard.id(), consumer, "subscribed");
    }

    pub(super) fn renewing(&self) {
        self.ended(Reason::ALL.len());
        tracing::debug!(stream = %self.shard.stream(), shard_id = %self.shard.id(), "subscription is renewed");
    }

    pub(super) fn suspended(&self) {
        self.ended(Reason::ALL.len() + 1);
        tracing::debug!(
            stream = %self.shard.stream(),
            shard_id = %self.shard.id(),
            "subscription closed, since nobody wants its events at the moment"
        );
    }

    /// A fault; those that belong to the life of subscriptions are debug lines.
    pub(super) fn failed(&self, reason: Reason, telling: Telling, why: &str) {
        // The place in the list is the place in the enum.
        self.ended(reason as usize);
        let (stream, shard_id, reason) = (self.shard.stream(), self.shard.id(), reason.as_str());
        match telling {
            Telling::Quiet => tracing::debug!(%stream, %shard_id, reason, why, "subscription is opened again"),
            Telling::Loud => tracing::info!(%stream, %shard_id, reason, why, "subscription fails"),
        }
    }

    fn ended(&self, reason: usize) {
        if let Some(ends) = self.told.metrics.ends.get(reason) {
            ends.increment(1);
        }
    }

    fn change(&mut self, standing: Option<usize>) {
        if standing == self.standing {
            return;
        }
        let gauge =
            |standing: Option<usize>| standing.and_then(|standing| self.told.metrics.subscriptions.get(standing));
        if let Some(before) = gauge(self.standing) {
            before.decrement(1.0);
        }
        if let Some(now) = gauge(standing) {
            now.increment(1.0);
        }
        self.standing = standing;
    }
}

impl Drop for SubscriptionTold {
    fn drop(&mut self) {
        self.change(None);
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").finish_non_exhaustive()
    }
}

const STANDINGS: [&str; 4] = ["opening", "live", "waiting", "suspended"];
const RENEWAL: &str = "renewal";
const SUSPENDED: &str = "suspended";
