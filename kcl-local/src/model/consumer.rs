//! Registered consumers and their subscriptions: enhanced fan-out.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::error::ServiceError;
use super::limits::Outflow;
use super::record::Record;
use super::sequence::SequenceNumber;
use super::shard::{ShardDescription, ShardId};
use super::tags;
use super::time::Timestamp;

/// Where a consumer is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// Not usable yet.
    Creating,
    /// Can subscribe.
    Active,
    /// About to be gone.
    Deleting,
}

impl ConsumerStatus {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Deleting => "DELETING",
        }
    }
}

impl fmt::Display for ConsumerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A registered consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerDescription {
    /// Its name, unique in the stream.
    pub name: String,
    /// When it was registered; its ARN holds the second.
    pub created: Timestamp,
    /// Where it is in its life.
    pub status: ConsumerStatus,
}

/// What a subscription brings at once.
#[derive(Debug, Clone)]
pub struct FanOutEvent {
    /// The records, in order; none if there is nothing new.
    pub records: Vec<Record>,
    /// Where a later subscription goes on: after this number. `None` at the end of a closed shard.
    pub continuation: Option<SequenceNumber>,
    /// How old the newest of these records is, or 0 if there is nothing beyond them.
    pub millis_behind_latest: u64,
    /// At the end of a closed shard, the shards that go on where it ended.
    pub child_shards: Option<Vec<ShardDescription>>,
}

/// What happens next on a subscription.
#[derive(Debug)]
pub(crate) enum Push {
    Event(FanOutEvent),
    /// Nothing before this time, unless something happens to the stream.
    Wait(Timestamp),
    /// It is over: after five minutes, or at the end of the shard.
    End,
}

/// Which subscription: the one that a call began, not one that took over from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SubscriptionKey {
    pub(crate) consumer: String,
    pub(crate) created: Timestamp,
    pub(crate) shard: ShardId,
    pub(crate) id: u64,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Consumer {
    pub(crate) created: Timestamp,
    phase: Phase,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    /// By shard. A restart ends them all, as it ends the connections.
    #[serde(skip)]
    pub(crate) subscriptions: BTreeMap<ShardId, Subscription>,
}

#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Phase {
    Creating { until: Timestamp },
    Active,
    Deleting { until: Timestamp },
}

#[derive(Debug)]
pub(crate) struct Subscription {
    id: u64,
    begun: Timestamp,
    /// The ordinal to bring next.
    pub(crate) next: u64,
    last_event: Option<Timestamp>,
    pub(crate) sent: Outflow,
    pub(crate) has_ended: bool,
}

/// How many consumers a stream may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerLimits {
    /// In all.
    pub registered: u32,
    /// At the same time CREATING.
    pub creating: u32,
}

/// The consumers of a stream.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Consumers {
    by_name: BTreeMap<String, Consumer>,
    #[serde(skip)]
    subscriptions: u64,
}

impl Consumers {
    pub(crate) fn register(
        &mut self,
        name: &str,
        tags: BTreeMap<String, String>,
        limits: ConsumerLimits,
        (transition, now): (Duration, Timestamp),
    ) -> Result<ConsumerDescription, ServiceError> {
        let limit = limits.registered;
        if self.by_name.contains_key(name) {
            return Err(ServiceError::in_use(format!("Consumer {name} already exists.")));
        }
        if self.by_name.len() >= limit as usize {
            return Err(ServiceError::limit_exceeded(format!(
                "The stream has {limit} consumers, which is its limit: deregister one before registering {name}"
            )));
        }
        let creating = self.by_name.values().filter(|other| matches!(other.phase, Phase::Creating { .. })).count();
        if creating >= limits.creating as usize {
            return Err(ServiceError::limit_exceeded(format!(
                "{creating} consumers are CREATING, which is the limit: wait until one is ACTIVE before registering {name}"
            )));
        }
        let mut own = BTreeMap::new();
        tags::add(&mut own, tags, || format!("consumer {name}"))?;
        let phase = Phase::Creating { until: now.plus(transition) };
        let consumer = Consumer { created: now, phase, tags: own, subscriptions: BTreeMap::new() };
        let description = consumer.describe(name);
        self.by_name.insert(name.to_owned(), consumer);
        self.settle(now);
        Ok(description)
    }

    pub(crate) fn deregister(
        &mut self,
        name: &str,
        (transition, now): (Duration, Timestamp),
    ) -> Result<(), ServiceError> {
        let consumer = self.by_name.get_mut(name).ok_or_else(|| no_such(name))?;
        if matches!(consumer.phase, Phase::Creating { .. }) {
            return Err(ServiceError::in_use(format!("Consumer {name} is CREATING: wait until it is ACTIVE")));
        }
        if matches!(consumer.phase, Phase::Active) {
            consumer.phase = Phase::Deleting { until: now.plus(transition) };
        }
        self.settle(now);
        Ok(())
    }

    /// Ends transitions that are over; says whether there were any.
    pub(crate) fn settle(&mut self, now: Timestamp) -> bool {
        let mut ended = false;
        self.by_name.retain(|_, consumer| match consumer.phase {
            Phase::Creating { until } if until <= now => {
                consumer.phase = Phase::Active;
                ended = true;
                true
            }
            Phase::Deleting { until } if until <= now => {
                ended = true;
                false
            }
            _ => true,
        });
        ended
    }

    pub(crate) fn describe(&self, name: &str) -> Result<ConsumerDescription, ServiceError> {
        self.by_name.get(name).map(|consumer| consumer.describe(name)).ok_or_else(|| no_such(name))
    }

    /// All, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = ConsumerDescription> {
        self.by_name.iter().map(|(name, consumer)| consumer.describe(name))
    }

    /// The tags of a consumer, to be looked at or changed.
    pub(crate) fn tags(&mut self, name: &str) -> Result<&mut BTreeMap<String, String>, ServiceError> {
        self.by_name.get_mut(name).map(|consumer| &mut consumer.tags).ok_or_else(|| no_such(name))
    }

    /// Refuses a subscription that cannot begin now.
    pub(crate) fn check_subscribe(&self, name: &str, shard: ShardId, now: Timestamp) -> Result<(), ServiceError> {
        let consumer = self.by_name.get(name).ok_or_else(|| no_such(name))?;
        if !matches!(consumer.phase, Phase::Active) {
            let status = consumer.describe(name).status;
            return Err(ServiceError::in_use(format!("Consumer {name} is {status}: only an ACTIVE one can subscribe")));
        }
        let earlier = consumer.subscriptions.get(&shard);
        if earlier.is_some_and(|earlier| now < earlier.begun.plus(TAKE_OVER)) {
            return Err(ServiceError::in_use(format!(
                "Consumer {name} subscribed to {shard} less than 5 seconds ago: wait, and subscribe again"
            )));
        }
        Ok(())
    }

    /// Begins a subscription, which ends the one that this consumer has on the shard.
    pub(crate) fn subscribe(
        &mut self,
        name: &str,
        shard: ShardId,
        next: u64,
        now: Timestamp,
    ) -> Result<SubscriptionKey, ServiceError> {
        self.check_subscribe(name, shard, now)?;
        let consumer = self.by_name.get_mut(name).ok_or_else(|| no_such(name))?;
        self.subscriptions += 1;
        let id = self.subscriptions;
        let sent = Outflow::default();
        let subscription = Subscription { id, begun: now, next, last_event: None, sent, has_ended: false };
        consumer.subscriptions.insert(shard, subscription);
        Ok(SubscriptionKey { consumer: name.to_owned(), created: consumer.created, shard, id })
    }

    /// The subscription, if it is still the one.
    pub(crate) fn subscription(&mut self, key: &SubscriptionKey) -> Result<&mut Subscription, ServiceError> {
        let consumer = self.by_name.get_mut(&key.consumer).filter(|consumer| consumer.created == key.created);
        let consumer = consumer.ok_or_else(|| no_such(&key.consumer))?;
        let subscription = consumer.subscriptions.get_mut(&key.shard).filter(|found| found.id == key.id);
        subscription.ok_or_else(|| {
            let (consumer, shard) = (&key.consumer, key.shard);
            ServiceError::in_use(format!("Another subscription of consumer {consumer} took over {shard}"))
        })
    }
}

impl Consumer {
    fn describe(&self, name: &str) -> ConsumerDescription {
        let status = match self.phase {
            Phase::Creating { .. } => ConsumerStatus::Creating,
            Phase::Active => ConsumerStatus::Active,
            Phase::Deleting { .. } => ConsumerStatus::Deleting,
        };
        ConsumerDescription { name: name.to_owned(), created: self.created, status }
    }
}

impl Subscription {
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.has_ended || now >= self.begun.plus(LIFE_TIME)
    }

    /// When something has to be said even if there is nothing new. The first time at once.
    pub(crate) fn next_sign_of_life(&self, now: Timestamp) -> Timestamp {
        let sign = self.last_event.map_or(now, |last| last.plus(HEARTBEAT));
        sign.min(self.begun.plus(LIFE_TIME))
    }

    pub(crate) fn brought(&mut self, bytes: usize, now: Timestamp) {
        self.last_event = Some(now);
        self.sent.sent(bytes, now);
    }
}

fn no_such(name: &str) -> ServiceError {
    ServiceError::not_found(format!("Consumer {name} not found."))
}

/// How long a subscription lasts.
const LIFE_TIME: Duration = Duration::from_mins(5);
/// How long a subscription is safe from the next one.
const TAKE_OVER: Duration = Duration::from_secs(5);
/// How often an idle subscription brings an event without records.
const HEARTBEAT: Duration = Duration::from_secs(5);
