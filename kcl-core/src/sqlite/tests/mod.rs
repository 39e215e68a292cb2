//! The store as a whole: on its contract, on files that it must refuse, on rows that somebody broke, and across processes.

mod contract;
mod files;
mod processes;
mod unreadable;

use std::path::Path;

use rusqlite::Connection;

use super::*;
use crate::types::Checkpoint;

async fn started(path: &Path) -> SqliteStore {
    let store = SqliteStore::open(path).unwrap();
    store.start().await.unwrap();
    store
}

/// Another program's connection to the file.
fn raw(path: &Path) -> Connection {
    Connection::open(path).unwrap()
}

fn key(text: &str) -> LeaseKey {
    LeaseKey::new(text).unwrap()
}

fn bare(name: &str) -> Lease {
    Lease::unowned(key(name), Checkpoint::TrimHorizon, 0)
}

/// Raises the counter of a lease by one, as often as it takes; the counter that it wrote.
async fn increment(store: &SqliteStore, name: &str) -> u64 {
    let mut seen = 0;
    loop {
        let condition = Condition { counter: Some(seen), ..Condition::default() };
        let change = LeaseChange { counter: Some(seen + 1), ..LeaseChange::default() };
        match store.update(&key(name), &condition, &change).await {
            WriteOutcome::Applied(row) => return row.counter,
            WriteOutcome::Conflict(row) => seen = row.counter,
            // Certainly not applied, so it may be tried again.
            WriteOutcome::Refused(StoreError::Throttled(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
