//! Runs whole fleets in virtual time, one per seed, and says which promises they break.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use integration_tests::sim::{self, Faults, Options, Reader, Report, Variant};

/// Runs whole fleets of real workers in virtual time, one per seed, and checks every promise at every step.
///
/// Ends with `seeds=N violations=N events=N`. Exit code: 0 without violations, 1 with, 2 if it was called wrongly.
#[derive(Debug, Parser)]
#[command(name = "fleet-sim")]
struct Arguments {
    /// The seeds: `A..B`, both ends included, or one.
    #[arg(long, value_parser = seeds, default_value = "1..100")]
    seeds: RangeInclusive<u64>,
    /// How many workers begin; without it each seed says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=50))]
    workers: Option<u32>,
    /// How many shards the stream begins with; without it each seed says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=200))]
    shards: Option<u32>,
    /// What reads the stream: `model`, or the library's `polling`, `fanout` or `auto`; without it each seed says.
    #[arg(long)]
    reader: Option<Reader>,
    /// Which kinds of faults may happen: `all`, `none`, or some, with commas between.
    #[arg(long, default_value = "all")]
    faults: Faults,
    /// Break the protocol on purpose; `list` prints the ways.
    #[arg(long = "break", value_name = "VARIANT")]
    variant: Option<Break>,
    /// Write down everything that happens.
    #[arg(long)]
    log: Option<PathBuf>,
    /// Run this many seeds at a time, each on a thread of its own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
}

#[derive(Debug, Clone, Copy)]
enum Break {
    List,
    Variant(Variant),
}

impl std::str::FromStr for Break {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "list" { Ok(Break::List) } else { text.parse().map(Break::Variant) }
    }
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no seed: {error}"));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..=last) } else { Err(format!("{first} lies above {last}: say A..B with A <= B")) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.variant {
        Some(Break::List) => list(),
        Some(Break::Variant(variant)) => simulate(&arguments, Some(variant)),
        None => simulate(&arguments, None),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fleet-sim: {error}");
            ExitCode::from(2)
        }
    }
}

fn list() -> io::Result<u64> {
    let mut out = io::stdout().lock();
    for variant in Variant::ALL {
        writeln!(out, "{:26}{}", variant.name(), variant.what().trim())?;
    }
    Ok(0)
}

/// Runs all seeds and tells of each that breaks a promise. Returns how many do.
fn simulate(arguments: &Arguments, variant: Option<Variant>) -> io::Result<u64> {
    let options = Options {
        workers: arguments.workers,
        shards: arguments.shards,
        reader: arguments.reader,
        faults: arguments.faults.clone(),
        variant,
        log: arguments.log.is_some(),
    };
    let mut log = arguments.log.as_ref().map(File::create).transpose()?.map(BufWriter::new);
    let (mut seeds, mut violations, mut events) = (0, 0, 0);
    let mut next = *arguments.seeds.start();
    while seeds < arguments.seeds.end() - arguments.seeds.start() + 1 {
        let last = next.saturating_add(u64::from(arguments.jobs) - 1).min(*arguments.seeds.end());
        for (seed, report) in run_together(next..=last, &options) {
            seeds += 1;
            events += report.events;
            if let Some(violation) = &report.violation {
                violations += 1;
                writeln!(io::stdout(), "seed {seed}: {violation}\n  again: {}", replay(seed, &options))?;
            }
            if let (Some(log), Some(lines)) = (&mut log, &report.log) {
                write!(log, "# seed {seed}\n{lines}")?;
            }
        }
        next = last.saturating_add(1);
    }
    if let Some(log) = &mut log {
        log.flush()?;
    }
    writeln!(io::stdout(), "seeds={seeds} violations={violations} events={events}")?;
    Ok(violations)
}

/// Each run is on one thread and shares nothing with the others; their reports come in the order of the seeds.
fn run_together(seeds: RangeInclusive<u64>, options: &Options) -> Vec<(u64, Report)> {
    if seeds.start() == seeds.end() {
        return vec![(*seeds.start(), sim::run(*seeds.start(), options))];
    }
    std::thread::scope(|scope| {
        let runs: Vec<_> = seeds.map(|seed| (seed, scope.spawn(move || sim::run(seed, options)))).collect();
        let report = |run: std::thread::ScopedJoinHandle<'_, Report>| match run.join() {
            Ok(report) => report,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        runs.into_iter().map(|(seed, run)| (seed, report(run))).collect()
    })
}

/// The command that runs the seed once more, with everything written down.
fn replay(seed: u64, options: &Options) -> String {
    let mut command =
        format!("cargo run --release --bin fleet-sim -- --seeds {seed}..{seed} --faults {}", options.faults);
    if let Some(workers) = options.workers {
        command += &format!(" --workers {workers}");
    }
    if let Some(shards) = options.shards {
        command += &format!(" --shards {shards}");
    }
    if let Some(reader) = options.reader {
        command += &format!(" --reader {}", reader.name());
    }
    if let Some(variant) = options.variant {
        command += &format!(" --break {variant}");
    }
    command + &format!(" --log seed-{seed}.log")
}
