//! Writing lines to standard output, and what it means if nobody reads them.
//!
//! A thread writes, since a pipe whose reader is slow holds up whoever writes to it: here that must not be a thread of the
//! runtime, on which leases are renewed. Whoever has a line waits until it is written; so no more waits than one message
//! for each shard, and the lines of all of them go out in one write when many wait.

use std::io::{self, Write};
use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// The way to standard output. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Output {
    sender: mpsc::UnboundedSender<Message>,
    closed: CancellationToken,
}

/// The thread that writes.
#[derive(Debug)]
pub(super) struct Writer {
    failed: oneshot::Receiver<Option<io::Error>>,
}

#[derive(Debug)]
struct Message {
    lines: Vec<u8>,
    written: oneshot::Sender<()>,
}

/// Lines were not written, and none will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("standard output is closed")]
pub(super) struct Closed;

impl Output {
    /// Starts the thread.
    pub(super) fn start() -> io::Result<(Output, Writer)> {
        let (sender, messages) = mpsc::unbounded_channel();
        let (done, failed) = oneshot::channel();
        let closed = CancellationToken::new();
        let tell = closed.clone();
        std::thread::Builder::new().name("output".into()).spawn(move || {
            let failure = write_all(messages, io::stdout()).err();
            if failure.is_some() {
                tell.cancel();
            }
            let _nobody_waits = done.send(failure);
        })?;
        Ok((Output { sender, closed }, Writer { failed }))
    }

    /// Writes lines and returns when they are out of this process, as far as that can be known.
    ///
    /// Dropping the future leaves it open whether they are written.
    pub(super) async fn write(&self, lines: Vec<u8>) -> Result<(), Closed> {
        let (written, done) = oneshot::channel();
        self.sender.send(Message { lines, written }).map_err(|_| Closed)?;
        done.await.map_err(|_| Closed)
    }

    /// Returns once writing has failed. Cancel safe.
    pub(super) async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Whether writing has failed.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }
}

impl Writer {
    /// Waits until everything is written; all [`Output`]s must be gone.
    pub(super) async fn finish(self) -> io::Result<()> {
        let clock = SystemClock::new();
        tokio::select! {
            failed = self.failed => match failed {
                Ok(None) => Ok(()),
                Ok(Some(error)) => Err(error),
                Err(_) => Err(io::Error::other("the thread that writes has panicked")),
            },
            () = clock.sleep_until(clock.now() + LAST_WRITE) => {
                Err(io::Error::new(io::ErrorKind::TimedOut, "its reader does not take the last lines"))
            }
        }
    }
}

/// Writes until there is nobody left to send. An error ends it: dropping the messages tells those who wait.
fn write_all(mut messages: mpsc::UnboundedReceiver<Message>, mut out: impl Write) -> io::Result<()> {
    let mut waiting = Vec::new();
    let mut text = Vec::new();
    while let Some(first) = messages.blocking_recv() {
        let mut next = Some(first);
        while let Some(message) = next {
            text.extend_from_slice(&message.lines);
            waiting.push(message.written);
            next = if text.len() < ONE_WRITE { messages.try_recv().ok() } else { None };
        }
        out.write_all(&text)?;
        out.flush()?;
        text.clear();
        for written in waiting.drain(..) {
            let _nobody_waits = written.send(());
        }
    }
    Ok(())
}

/// More lines than this are not put into one write.
const ONE_WRITE: usize = 1 << 20;
/// How long the end of the program waits for a reader that has stopped reading.
const LAST_WRITE: Duration = Duration::from_secs(5);
