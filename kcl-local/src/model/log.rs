//! The records of one shard, in order.

use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record::Payload;
use super::time::Timestamp;

/// A record in its place. Its ordinal is where it stands in the log, its sequence number follows from that.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) payload: Payload,
    pub(crate) arrival: Timestamp,
    pub(crate) encrypted: bool,
}

/// What is saved of a log beside its entries: where it begins.
impl Serialize for RecordLog {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.first)
    }
}

impl<'de> Deserialize<'de> for RecordLog {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let first = u64::deserialize(deserializer)?;
        Ok(Self { entries: VecDeque::new(), first })
    }
}

/// An append-only log whose beginning can be trimmed. Ordinals count from 1 and have no gap.
#[derive(Debug)]
pub(crate) struct RecordLog {
    entries: VecDeque<Entry>,
    /// The ordinal of the first entry, or of the next one if there is none.
    first: u64,
}

impl RecordLog {
    pub(crate) fn new() -> Self {
        Self { entries: VecDeque::new(), first: 1 }
    }

    /// Numbers and stores in one step; returns the ordinal.
    pub(crate) fn append(&mut self, entry: Entry) -> u64 {
        let ordinal = self.next();
        self.entries.push_back(entry);
        ordinal
    }

    /// Puts an entry back at its ordinal; one from before the beginning stays away.
    pub(crate) fn restore(&mut self, ordinal: u64, entry: Entry) {
        if self.entries.is_empty() {
            self.first = self.first.max(ordinal);
        }
        if ordinal == self.next() {
            self.entries.push_back(entry);
        }
    }

    /// The ordinal of the oldest record that is still there.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The ordinal that the next record will have.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// When the oldest record that is still there arrived.
    pub(crate) fn oldest(&self) -> Option<Timestamp> {
        self.entries.front().map(|entry| entry.arrival)
    }

    /// Drops what arrived at or before `horizon`.
    pub(crate) fn trim(&mut self, horizon: Timestamp) {
        while self.entries.front().is_some_and(|entry| entry.arrival <= horizon) {
            self.entries.pop_front();
            self.first += 1;
        }
        // A log that lost most of its records gives the memory back as well.
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(self.entries.len() * 2);
        }
    }

    /// The ordinal of the first record that arrived at `time` or later.
    pub(crate) fn first_at_or_after(&self, time: Timestamp) -> u64 {
        // Arrival times never decrease within a shard, which makes them searchable.
        self.first + self.entries.partition_point(|entry| entry.arrival < time) as u64
    }

    /// The entries from `ordinal` on, each with its ordinal; one that was trimmed means the oldest that is left.
    pub(crate) fn from(&self, ordinal: u64) -> impl Iterator<Item = (u64, &Entry)> {
        let skipped = usize::try_from(ordinal.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let start = skipped.min(self.entries.len());
        (self.first + start as u64..).zip(self.entries.range(start..))
    }
}
