//! Programs as processes, and the services they talk to.
#![allow(dead_code, reason = "no test file needs all of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, Tls};
use serde_json::Value;
use tokio::runtime::Runtime;

pub(crate) const CONSUME: &str = env!("CARGO_BIN_EXE_consume");
pub(crate) const PRODUCE: &str = env!("CARGO_BIN_EXE_produce");
pub(crate) const QUICKSTART: &str = env!("CARGO_BIN_EXE_quickstart");

/// Kinesis and DynamoDB on two ports.
pub(crate) struct Services {
    pub(crate) aws: LocalAws,
    runtime: Runtime,
}

impl Services {
    /// Services with a stream called `orders`.
    pub(crate) fn with_stream(shards: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let aws = runtime.block_on(LocalAws::start()).unwrap();
        aws.kinesis().create_stream("orders", shards).unwrap();
        Self { aws, runtime }
    }

    /// The same behind TLS.
    pub(crate) fn secure(shards: u32, tls: &Tls) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (kinesis, dynamodb) = (LocalKinesis::new(), LocalDynamoDb::in_memory().unwrap());
        kinesis.create_stream("orders", shards).unwrap();
        let started = LocalAws::start_tls(kinesis, dynamodb, Addresses::default(), tls.clone());
        let aws = runtime.block_on(started).unwrap();
        Self { aws, runtime }
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Puts records whose data is a number, and returns their sequence numbers.
    pub(crate) fn put(&self, numbers: std::ops::Range<u32>) -> Vec<String> {
        let put = |number: u32| self.aws.kinesis().put_record("orders", &number.to_string(), number.to_string());
        numbers.map(|number| put(number).unwrap().sequence_number.to_string()).collect()
    }

    /// `consume` of this stream and application, with leases in DynamoDB.
    pub(crate) fn consume(&self, app: &str, flags: &[&str]) -> Command {
        let mut command = program(CONSUME);
        command.args(["--stream", "orders", "--app", app]);
        command.args(["--kinesis-endpoint", &self.aws.kinesis_endpoint()]);
        command.args(["--dynamodb-endpoint", &self.aws.dynamodb_endpoint()]);
        command.args(["--read-limit", "none", "--idle-interval", "20ms", "--failover-time", "10s"]).args(flags);
        command
    }

    /// `produce` to this stream.
    pub(crate) fn produce(&self, flags: &[&str]) -> Command {
        let mut command = program(PRODUCE);
        command.args(["--stream", "orders", "--kinesis-endpoint", &self.aws.kinesis_endpoint()]).args(flags);
        command
    }
}

/// A program whose environment says nothing about AWS or settings.
pub(crate) fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("AWS_") || name.starts_with("KCL_") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

/// What a program that has ended left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs a program to its end, with this on its standard input.
pub(crate) fn run(mut command: Command, input: &[u8]) -> Ended {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // A program that refuses its flags does not read.
    let _closed = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A program that runs, line by line.
pub(crate) struct Running {
    child: Child,
    lines: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let lines = child.stdout.take().map(BufReader::new);
        Self { child, lines }
    }

    /// The next line as JSON; none at the end.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.as_mut().unwrap().read_line(&mut line).unwrap();
        (read > 0).then(|| serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")))
    }

    /// The next line with this event.
    pub(crate) fn next_event(&mut self, event: &str) -> Value {
        loop {
            let line = self.next().unwrap_or_else(|| panic!("it ended before {event}"));
            if line["event"] == event {
                return line;
            }
        }
    }

    /// Closes the pipe from which its output is read.
    pub(crate) fn stop_reading(&mut self) {
        self.lines = None;
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; returns what it printed until then.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        if let Some(mut lines) = self.lines.take() {
            lines.read_to_string(&mut rest).unwrap();
        }
        (self.child.wait().unwrap(), rest)
    }
}

/// Nothing outlives a test that failed.
impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}
