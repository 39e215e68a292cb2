//! The streams that this worker reads, what is known of them, and where their records come from.

mod config;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

pub(crate) use config::{Provider, check_set};
pub use config::{StreamConfig, StreamProvider, StreamSet};
pub(crate) use task::{StreamTask, known_by};

use crate::plan::streams::{Changes, Identified, Many, Standing, Twice, Wanted};
use crate::ports::{ListedShards, StreamSource};
use crate::settings::InitialPosition;
use crate::types::{Lease, LeaseKey, Moment, StreamId, StreamIdentity};

/// One stream. Its shard tasks keep it for as long as they run, also when it is not wanted any more.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: StreamId,
    pub(crate) start: InitialPosition,
    pub(crate) source: Arc<dyn StreamSource>,
}

/// Makes the source of a stream that came without one, or says why it cannot.
pub(crate) type DefaultSource = Arc<dyn Fn(&StreamId) -> Result<Arc<dyn StreamSource>, String> + Send + Sync>;

/// What a worker reads.
pub(crate) enum Reads {
    /// One stream.
    One(Stream),
    /// The streams of a set.
    Many { provider: Provider, default_source: DefaultSource },
}

/// All streams of a worker. The lock is never held across a wait.
pub(crate) struct Streams {
    state: Mutex<State>,
    set: Option<Set>,
    /// Counts changes of what is wanted.
    changes: watch::Sender<u64>,
    /// A look at a stream became due.
    asked: Notify,
}

/// Where a set of streams comes from.
#[derive(Clone)]
pub(crate) struct Set {
    provider: Provider,
    default_source: DefaultSource,
}

struct State {
    wanted: Arc<Wanted>,
    entries: BTreeMap<StreamId, Entry>,
}

/// What this worker has found out for itself about a stream.
struct Entry {
    stream: Arc<Stream>,
    /// It was made ready for reading.
    prepared: bool,
    /// Its identity is asked for, or in doubt.
    doubted: bool,
    /// A look at it is due at this moment, or under way.
    look: Look,
    /// When it was last found out who the stream is.
    looked_at: Option<Moment>,
    failures: u32,
    /// Leases that wait for what the look says.
    waiting: BTreeSet<LeaseKey>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    NotNeeded,
    Due(Moment),
    UnderWay,
}

impl Streams {
    /// One stream has the table for itself, and is prepared at the start. Of a set none is known at first.
    pub(crate) fn new(reads: Reads) -> Self {
        let (wanted, entries, set) = match reads {
            Reads::One(stream) => {
                let ready = Entry::ready(stream);
                let id = ready.stream.id.clone();
                (Wanted::One(id.clone()), BTreeMap::from([(id, ready)]), None)
            }
            Reads::Many { provider, default_source } => {
                (Wanted::Many(Many::default()), BTreeMap::new(), Some(Set { provider, default_source }))
            }
        };
        let state = Mutex::new(State { wanted: Arc::new(wanted), entries });
        Streams { state, set, changes: watch::Sender::new(0), asked: Notify::new() }
    }

    /// Where the set comes from, if it is one.
    pub(crate) fn set(&self) -> Option<&Set> {
        self.set.as_ref()
    }

    /// What is wanted now.
    pub(crate) fn wanted(&self) -> Arc<Wanted> {
        Arc::clone(&self.lock().wanted)
    }

    /// The stream that has the table for itself, if it is one.
    pub(crate) fn only(&self) -> Option<Arc<Stream>> {
        let state = self.lock();
        match &*state.wanted {
            Wanted::One(stream) => state.entries.get(stream).map(|entry| Arc::clone(&entry.stream)),
            Wanted::Many(_) => None,
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Stream>> {
        self.lock().entries.values().map(|entry| Arc::clone(&entry.stream)).collect()
    }

    /// One of them.
    fn get(&self, stream: &StreamId) -> Option<Arc<Stream>> {
        self.lock().entries.get(stream).map(|entry| Arc::clone(&entry.stream))
    }

    /// Changes from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The stream of a lease whose tenure is about to begin. `None` if it is not to be read; or if the stream is not known
    /// well enough yet: then it is looked at, and the lease again once that is done.
    pub(crate) fn to_read(&self, lease: &Lease, now: Moment, pause: Duration) -> Option<Arc<Stream>> {
        let mut state = self.lock();
        let wanted = Arc::clone(&state.wanted);
        let (entry, known) = match wanted.standing(lease) {
            Standing::Wanted(stream) => (state.entries.get_mut(stream)?, true),
            Standing::Unsure(stream) | Standing::Former(stream) => (state.entries.get_mut(stream)?, false),
            Standing::Unwanted | Standing::Foreign => return None,
        };
        if known && entry.prepared {
            return Some(Arc::clone(&entry.stream));
        }
        entry.doubted |= !known;
        entry.waiting.insert(lease.key.clone());
        entry.ask(now, pause);
        drop(state);
        self.asked.notify_one();
        None
    }

    /// A leader points at a lease that is read here although nothing is to be done about it: its stream may have been made
    /// anew.
    pub(crate) fn doubt(&self, lease: &Lease, now: Moment, pause: Duration) {
        let mut state = self.lock();
        let wanted = Arc::clone(&state.wanted);
        let Standing::Wanted(stream) = wanted.standing(lease) else { return };
        if !wanted.may_change(stream) {
            return;
        }
        let Some(entry) = state.entries.get_mut(stream) else { return };
        if entry.looked_at.is_some_and(|at| now < at + pause) {
            return;
        }
        entry.doubted = true;
        entry.ask(now, pause);
        drop(state);
        self.asked.notify_one();
    }

    /// Takes in what a listing says of a stream's identity.
    pub(crate) fn identified(&self, stream: &StreamId, listed: &ListedShards) -> Identified {
        let mut state = self.lock();
        let (account, created) = (listed.stream_account.as_deref(), listed.stream_created);
        let identified = Arc::make_mut(&mut state.wanted).identified(stream, account, created);
        drop(state);
        if matches!(identified, Identified::First | Identified::Recreated(_)) {
            self.tell();
        }
        identified
    }

    /// Takes in a whole set. What is known of streams that stay is kept.
    pub(crate) fn replace(
        &self,
        set: Vec<(Arc<Stream>, Option<StreamIdentity>)>,
        now: Moment,
    ) -> Result<Changes, Twice> {
        let mut state = self.lock();
        let names = set.iter().map(|(stream, identity)| (stream.id.clone(), identity.clone())).collect();
        let Wanted::Many(many) = Arc::make_mut(&mut state.wanted) else { return Ok(Changes::default()) };
        let changes = many.replace(names)?;
        for removed in &changes.removed {
            state.entries.remove(removed);
        }
        for (stream, _) in set {
            state.entries.entry(stream.id.clone()).or_insert_with(|| Entry::new(stream, now));
        }
        drop(state);
        self.tell();
        self.asked.notify_one();
        Ok(changes)
    }

    /// The looks that are due now; they count as under way.
    fn take_due(&self, now: Moment, most: usize) -> Vec<DueLook> {
        let mut state = self.lock();
        let due = state.entries.values_mut().filter(|entry| matches!(entry.look, Look::Due(at) if at <= now));
        let taken = due.take(most).map(|entry| {
            entry.look = Look::UnderWay;
            DueLook { stream: Arc::clone(&entry.stream), prepared: entry.prepared, doubted: entry.doubted }
        });
        taken.collect()
    }

    /// When the next look is due.
    fn next_look(&self) -> Option<Moment> {
        let state = self.lock();
        let due = state.entries.values().filter_map(|entry| match entry.look {
            Look::Due(at) => Some(at),
            Look::NotNeeded | Look::UnderWay => None,
        });
        due.min()
    }

    /// A look has ended well; yields the leases that waited for it.
    fn looked(&self, look: &DueLook, now: Moment) -> BTreeSet<LeaseKey> {
        let mut state = self.lock();
        let Some(entry) = state.entry_of(&look.stream) else { return BTreeSet::new() };
        entry.prepared = true;
        entry.failures = 0;
        if look.doubted {
            entry.looked_at = Some(now);
        }
        // Somebody may have begun to doubt meanwhile.
        entry.doubted &= !look.doubted;
        entry.look = if entry.doubted { Look::Due(now) } else { Look::NotNeeded };
        std::mem::take(&mut entry.waiting)
    }

    /// A look has failed; true if the one before had not. Leases that wait are looked at again by those who hear of them.
    fn look_failed(&self, look: &DueLook, again: impl FnOnce(u32) -> Moment) -> bool {
        let mut state = self.lock();
        let Some(entry) = state.entry_of(&look.stream) else { return false };
        entry.failures = entry.failures.saturating_add(1);
        entry.look = Look::Due(again(entry.failures));
        entry.failures == 1
    }

    async fn asked(&self) {
        self.asked.notified().await;
    }

    fn tell(&self) {
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is known of this very stream: one that was removed and came back is another.
    fn entry_of(&mut self, stream: &Arc<Stream>) -> Option<&mut Entry> {
        self.entries.get_mut(&stream.id).filter(|entry| Arc::ptr_eq(&entry.stream, stream))
    }
}

/// A look at a stream that is to be made.
struct DueLook {
    stream: Arc<Stream>,
    prepared: bool,
    doubted: bool,
}

impl Entry {
    /// A stream that needs no look.
    fn ready(stream: Stream) -> Self {
        let new = Entry::new(Arc::new(stream), Moment::default());
        Entry { prepared: true, look: Look::NotNeeded, ..new }
    }

    fn new(stream: Arc<Stream>, now: Moment) -> Self {
        Entry {
            stream,
            prepared: false,
            doubted: false,
            look: Look::Due(now),
            looked_at: None,
            failures: 0,
            waiting: BTreeSet::new(),
        }
    }

    /// A look is due, but not too soon after the last one.
    fn ask(&mut self, now: Moment, pause: Duration) {
        if self.look == Look::NotNeeded {
            self.look = Look::Due(self.looked_at.map_or(now, |at| now.max(at + pause)));
        }
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.lock().entries.keys()).finish()
    }
}
