//! Measures the memory of a worker whose sink has stopped.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use integration_tests::stopped_sink::{self, Course, SINK};
use kcl_examples::common::program;

/// Fills a stream, lets the sink of a worker stop at most of its shards, and says how much memory the worker takes then.
///
/// The worker runs in a process of its own. Ends with exit code 1 if it takes more than the budget and a tenth, loses a lease,
/// or begins a shard anew.
#[derive(Debug, Parser)]
#[command(name = "stopped-sink")]
struct Arguments {
    /// How the worker reads: polling, fanout or auto.
    #[arg(long, default_value = "polling", value_parser = ["polling", "fanout", "auto"])]
    reader: String,
    /// Servers without TLS: then each call has a connection to itself.
    #[arg(long)]
    plain: bool,
    /// Shards of the stream.
    #[arg(long, default_value_t = 64)]
    shards: usize,
    /// At how many of them the sink stops.
    #[arg(long, default_value_t = 60)]
    stopped: usize,
    /// What the worker may hold, in MiB.
    #[arg(long, default_value_t = 256)]
    budget: u64,
    /// How much is put into the shards at which the sink stops, in MiB.
    #[arg(long, default_value_t = 1_024)]
    backlog: u64,
    /// The size of a record, in bytes.
    #[arg(long, default_value_t = 1_024)]
    record: usize,
    /// For how many seconds the sink stands still while the other shards are read.
    #[arg(long, default_value_t = 120)]
    seconds: usize,
    /// Lets the sink go on afterwards, until everything is read.
    #[arg(long)]
    goes_on: bool,
}

fn main() -> ExitCode {
    program::run("stopped-sink", async {
        if let Ok(stopped) = std::env::var(SINK) {
            return stopped_sink::run_sink(stopped.parse()?).await.map_err(told);
        }
        measure(&Arguments::parse()).await
    })
}

async fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let course = Course {
        reader: arguments.reader.clone(),
        is_tls: !arguments.plain,
        shards: arguments.shards,
        stopped: arguments.stopped,
        budget: arguments.budget << 20,
        backlog: arguments.backlog << 20,
        record: arguments.record,
        rounds: arguments.seconds.max(5),
        pause: if arguments.seconds == 0 { Duration::ZERO } else { Duration::from_secs(1) },
        goes_on: arguments.goes_on,
    };
    let outcome = stopped_sink::run(&course).await.map_err(told)?;
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    println!(
        "reader={} tls={} shards={} stopped={} record={} budget_mib={} idle_mib={:.1} peak_mib={:.1} peak_afterwards_mib={:.1} \
         of_budget={:.3} delivered_meanwhile={} told_slow={} mishaps={}",
        course.reader,
        course.is_tls,
        course.shards,
        course.stopped,
        course.record,
        arguments.budget,
        mib(outcome.idle),
        mib(outcome.peak),
        mib(outcome.peak_afterwards.unwrap_or_default()),
        outcome.of_budget(course.budget),
        outcome.delivered_meanwhile,
        outcome.told_slow,
        outcome.mishaps.len(),
    );
    anyhow::ensure!(outcome.mishaps.is_empty(), "{}", outcome.mishaps.join(", "));
    anyhow::ensure!(outcome.of_budget(course.budget) <= 1.1, "it takes more than the budget and a tenth");
    Ok(())
}

fn told(error: Box<dyn std::error::Error>) -> anyhow::Error {
    anyhow::anyhow!("{error}")
}
