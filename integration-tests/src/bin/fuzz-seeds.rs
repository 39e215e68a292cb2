//! Has everything that reads bytes from outside read inputs of chance, one for each seed.

use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use integration_tests::fuzzing::Target;

/// Has everything that reads bytes from outside read inputs of chance, one for each seed.
///
/// What fails is printed with the command that runs it once more. Ends with `inputs=N failures=N`. Exit code: 0 without
/// failures, 1 with, 2 if it was called wrongly. With coverage as a guide the same runs in the folder `fuzz`.
#[derive(Debug, Parser)]
#[command(name = "fuzz-seeds")]
struct Arguments {
    /// What reads them; without it, one after the other: aggregates, polls, subscriptions, rows.
    #[arg(long)]
    target: Option<Target>,
    /// The seeds: `A..B`, both ends included, or one.
    #[arg(long, value_parser = seeds, default_value = "1..1000")]
    seeds: RangeInclusive<u64>,
    /// Read these files instead, such as those that `cargo fuzz` leaves behind; needs a target.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "target")]
    inputs: Vec<PathBuf>,
    /// Write the inputs that all others are made of into this folder, one folder for each target, and end.
    #[arg(long, value_name = "FOLDER")]
    write_corpus: Option<PathBuf>,
}

fn seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?} is no seed: {error}"));
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    if first <= last { Ok(first..=last) } else { Err(format!("{first} lies above {last}: say A..B with A <= B")) }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.write_corpus {
        Some(folder) => write_corpus(folder).map(|()| 0),
        None => run(&arguments),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("fuzz-seeds: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all inputs and tells of each that fails. Returns how many do.
fn run(arguments: &Arguments) -> io::Result<u64> {
    let (mut inputs, mut failures) = (0, 0);
    let mut out = io::stdout();
    for target in arguments.target.map_or_else(|| Target::ALL.to_vec(), |target| vec![target]) {
        for file in &arguments.inputs {
            inputs += 1;
            if !holds(target, &std::fs::read(file)?) {
                failures += 1;
                writeln!(out, "{target}: {}", file.display())?;
            }
        }
        let chance = target.inputs();
        let seeds = if arguments.inputs.is_empty() { Some(arguments.seeds.clone()) } else { None };
        for seed in seeds.into_iter().flatten() {
            inputs += 1;
            let input = chance.of_seed(seed);
            if !holds(target, &input) {
                failures += 1;
                writeln!(out, "{}", input.escape_ascii())?;
                writeln!(
                    out,
                    "{target}, seed {seed}\n  again: cargo run --bin fuzz-seeds -- --target {target} --seeds {seed}"
                )?;
            }
        }
    }
    writeln!(out, "inputs={inputs} failures={failures}")?;
    Ok(failures)
}

/// Whether the target does what it should; if not, the panic says on standard error what it did.
fn holds(target: Target, bytes: &[u8]) -> bool {
    std::panic::catch_unwind(|| target.check(bytes)).is_ok()
}

fn write_corpus(folder: &Path) -> io::Result<()> {
    for target in Target::ALL {
        let folder = folder.join(target.name());
        std::fs::create_dir_all(&folder)?;
        for (number, bytes) in target.corpus().into_iter().enumerate() {
            std::fs::write(folder.join(format!("{number:03}")), bytes)?;
        }
    }
    Ok(())
}
