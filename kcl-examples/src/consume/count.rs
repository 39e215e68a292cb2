//! The total, and how often it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};
use tokio::sync::Notify;

use super::lines;
use super::output::{Closed, Output};

/// How many records were delivered to this worker. Clones share the number.
#[derive(Debug, Clone, Default)]
pub(super) struct Count {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    total: AtomicU64,
    changed: Notify,
}

impl Count {
    /// Counts the records of a batch.
    pub(super) fn add(&self, records: usize) {
        self.shared.total.fetch_add(records as u64, Ordering::Relaxed);
        self.shared.changed.notify_one();
    }

    /// Prints the total when it has changed, the first time at once and then at most every 100 ms.
    pub(super) async fn tell(&self, output: &Output, told: &AtomicU64) -> Result<(), Closed> {
        let clock = SystemClock::new();
        loop {
            self.shared.changed.notified().await;
            self.tell_now(output, told).await?;
            clock.sleep_until(clock.now() + INTERVAL).await;
        }
    }

    /// Prints the total unless it was the last that was printed.
    pub(super) async fn tell_now(&self, output: &Output, told: &AtomicU64) -> Result<(), Closed> {
        let total = self.shared.total.load(Ordering::Relaxed);
        if told.swap(total, Ordering::Relaxed) != total {
            output.write(lines::count(total)).await?;
        }
        Ok(())
    }
}

const INTERVAL: Duration = Duration::from_millis(100);
