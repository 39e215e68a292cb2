//! The table of streams and its locks.
//!
//! One lock guards the table, one guards each stream. Whoever holds the lock of a stream does not ask for the lock of
//! the table or of another stream; that order is what rules out deadlocks. No lock outlives a method of
//! [`LocalKinesis`], and none of those is async, so none is ever held across an await.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::LocalKinesis;
use crate::model::stream::Predecessor;
use crate::model::{NewStream, ServiceError, Stream, Timestamp};

#[derive(Debug, Default)]
pub(super) struct Streams {
    table: RwLock<Table>,
}

#[derive(Debug, Default)]
struct Table {
    streams: BTreeMap<String, Arc<Mutex<Stream>>>,
    /// What a stream that was deleted leaves behind for one of its name.
    predecessors: BTreeMap<String, Predecessor>,
}

impl Table {
    fn remove(&mut self, name: &str) {
        if let Some(stream) = self.streams.remove(name) {
            self.predecessors.insert(name.to_owned(), lock(&stream).as_predecessor());
        }
    }
}

impl Streams {
    fn find(&self, name: &str) -> Option<Arc<Mutex<Stream>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).streams.get(name).cloned()
    }

    fn all(&self) -> Vec<Arc<Mutex<Stream>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).streams.values().cloned().collect()
    }

    /// Takes a stream out whose deletion is over, unless another of its name is there already.
    fn forget(&self, name: &str, gone: &Arc<Mutex<Stream>>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.streams.get(name).is_some_and(|stream| Arc::ptr_eq(stream, gone)) {
            table.remove(name);
        }
    }
}

/// A panic under the lock is a bug in the model. The other streams, and the next test, still deserve an answer.
fn lock(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LocalKinesis {
    /// Runs `action` on a stream, brought up to now, under the stream's lock.
    pub(super) fn with_stream<T>(
        &self,
        name: &str,
        action: impl FnOnce(&mut Stream, Timestamp) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        let found = self.shared.streams.find(name).ok_or_else(|| self.no_such_stream(name))?;
        let outcome = {
            let mut stream = lock(&found);
            // Taken under the lock: who gets the lock later also has the later time.
            let now = self.now();
            stream.settle(now);
            (!stream.is_gone(now)).then(|| {
                let outcome = action(&mut stream, now);
                (outcome, stream.is_gone(now))
            })
        };
        // Gone before, or by this very action if deleting takes no time.
        if outcome.as_ref().is_none_or(|(_, gone)| *gone) {
            self.shared.streams.forget(name, &found);
        }
        outcome.map_or_else(|| Err(self.no_such_stream(name)), |(outcome, _)| outcome)
    }

    /// What `look` says about every stream, by name.
    pub(super) fn each_stream<T>(&self, look: impl Fn(&Stream) -> T) -> Vec<T> {
        let now = self.now();
        let look_at = |stream: Arc<Mutex<Stream>>| {
            let mut stream = lock(&stream);
            stream.settle(now);
            (!stream.is_gone(now)).then(|| look(&stream))
        };
        self.shared.streams.all().into_iter().filter_map(look_at).collect()
    }

    /// Adds a stream if its name is free.
    pub(super) fn insert_stream(&self, new: NewStream) -> Result<(), ServiceError> {
        let mut table = self.shared.streams.table.write().unwrap_or_else(PoisonError::into_inner);
        let now = self.now();
        let taken = table.streams.get(&new.name).map(|stream| {
            let mut stream = lock(stream);
            stream.settle(now);
            !stream.is_gone(now)
        });
        match taken {
            Some(true) => {
                let account = &self.settings().account.id;
                return Err(ServiceError::in_use(format!(
                    "Stream {} under account {account} already exists.",
                    new.name
                )));
            }
            Some(false) => table.remove(&new.name),
            None => {}
        }
        let predecessor = table.predecessors.remove(&new.name);
        let mut stream = Stream::create(new, predecessor, self.settings().transition, now);
        stream.set_limits(self.settings().limits);
        table.streams.insert(stream.name().to_owned(), Arc::new(Mutex::new(stream)));
        Ok(())
    }

    fn no_such_stream(&self, name: &str) -> ServiceError {
        let account = &self.settings().account.id;
        ServiceError::not_found(format!("Stream {name} under account {account} not found."))
    }
}
