//! What shard tasks leave behind, until the assigner sees to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::super::shard_task::TaskEnd;
use crate::types::LeaseKey;

/// A lease and how its task ended; `None` if it ended in a defect, or was dropped.
pub(super) type Finished = (LeaseKey, Option<TaskEnd>);

/// Shard tasks that have finished. Each puts itself here once, so there are never more than there were tasks.
#[derive(Debug, Default)]
pub(super) struct FinishedTasks {
    waiting: Mutex<VecDeque<Finished>>,
    news: Notify,
}

impl FinishedTasks {
    /// The next one. Cancel safe.
    pub(super) async fn next(&self) -> Finished {
        loop {
            let next = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(finished) => return finished,
                None => self.news.notified().await,
            }
        }
    }

    fn put(&self, finished: Finished) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(finished);
        self.news.notify_one();
    }
}

/// Tells that a task has finished, also if it is dropped.
#[derive(Debug)]
pub(super) struct TellFinished {
    /// Until it was told.
    tasks: Option<Arc<FinishedTasks>>,
    key: LeaseKey,
}

impl TellFinished {
    pub(super) fn new(tasks: &Arc<FinishedTasks>, key: LeaseKey) -> Self {
        TellFinished { tasks: Some(Arc::clone(tasks)), key }
    }

    /// It finished, or panicked with these words.
    pub(super) fn tell(mut self, outcome: Result<TaskEnd, String>) {
        let defect = |panic: &String| {
            tracing::error!(lease_key = %self.key, panic, "the task of a shard ended in a defect");
        };
        let end = outcome.inspect_err(defect).ok();
        self.put(end);
    }

    fn put(&mut self, end: Option<TaskEnd>) {
        if let Some(tasks) = self.tasks.take() {
            tasks.put((self.key.clone(), end));
        }
    }
}

impl Drop for TellFinished {
    fn drop(&mut self) {
        self.put(None);
    }
}
