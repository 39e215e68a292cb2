//! A stream whose shards, records and errors are set in code.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::ports::{Clock, DataLoss, Fetched, ListedShards, ReadError, ShardReader, SourceError, StreamSource};
use crate::types::{
    BytePermit, ChildShard, HashRange, Position, RecordBatch, RecordEntry, SequenceNumber, Shard, ShardEnd, ShardId,
    ShardRef, StreamId, Timestamp,
};

/// A source for unit tests: what is added by code is listed and read, in order, and errors come when they are scripted.
/// Clones share the streams.
///
/// Its readers keep the contract of [`ShardReader`]: each record once, an error loses nothing, and both methods can be
/// cancelled. [`ready`](ShardReader::ready) returns when there is something that the reader has not given yet (records, an
/// error, the end), when the shard was [`nudge`](ScriptedSource::nudge)d, and after a minute in any case. For a stream with read limits, iterators that
/// expire and several consumers, use `kcl-local`.
#[derive(Clone)]
pub struct ScriptedSource {
    clock: Arc<dyn Clock>,
    streams: Arc<Mutex<Streams>>,
    /// Counts changes, so that readers wait for the next one without missing any.
    changed: watch::Sender<u64>,
}

#[derive(Default)]
struct Streams {
    shards: BTreeMap<StreamId, BTreeMap<ShardId, Script>>,
    /// When a stream was created, where it tells.
    created: BTreeMap<StreamId, Timestamp>,
    listing_errors: VecDeque<SourceError>,
    /// Streams whose listings fail, each with its error.
    unlisted: BTreeMap<StreamId, SourceError>,
    /// Most records of one answer.
    batch_limit: Option<usize>,
    /// Answers do not tell their lag.
    lag_unknown: bool,
}

/// One shard.
struct Script {
    shard: Shard,
    records: Vec<RecordEntry>,
    /// How many records at the front are trimmed: readers that stand before them start behind them.
    trimmed: usize,
    /// The next number that [`ScriptedSource::append`] gives.
    next_sequence: u64,
    end: Option<ShardEnd>,
    errors: VecDeque<ReadError>,
    held: bool,
    nudges: u64,
    opened: Vec<Position>,
}

impl ScriptedSource {
    /// A source without streams. The wall time of `clock` stamps records and listings.
    pub fn new(clock: impl Clock) -> Self {
        ScriptedSource { clock: Arc::new(clock), streams: Arc::default(), changed: watch::Sender::new(0) }
    }

    /// Adds an open shard without parents, and its stream if it is new.
    pub fn add_shard(&self, shard: &ShardRef, hash_range: Option<HashRange>) {
        self.insert(shard, Shard::open(shard.id().clone(), hash_range));
    }

    /// Closes the parents, one for a split and two for a merge, and adds the children. The parents' last answers name
    /// them.
    pub fn reshard(&self, stream: &StreamId, parents: &[ShardId], children: &[(ShardId, Option<HashRange>)]) {
        for (id, hash_range) in children {
            let mut shard = Shard::open(id.clone(), *hash_range);
            shard.parent = parents.first().cloned();
            shard.adjacent_parent = parents.get(1).cloned();
            self.insert(&ShardRef::new(stream.clone(), id.clone()), shard);
        }
        let named: Vec<ChildShard> =
            children.iter().map(|(id, range)| ChildShard::new(id.clone(), parents.to_vec(), *range)).collect();
        for parent in parents {
            self.close(&ShardRef::new(stream.clone(), parent.clone()), named.clone());
        }
    }

    /// Closes a shard: after its last record readers see the end with these children. None is a source that does not
    /// tell.
    ///
    /// # Panics
    /// Here and in the methods below, if there is no such shard.
    pub fn close(&self, shard: &ShardRef, children: Vec<ChildShard>) {
        self.change(shard, |script| {
            script.shard.ending_sequence = Some(number(script.next_sequence));
            script.end = Some(ShardEnd::with_children(children));
        });
    }

    /// Forgets a shard, as the service does once its records are trimmed: it is no longer listed, and readers find
    /// nothing.
    pub fn remove_shard(&self, shard: &ShardRef) {
        if let Some(shards) = self.lock().shards.get_mut(shard.stream()) {
            shards.remove(shard.id());
        }
        self.tell();
    }

    /// Appends a record that arrives now, with the partition key `key`. Sequence numbers count from 1 in each shard.
    pub fn append(&self, shard: &ShardRef, data: impl Into<Bytes>) -> SequenceNumber {
        let arrival = self.clock.wall();
        self.change(shard, |script| {
            let sequence = number(script.next_sequence);
            script.next_sequence += 1;
            let mut entry = RecordEntry::new(sequence.clone(), "key", data.into());
            entry.arrival = Some(arrival);
            script.records.push(entry);
            sequence
        })
    }

    /// Appends a record with all its parts as given: numbers of a real stream, parts of an aggregate, another arrival.
    /// Its number must lie above those before, which is not checked: tests may want to see what happens otherwise.
    pub fn append_entry(&self, shard: &ShardRef, entry: RecordEntry) {
        self.change(shard, |script| {
            if let Ok(given) = entry.sequence.as_str().parse::<u64>() {
                script.next_sequence = script.next_sequence.max(given.saturating_add(1));
            }
            script.records.push(entry);
        });
    }

    /// Trims the oldest records up to and including this number.
    pub fn trim(&self, shard: &ShardRef, through: &SequenceNumber) {
        self.change(shard, |script| {
            let trimmed = script.records.partition_point(|entry| entry.sequence <= *through);
            script.trimmed = script.trimmed.max(trimmed);
        });
    }

    /// Lets the next read of the shard fail, whichever reader makes it. Said again, the one after that, too.
    pub fn fail_read(&self, shard: &ShardRef, error: ReadError) {
        self.change(shard, |script| script.errors.push_back(error));
    }

    /// Says when the stream was created, in the account 000000000000: another time is another stream. Without it listings
    /// do not tell.
    pub fn set_created(&self, stream: &StreamId, at: Timestamp) {
        self.lock().created.insert(stream.clone(), at);
        self.tell();
    }

    /// Lets the next listing fail. Said again, the one after that, too.
    pub fn fail_listing(&self, error: SourceError) {
        self.lock().listing_errors.push_back(error);
    }

    /// Lets every listing of a stream fail from now on, or no longer.
    pub fn fail_listings_of(&self, stream: &StreamId, error: Option<SourceError>) {
        let unlisted = &mut self.lock().unlisted;
        match error {
            Some(error) => drop(unlisted.insert(stream.clone(), error)),
            None => drop(unlisted.remove(stream)),
        }
    }

    /// Lets `next` of the shard's readers wait, as a call whose answer does not come, until
    /// [`release`](ScriptedSource::release).
    pub fn hold(&self, shard: &ShardRef) {
        self.change(shard, |script| script.held = true);
    }

    /// Ends [`hold`](ScriptedSource::hold).
    pub fn release(&self, shard: &ShardRef) {
        self.change(shard, |script| script.held = false);
    }

    /// Lets `ready` of the shard's readers return although nothing is new: the answer will be empty and carry the lag.
    pub fn nudge(&self, shard: &ShardRef) {
        self.change(shard, |script| script.nudges += 1);
    }

    /// Bounds the records of one answer; without it an answer holds all that the permit allows. The parts of one
    /// aggregate stay together.
    pub fn set_batch_limit(&self, records: usize) {
        self.lock().batch_limit = Some(records);
    }

    /// Lets answers leave open how far behind the tip they are, as some servers do, or tell it again.
    pub fn set_lag_known(&self, known: bool) {
        self.lock().lag_unknown = !known;
    }

    /// The positions at which readers of the shard were opened, the oldest first.
    pub fn opened(&self, shard: &ShardRef) -> Vec<Position> {
        self.change(shard, |script| script.opened.clone())
    }

    fn insert(&self, at: &ShardRef, mut shard: Shard) {
        shard.starting_sequence = Some(number(1));
        let script = Script {
            shard,
            records: Vec::new(),
            trimmed: 0,
            next_sequence: 1,
            end: None,
            errors: VecDeque::new(),
            held: false,
            nudges: 0,
            opened: Vec::new(),
        };
        self.lock().shards.entry(at.stream().clone()).or_default().insert(at.id().clone(), script);
        self.tell();
    }

    fn change<R>(&self, shard: &ShardRef, change: impl FnOnce(&mut Script) -> R) -> R {
        let result = match self.lock().script(shard) {
            Some(script) => change(script),
            None => panic!("the test's source has no shard {shard}: add it first"),
        };
        self.tell();
        result
    }

    /// After every change and outside of the lock.
    fn tell(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn script(&mut self, shard: &ShardRef) -> Option<&mut Script> {
        self.shards.get_mut(shard.stream())?.get_mut(shard.id())
    }
}

/// The owner of streams that tell.
const ACCOUNT: &str = "000000000000";

impl fmt::Debug for ScriptedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSource").finish_non_exhaustive()
    }
}

#[async_trait]
impl StreamSource for ScriptedSource {
    async fn list_shards(&self, stream: &StreamId) -> Result<ListedShards, SourceError> {
        let streams = &mut *self.lock();
        if let Some(error) = streams.listing_errors.pop_front() {
            return Err(error);
        }
        if let Some(error) = streams.unlisted.get(stream) {
            return Err(error.clone());
        }
        let Some(shards) = streams.shards.get(stream) else {
            return Err(SourceError::NotFound { stream: stream.to_string(), message: "it was not scripted".into() });
        };
        let shards = shards.values().map(|script| script.shard.clone()).collect();
        let listed = ListedShards::new(shards, Some(self.clock.wall()));
        Ok(match streams.created.get(stream) {
            Some(at) => listed.created(*at).owned_by(ACCOUNT),
            None => listed,
        })
    }

    fn open(&self, shard: &ShardRef, position: Position) -> Box<dyn ShardReader> {
        if let Some(script) = self.lock().script(shard) {
            script.opened.push(position.clone());
        }
        let changes = self.changed.subscribe();
        Box::new(Reader {
            source: self.clone(),
            shard: shard.clone(),
            cursor: Cursor::Start(position),
            changes,
            nudges: 0,
        })
    }
}

struct Reader {
    source: ScriptedSource,
    shard: ShardRef,
    cursor: Cursor,
    changes: watch::Receiver<u64>,
    /// How many nudges it has answered.
    nudges: u64,
}

/// Where the reader stands. The start is looked up anew until the first record is given, because what it means may depend
/// on records to come.
enum Cursor {
    Start(Position),
    Index(usize),
}

impl Reader {
    /// Waits until the streams change. Cannot fail: the sender lives in `self.source`.
    async fn change(&mut self) {
        let _ = self.changes.changed().await;
    }

    fn has_news(&self) -> bool {
        let mut streams = self.source.lock();
        // A shard that is gone is news: the next read says so.
        let Some(script) = streams.script(&self.shard) else { return true };
        !script.errors.is_empty()
            || script.end.is_some()
            || script.nudges > self.nudges
            || self.cursor.index(script) < script.records.len()
    }

    fn is_held(&self) -> bool {
        self.source.lock().script(&self.shard).is_some_and(|script| script.held)
    }

    fn fetch(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        let streams = &mut *self.source.lock();
        let limit = streams.batch_limit.unwrap_or(usize::MAX);
        let lag_known = !streams.lag_unknown;
        let Some(script) = streams.script(&self.shard) else {
            let (shard, message) = (self.shard.to_string(), "it was not scripted, or removed".into());
            return Err(ReadError::NotFound { shard, message });
        };
        if let Some(error) = script.errors.pop_front() {
            return Err(error);
        }
        let start = self.cursor.index(script);
        let taken = fitting(&script.records[start..], limit, permit.bytes());
        let rest = &script.records[start + taken..];
        let now = self.source.clock.wall();
        let lag =
            rest.first().map_or(Some(Duration::ZERO), |next| Some(now.since(next.arrival?))).filter(|_| lag_known);
        let end = script.end.clone().filter(|_| rest.is_empty());
        let records = script.records[start..start + taken].to_vec();
        let data_loss = self.cursor.gap(script, &records);
        if taken > 0 {
            self.cursor = Cursor::Index(start + taken);
        }
        self.nudges = script.nudges;
        Ok(Fetched::new(RecordBatch::new(records, lag, permit), lag, end).with_data_loss(data_loss))
    }
}

#[async_trait]
impl ShardReader for Reader {
    async fn ready(&mut self) {
        let clock = Arc::clone(&self.source.clock);
        let until = clock.now() + IDLE;
        loop {
            // Marked as seen before looking: a change between the look and the wait then ends the wait.
            self.changes.mark_unchanged();
            if self.has_news() {
                return;
            }
            tokio::select! {
                biased;
                () = self.change() => {}
                () = clock.sleep_until(until) => return,
            }
        }
    }

    fn demand(&self) -> usize {
        DEMAND
    }

    async fn next(&mut self, permit: BytePermit) -> Result<Fetched, ReadError> {
        loop {
            self.changes.mark_unchanged();
            if !self.is_held() {
                return self.fetch(permit);
            }
            self.change().await;
        }
    }
}

impl Cursor {
    /// The index of the record to give next.
    fn index(&self, script: &Script) -> usize {
        let records = &script.records;
        let index = match self {
            Cursor::Index(index) => *index,
            Cursor::Start(Position::TrimHorizon) => 0,
            Cursor::Start(Position::AtTime(instant)) => first_at(records, *instant),
            Cursor::Start(Position::At(position)) => {
                records.partition_point(|entry| (&entry.sequence, entry.sub) < (&position.sequence, position.sub))
            }
            Cursor::Start(Position::After(sequence)) => records.partition_point(|entry| entry.sequence <= *sequence),
        };
        index.max(script.trimmed)
    }

    /// Told with the first records if the one at which reading was to resume is trimmed.
    fn gap(&self, script: &Script, records: &[RecordEntry]) -> Option<DataLoss> {
        let Cursor::Start(Position::At(position)) = self else { return None };
        let (checkpoint, next) = (position.sequence.clone(), records.first()?.sequence.clone());
        let trimmed = &script.records[..script.trimmed];
        trimmed.iter().any(|entry| entry.sequence == checkpoint).then_some(DataLoss { checkpoint, next })
    }
}

/// The first record that arrived at or after the instant. Records without a time count as later than any.
fn first_at(records: &[RecordEntry], instant: Timestamp) -> usize {
    let arrived = |entry: &RecordEntry| entry.arrival.is_none_or(|arrival| arrival >= instant);
    records.iter().position(arrived).unwrap_or(records.len())
}

/// How many records go into one answer: within both bounds, at least one, and no aggregate cut in two.
fn fitting(records: &[RecordEntry], limit: usize, bytes: usize) -> usize {
    let mut taken = 0;
    let mut size = 0_usize;
    while let Some(first) = records.get(taken) {
        let parts = records[taken..].iter().take_while(|entry| entry.sequence == first.sequence).count();
        let more: usize = records[taken..taken + parts].iter().map(|entry| entry.data.len()).sum();
        let fits = taken + parts <= limit && size.saturating_add(more) <= bytes;
        if taken > 0 && !fits {
            break;
        }
        taken += parts;
        size += more;
    }
    taken
}

fn number(value: u64) -> SequenceNumber {
    SequenceNumber::new(value.to_string()).expect("a number in decimal is a sequence number")
}

/// How long a reader waits for news before it asks all the same.
const IDLE: Duration = Duration::from_secs(60);

/// What a reader asks the budget for: much for what unit tests append, little for any budget.
const DEMAND: usize = 64 * 1024;

#[cfg(test)]
mod tests;
