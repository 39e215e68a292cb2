//! The table of streams and its locks.
//!
//! One lock guards the table, one guards each stream. Whoever holds the lock of a stream does not ask for the lock of
//! the table or of another stream; the lock of the store is always the last. That order is what rules out deadlocks. No lock outlives a method of
//! [`LocalKinesis`], and none of those is async, so none is ever held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use super::{LocalKinesis, Settings};
use crate::model::stream::Predecessor;
use crate::model::{NewStream, ServiceError, Stream, Timestamp};
use crate::store::{KinesisStore, Loaded};

#[derive(Debug, Default)]
pub(super) struct Streams {
    table: RwLock<Table>,
}

/// A stream with its lock, and the bell that wakes its subscriptions.
#[derive(Debug)]
pub(super) struct Cell {
    stream: Mutex<Stream>,
    pub(super) changed: Notify,
}

impl Cell {
    fn new(stream: Stream) -> Arc<Self> {
        Arc::new(Self { stream: Mutex::new(stream), changed: Notify::new() })
    }
}

#[derive(Debug, Default)]
struct Table {
    streams: BTreeMap<String, Arc<Cell>>,
    /// What a stream that was deleted leaves behind for one of its name.
    predecessors: BTreeMap<String, Predecessor>,
}

impl Table {
    /// Returns what the stream leaves behind, for the file.
    fn remove(&mut self, name: &str) -> Option<Predecessor> {
        let stream = self.streams.remove(name)?;
        let predecessor = lock(&stream).as_predecessor();
        self.predecessors.insert(name.to_owned(), predecessor);
        Some(predecessor)
    }
}

impl Streams {
    fn find(&self, name: &str) -> Option<Arc<Cell>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).streams.get(name).cloned()
    }

    fn all(&self) -> Vec<Arc<Cell>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).streams.values().cloned().collect()
    }

    /// What was saved, with the settings as they are now.
    pub(super) fn restored(loaded: Loaded, settings: &Settings) -> Self {
        let cell = |mut stream: Stream| {
            stream.settle_in(&settings.account, settings.limits);
            (stream.name().to_owned(), Cell::new(stream))
        };
        let streams = loaded.streams.into_iter().map(cell).collect();
        Self { table: RwLock::new(Table { streams, predecessors: loaded.predecessors }) }
    }

    /// Takes a stream out whose deletion is over, unless another of its name is there already.
    fn forget(&self, name: &str, gone: &Arc<Cell>, store: Option<&KinesisStore>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.streams.get(name).is_some_and(|stream| Arc::ptr_eq(stream, gone))
            && let (Some(predecessor), Some(store)) = (table.remove(name), store)
            // A store that failed says so itself, and refuses the next call.
            && let Err(error) = store.remove(name, predecessor)
        {
            tracing::error!(%error, stream = name, "not removed from the data folder");
        }
    }
}

/// A panic under the lock is a bug in the model. The other streams, and the next test, still deserve an answer.
fn lock(cell: &Cell) -> MutexGuard<'_, Stream> {
    cell.stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalKinesis {
    pub(super) fn cell(&self, name: &str) -> Result<Arc<Cell>, ServiceError> {
        self.shared.streams.find(name).ok_or_else(|| self.no_such_stream(name))
    }

    /// Runs `action` on a stream, brought up to now, under the stream's lock.
    pub(super) fn with_stream<T>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Stream, Timestamp) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let found = self.cell(name)?;
        let before;
        let outcome = {
            let mut stream = lock(&found);
            // Taken under the lock: who gets the lock later also has the later time.
            let now = self.now();
            before = stream.activity();
            self.settle(&mut stream, now)?;
            (!stream.is_gone(now)).then(|| {
                let outcome = action(&mut stream, now);
                (outcome, stream.is_gone(now), stream.activity())
            })
        };
        // After the lock is given back, so that those who wake up find it free.
        if outcome.as_ref().is_none_or(|(.., activity)| *activity != before) {
            found.changed.notify_waiters();
        }
        // Gone before, or by this very action if deleting takes no time.
        if outcome.as_ref().is_none_or(|(_, gone, _)| *gone) {
            self.shared.streams.forget(name, &found, self.shared.store.as_ref());
        }
        outcome.map_or_else(|| Err(self.no_such_stream(name)), |(outcome, ..)| outcome)
    }

    /// The same for an action that changes more of the stream than its records: the change is saved before the lock is
    /// given back, so nobody sees what a restart could take back.
    pub(super) fn change_stream<T>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Stream, Timestamp) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        self.with_stream(name, |stream, now| {
            let outcome = action(stream, now)?;
            self.save(stream)?;
            Ok(outcome)
        })
    }

    fn settle(&self, stream: &mut Stream, now: Timestamp) -> Result<(), ServiceError> {
        if let Some(store) = &self.shared.store {
            store.require_sound()?;
        }
        // Records may go to shards that this transition opened: it has to be saved before them.
        if stream.settle(now) { self.save(stream) } else { Ok(()) }
    }

    fn save(&self, stream: &Stream) -> Result<(), ServiceError> {
        self.shared.store.as_ref().map_or(Ok(()), |store| store.update(stream))
    }

    /// What `look` says about every stream, by name.
    pub(super) fn each_stream<T>(&self, look: impl Fn(&Stream) -> T) -> Vec<T> {
        let now = self.now();
        let look_at = |stream: Arc<Cell>| {
            let mut stream = lock(&stream);
            // A store that failed says so at the next call that can.
            let _ = self.settle(&mut stream, now);
            (!stream.is_gone(now)).then(|| look(&stream))
        };
        self.shared.streams.all().into_iter().filter_map(look_at).collect()
    }

    /// Adds a stream if its name is free.
    pub(super) fn insert_stream(&self, new: NewStream) -> Result<(), ServiceError> {
        let mut table = self.shared.streams.table.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let taken = match table.streams.get(&new.name) {
            Some(stream) => {
                let mut stream = lock(stream);
                self.settle(&mut stream, now)?;
                Some(!stream.is_gone(now))
            }
            None => None,
        };
        match taken {
            Some(true) => {
                let account = &self.settings().account.id;
                return Err(ServiceError::in_use(format!(
                    "Stream {} under account {account} already exists.",
                    new.name
                )));
            }
            Some(false) => {
                if let (Some(left), Some(store)) = (table.remove(&new.name), &self.shared.store) {
                    store.remove(&new.name, left)?;
                }
            }
            None => {}
        }
        let predecessor = table.predecessors.remove(&new.name);
        let mut stream = Stream::create(new, predecessor, self.settings().transition, now);
        stream.settle_in(&self.settings().account, self.settings().limits);
        if let Some(store) = &self.shared.store {
            store.insert(&stream)?;
        }
        table.streams.insert(stream.name().to_owned(), Cell::new(stream));
        Ok(())
    }

    fn no_such_stream(&self, name: &str) -> ServiceError {
        let account = &self.settings().account.id;
        ServiceError::not_found(format!("Stream {name} under account {account} not found."))
    }
}
