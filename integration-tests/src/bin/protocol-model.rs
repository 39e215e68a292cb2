//! Explores the models of the coordination protocol and says how far.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use integration_tests::protocol::check::Found;
use integration_tests::protocol::rule::Rule;
use integration_tests::protocol::run::{self, Run};

/// Explores the models of the coordination protocol: with every rule no promise is broken, without a rule the shortest
/// way to a broken promise is printed. docs/protocol.md has the rules in words.
///
/// Exit code: 0 if everything is as it must be, 1 if not, 2 if it was called wrongly.
#[derive(Debug, Parser)]
#[command(name = "protocol-model")]
struct Arguments {
    /// Take this rule out, and only show what comes of it; `list` prints the rules.
    #[arg(long, value_name = "RULE")]
    without: Option<String>,
    /// Leave out what takes more than a moment.
    #[arg(long)]
    quick: bool,
    /// Explore with so many threads.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match explore(&arguments) {
        Ok(code) => code,
        // Whoever reads the output has left.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("protocol-model: {error}");
            ExitCode::from(2)
        }
    }
}

fn explore(arguments: &Arguments) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let rule = match arguments.without.as_deref() {
        Some("list") => {
            for rule in Rule::ALL {
                writeln!(out, "{rule}")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        Some(name) => match Rule::named(name) {
            Some(rule) => Some(rule),
            None => {
                eprintln!("protocol-model: there is no rule {name:?}; --without list prints them");
                return Ok(ExitCode::from(2));
            }
        },
        None => None,
    };
    let asked = |run: &Run| rule.is_none_or(|rule| run.without.contains(&rule)) && (run.quick || !arguments.quick);
    let (mut runs, mut states, mut wrong) = (0_usize, 0_usize, 0_usize);
    for run in run::all().iter().filter(|run| asked(run)) {
        let (found, seconds) = timed(|| run.explore(usize::from(arguments.threads)));
        runs += 1;
        states += found.states;
        tell(&mut out, run, &found, seconds)?;
        if !run.is_as_expected(&found) {
            wrong += 1;
            let expected =
                run.breaks.map_or("nothing broken".to_owned(), |breaks| format!("broken: {}", breaks.promise()));
            writeln!(out, "UNEXPECTED; it should have been: {expected}")?;
        }
        out.flush()?;
    }
    writeln!(out, "runs={runs} states={states} unexpected={wrong}")?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn tell(out: &mut impl Write, run: &Run, found: &Found, seconds: f64) -> io::Result<()> {
    let Found { states, steps, depth, broken } = found;
    write!(out, "\n{}", run.name)?;
    for rule in run.without {
        write!(out, " without {rule}")?;
    }
    if !run.why.is_empty() {
        write!(out, ": {}", run.why)?;
    }
    writeln!(out, "\n  bounds: {}", run.bounds)?;
    writeln!(out, "  {states} states, {steps} steps, depth {depth}, {seconds:.1} s")?;
    broken.iter().try_for_each(|trace| write!(out, "{trace}"))
}

#[expect(clippy::disallowed_methods, reason = "it says how long an exploration took, which is the point of a limit")]
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed().as_secs_f64())
}
