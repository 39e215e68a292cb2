//! Running until the platform says stop. The only file that installs signal handlers, and only when it is called.

use std::sync::Arc;
use std::time::Duration;

use super::Worker;
use crate::error::WorkerError;
use crate::runtime::WorkerReport;

/// Runs until a signal, stops in order, and aborts on a second one.
pub(super) async fn run(worker: Worker) -> Result<WorkerReport, WorkerError> {
    // Installed before the start, so that a signal during it is not missed.
    let mut signals = Signals::install()?;
    let clock = Arc::clone(&worker.context.clock);
    let mut handle = tokio::select! {
        biased;
        started = worker.start() => started?,
        signal = signals.next() => {
            tracing::info!(signal, "worker stops before it has started");
            return Ok(WorkerReport::nothing_done());
        }
    };
    tokio::select! {
        biased;
        outcome = handle.wait() => return outcome,
        signal = signals.next() => {
            tracing::info!(signal, "worker is asked to stop; a second signal ends it at once");
            handle.stop();
        }
    }
    // One stop often arrives twice: from a terminal to the whole process group, and from the wrapper that passes it on.
    let settled = clock.now() + ONE_STOP;
    loop {
        tokio::select! {
            biased;
            outcome = handle.wait() => return outcome,
            () = clock.sleep_until(settled) => break,
            _ = signals.next() => {}
        }
    }
    tokio::select! {
        biased;
        outcome = handle.wait() => outcome,
        signal = signals.next() => {
            tracing::warn!(signal, "worker is told to end at once");
            handle.abort();
            handle.wait().await
        }
    }
}

/// Signals within this time of the first are the same request.
const ONE_STOP: Duration = Duration::from_millis(500);

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn install() -> Result<Self, WorkerError> {
        use tokio::signal::unix::{SignalKind, signal};
        let failed = |error: std::io::Error| WorkerError::Signals(error.to_string());
        Ok(Signals {
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn install() -> Result<Self, WorkerError> {
        Ok(Signals)
    }

    async fn next(&mut self) -> &'static str {
        match tokio::signal::ctrl_c().await {
            Ok(()) => "Ctrl-C",
            // Without a handler there is no signal to wait for.
            Err(_) => std::future::pending().await,
        }
    }
}
