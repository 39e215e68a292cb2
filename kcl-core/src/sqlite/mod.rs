//! Lease and fleet store in a SQLite file, for several processes on one machine.

mod decode;
mod document;
mod encode;
mod error;
mod file;
mod rows;
mod thread;

use std::fmt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use crate::ports::{FleetStore, LeaseStore, StoreStartError};
use crate::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, RowPage, RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId, WorkerRow,
    WriteOutcome,
};
use error::Failed;
use rows::Rows;
use thread::FileThread;

/// Leases and workers in one SQLite file: a fleet of processes on one machine, without AWS. Clones share one connection.
///
/// Writes are real compare-and-set across processes, and what was answered as written is on the disk: a process that is
/// killed, or a machine that loses power, leaves the file whole and with every answered write in it. The file is read by
/// any SQLite tool; its table `rows` has a JSON document for each row, with the attributes named as in the KCL's table.
///
/// **Local disks only.** Processes share a write-ahead log through shared memory, which neither network file systems offer
/// nor folders that two virtual machines share.
///
/// # Cancel safety
/// Dropping the future of a write leaves its effect unknown: it is skipped if it was still waiting for its turn, and runs
/// to its end otherwise.
///
/// # Errors
/// A lock that another process holds for more than 5 s is [`StoreError::Throttled`]; a file that was removed or replaced
/// under a running store is [`StoreError::TableMissing`] until [`start`](LeaseStore::start) is called again. All name the
/// path.
#[derive(Clone)]
pub struct SqliteStore {
    path: PathBuf,
    thread: FileThread,
    page_size: usize,
}

impl SqliteStore {
    /// A store over the file at `path`, which is opened, and made if it is missing, by [`start`](LeaseStore::start). A
    /// relative path is one of the current folder now, not later.
    ///
    /// # Errors
    /// [`StoreStartError`] if the path is empty, or the thread for the file cannot be started.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreStartError> {
        let given = path.as_ref();
        let path = std::path::absolute(given).map_err(|error| StoreStartError::Unsuitable {
            reason: format!("the path {:?} cannot be used: {error}", given.display().to_string()),
            cure: "name a file, such as leases.db".into(),
        })?;
        let thread = FileThread::start(path.clone()).map_err(|error| {
            StoreError::Unavailable(format!("no thread can be started for {}: {error}", path.display()))
        })?;
        Ok(SqliteStore { path, thread, page_size: PAGE_SIZE })
    }

    /// The file, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let result = self.thread.run(move |file| file.read(work)).await;
        Ok(result.and_then(|result| result)?)
    }

    async fn write<T: From<Failed> + Send + 'static>(
        &self,
        work: impl FnOnce(&Rows<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        let result = self.thread.run(move |file| file.write(work)).await;
        result.and_then(|result| result).unwrap_or_else(T::from)
    }
}

#[async_trait]
impl LeaseStore for SqliteStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        self.thread.run(|file| file.start()).await.map_err(StoreError::from)?
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        let size = self.page_size;
        self.read(move |rows| rows.scan(projection, page.as_ref(), size)).await
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        let (owner, size) = (owner.clone(), self.page_size);
        self.read(move |rows| rows.owned_by(&owner, page.as_ref(), size)).await
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        let key = key.clone();
        self.read(move |rows| rows.lease(&key)).await
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        let lease = lease.clone();
        self.write(move |rows| rows.create(&lease)).await
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        let (key, condition, change) = (key.clone(), condition.clone(), change.clone());
        self.write(move |rows| rows.update(&key, &condition, &change)).await
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        let (key, condition) = (key.clone(), condition.clone());
        self.write(move |rows| rows.delete(&key, &condition)).await
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        let steps = steps.to_vec();
        self.write(move |rows| rows.transact(&steps)).await
    }
}

#[async_trait]
impl FleetStore for SqliteStore {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        let (heartbeat, seen) = (heartbeat.clone(), seen.cloned());
        self.write(move |rows| rows.join(&heartbeat, seen.as_ref())).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        let heartbeat = heartbeat.clone();
        self.write(move |rows| rows.heartbeat(&heartbeat)).await
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        let (worker, incarnation) = (worker.clone(), incarnation.clone());
        self.write(move |rows| rows.leave(&worker, &incarnation)).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        let worker = worker.clone();
        self.read(move |rows| rows.worker(&worker)).await
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        let (worker, lease) = (worker.clone(), lease.clone());
        self.write(move |rows| rows.notify(&worker, &lease)).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        let seen = seen.clone();
        self.write(move |rows| rows.remove_worker(&seen)).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        self.read(|rows| rows.leader()).await
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        let (expected, row) = (expected.clone(), row.clone());
        self.write(move |rows| rows.write_leader(&expected, row)).await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Rows of a page. A page is read while no other call of this process is served, so it should take a few milliseconds.
const PAGE_SIZE: usize = 1_000;

#[cfg(test)]
mod tests;
