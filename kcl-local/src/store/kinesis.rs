//! Streams and records in SQLite.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};

use super::{DataError, DataFolder, Lock, entries};
use crate::model::stream::Predecessor;
use crate::model::{Payload, ServiceError, ShardId, Stream, Timestamp};

/// The file of the streams.
#[derive(Debug)]
pub(crate) struct KinesisStore {
    inner: Mutex<Inner>,
    /// Whether [`Inner::broken`] is set: for readers, who should not wait for a writer to find out.
    is_broken: AtomicBool,
    _lock: Arc<Lock>,
}

#[derive(Debug)]
struct Inner {
    connection: Connection,
    /// Why nothing can be written any more. Memory is then ahead of the file, and nobody may see that.
    broken: Option<String>,
    /// When to look next for records of a stream that have expired.
    next_cleaning: BTreeMap<i64, Timestamp>,
}

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Append {
    pub(crate) shard: ShardId,
    pub(crate) ordinal: u64,
    pub(crate) arrival: Timestamp,
    pub(crate) encrypted: bool,
    pub(crate) payload: Payload,
}

/// What the file held when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) streams: Vec<Stream>,
    pub(crate) predecessors: BTreeMap<String, Predecessor>,
}

impl KinesisStore {
    pub(crate) fn open(folder: &DataFolder) -> Result<(Self, Loaded), DataError> {
        let path = folder.kinesis_file();
        let sqlite = |source| DataError::Sqlite { path: path.clone(), source };
        let connection = Connection::open(&path).map_err(sqlite)?;
        prepare(&connection, &path)?;
        let loaded = load(&connection, &path)?;
        let inner = Inner { connection, broken: None, next_cleaning: BTreeMap::new() };
        Ok((Self { inner: Mutex::new(inner), is_broken: AtomicBool::new(false), _lock: folder.hold() }, loaded))
    }

    /// Refuses every call once a write has failed.
    pub(crate) fn require_sound(&self) -> Result<(), ServiceError> {
        if !self.is_broken.load(Ordering::Acquire) {
            return Ok(());
        }
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.broken.as_ref().map_or(Ok(()), |problem| Err(broken(problem)))
    }

    /// Saves a stream that is new, in the place of what one of its name left behind.
    pub(crate) fn insert(&self, stream: &Stream) -> Result<(), ServiceError> {
        self.write(|inner| {
            let transaction = inner.connection.unchecked_transaction()?;
            transaction.execute("DELETE FROM predecessors WHERE name = ?1", [stream.name()])?;
            transaction.execute(
                "INSERT INTO streams (name, created, state) VALUES (?1, ?2, ?3)",
                params![stream.name(), created(stream), state(stream)],
            )?;
            transaction.commit()
        })
    }

    /// Saves what has changed about a stream, other than its records.
    pub(crate) fn update(&self, stream: &Stream) -> Result<(), ServiceError> {
        self.write(|inner| inner.update(stream))
    }

    /// Saves records of a stream.
    pub(crate) fn append(&self, stream: &Stream, appends: &[Append], now: Timestamp) -> Result<(), ServiceError> {
        let Some(newest) = appends.iter().map(|append| append.arrival).max() else { return Ok(()) };
        self.write(|inner| {
            let mut insert = inner.connection.prepare_cached(
                "INSERT INTO appends (stream, newest, entries) SELECT id, ?2, ?3 FROM streams WHERE name = ?1",
            )?;
            insert.execute(params![stream.name(), newest.as_millis() as i64, entries::encode(appends)])?;
            drop(insert);
            inner.clean(stream, now)
        })
    }

    /// Forgets a stream that is gone, and remembers what a later one of its name has to know.
    pub(crate) fn remove(&self, name: &str, predecessor: Predecessor) -> Result<(), ServiceError> {
        self.write(|inner| {
            let transaction = inner.connection.unchecked_transaction()?;
            let of_stream = "DELETE FROM appends WHERE stream = (SELECT id FROM streams WHERE name = ?1)";
            transaction.execute(of_stream, [name])?;
            transaction.execute("DELETE FROM streams WHERE name = ?1", [name])?;
            transaction.execute(
                "INSERT OR REPLACE INTO predecessors (name, state) VALUES (?1, ?2)",
                params![name, json(&predecessor)],
            )?;
            transaction.commit()
        })
    }

    fn write(&self, action: impl FnOnce(&mut Inner) -> rusqlite::Result<()>) -> Result<(), ServiceError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(problem) = &inner.broken {
            return Err(broken(problem));
        }
        action(&mut inner).map_err(|error| {
            tracing::error!(%error, "the data folder cannot be written, every call is refused from here on");
            let refusal = broken(&error.to_string());
            inner.broken = Some(error.to_string());
            self.is_broken.store(true, Ordering::Release);
            refusal
        })
    }
}

impl Inner {
    fn update(&self, stream: &Stream) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached("UPDATE streams SET state = ?2 WHERE name = ?1")?;
        update.execute(params![stream.name(), state(stream)]).map(|_| ())
    }

    /// Deletes records that have expired. What the stream knows of them, its first ordinals, is saved with it in the same
    /// transaction: numbers go on where they were even if no record is left.
    fn clean(&mut self, stream: &Stream, now: Timestamp) -> rusqlite::Result<()> {
        let Some(horizon) = stream.horizon(now) else { return Ok(()) };
        let id: Option<i64> = self
            .connection
            .prepare_cached("SELECT id FROM streams WHERE name = ?1")?
            .query_row([stream.name()], |row| row.get(0))
            .optional()?;
        let Some(id) = id else { return Ok(()) };
        if self.next_cleaning.get(&id).is_some_and(|next| now < *next) {
            return Ok(());
        }
        self.next_cleaning.insert(id, now.plus(CLEANING_INTERVAL));
        let transaction = self.connection.unchecked_transaction()?;
        self.update(stream)?;
        let old = "DELETE FROM appends WHERE stream = ?1 AND newest <= ?2";
        transaction.execute(old, params![id, horizon.as_millis() as i64])?;
        transaction.commit()
    }
}

fn prepare(connection: &Connection, path: &Path) -> Result<(), DataError> {
    let sqlite = |source| DataError::Sqlite { path: path.to_owned(), source };
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    if ![0, FORMAT].contains(&version) {
        let problem = format!("it has format {version}, this version reads format {FORMAT}");
        return Err(DataError::Format { path: path.to_owned(), problem });
    }
    connection
        .execute_batch(&format!(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = NORMAL;
             PRAGMA user_version = {FORMAT};
             CREATE TABLE IF NOT EXISTS streams (
                 id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,
                 state TEXT NOT NULL);
             CREATE TABLE IF NOT EXISTS predecessors (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS appends (
                 id INTEGER PRIMARY KEY AUTOINCREMENT, stream INTEGER NOT NULL, newest INTEGER NOT NULL,
                 entries BLOB NOT NULL);
             CREATE INDEX IF NOT EXISTS appends_by_age ON appends (stream, newest);"
        ))
        .map_err(sqlite)
}

fn load(connection: &Connection, path: &Path) -> Result<Loaded, DataError> {
    let sqlite = |source| DataError::Sqlite { path: path.to_owned(), source };
    let format = |problem: String| DataError::Format { path: path.to_owned(), problem };
    let mut streams = BTreeMap::new();
    let mut select = connection.prepare("SELECT id, name, state FROM streams").map_err(sqlite)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(sqlite)?;
    for row in rows {
        let (id, name, state): (i64, String, String) = row.map_err(sqlite)?;
        let stream: Stream =
            serde_json::from_str(&state).map_err(|error| format(format!("stream {name} cannot be read ({error})")))?;
        streams.insert(id, stream);
    }
    let mut select = connection.prepare("SELECT id, stream, entries FROM appends ORDER BY id").map_err(sqlite)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).map_err(sqlite)?;
    for row in rows {
        let (id, stream, bytes): (i64, i64, Vec<u8>) = row.map_err(sqlite)?;
        let appends =
            entries::decode(Bytes::from(bytes)).ok_or_else(|| format(format!("records {id} are cut short")))?;
        let Some(stream) = streams.get_mut(&stream) else { continue };
        for Append { shard, ordinal, arrival, encrypted, payload } in appends {
            stream.restore(shard, ordinal, (payload, arrival, encrypted));
        }
    }
    let mut predecessors = BTreeMap::new();
    let mut select = connection.prepare("SELECT name, state FROM predecessors").map_err(sqlite)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sqlite)?;
    for row in rows {
        let (name, state): (String, String) = row.map_err(sqlite)?;
        let left: Predecessor = serde_json::from_str(&state)
            .map_err(|error| format(format!("what {name} left cannot be read ({error})")))?;
        predecessors.insert(name, left);
    }
    Ok(Loaded { streams: streams.into_values().collect(), predecessors })
}

fn state(stream: &Stream) -> String {
    json(stream)
}

fn created(stream: &Stream) -> i64 {
    stream.created().as_millis() as i64
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("the model has text keys and finite numbers")
}

fn broken(problem: &str) -> ServiceError {
    ServiceError::internal(format!("The data folder cannot be written ({problem}): make room, and start again."))
}

const FORMAT: i64 = 1;
/// Records live for a day at least: there is no hurry.
const CLEANING_INTERVAL: Duration = Duration::from_mins(10);
