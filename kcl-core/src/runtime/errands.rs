//! Leases that the assigner should see to, from whoever learned of them first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use crate::types::{Lease, LeaseKey};

/// What to do about a lease.
#[derive(Debug, Clone)]
pub(crate) enum Errand {
    /// Read its row, and do what that asks for.
    Look,
    /// Take it: it was seen free or expired, and the plan gives it to us.
    Take { seen: Box<Lease>, why: String },
}

/// What the assigner was asked to do and has not taken up. One errand per lease, so it is never larger than the table.
#[derive(Debug, Default)]
pub(crate) struct Errands {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    leases: BTreeMap<LeaseKey, Errand>,
    /// The index should be asked, too: hints may have been lost.
    all: bool,
}

impl Errands {
    /// Look at these rows.
    pub(crate) fn look_at(&self, keys: impl IntoIterator<Item = LeaseKey>) {
        self.add(|waiting| {
            for key in keys {
                waiting.leases.entry(key).or_insert(Errand::Look);
            }
        });
    }

    /// Look at all rows that name this worker.
    pub(crate) fn look_at_all(&self) {
        self.add(|waiting| waiting.all = true);
    }

    /// Take these leases, each for its reason.
    pub(crate) fn take(&self, leases: impl IntoIterator<Item = (Lease, String)>) {
        self.add(|waiting| {
            for (seen, why) in leases {
                waiting.leases.insert(seen.key.clone(), Errand::Take { seen: Box::new(seen), why });
            }
        });
    }

    fn add(&self, change: impl FnOnce(&mut Waiting)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        let any = waiting.all || !waiting.leases.is_empty();
        drop(waiting);
        if any {
            self.news.notify_one();
        }
    }

    /// Everything that waits, and whether the index should be asked as well.
    pub(crate) fn collect(&self) -> (BTreeMap<LeaseKey, Errand>, bool) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(&mut waiting.leases), std::mem::take(&mut waiting.all))
    }

    /// Waits until something waits.
    pub(crate) async fn posted(&self) {
        self.news.notified().await;
    }
}
