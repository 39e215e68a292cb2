//! A folder that outlives the process: what was acknowledged is there again after a restart, whatever ended the last one.
//!
//! | file | holds |
//! |---|---|
//! | `lock` | nothing; the instance that has it locked has the folder |
//! | `kinesis.sqlite3` | streams as they are, and every record that has not expired |
//! | `dynamodb.sqlite3` | the tables of the database |
//!
//! Every change is committed before it is acknowledged, and before anybody else can see it. SQLite writes to a log with
//! checksums and hands it to the operating system at each commit, so the end of the process, also by kill -9, takes
//! nothing along. A power cut may take the last moments.

mod entries;
mod kinesis;
mod torn;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use kinesis::{Append, KinesisStore, Loaded};
pub use torn::TornTail;

/// A folder for the data of both services, held by this instance alone as long as one of them lives.
#[derive(Debug, Clone)]
pub struct DataFolder {
    path: PathBuf,
    lock: Arc<Lock>,
    torn_tails: Vec<TornTail>,
}

/// A data folder that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The folder, or a file in it, cannot be opened or made.
    #[error("data folder {}: {source}: give a folder that can be written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another instance has it.
    #[error("data folder {} is held by another instance: stop that one, or give another folder", path.display())]
    Held {
        /// The folder.
        path: PathBuf,
    },
    /// SQLite could not open it.
    #[error("{}: {source}", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The file holds something that this version does not understand.
    #[error("{}: {problem}: use the version of kcl-local that wrote it, or another folder", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What it is.
        problem: String,
    },
    /// The database could not be opened.
    #[error(transparent)]
    DynamoDb(#[from] crate::dynamodb::OpenError),
}

impl DataFolder {
    /// Takes hold of a folder, and makes it if there is none.
    ///
    /// # Errors
    /// If another instance holds it, or it cannot be written.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, DataError> {
        let path = path.into();
        let io_error = |source| DataError::Io { path: path.clone(), source };
        std::fs::create_dir_all(&path).map_err(io_error)?;
        let lock = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(io_error)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataError::Held { path }),
            Err(TryLockError::Error(source)) => return Err(io_error(source)),
        }
        let mut torn_tails = Vec::new();
        for name in [KINESIS, DYNAMODB] {
            // SQLite is about to cut what was never committed, and says nothing about it.
            let log = path.join(format!("{name}-wal"));
            let torn = torn::look(&log).map_err(|source| DataError::Io { path: log.clone(), source })?;
            if let Some(torn) = torn {
                tracing::warn!(file = %torn.file.display(), bytes = torn.bytes, "torn tail cut: it was never acknowledged");
                torn_tails.push(torn);
            }
        }
        Ok(Self { path, lock: Arc::new(Lock(lock)), torn_tails })
    }

    /// What an earlier instance had not finished writing when it ended, and what is therefore gone. It was never
    /// acknowledged.
    #[must_use]
    pub fn torn_tails(&self) -> &[TornTail] {
        &self.torn_tails
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn kinesis_file(&self) -> PathBuf {
        self.path.join(KINESIS)
    }

    pub(crate) fn dynamodb_file(&self) -> PathBuf {
        self.path.join(DYNAMODB)
    }

    /// Keeps the folder held as long as the value lives.
    pub(crate) fn hold(&self) -> Arc<Lock> {
        Arc::clone(&self.lock)
    }
}

/// The lock of a folder.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // To close the file is not enough: a process that is started at this moment by another thread has a copy of it, and
        // with it the lock, until it runs its own program.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the data folder ends with the process");
        }
    }
}

const LOCK: &str = "lock";
const KINESIS: &str = "kinesis.sqlite3";
const DYNAMODB: &str = "dynamodb.sqlite3";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_was_let_go_is_free_whoever_still_has_a_copy_of_its_file() {
        let path = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(path.path()).unwrap();
        let held = folder.hold();
        let copy = held.0.try_clone().unwrap();
        drop(folder);
        assert!(matches!(DataFolder::open(path.path()), Err(DataError::Held { .. })));
        drop(held);
        DataFolder::open(path.path()).unwrap();
        drop(copy);
    }
}
