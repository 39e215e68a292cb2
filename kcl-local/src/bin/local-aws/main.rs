//! Kinesis and DynamoDB on two ports of this machine.

mod arguments;
mod bundle;
mod signals;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use arguments::{Arguments, StreamArgument};
use bundle::Bundle;
use clap::Parser;
use kcl_local::{
    Addresses, DataFolder, FaultPlan, Limits, LocalAws, LocalDynamoDb, LocalKinesis, Settings, StartError, WallClock,
    parse_faults,
};
use signals::{Request, Signals};

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
    let (kinesis, dynamodb) = match &arguments.data {
        None => (LocalKinesis::with_settings(settings, Arc::new(WallClock)), LocalDynamoDb::in_memory()?),
        Some(path) => {
            let folder = DataFolder::open(path).context("--data")?;
            for torn in folder.torn_tails() {
                let (bytes, file) = (torn.bytes, torn.file.display());
                eprintln!("local-aws: {file}: cut {bytes} bytes at the end that were never acknowledged");
            }
            let kinesis = LocalKinesis::open(&folder, settings, Arc::new(WallClock)).context("--data")?;
            (kinesis, LocalDynamoDb::open(&folder, Arc::new(WallClock)).context("--data")?)
        }
    };
    for StreamArgument { name, shards } in &arguments.streams {
        // Those from before go on as they are.
        if arguments.data.is_none() || kinesis.stream_status(name).is_err() {
            kinesis.create_stream(name, *shards).with_context(|| format!("--stream {name}={shards}"))?;
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(serve(arguments, kinesis, dynamodb))
}

async fn serve(arguments: Arguments, kinesis: LocalKinesis, dynamodb: LocalDynamoDb) -> anyhow::Result<()> {
    let addresses = Addresses {
        kinesis: SocketAddr::new(arguments.host, arguments.kinesis_port),
        dynamodb: SocketAddr::new(arguments.host, arguments.dynamodb_port),
    };
    // Before the ports are announced: who reads them may send a signal at once.
    let mut signals = Signals::listen().context("listen for signals")?;
    let plan = arguments.faults.as_deref().map(read_faults).transpose()?;
    let bundle = arguments.tls.then(|| Bundle::make(arguments.data.as_deref())).transpose()?;
    let started = match &bundle {
        Some(Bundle { tls, .. }) => LocalAws::start_tls(kinesis, dynamodb, addresses, tls.clone()).await,
        None => LocalAws::start_with(kinesis, dynamodb, addresses).await,
    };
    let mut aws = started.map_err(with_cure)?;
    if let Some(plan) = plan {
        set_faults(&aws, &plan);
    }
    announce(&aws, bundle.as_ref()).context("print the environment on standard output")?;
    loop {
        tokio::select! {
            biased;
            request = signals.next() => match request {
                Request::End => break,
                Request::Reload => reload_faults(&aws, arguments.faults.as_deref()),
            },
            outcome = aws.failed() => outcome.context("a server failed")?,
        }
    }
    aws.stop().await;
    Ok(())
}

fn read_faults(file: &Path) -> anyhow::Result<FaultPlan> {
    let about = || format!("--faults {}", file.display());
    let text = std::fs::read_to_string(file).with_context(about)?;
    parse_faults(&text).with_context(about)
}

fn set_faults(aws: &LocalAws, plan: &FaultPlan) {
    aws.kinesis().faults().set(plan.clone());
    aws.dynamodb().faults().set(plan.clone());
}

/// Says on standard error what became of it. A file with a mistake changes nothing: the rules stay as they were.
fn reload_faults(aws: &LocalAws, file: Option<&Path>) {
    let Some(file) = file else {
        eprintln!("local-aws: SIGHUP changes nothing: there is no --faults FILE to read again");
        return;
    };
    match read_faults(file) {
        Ok(plan) => {
            set_faults(aws, &plan);
            eprintln!("local-aws: {} rules from {}", plan.rules.len(), file.display());
        }
        Err(error) => eprintln!("local-aws: {error:#}; the rules from before stay"),
    }
}

fn announce(aws: &LocalAws, bundle: Option<&Bundle>) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for (name, value) in aws.environment() {
        writeln!(out, "export {name}={value}")?;
    }
    if let Some(Bundle { path, .. }) = bundle {
        writeln!(out, "export AWS_CA_BUNDLE={}", path.display())?;
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
