//! What was put and what was read, record by record.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kcl_local::SequenceNumber;
use tokio::sync::Notify;

/// Every record by shard and sequence number, as the put answered and as readers saw it. Clones share it.
///
/// A record may be read before its put has been counted: both happen at the same time.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    read: Notify,
}

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<String, Shard>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Shard {
    records: HashMap<SequenceNumber, Seen>,
    counts: Counts,
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    put: bool,
    read: bool,
}

/// Numbers of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    /// Taken by the stream.
    pub(super) put: u64,
    /// Delivered, each time counted.
    pub(super) read: u64,
    /// Delivered, each record counted once.
    pub(super) distinct: u64,
    /// Put, but not delivered yet.
    pub(super) missing: u64,
}

impl Counts {
    /// Deliveries beyond the first of a record.
    pub(super) fn duplicated(&self) -> u64 {
        self.read - self.distinct
    }
}

impl Tally {
    /// The stream took a record.
    pub(super) fn put(&self, shard: &str, sequence: &str) {
        let number = parse(sequence);
        let mut state = self.lock();
        let unread = {
            let shard = state.shard(shard);
            let seen = shard.records.entry(number).or_default();
            let unread = u64::from(!seen.read);
            seen.put = true;
            shard.counts.put += 1;
            shard.counts.missing += unread;
            unread
        };
        state.counts.put += 1;
        state.counts.missing += unread;
    }

    /// A worker was given these records of a shard.
    pub(super) fn read<'a>(&self, shard: &str, sequences: impl Iterator<Item = &'a str>) {
        let numbers: Vec<SequenceNumber> = sequences.map(parse).collect();
        let mut state = self.lock();
        let (mut distinct, mut found) = (0, 0);
        let read = numbers.len() as u64;
        let of_shard = state.shard(shard);
        for number in numbers {
            let seen = of_shard.records.entry(number).or_default();
            distinct += u64::from(!seen.read);
            found += u64::from(!seen.read && seen.put);
            seen.read = true;
        }
        of_shard.counts.add_read(read, distinct, found);
        state.counts.add_read(read, distinct, found);
        drop(state);
        self.shared.read.notify_one();
    }

    /// Returns once more was read since the last time. Cancel safe.
    pub(super) async fn more_read(&self) {
        self.shared.read.notified().await;
    }

    /// The numbers of all shards together.
    pub(super) fn total(&self) -> Counts {
        self.lock().counts
    }

    /// The numbers of each shard that something was put to or read from.
    pub(super) fn by_shard(&self) -> BTreeMap<String, Counts> {
        self.lock().shards.iter().map(|(id, shard)| (id.clone(), shard.counts)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn shard(&mut self, id: &str) -> &mut Shard {
        if !self.shards.contains_key(id) {
            self.shards.insert(id.to_owned(), Shard::default());
        }
        self.shards.get_mut(id).expect("it was inserted if it was not there")
    }
}

impl Counts {
    fn add_read(&mut self, read: u64, distinct: u64, found: u64) {
        self.read += read;
        self.distinct += distinct;
        self.missing -= found;
    }
}

/// The number as the embedded Kinesis packs it: a third of the memory of its digits.
fn parse(sequence: &str) -> SequenceNumber {
    SequenceNumber::parse(sequence).expect("the embedded Kinesis gives numbers that it can read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_and_reads_may_come_in_any_order() {
        let tally = Tally::default();
        tally.put("a", "1");
        tally.put("a", "2");
        assert_eq!(tally.total(), Counts { put: 2, read: 0, distinct: 0, missing: 2 });
        tally.read("a", ["1", "3"].into_iter());
        assert_eq!(tally.total(), Counts { put: 2, read: 2, distinct: 2, missing: 1 });
        tally.put("a", "3");
        tally.read("a", ["2", "1", "1"].into_iter());
        assert_eq!(tally.total(), Counts { put: 3, read: 5, distinct: 3, missing: 0 });
        assert_eq!(tally.total().duplicated(), 2);
    }

    #[test]
    fn shards_number_their_records_apart() {
        let tally = Tally::default();
        tally.put("a", "1");
        tally.read("b", ["1"].into_iter());
        assert_eq!(tally.total(), Counts { put: 1, read: 1, distinct: 1, missing: 1 });
        assert_eq!(tally.by_shard()["a"], Counts { put: 1, read: 0, distinct: 0, missing: 1 });
    }
}
