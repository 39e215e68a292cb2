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
    tasks: Arc<FinishedTasks>,
    key: LeaseKey,
    end: Option<TaskEnd>,
}

impl TellFinished {
    pub(super) fn new(tasks: &Arc<FinishedTasks>, key: LeaseKey) -> Self {
        TellFinished { tasks: Arc::clone(tasks), key, end: None }
    }

    /// It finished, or panicked with these words.
    pub(super) fn tell(mut self, outcome: Result<TaskEnd, String>) {
        match outcome {
            Ok(end) => self.end = Some(end),
            Err(panic) => {
                tracing::error!(lease_key = %self.key, panic, "the task of a shard ended in a defect");
            }
        }
    }
}

impl Drop for TellFinished {
    fn drop(&mut self) {
        self.tasks.put((self.key.clone(), self.end.take()));
    }
}
