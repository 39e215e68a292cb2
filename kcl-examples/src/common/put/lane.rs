//! One lane: one call at a time.

use tokio::sync::mpsc;

use super::call::Caller;
use super::{Entry, Queued};

/// Collects records into batches and puts one after the other.
#[derive(Debug)]
pub(super) struct Lane {
    waiting: mpsc::Receiver<Queued>,
    /// Did not fit into the last batch.
    held: Option<Queued>,
    caller: Caller,
}

impl Lane {
    pub(super) fn new(waiting: mpsc::Receiver<Queued>, caller: Caller) -> Self {
        Lane { waiting, held: None, caller }
    }

    /// Puts until nobody hands over records any more.
    pub(super) async fn run(mut self, placed: &impl Fn(&str, &str)) -> anyhow::Result<()> {
        while let Some((entries, _room)) = self.next_batch().await {
            self.caller.put(entries, placed).await?;
        }
        Ok(())
    }

    /// Waits for a record and takes with it what else is there, up to what fits into a call.
    async fn next_batch(&mut self) -> Option<(Vec<Entry>, Vec<tokio::sync::OwnedSemaphorePermit>)> {
        let first = match self.held.take() {
            Some(held) => held,
            None => self.waiting.recv().await?,
        };
        let mut size = first.entry.size();
        let (mut entries, mut room) = (vec![first.entry], vec![first._room]);
        while entries.len() < MOST_RECORDS {
            let Ok(next) = self.waiting.try_recv() else { break };
            size += next.entry.size();
            if size > MOST_BYTES {
                self.held = Some(next);
                break;
            }
            entries.push(next.entry);
            room.push(next._room);
        }
        Some((entries, room))
    }
}

/// What one call takes.
const MOST_RECORDS: usize = 500;
/// What one call takes, keys included.
const MOST_BYTES: usize = 10 << 20;
