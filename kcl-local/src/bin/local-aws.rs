//! Kinesis and DynamoDB on two ports of this machine, in memory.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use kcl_local::{Addresses, Limits, LocalAws, LocalDynamoDb, LocalKinesis, Settings, StartError, WallClock};

/// Kinesis and DynamoDB on this machine, in memory.
///
/// When both answer, prints `export NAME=value` lines for clients on standard output, and stays until SIGINT or SIGTERM.
/// Logs go to standard error; RUST_LOG says how much.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on; 0.0.0.0 for clients on other machines
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// The port of Kinesis; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 4568)]
    kinesis_port: u16,
    /// The port of DynamoDB; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    dynamodb_port: u16,
    /// Throttle as the service does: per shard 1,000 records and 1 MiB per second in, 5 reads and 2 MiB per second out
    #[arg(long)]
    limits: bool,
    /// A stream to create at the start, such as orders=4; may be given several times
    #[arg(long = "stream", value_name = "NAME=SHARDS")]
    streams: Vec<StreamArgument>,
}

#[derive(Debug, Clone)]
struct StreamArgument {
    name: String,
    shards: u32,
}

impl FromStr for StreamArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "write NAME=SHARDS, such as orders=4";
        let (name, shards) = text.split_once('=').ok_or_else(|| format!("it has no '=': {form}"))?;
        let shards = shards.parse().map_err(|_| format!("'{shards}' is not a number of shards: {form}"))?;
        Ok(Self { name: name.to_owned(), shards })
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("local-aws: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    let limits = if arguments.limits { Limits::Service } else { Limits::Off };
    let settings = Settings { limits, ..Settings::default() };
    let kinesis = LocalKinesis::with_settings(settings, Arc::new(WallClock));
    for StreamArgument { name, shards } in &arguments.streams {
        kinesis.create_stream(name, *shards).with_context(|| format!("--stream {name}={shards}"))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(serve(arguments, kinesis))
}

async fn serve(arguments: Arguments, kinesis: LocalKinesis) -> anyhow::Result<()> {
    let addresses = Addresses {
        kinesis: SocketAddr::new(arguments.host, arguments.kinesis_port),
        dynamodb: SocketAddr::new(arguments.host, arguments.dynamodb_port),
    };
    // Before the ports are announced: who reads them may send a signal at once.
    let signal = Signal::listen().context("listen for signals")?;
    let started = LocalAws::start_with(kinesis, LocalDynamoDb::in_memory()?, addresses).await;
    let mut aws = started.map_err(with_cure)?;
    announce(&aws).context("print the environment on standard output")?;
    tokio::select! {
        () = signal.received() => {}
        outcome = aws.failed() => outcome.context("a server failed")?,
    }
    aws.stop().await;
    Ok(())
}

fn announce(aws: &LocalAws) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, value) in aws.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    out.flush()
}

fn with_cure(error: StartError) -> anyhow::Error {
    let cure = match &error {
        StartError::Listen { source, service, .. } => {
            let option = format!("--{}-port", service.to_lowercase());
            match source.kind() {
                ErrorKind::AddrInUse => {
                    Some(format!("another program has it: stop that, or choose another {option} (0 picks a free one)"))
                }
                ErrorKind::PermissionDenied => Some(format!("ports below 1024 are reserved: choose another {option}")),
                ErrorKind::AddrNotAvailable => {
                    Some("this machine has no such address: choose another --host".to_owned())
                }
                _ => None,
            }
        }
        _ => None,
    };
    match cure {
        Some(cure) => anyhow::anyhow!("{error}; {cure}"),
        None => error.into(),
    }
}

fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

/// The signals that end the program.
#[cfg(unix)]
struct Signal {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signal {
    fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn received(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The signals that end the program.
#[cfg(not(unix))]
struct Signal;

#[cfg(not(unix))]
impl Signal {
    fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    async fn received(self) {
        // Without a handler the program would end anyway, only less cleanly.
        let _ = tokio::signal::ctrl_c().await;
    }
}
