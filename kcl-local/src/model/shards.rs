//! All shards of a stream.

use std::collections::BTreeMap;
use std::time::Duration;

use super::hash::{HashKey, HashRange};
use super::log::Entry;
use super::record::NewRecord;
use super::sequence::SequenceNumber;
use super::shard::{Event, Shard, ShardId};
use super::time::Timestamp;

/// The shards of a stream that have not expired. The open ones tile the hash space at all times.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shards {
    by_id: BTreeMap<ShardId, Shard>,
    /// The open shards by the start of their range: the routing table.
    open: BTreeMap<HashKey, ShardId>,
    next_id: u32,
    /// How many reshard steps there have been.
    generation: u32,
    /// Nothing that can expire is older than this, so that most calls need not look.
    oldest: Timestamp,
    /// The highest leading part of the sequence numbers of all shards there have been.
    highest_second: u64,
}

impl Shards {
    /// No shards at all: a stream that is being created. The numbers of its shards will begin at `least_second`.
    pub(crate) fn none(least_second: u64) -> Self {
        let (by_id, open) = (BTreeMap::new(), BTreeMap::new());
        Self { by_id, open, next_id: 0, generation: 0, oldest: NEVER, highest_second: least_second }
    }

    /// Opens the first shards of a stream.
    pub(crate) fn open_uniform(&mut self, count: u32, now: Timestamp) {
        let opened = self.event(now);
        for range in HashRange::uniform(count) {
            let mut shard = Shard::new(self.new_id(), range, opened);
            shard.created_second = shard.created_second.max(self.highest_second);
            self.insert(shard);
        }
    }

    pub(crate) fn find(&self, id: ShardId) -> Option<&Shard> {
        self.by_id.get(&id)
    }

    /// Every shard that has not expired, by id.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Shard> {
        self.by_id.values()
    }

    /// The open shards, by hash range.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Shard> {
        self.open.values().map(|id| &self.by_id[id])
    }

    pub(crate) fn open_count(&self) -> u32 {
        u32::try_from(self.open.len()).expect("a stream has fewer than 2^32 shards")
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// How many reshard steps there had been at that time, as far as the shards that are left tell.
    pub(crate) fn generation_at(&self, time: Timestamp) -> u32 {
        let events = self.by_id.values().flat_map(|shard| [Some(shard.opened), shard.closed]).flatten();
        events.filter(|event| event.at <= time).map(|event| event.generation).max().unwrap_or(0)
    }

    /// The shards that came out of this one.
    pub(crate) fn children_of(&self, id: ShardId) -> impl Iterator<Item = &Shard> {
        // Children are younger than their parents, so their ids are higher.
        self.by_id.range(id..).map(|(_, shard)| shard).filter(move |shard| shard.is_child_of(id))
    }

    pub(crate) fn find_mut(&mut self, id: ShardId) -> Option<&mut Shard> {
        self.by_id.get_mut(&id)
    }

    /// The open shard that takes records of this hash key.
    pub(crate) fn route(&self, hash_key: HashKey) -> ShardId {
        let (_, &id) = self.open.range(..=hash_key).next_back().expect("open shards tile the hash space");
        id
    }

    /// Numbers the record and stores it in an open shard, the one its hash key [leads to](Self::route).
    pub(crate) fn append(
        &mut self,
        id: ShardId,
        record: NewRecord,
        now: Timestamp,
        encrypted: bool,
    ) -> (Timestamp, SequenceNumber) {
        let shard = self.by_id.get_mut(&id).expect("the routing table names existing shards");
        let (arrival, sequence_number) = shard.append(record.payload, now, encrypted);
        self.oldest = self.oldest.min(arrival);
        (arrival, sequence_number)
    }

    /// What is kept arrived after this time; `None` if nothing can be too old.
    pub(crate) fn horizon(now: Timestamp, retention: Duration) -> Option<Timestamp> {
        // So close to the epoch, which a clock in a test may be, there was no such time.
        (now.as_millis() >= whole_millis(retention)).then(|| now.minus(retention))
    }

    /// Puts a record back that was saved; one whose shard has expired stays away.
    pub(crate) fn restore(&mut self, id: ShardId, ordinal: u64, entry: Entry) {
        if let Some(shard) = self.by_id.get_mut(&id) {
            self.oldest = self.oldest.min(entry.arrival);
            shard.restore(ordinal, entry);
        }
    }

    /// Forgets what is older than the retention period: records, and closed shards that can hold none any more.
    pub(crate) fn expire(&mut self, now: Timestamp, retention: Duration) {
        let Some(horizon) = Self::horizon(now, retention) else { return };
        if horizon < self.oldest {
            return;
        }
        self.by_id.values_mut().for_each(|shard| shard.trim(horizon));
        self.by_id.retain(|_, shard| shard.closed.is_none_or(|closed| closed.at > horizon));
        self.oldest = self.by_id.values().filter_map(Shard::oldest).min().unwrap_or(NEVER);
    }

    /// Begins a step of resharding: all that is closed and opened with this event is one change.
    pub(crate) fn begin_step(&mut self, now: Timestamp) -> Event {
        self.generation += 1;
        self.event(now)
    }

    pub(crate) fn close(&mut self, id: ShardId, event: Event) {
        let shard = self.by_id.get_mut(&id).expect("only existing shards are closed");
        assert!(shard.is_open(), "{id} is closed already");
        shard.closed = Some(event);
        self.oldest = self.oldest.min(event.at);
        self.open.remove(&shard.hash_range.start);
    }

    pub(crate) fn new_id(&mut self) -> ShardId {
        let id = ShardId(self.next_id);
        self.next_id += 1;
        id
    }

    pub(crate) fn highest_second(&self) -> u64 {
        self.highest_second
    }

    pub(crate) fn insert(&mut self, shard: Shard) {
        self.highest_second = self.highest_second.max(shard.created_second);
        self.open.insert(shard.hash_range.start, shard.id);
        self.by_id.insert(shard.id, shard);
    }

    fn event(&self, at: Timestamp) -> Event {
        Event { at, generation: self.generation }
    }
}

fn whole_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);
