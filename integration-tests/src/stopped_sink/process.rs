//! The process of the worker: what it prints, and the memory it takes.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::line::Line;

/// A worker in a process of its own, which ends with this value.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pub(super) seen: Seen,
}

/// What the worker printed so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) given: BTreeMap<String, Given>,
    pub(super) stopped: BTreeSet<String>,
    pub(super) slow: BTreeSet<(String, String)>,
    pub(super) lost: Vec<String>,
}

/// What one shard was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) records: usize,
    last: String,
}

impl Process {
    /// Starts this program as the worker.
    pub(super) fn start(environment: Vec<(&'static str, String)>) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .env_clear()
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take().ok_or("standard input is not there")?;
        let stdout = child.stdout.take().ok_or("standard output is not there")?;
        Ok(Process { child, stdin, lines: BufReader::new(stdout).lines(), seen: Seen::default() })
    }

    /// Reads what it prints until something is the case.
    pub(super) async fn until(&mut self, what: &str, reached: impl Fn(&Seen) -> bool) -> Result<(), Box<dyn Error>> {
        while !reached(&self.seen) {
            let line = self.lines.next_line().await?.ok_or_else(|| format!("the worker has ended before {what}"))?;
            self.seen.note(line.parse()?)?;
        }
        Ok(())
    }

    /// Lets the sink go on.
    pub(super) async fn go_on(&mut self) -> Result<(), Box<dyn Error>> {
        self.stdin.write_all(b"go on\n").await?;
        Ok(self.stdin.flush().await?)
    }

    /// Bytes in memory now.
    pub(super) fn resident(&self) -> Result<u64, Box<dyn Error>> {
        self.status("VmRSS:")
    }

    /// The most bytes in memory so far, since [`forget_peak`](Process::forget_peak).
    pub(super) fn peak(&self) -> Result<u64, Box<dyn Error>> {
        self.status("VmHWM:")
    }

    pub(super) fn forget_peak(&self) -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.id()?), "5")?)
    }

    fn status(&self, name: &str) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("the system does not tell")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib << 10)
    }

    fn id(&self) -> Result<u32, Box<dyn Error>> {
        Ok(self.child.id().ok_or("the worker has ended")?)
    }
}

impl Seen {
    fn note(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Given { shard, records, first, last } => {
                let given = self.given.entry(shard.clone()).or_default();
                // Numbers of one stream have the same length.
                if (first.len(), &first) <= (given.last.len(), &given.last) {
                    return Err(format!("{shard} was given {first} after {}", given.last));
                }
                given.records += records;
                given.last = last;
            }
            Line::Stopped { shard } => drop(self.stopped.insert(shard)),
            Line::Slow { shard, what } => drop(self.slow.insert((shard, what))),
            Line::Lost { shard, why } => self.lost.push(format!("{shard} {why}")),
        }
        Ok(())
    }

    /// Whether each of so many shards was given so many records.
    pub(super) fn each_was_given(&self, shards: std::ops::Range<usize>, records: usize) -> bool {
        let names = shards.map(|index| format!("shardId-{index:012}"));
        names.into_iter().all(|name| self.given.get(&name).is_some_and(|given| given.records >= records))
    }
}
