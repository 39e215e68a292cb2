//! The database file: what is accepted, how it is made, and transactions in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::error::{Failed, store_error};
use super::rows::Rows;
use crate::ports::StoreStartError;
use crate::types::StoreError;

/// The file of a store, opened by `start`. Lives on the store's thread.
pub(super) struct File {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    connection: Connection,
    identity: Identity,
}

impl File {
    pub(super) fn new(path: PathBuf) -> Self {
        File { path, open: None }
    }

    /// Opens the file, anew if it was open before: the path may lead to another file by now.
    pub(super) fn start(&mut self) -> Result<(), StoreStartError> {
        self.open = None;
        check_place(&self.path)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags);
        let opened = connection.and_then(|mut connection| {
            let found = prepare(&mut connection)?;
            Ok((connection, found))
        });
        let connection = match opened {
            Ok((connection, Found::Ours)) => connection,
            Ok((_, found)) => return Err(found.refusal(&self.path)),
            Err(error) => return Err(start_error(&self.path, &error)),
        };
        let identity = Identity::of(&self.path).ok_or_else(|| gone(&self.path))?;
        self.open = Some(Open { connection, identity });
        Ok(())
    }

    pub(super) fn read<T>(&mut self, work: impl FnOnce(&Rows<'_>) -> rusqlite::Result<T>) -> Result<T, Failed> {
        let (connection, path) = self.connection().map_err(Failed::Refused)?;
        work(&Rows { connection }).map_err(|error| Failed::Refused(store_error(path, &error)))
    }

    /// Runs the work in an immediate transaction: the write lock is taken before the first read, so what a condition was
    /// checked against is what the change is applied to.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&Rows<'_>) -> rusqlite::Result<T>) -> Result<T, Failed> {
        let (connection, path) = self.connection().map_err(Failed::Refused)?;
        let result = transaction(connection).and_then(|transaction| {
            // An error rolls back when the transaction is dropped: nothing of it can ever become visible.
            let result = work(&Rows { connection: &transaction })?;
            Ok((result, transaction))
        });
        let (result, committed) = match result {
            Ok((result, transaction)) => (result, transaction.commit()),
            Err(error) => return Err(Failed::Refused(store_error(path, &error))),
        };
        match committed {
            Ok(()) => Ok(result),
            Err(error) => {
                let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
                let error = store_error(path, &error);
                // A busy commit has not begun, and is rolled back. After any other failure the log may hold the whole
                // transaction all the same, and the next process that opens the file finds it there.
                Err(if busy { Failed::Refused(error) } else { Failed::Unknown(error) })
            }
        }
    }

    fn connection(&mut self) -> Result<(&mut Connection, &Path), StoreError> {
        let Some(open) = &mut self.open else {
            let problem = format!("{} is not open: start the store first", self.path.display());
            return Err(StoreError::Invalid(problem));
        };
        // SQLite goes on writing to a file that was removed or replaced, while other processes open the new one: two
        // fleets would each believe that they hold every lease.
        if Identity::of(&self.path).as_ref() != Some(&open.identity) {
            return Err(gone(&self.path));
        }
        Ok((&mut open.connection, &self.path))
    }
}

fn gone(path: &Path) -> StoreError {
    StoreError::TableMissing(format!("{} was removed or replaced while it was open", path.display()))
}

fn transaction(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// What is at the path.
enum Found {
    Empty,
    Ours,
    Newer(i32),
    Foreign,
    ReadOnly,
    NoSharedLog(String),
}

/// Makes the connection ready and the table, if there is none. Writes nothing to a file that is not ours.
fn prepare(connection: &mut Connection) -> rusqlite::Result<Found> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Ok(Found::ReadOnly);
    }
    // In one transaction, that is of one state: between two reads another process may make the table.
    let found = look(&*connection.transaction()?)?;
    if !matches!(found, Found::Empty | Found::Ours) {
        return Ok(found);
    }
    let mode = share_log(connection)?;
    if mode != "wal" {
        return Ok(Found::NoSharedLog(mode));
    }
    // With NORMAL, a power failure takes back the last commits: a checkpoint that was reported as stored.
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    if matches!(found, Found::Ours) {
        return Ok(found);
    }
    let transaction = transaction(connection)?;
    // Another process may have been faster between the first look and the lock.
    let found = look(&transaction)?;
    if !matches!(found, Found::Empty) {
        return Ok(found);
    }
    transaction.execute_batch(SCHEMA)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(Found::Ours)
}

/// Switches to the write-ahead log, for which SQLite needs the file to itself for a moment; the mode it has then.
///
/// Of two processes that start at once both read the file and both want to write to it. One of them is told "busy" at
/// once, without the wait of the busy time-out, since each would wait for the other's reading to end. It then queues for
/// an ordinary write lock, which does wait, and finds the switch done by the other one.
fn share_log(connection: &Connection) -> rusqlite::Result<String> {
    for _ in 0..LOG_ATTEMPTS {
        let mode = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
        match mode.as_ref().err().and_then(rusqlite::Error::sqlite_error_code) {
            Some(ErrorCode::DatabaseBusy) => connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK")?,
            _ => return mode,
        }
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
}

fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i32>(0));
    let application = number("PRAGMA application_id")?;
    let version = number("PRAGMA user_version")?;
    let objects = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, version, objects) {
        (0, 0, 0) => Found::Empty,
        (APPLICATION_ID, SCHEMA_VERSION, _) => Found::Ours,
        (APPLICATION_ID, newer, _) if newer > SCHEMA_VERSION => Found::Newer(newer),
        _ => Found::Foreign,
    })
}

impl Found {
    fn refusal(self, path: &Path) -> StoreStartError {
        let path = path.display();
        let (reason, cure) = match self {
            Found::Newer(version) => (
                format!(
                    "{path} was written by a newer version of this library (layout {version}, this one knows {SCHEMA_VERSION})"
                ),
                "update this program, or choose another file",
            ),
            Found::ReadOnly => {
                (format!("{path} can only be read"), "give this process the right to write to the file and its folder")
            }
            Found::NoSharedLog(mode) => (
                format!("{path} lies where SQLite's write-ahead log does not work (its journal stays {mode:?})"),
                "put the file on a local disk",
            ),
            Found::Foreign | Found::Empty | Found::Ours => (
                format!("{path} is a SQLite database of another application"),
                "choose another file; nothing was changed",
            ),
        };
        StoreStartError::Unsuitable { reason, cure: cure.into() }
    }
}

/// What can be said before SQLite tries, in better words than its own.
fn check_place(path: &Path) -> Result<(), StoreStartError> {
    let unsuitable = |reason, cure: &str| Err(StoreStartError::Unsuitable { reason, cure: cure.into() });
    if path.is_dir() {
        return unsuitable(format!("{} is a folder", path.display()), "name a file in it, such as leases.db");
    }
    match path.parent() {
        Some(folder) if !folder.is_dir() => unsuitable(
            format!("the folder of {} does not exist", path.display()),
            "make the folder first, or choose another path",
        ),
        _ => Ok(()),
    }
}

fn start_error(path: &Path, error: &rusqlite::Error) -> StoreStartError {
    let cure = match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => "choose another file; nothing was changed",
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            "give this process the right to write to the file and its folder"
        }
        _ => return store_error(path, error).into(),
    };
    StoreStartError::Unsuitable { reason: format!("{}: {error}", path.display()), cure: cure.into() }
}

/// Which file a path leads to.
#[derive(PartialEq, Eq)]
struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Identity {
    /// `None` if there is no file. Where files have no numbers, only that is noticed.
    fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok()?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            Some(Identity { device: metadata.dev(), inode: metadata.ino() })
        }
        #[cfg(not(unix))]
        {
            let _ = metadata;
            Some(Identity {})
        }
    }
}

/// One document for each row, so that members which this version does not know stay. Checks of `json_valid`, because a
/// document that somebody broke by hand must not break the index. The owner is an indexed view of the document, and so can
/// never differ from it.
const SCHEMA: &str = "
    CREATE TABLE rows (
        key TEXT NOT NULL PRIMARY KEY,
        document TEXT NOT NULL,
        owner TEXT GENERATED ALWAYS AS (
            CASE WHEN json_valid(document) THEN CAST(document ->> '$.leaseOwner' AS TEXT) END
        ) VIRTUAL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX rows_by_owner ON rows (owner, key) WHERE owner IS NOT NULL;
";

/// `kcl1` in ASCII, in the header of the file.
const APPLICATION_ID: i32 = 0x6b63_6c31;

/// Raised with every change of the layout that an older version would misread.
const SCHEMA_VERSION: i32 = 1;

/// How long to wait for another process's transaction. They take under a millisecond; under heavy load the lock, which is
/// not fair, was seen to be waited for 2 s.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Two processes could be in each other's way again and again; not that often.
const LOG_ATTEMPTS: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn started(path: &Path) -> File {
        let mut file = File::new(path.to_owned());
        file.start().unwrap();
        file.open.as_ref().unwrap().connection.busy_timeout(Duration::ZERO).unwrap();
        file
    }

    #[test]
    fn a_lock_held_too_long_refuses_writes_as_throttled_and_lets_reads_pass() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leases.db");
        let (mut waiting, mut holding) = (started(&path), started(&path));
        let held = transaction(&mut holding.open.as_mut().unwrap().connection).unwrap();
        match waiting.write(|_| Ok(())) {
            Err(Failed::Refused(error @ StoreError::Throttled(_))) => {
                assert!(error.to_string().contains("leases.db"), "{error}");
            }
            other => panic!("{other:?}"),
        }
        waiting.read(|rows| rows.leader()).unwrap();
        drop(held);
        waiting.write(|_| Ok(())).unwrap();
    }

    #[test]
    fn commits_are_on_the_disk_when_they_are_answered() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = started(&folder.path().join("leases.db"));
        let setting = |name: &'static str| {
            move |rows: &Rows<'_>| {
                rows.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, String>(0))
            }
        };
        assert_eq!(file.read(setting("journal_mode")).unwrap(), "wal");
        let full = |rows: &Rows<'_>| rows.connection.query_row("PRAGMA synchronous", [], |row| row.get::<_, i32>(0));
        assert_eq!(file.read(full).unwrap(), 2);
    }

    #[test]
    fn an_error_within_a_transaction_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = started(&folder.path().join("leases.db"));
        let result = file.write(|rows| {
            rows.connection.execute("INSERT INTO rows (key, document) VALUES ('a', '{}')", [])?;
            rows.connection.execute("INSERT INTO nowhere DEFAULT VALUES", [])
        });
        assert!(matches!(result, Err(Failed::Refused(StoreError::Invalid(_)))), "{result:?}");
        let count =
            |rows: &Rows<'_>| rows.connection.query_row("SELECT count(*) FROM rows", [], |row| row.get::<_, i32>(0));
        assert_eq!(file.read(count).unwrap(), 0);
    }
}
