//! One shard.

use std::fmt;

use super::hash::HashRange;
use super::limits::ShardRates;
use super::log::{Entry, RecordLog};
use super::record::{Payload, Record};
use super::sequence::{LAST_ORDINAL, SequenceNumber, SequenceParts};
use super::time::Timestamp;

/// The id of a shard within its stream; written `shardId-000000000000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct ShardId(pub u32);

impl ShardId {
    /// Reads the written form; `None` if no shard of this model can have that id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Self(text.strip_prefix("shardId-")?.parse().ok()?);
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shardId-{:012}", self.0)
    }
}

/// What listings and descriptions show of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardDescription {
    /// Its id.
    pub id: ShardId,
    /// The shard it was split from, or the first of the two it was merged from. May have expired since.
    pub parent: Option<ShardId>,
    /// The second of the two shards it was merged from.
    pub adjacent_parent: Option<ShardId>,
    /// The part of the hash space it takes records for.
    pub hash_range: HashRange,
    /// Below every record of the shard.
    pub starting_sequence_number: SequenceNumber,
    /// Above every record of the shard; present once it is closed.
    pub ending_sequence_number: Option<SequenceNumber>,
}

impl ShardDescription {
    /// Whether the shard still takes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending_sequence_number.is_none()
    }

    /// The shards it came from: none, one (split) or two (merge).
    pub fn parents(&self) -> impl Iterator<Item = ShardId> {
        self.parent.into_iter().chain(self.adjacent_parent)
    }
}

/// When something happened to a shard: the time, and the count of reshard steps, which orders what one millisecond
/// holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) generation: u32,
}

/// A shard with its records.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Shard {
    pub(crate) id: ShardId,
    pub(crate) parent: Option<ShardId>,
    pub(crate) adjacent_parent: Option<ShardId>,
    pub(crate) hash_range: HashRange,
    pub(crate) opened: Event,
    pub(crate) closed: Option<Event>,
    /// The most significant part of every sequence number of this shard; above that of all its parents.
    pub(crate) created_second: u64,
    /// The latest arrival so far. Arrivals do not go back when the clock does.
    latest: Timestamp,
    /// Asked only where limits are on. A restart is a rest.
    #[serde(skip, default = "ShardRates::new")]
    pub(crate) rates: ShardRates,
    log: RecordLog,
}

impl Shard {
    /// An open shard without parents.
    pub(crate) fn new(id: ShardId, hash_range: HashRange, opened: Event) -> Self {
        Self {
            id,
            parent: None,
            adjacent_parent: None,
            hash_range,
            opened,
            closed: None,
            created_second: opened.at.as_secs(),
            latest: opened.at,
            rates: ShardRates::new(),
            log: RecordLog::new(),
        }
    }

    /// The same as the child of one shard or two.
    pub(crate) fn with_parents(mut self, parent: &Shard, adjacent: Option<&Shard>) -> Self {
        self.parent = Some(parent.id);
        self.adjacent_parent = adjacent.map(|shard| shard.id);
        for shard in [Some(parent), adjacent].into_iter().flatten() {
            // Two reshards within a second, or a clock that went back, must not put the child's numbers below or among
            // those of a parent.
            self.created_second = self.created_second.max(shard.created_second + 1);
            self.latest = self.latest.max(shard.latest);
        }
        self
    }

    pub(crate) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub(crate) fn is_child_of(&self, id: ShardId) -> bool {
        self.parent == Some(id) || self.adjacent_parent == Some(id)
    }

    /// Numbers and stores a record in one step; returns when it arrived and its number.
    pub(crate) fn append(&mut self, payload: Payload, now: Timestamp, encrypted: bool) -> (Timestamp, SequenceNumber) {
        assert!(self.is_open(), "{} is closed: routing must only see open shards", self.id);
        self.latest = self.latest.max(now);
        let ordinal = self.log.append(Entry { payload, arrival: self.latest, encrypted });
        (self.latest, self.number(ordinal, self.latest))
    }

    /// Up to `limit` records from `ordinal` on, but no more than `max_bytes` of them unless the first alone is larger.
    pub(crate) fn read(&self, ordinal: u64, limit: usize, max_bytes: usize) -> ShardRead {
        let mut records = Vec::new();
        let mut next = ordinal.max(self.log.first());
        let mut bytes = 0;
        for (ordinal, entry) in self.log.from(ordinal).take(limit) {
            bytes += entry.payload.size();
            if bytes > max_bytes && !records.is_empty() {
                break;
            }
            records.push(self.record(ordinal, entry));
            next = ordinal + 1;
        }
        ShardRead { records, next, at_tip: next >= self.log.next() }
    }

    /// Puts a record back that was saved, unless it has been trimmed.
    pub(crate) fn restore(&mut self, ordinal: u64, entry: Entry) {
        self.latest = self.latest.max(entry.arrival);
        self.log.restore(ordinal, entry);
    }

    pub(crate) fn trim(&mut self, horizon: Timestamp) {
        self.log.trim(horizon);
    }

    /// The time of what will expire next: the oldest record, or the closing of the shard.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.log.oldest().or(self.closed.map(|closed| closed.at))
    }

    /// The ordinal of the oldest record that is left, or of the next one to come.
    pub(crate) fn first_ordinal(&self) -> u64 {
        self.log.first()
    }

    /// The ordinal that the next record will have.
    pub(crate) fn next_ordinal(&self) -> u64 {
        self.log.next()
    }

    pub(crate) fn first_ordinal_at_or_after(&self, time: Timestamp) -> u64 {
        self.log.first_at_or_after(time)
    }

    /// Below the record with this ordinal, and not below the one before it.
    pub(crate) fn number_before(&self, ordinal: u64) -> SequenceNumber {
        self.number(ordinal.saturating_sub(1), self.latest)
    }

    pub(crate) fn starting_sequence_number(&self) -> SequenceNumber {
        self.number(0, self.opened.at)
    }

    pub(crate) fn describe(&self) -> ShardDescription {
        ShardDescription {
            id: self.id,
            parent: self.parent,
            adjacent_parent: self.adjacent_parent,
            hash_range: self.hash_range,
            starting_sequence_number: self.starting_sequence_number(),
            ending_sequence_number: self.closed.map(|closed| self.number(LAST_ORDINAL, closed.at)),
        }
    }

    fn record(&self, ordinal: u64, entry: &Entry) -> Record {
        Record {
            sequence_number: self.number(ordinal, entry.arrival),
            arrival: entry.arrival,
            payload: entry.payload.clone(),
            encrypted: entry.encrypted,
        }
    }

    fn number(&self, ordinal: u64, arrival: Timestamp) -> SequenceNumber {
        SequenceNumber::from_parts(SequenceParts {
            shard_created: self.created_second,
            shard_index: self.id.0,
            ordinal,
            arrival: arrival.as_secs(),
        })
    }
}

/// Some records of a shard, and where to go on.
#[derive(Debug)]
pub(crate) struct ShardRead {
    pub(crate) records: Vec<Record>,
    /// The ordinal to read next.
    pub(crate) next: u64,
    /// Whether there was nothing beyond `records`.
    pub(crate) at_tip: bool,
}
