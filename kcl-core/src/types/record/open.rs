//! Opens aggregates: one record of the stream becomes the user records in it, as slices of the same buffer.

use std::ops::Range;
use std::sync::Arc;

use super::buffer::{Buffer, Delivered, Keys, Opened, UserEntry};
use super::{RecordBatch, RecordEntry};
use crate::types::aggregate::{Aggregate, AggregateError, Key};
use crate::types::{HashRange, RecordPosition};

/// A batch whose aggregates were opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenedBatch {
    /// The records up to the first corrupt aggregate, in order.
    pub batch: RecordBatch,
    /// How many user records were left out because their hash key lies outside the shard: they were aggregated for the
    /// parent of a split, and come in a sibling, too.
    pub outside: u64,
    /// The aggregate that could not be opened, and the records from it on, unopened.
    pub corrupt: Option<(CorruptAggregate, RecordBatch)>,
}

/// A record that begins like an aggregate and is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {position} begins like an aggregate of the Kinesis Producer Library, but cannot be opened: {error}")]
#[non_exhaustive]
pub struct CorruptAggregate {
    /// Where it stands.
    pub position: RecordPosition,
    /// What is wrong with it.
    pub error: AggregateError,
}

impl RecordBatch {
    /// Opens the aggregates among the records. Their user records follow each other in the order of the aggregate, with
    /// sub-sequence numbers from 0; those whose hash key lies outside `shard` are left out one by one. Plain records stay as
    /// they are. Without aggregates nothing is copied.
    ///
    /// Checks the MD5 of each aggregate, and computes the one of each partition key: about 1.5 ms per MiB.
    pub fn open_aggregates(&self, shard: Option<HashRange>) -> OpenedBatch {
        if self.buffer.opened.is_some() || !self.has_aggregates() {
            return OpenedBatch { batch: self.clone(), outside: 0, corrupt: None };
        }
        let shard = shard.unwrap_or(HashRange::ALL);
        let mut opening = Opening { users: Vec::with_capacity(self.len()), outside: 0, through: None };
        let mut corrupt = None;
        for index in self.start..self.end {
            if let Err(error) = opening.add(self, index, shard) {
                let position = self.buffer.position(index);
                let (_, rest) = self.split(index - self.start);
                corrupt = Some((CorruptAggregate { position, error }, rest));
                break;
            }
        }
        let outside = opening.outside;
        OpenedBatch { batch: opening.finish(self), outside, corrupt }
    }

    fn has_aggregates(&self) -> bool {
        let Delivered { entries, aggregates, .. } = &*self.buffer.delivered;
        *aggregates && entries[self.start..self.end].iter().any(RecordEntry::may_be_aggregate)
    }
}

struct Opening {
    users: Vec<UserEntry>,
    outside: u64,
    through: Option<RecordPosition>,
}

impl Opening {
    fn add(&mut self, batch: &RecordBatch, index: usize, shard: HashRange) -> Result<(), AggregateError> {
        let entry = &batch.buffer.delivered.entries[index];
        let carrier = narrow(index);
        let mut through = batch.buffer.position(index);
        if entry.may_be_aggregate() {
            let aggregate = Aggregate::read(&entry.data)?;
            for (sub, member) in aggregate.members.iter().enumerate() {
                if !(shard.start()..=shard.end()).contains(&aggregate.hash(member)) {
                    self.outside += 1;
                    continue;
                }
                let range = |key: &Key| offsets(&key.text);
                let partition = range(&aggregate.partition_keys[member.partition_key]);
                let explicit_hash = member.explicit_hash_key.map(|index| range(&aggregate.explicit_hash_keys[index]));
                let keys = Some(Keys { partition, explicit_hash });
                let data = entry.data.slice(member.data.clone());
                self.users.push(UserEntry { carrier, sub: narrow(sub), data, keys });
            }
            through.sub = aggregate.members.len().saturating_sub(1) as u64;
        } else {
            self.users.push(UserEntry { carrier, sub: 0, data: entry.data.clone(), keys: None });
        }
        self.through = Some(through);
        Ok(())
    }

    fn finish(self, of: &RecordBatch) -> RecordBatch {
        let Some(through) = self.through else { return of.split(0).0 };
        // The data is a part of what the permit of the response covers; the entries come on top.
        let permit = of.buffer.delivered.permit.as_ref().map(|permit| permit.more(size_of_val(&*self.users)));
        let end = self.users.len();
        let opened = Arc::new(Opened { users: self.users.into_boxed_slice(), through, _permit: permit });
        let buffer = Buffer { delivered: Arc::clone(&of.buffer.delivered), opened: Some(opened) };
        RecordBatch { buffer, start: 0, end, ..of.clone() }
    }
}

fn narrow(index: usize) -> u32 {
    u32::try_from(index).expect("an answer has fewer records, and a record fewer bytes, than 32 bits can count")
}

fn offsets(range: &Range<usize>) -> (u32, u32) {
    (narrow(range.start), narrow(range.end))
}

#[cfg(test)]
#[path = "open_tests.rs"]
mod tests;
