//! One process: its flags, its end, what it says on standard error.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::observed::Observed;
use crate::waiting::within;

/// What all workers of a fleet are started with, besides their own names.
pub(crate) struct Fleet {
    pub(crate) flags: Vec<String>,
    /// For what they say on standard error.
    pub(crate) folder: tempfile::TempDir,
    pub(crate) observed: Observed,
}

impl Fleet {
    pub(crate) fn new(flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Fleet { flags, folder: tempfile::tempdir().unwrap(), observed: Observed::default() }
    }

    /// Starts a worker and reads along what it prints.
    #[expect(clippy::disallowed_methods, reason = "the readers of a test end with its processes")]
    pub(crate) fn start(&self, name: &'static str) -> Worker {
        let log = self.folder.path().join(format!("{name}.stderr"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_fleet-worker"))
            .args(["--worker-id", name, "--output", "records"])
            .args(&self.flags)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::with_capacity(1 << 18, child.stdout.take().unwrap());
        let observed = self.observed.clone();
        let reader = tokio::spawn(async move {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).await.unwrap() > 0 {
                match line.pop() {
                    Some(b'\n') => observed.line(name, &line),
                    // Cut in two by a kill. Nobody has read it then.
                    _ => observed.cut(name),
                }
                line.clear();
            }
        });
        Worker { name, child, reader, log }
    }
}

pub(crate) struct Worker {
    pub(crate) name: &'static str,
    child: Child,
    reader: JoinHandle<()>,
    log: PathBuf,
}

impl Worker {
    /// Sends SIGKILL, without waiting for anything.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Sends SIGTERM, without waiting for anything.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended already", self.name));
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// How it ended, once all that it printed is read.
    pub(crate) async fn ended(mut self) -> ExitStatus {
        let status = within(&format!("{} ends", self.name), self.child.wait()).await.unwrap();
        within("its output ends", &mut self.reader).await.unwrap();
        status
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("--- {} said at last:\n{}", self.name, tail(&self.log));
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
