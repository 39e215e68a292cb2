//! The thread that owns the database connection: SQLite blocks, and runtime threads must not.

use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::error::Failed;
use super::file::File;
use crate::types::StoreError;

type Job = Box<dyn FnOnce(&mut File) + Send>;

/// A handle to the thread. The thread ends, and the file is closed, when the last handle is gone.
#[derive(Clone)]
pub(super) struct FileThread {
    jobs: mpsc::Sender<Job>,
}

impl FileThread {
    pub(super) fn start(path: PathBuf) -> std::io::Result<Self> {
        let (jobs, mut queue) = mpsc::channel::<Job>(QUEUE);
        std::thread::Builder::new().name("kcl-sqlite".into()).spawn(move || {
            let mut file = File::new(path);
            while let Some(job) = queue.blocking_recv() {
                job(&mut file);
            }
        })?;
        Ok(FileThread { jobs })
    }

    /// Runs a job on the thread, after those that were asked for before, and waits for its result.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut File) -> T + Send + 'static,
    ) -> Result<T, Failed> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |file: &mut File| {
            // Whoever asked may have given up meanwhile. What has not begun need not begin; its effect is unknown to them
            // in any case.
            if !answer.is_closed() {
                let _ = answer.send(job(file));
            }
        });
        // A thread that has ended took no job, and one that ends before it answers may have run it.
        self.jobs.send(job).await.map_err(|_| Failed::Refused(ended()))?;
        answered.await.map_err(|_| Failed::Unknown(ended()))
    }

    #[cfg(test)]
    pub(super) async fn closed(&self) {
        self.jobs.closed().await;
    }
}

fn ended() -> StoreError {
    StoreError::Unavailable("the thread of the SQLite store has ended".into())
}

/// Callers beyond that many wait for their turn before the queue and not in it.
const QUEUE: usize = 64;
