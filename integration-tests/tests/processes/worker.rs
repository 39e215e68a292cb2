//! One process: its environment, its end, what it says on standard error.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::observed::Observed;
use crate::waiting::within;

/// What all workers of a fleet are started with, besides their own names.
pub(crate) struct Fleet {
    environment: Vec<(&'static str, String)>,
    flags: Vec<String>,
    /// For what they say on standard error.
    folder: tempfile::TempDir,
    pub(crate) observed: Observed,
}

/// Which program a worker is.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    /// Prints what it is given.
    Consume,
    /// Does so too, and stays at each record `hold` until it is cut off.
    Holder,
}

impl Fleet {
    /// `environment` is all that they see of it; `flags` are for `consume`.
    pub(crate) fn new(environment: Vec<(&'static str, String)>, flags: &[&str]) -> Self {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Fleet { environment, flags, folder: tempfile::tempdir().unwrap(), observed: Observed::default() }
    }

    /// Starts a worker and reads along what it prints.
    pub(crate) fn start(&self, name: &str) -> Worker {
        self.start_program(Program::Consume, name)
    }

    #[expect(clippy::disallowed_methods, reason = "the readers of a test end with its processes")]
    pub(crate) fn start_program(&self, program: Program, name: &str) -> Worker {
        let log = self.folder.path().join(format!("{name}.stderr"));
        let mut command = match program {
            Program::Consume => Command::new(env!("CARGO_BIN_EXE_fleet-worker")),
            Program::Holder => Command::new(env!("CARGO_BIN_EXE_fleet-holder")),
        };
        if let Program::Consume = program {
            command.args(["--output", "records"]).args(&self.flags);
        }
        let mut child = command
            .env_clear()
            .env("KCL_WORKER_ID", name)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::with_capacity(1 << 18, child.stdout.take().unwrap());
        let (observed, from) = (self.observed.clone(), name.to_owned());
        let reader = tokio::spawn(async move {
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).await.unwrap() > 0 {
                match line.pop() {
                    Some(b'\n') => observed.line(&from, &line),
                    // Cut in two by a kill. Nobody has read it then.
                    _ => observed.cut(&from),
                }
                line.clear();
            }
        });
        Worker { name: name.to_owned(), child, reader, log }
    }
}

pub(crate) struct Worker {
    pub(crate) name: String,
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

    /// Sends SIGSTOP: nothing of it runs any more.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Sends SIGCONT: it goes on as if nothing had happened.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended already", self.name));
        kill_process(Pid::from_raw(id.try_into().unwrap()).unwrap(), signal).unwrap();
    }

    /// Whether its output has come to its end.
    pub(crate) fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// How it ended, once all that it printed is read.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = within(&format!("{} ends", self.name), self.child.wait()).await.unwrap();
        within("its output ends", &mut self.reader).await.unwrap();
        status
    }

    /// What it said on standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            println!("--- {} said at last:\n{}", self.name, lines[lines.len().saturating_sub(30)..].join("\n"));
        }
    }
}
