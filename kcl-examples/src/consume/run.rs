//! Start, signals and end.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::sqlite::SqliteStore;
use kcl_core::{
    BuildError, EventStream, ShardContext, Worker, WorkerBuilder, WorkerError, WorkerEvent, WorkerHandle, WorkerReport,
};

use super::arguments::{Arguments, Format, StoreChoice, wrong};
use super::count::Count;
use super::lines::{self, Names};
use super::output::{Closed, Output};
use super::printer::Printer;
use crate::common::aws;
use crate::common::program::say;
use crate::common::signals::Signals;

/// Runs the worker until a signal, until nobody reads its output, or until it fails.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // Installed first, so that a signal during the start is not missed.
    let mut signals = Signals::install().context("signals cannot be waited for")?;
    let (output, writer) = Output::start().context("the thread for standard output cannot be started")?;
    let count = Count::default();
    let started = tokio::select! {
        biased;
        signal = signals.next() => {
            tracing::info!(signal, "ends before it has started");
            return Ok(());
        }
        started = start(&arguments, &output, &count) => started,
    };
    let (handle, events) = started?;
    let outcome = serve(handle, events, &mut signals, &output, count, (arguments.output, arguments.names())).await;
    drop(output);
    match (writer.finish().await, outcome) {
        (Err(error), _) => Err(error).context(
            "standard output cannot be written, so the worker has stopped; what was not printed is not checkpointed, and \
             is printed at the next start",
        ),
        (Ok(()), outcome) => Ok(outcome.map(drop)?),
    }
}

async fn start(arguments: &Arguments, output: &Output, count: &Count) -> anyhow::Result<(WorkerHandle, EventStream)> {
    let printer =
        Printer { format: arguments.output, names: arguments.names(), output: output.clone(), count: count.clone() };
    let worker = Worker::builder(arguments.settings()?).processor(move |_: &ShardContext| printer.clone());
    let worker = match arguments.streams()? {
        Some(streams) => worker.streams(streams),
        None => worker,
    };
    let worker = with_components(worker, arguments).await?.build().map_err(|error| match error {
        BuildError::Settings(settings) => anyhow::Error::from(wrong(settings)),
        error => error.into(),
    })?;
    let events = worker.events();
    Ok((worker.start().await?, events))
}

async fn with_components(worker: WorkerBuilder, arguments: &Arguments) -> anyhow::Result<WorkerBuilder> {
    let Arguments { kinesis, dynamodb, trust, .. } = arguments;
    let mut endpoints = vec![kinesis.named()];
    if arguments.lease_store == StoreChoice::DynamoDb {
        endpoints.push(dynamodb.named());
    }
    let trusting = trust.read()?;
    let config = aws::configuration("consume", &endpoints, trusting.as_ref()).await?;
    let worker = worker.kinesis_client(kinesis.client(&config));
    let worker = match trusting {
        Some(trusting) => worker.subscribing_over(trusting.subscriptions),
        None => worker,
    };
    Ok(match &arguments.lease_store {
        StoreChoice::DynamoDb => worker.dynamodb_client(dynamodb.client(&config)),
        StoreChoice::Sqlite(path) => worker.store(SqliteStore::open(path)?),
        StoreChoice::Memory => worker.store(MemoryStore::new()),
    })
}

/// Lets the worker run, prints its events, and stops it when asked to or when nobody reads what it prints.
async fn serve(
    mut handle: WorkerHandle,
    mut events: EventStream,
    signals: &mut Signals,
    output: &Output,
    count: Count,
    (format, names): (Format, Names),
) -> Result<WorkerReport, WorkerError> {
    let told = AtomicU64::new(0);
    let outcome = {
        let mut announcing = std::pin::pin!(announce(&mut events, output, names));
        let mut announced = false;
        let mut counting = std::pin::pin!(count.tell(output, &told));
        let mut counted = format != Format::Counts;
        let mut stopping = false;
        let outcome = loop {
            tokio::select! {
                biased;
                outcome = handle.wait() => break outcome,
                signal = signals.next() => {
                    tracing::info!(signal, "{}", if stopping { "ends at once" } else { "stops" });
                    if stopping { handle.abort() } else { handle.stop() }
                    stopping = true;
                }
                () = output.closed(), if !stopping => {
                    handle.stop();
                    stopping = true;
                }
                _ended = &mut announcing, if !announced => announced = true,
                _ended = &mut counting, if !counted => counted = true,
            }
        };
        drop(handle);
        if !announced {
            let clock = SystemClock::new();
            // All events are sent; only a reader that has stopped reading holds them up.
            tokio::select! {
                _ended = announcing => {}
                () = clock.sleep_until(clock.now() + LAST_EVENTS) => {}
            }
        }
        outcome
    };
    if format == Format::Counts {
        // If it cannot be written, whoever finishes the output says so.
        let _closed = count.tell_now(output, &told).await;
    }
    outcome
}

/// Prints events until the last one.
async fn announce(events: &mut EventStream, output: &Output, names: Names) -> Result<(), Closed> {
    while let Some(event) = events.next().await {
        match event {
            Ok(WorkerEvent::Stopped) => break,
            Ok(event) => {
                if let Some(line) = lines::lease(&event, names) {
                    output.write(line).await?;
                }
            }
            Err(missed) => say("consume", format_args!("{missed}: standard output is read too slowly")),
        }
    }
    Ok(())
}

const LAST_EVENTS: Duration = Duration::from_secs(5);
