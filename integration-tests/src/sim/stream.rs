//! The stream of a fleet: the model of `kcl-local` in true time, its writers, and what goes wrong with reading it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kcl_local::{HashKey, LocalKinesis, NewRecord, ServiceError, Settings, ShardDescription, ShardFilter, ShardId};

use super::clock::ServiceClock;
use super::observation::{self, Observation, Shard};
use super::recorder::Recorder;
use super::timeline::{At, Timeline};

/// The name of the stream.
pub(crate) const STREAM: &str = "orders";

/// Whoever waits for the end of a fault looks this often.
const STEP: Duration = Duration::from_millis(250);

/// How many keys the writers use.
const KEYS: u32 = 24;

/// The stream.
pub(crate) struct Stream {
    pub(crate) kinesis: LocalKinesis,
    pub(crate) timeline: Timeline,
    recorder: Recorder,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    rates: ReadRates,
    /// Until then all reads fail.
    down_until: At,
    /// How many records were written with each key.
    written: Vec<u64>,
    /// The shards that the checker knows of, and whether they are closed.
    known: std::collections::BTreeMap<Shard, bool>,
    batch: usize,
    /// Reads of this shard have no answer until then.
    hangs: Option<(Shard, At)>,
    /// Nothing goes wrong any more.
    calm: bool,
}

/// How often reads go wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadRates {
    pub(crate) error: f64,
    pub(crate) slow: f64,
    pub(crate) expired: f64,
    pub(crate) empty: f64,
    pub(crate) false_end: f64,
}

/// What becomes of one read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadFate {
    Fine,
    Error,
    Expired,
    Empty,
    FalseEnd,
}

/// How an open subscription comes to an early end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// As if it were over.
    End,
    /// The connection breaks.
    Reset,
    /// Nothing comes any more.
    Stall,
}

impl Stream {
    pub(crate) fn new(
        timeline: &Timeline,
        recorder: &Recorder,
        (shards, batch): (u32, usize),
        (rates, random): (ReadRates, fastrand::Rng),
    ) -> Result<Arc<Self>, ServiceError> {
        let clock = Arc::new(ServiceClock(timeline.clone()));
        let kinesis = LocalKinesis::with_settings(Settings::default(), clock);
        kinesis.create_stream(STREAM, shards)?;
        let (written, known) = (vec![0; KEYS as usize], std::collections::BTreeMap::new());
        let state = State { random, rates, down_until: At::ZERO, written, known, batch, hangs: None, calm: false };
        let stream =
            Stream { kinesis, timeline: timeline.clone(), recorder: recorder.clone(), state: Mutex::new(state) };
        stream.tell_shards()?;
        Ok(Arc::new(stream))
    }

    /// Writes the next record of some key.
    pub(crate) fn write(&self) -> Result<(), ServiceError> {
        let (key, number) = {
            let state = &mut *self.state();
            let key = state.random.u32(..KEYS);
            state.written[key as usize] += 1;
            (key, state.written[key as usize])
        };
        // Spread evenly, so that every shard gets some however the keys would hash.
        let hash = HashKey(u128::MAX / u128::from(KEYS) * u128::from(key));
        let record = NewRecord::new(&format!("key-{key}"), number.to_string()).with_explicit_hash_key(hash);
        let placed = self.kinesis.put(STREAM, record)?;
        let ordinal = observation::place(placed.sequence_number).expect("the model's own number");
        self.recorder.observe(Observation::Put { shard: Shard(placed.shard_id.0), ordinal, key, number });
        Ok(())
    }

    /// Splits or merges something, as chance has it; nothing if there are `most` shards already.
    pub(crate) fn reshard(&self, merge: bool, most: usize) -> Result<(), ServiceError> {
        let open = self.kinesis.list_shards(STREAM, ShardFilter::AtLatest)?;
        let chosen = self.state().random.usize(..open.len());
        if merge && open.len() > 1 {
            let by_range = self.by_range()?;
            let first = chosen.min(open.len() - 2);
            self.kinesis.merge_shards(STREAM, by_range[first].id, by_range[first + 1].id)?;
        } else if open.len() < most {
            self.kinesis.split_shard_evenly(STREAM, open[chosen].id)?;
        }
        self.tell_shards()
    }

    /// Splits a shard whose reader is held up for `lag`, as far as anything may go wrong. Yields one of its children, to be
    /// merged with a shard that its parent does not lead to; nothing if the stream is not of that kind.
    pub(crate) fn split_to_merge(&self, lag: Option<Duration>, most: usize) -> Result<Option<ShardId>, ServiceError> {
        let open = self.kinesis.list_shards(STREAM, ShardFilter::AtLatest)?;
        if open.len() < 2 || open.len() >= most {
            return Ok(None);
        }
        let parent = open[self.state().random.usize(..open.len())].id;
        if let Some(lag) = lag {
            self.hang(Shard(parent.0), lag);
        }
        self.kinesis.split_shard_evenly(STREAM, parent)?;
        self.tell_shards()?;
        let open = self.by_range()?;
        let child = |shard: &ShardDescription| shard.parent == Some(parent);
        let first = open.iter().position(child).unwrap_or_default();
        // The first child has a neighbour before it, or else the second one has one behind it.
        Ok(open.get(if first > 0 { first } else { first + 1 }).map(|shard| shard.id))
    }

    /// Merges a child with the neighbour that is not its sibling; not if one of them is closed by now.
    pub(crate) fn merge_child(&self, child: ShardId) -> Result<(), ServiceError> {
        let open = self.by_range()?;
        let Some(at) = open.iter().position(|shard| shard.id == child) else { return Ok(()) };
        let stranger = |index: Option<usize>| {
            index.and_then(|index| open.get(index)).filter(|other| other.parent != open[at].parent)
        };
        if let Some(other) = stranger(at.checked_sub(1)) {
            self.kinesis.merge_shards(STREAM, other.id, child)?;
        } else if let Some(other) = stranger(at.checked_add(1)) {
            self.kinesis.merge_shards(STREAM, child, other.id)?;
        }
        self.tell_shards()
    }

    fn by_range(&self) -> Result<Vec<ShardDescription>, ServiceError> {
        let mut open = self.kinesis.list_shards(STREAM, ShardFilter::AtLatest)?;
        open.sort_by_key(|shard| shard.hash_range.start);
        Ok(open)
    }

    /// Tells the checker of shards that opened or closed.
    fn tell_shards(&self) -> Result<(), ServiceError> {
        for shard in self.kinesis.list_shards(STREAM, ShardFilter::FromTrimHorizon)? {
            let (id, closed) = (Shard(shard.id.0), !shard.is_open());
            let known = self.state().known.insert(id, closed);
            if known.is_none() {
                let parents = shard.parents().map(|parent| Shard(parent.0)).collect();
                self.recorder.observe(Observation::Opened { shard: id, parents });
            }
            if closed && known != Some(true) {
                self.recorder.observe(Observation::Closed { shard: id });
            }
        }
        Ok(())
    }

    /// Nothing goes wrong any more.
    pub(crate) fn calm(&self) {
        let state = &mut *self.state();
        (state.rates, state.down_until, state.hangs) = (ReadRates::default(), At::ZERO, None);
        state.calm = true;
    }

    /// Fails all reads for a while.
    pub(crate) fn fail(&self, time: Duration) {
        let until = self.timeline.now() + time;
        self.state().down_until = until;
    }

    /// Leaves reads of some shard that is open without an answer for a while.
    pub(crate) fn hang_some(&self, time: Duration) -> Result<(), ServiceError> {
        let open = self.kinesis.list_shards(STREAM, ShardFilter::AtLatest)?;
        let chosen = self.state().random.usize(..open.len());
        self.hang(Shard(open[chosen].id.0), time);
        Ok(())
    }

    fn hang(&self, shard: Shard, time: Duration) {
        self.recorder.note(|| format!("reads of {shard} hang for {time:?}"));
        let until = self.timeline.now() + time;
        self.state().hangs = Some((shard, until));
    }

    /// Waits while reads of the shard have no answer; true if one had none.
    pub(crate) async fn hung(&self, shard: Shard) -> bool {
        let hangs = || {
            let hangs = self.state().hangs;
            hangs.is_some_and(|(hung, until)| hung == shard && self.timeline.now() < until)
        };
        let hung = hangs();
        while hangs() {
            self.timeline.sleep(STEP).await;
        }
        hung
    }

    /// The most records of one answer.
    pub(crate) fn batch(&self) -> usize {
        self.state().batch
    }

    /// How long a call takes, there and back.
    pub(crate) fn delay(&self) -> Duration {
        let state = &mut *self.state();
        let delay = Duration::from_micros(3_000 + state.random.u64(..40_000));
        let slow = state.rates.slow > 0.0 && state.random.f64() < state.rates.slow;
        if slow { delay + Duration::from_secs(8).mul_f64(state.random.f64()) } else { delay }
    }

    /// What becomes of a call that is made now.
    pub(crate) fn fate(&self) -> ReadFate {
        let now = self.timeline.now();
        let state = &mut *self.state();
        if now < state.down_until {
            return ReadFate::Error;
        }
        let ReadRates { error, expired, empty, false_end, .. } = state.rates;
        let mut at = state.random.f64();
        for (rate, fate) in [
            (error, ReadFate::Error),
            (expired, ReadFate::Expired),
            (empty, ReadFate::Empty),
            (false_end, ReadFate::FalseEnd),
        ] {
            if at < rate {
                return fate;
            }
            at -= rate;
        }
        ReadFate::Fine
    }

    /// After how many frames a subscription that is opened now breaks, and how; nothing if it does not.
    pub(crate) fn breaks(&self) -> Option<(usize, Break)> {
        let state = &mut *self.state();
        let ReadRates { error, expired, empty, false_end, .. } = state.rates;
        // As often as polling meets something, but for a subscription with the frames of many polls.
        let rate = (2.0 * (error + expired + empty + false_end)).min(0.8);
        let breaks = rate > 0.0 && state.random.f64() < rate;
        breaks.then(|| {
            let how = [Break::End, Break::Reset, Break::Stall][state.random.usize(..3)];
            (state.random.usize(..12), how)
        })
    }

    /// Whether all reads fail at the moment.
    pub(crate) fn is_down(&self) -> bool {
        let now = self.timeline.now();
        now < self.state().down_until
    }

    /// Whether nothing goes wrong any more.
    pub(crate) fn is_calm(&self) -> bool {
        self.state().calm
    }

    pub(crate) fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
