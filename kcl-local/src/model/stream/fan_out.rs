//! Consumers of a stream, and what their subscriptions bring.

use std::collections::BTreeMap;

use super::Stream;
use crate::model::consumer::{ConsumerDescription, ConsumerLimits, FanOutEvent, Push, SubscriptionKey};
use crate::model::error::ServiceError;
use crate::model::position::StartingPosition;
use crate::model::shard::ShardId;
use crate::model::tags;
use crate::model::time::Timestamp;

impl Stream {
    /// Registers a consumer.
    ///
    /// # Errors
    /// `ResourceInUseException` if there is one of this name, `LimitExceededException` if there are too many.
    pub fn register_consumer(
        &mut self,
        name: &str,
        tags: BTreeMap<String, String>,
        limits: ConsumerLimits,
        now: Timestamp,
    ) -> Result<ConsumerDescription, ServiceError> {
        self.require_created()?;
        self.consumers.register(name, tags, limits, (self.transition, now))
    }

    /// The tags of a consumer.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name.
    pub fn consumer_tags(&mut self, name: &str) -> Result<&BTreeMap<String, String>, ServiceError> {
        self.consumers.tags(name).map(|tags| &*tags)
    }

    /// Adds tags to a consumer, or changes their values.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name, `InvalidArgumentException` if there would be more than
    /// 50.
    pub fn add_consumer_tags(&mut self, name: &str, more: BTreeMap<String, String>) -> Result<(), ServiceError> {
        tags::add(self.consumers.tags(name)?, more, || format!("consumer {name}"))
    }

    /// Removes tags from a consumer; unknown keys do not matter.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name.
    pub fn remove_consumer_tags<'a>(
        &mut self,
        name: &str,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), ServiceError> {
        tags::remove(self.consumers.tags(name)?, keys);
        Ok(())
    }

    /// Begins to remove a consumer. Its subscriptions end when it is gone.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none, `ResourceInUseException` while it is being registered.
    pub fn deregister_consumer(&mut self, name: &str, now: Timestamp) -> Result<(), ServiceError> {
        self.activity += 1;
        self.consumers.deregister(name, (self.transition, now))
    }

    /// A consumer.
    ///
    /// # Errors
    /// `ResourceNotFoundException` if there is none of this name.
    pub fn consumer(&self, name: &str) -> Result<ConsumerDescription, ServiceError> {
        self.consumers.describe(name)
    }

    /// All consumers, by name.
    pub fn consumers(&self) -> impl Iterator<Item = ConsumerDescription> {
        self.consumers.all()
    }

    /// Refuses a subscription that cannot begin now.
    pub(crate) fn check_subscribe(
        &self,
        consumer: &str,
        shard: ShardId,
        position: StartingPosition,
        now: Timestamp,
    ) -> Result<(), ServiceError> {
        self.require_created()?;
        position.resolve(self.existing_shard(shard)?, &self.name, now)?;
        self.consumers.check_subscribe(consumer, shard, now)
    }

    /// Begins a subscription.
    pub(crate) fn subscribe(
        &mut self,
        consumer: &str,
        shard: ShardId,
        position: StartingPosition,
        now: Timestamp,
    ) -> Result<SubscriptionKey, ServiceError> {
        self.require_created()?;
        let next = position.resolve(self.existing_shard(shard)?, &self.name, now)?;
        let key = self.consumers.subscribe(consumer, shard, next, now)?;
        // Whoever it took over from learns of it.
        self.activity += 1;
        Ok(key)
    }

    /// What the subscription brings next.
    ///
    /// # Errors
    /// `ResourceInUseException` if another one took over, `ResourceNotFoundException` if consumer or shard are gone.
    pub(crate) fn push(&mut self, key: &SubscriptionKey, now: Timestamp) -> Result<Push, ServiceError> {
        let subscription = self.consumers.subscription(key)?;
        if subscription.is_over(now) {
            return Ok(Push::End);
        }
        let free_at = subscription.sent.free_at(now);
        if self.limits.are_on() && free_at > now {
            return Ok(Push::Wait(free_at));
        }
        let gone = || ServiceError::not_found(format!("Shard {} in stream {} has expired", key.shard, self.name));
        let shard = self.shards.find(key.shard).ok_or_else(gone)?;
        let read = shard.read(subscription.next, MAX_RECORDS_PER_EVENT, MAX_BYTES_PER_EVENT);
        let ended = read.at_tip && !shard.is_open();
        let sign_of_life = subscription.next_sign_of_life(now);
        if read.records.is_empty() && !ended && now < sign_of_life {
            return Ok(Push::Wait(sign_of_life));
        }
        subscription.next = read.next;
        subscription.has_ended = ended;
        subscription.brought(read.records.iter().map(|record| record.payload.size()).sum(), now);
        let newest = read.records.last();
        let behind = newest.map_or(now, |record| record.arrival);
        let continuation = newest.map_or_else(|| shard.number_before(read.next), |record| record.sequence_number);
        let children = || self.shards.children_of(key.shard).map(|child| child.describe()).collect();
        Ok(Push::Event(FanOutEvent {
            millis_behind_latest: if read.at_tip { 0 } else { now.since(behind).as_millis() as u64 },
            records: read.records,
            continuation: (!ended).then_some(continuation),
            child_shards: ended.then(children),
        }))
    }
}

const MAX_RECORDS_PER_EVENT: usize = 10_000;
/// Small enough that an event of one second's worth is one frame, large enough for speed.
const MAX_BYTES_PER_EVENT: usize = 2 * 1024 * 1024;
