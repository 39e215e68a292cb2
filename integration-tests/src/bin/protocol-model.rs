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
/// Exit code: 0 if no promise is broken but where a rule is taken out, and there the one that the rule keeps; 1 if not. With
/// --without: 1 if a promise is broken, as must be, and 0 if none is. 2 if it was called wrongly.
///
/// Some worlds have millions of states: `cargo run --release` explores them within minutes.
#[derive(Debug, Parser)]
#[command(name = "protocol-model")]
struct Arguments {
    /// Take this rule out, alone or with those that stand before it, and show what comes of it; `list` prints the rules.
    #[arg(long, value_name = "RULE")]
    without: Option<String>,
    /// Explore only worlds whose name contains this: "inbox", "lineage", "leader lock", "lease".
    #[arg(long, value_name = "TEXT")]
    world: Option<String>,
    /// Leave out what takes more than a moment.
    #[arg(long)]
    quick: bool,
    /// Explore with so many threads.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    threads: u8,
}

impl Arguments {
    fn ask_for(&self, run: &Run, rule: Option<Rule>) -> bool {
        rule.is_none_or(|rule| run.without.contains(&rule))
            && self.world.as_ref().is_none_or(|world| run.name.contains(world.as_str()))
            && (run.quick || !self.quick)
    }
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
        Some("list") => return list(&mut out),
        Some(name) => match Rule::named(name) {
            Some(rule) => Some(rule),
            None => return wrong(&format!("there is no rule {name:?}; --without list prints them")),
        },
        None => None,
    };
    let runs: Vec<Run> = run::all().into_iter().filter(|run| arguments.ask_for(run, rule)).collect();
    if runs.is_empty() {
        return wrong("there is no such world");
    }
    let (mut states, mut broken, mut unexpected) = (0_usize, 0_usize, 0_usize);
    for run in &runs {
        let (found, seconds) = timed(|| run.explore(usize::from(arguments.threads)));
        states += found.states;
        broken += usize::from(!found.broken.is_empty());
        tell(&mut out, run, &found, seconds)?;
        if !run.is_as_expected(&found) {
            unexpected += 1;
            let expected =
                run.breaks.map_or("nothing broken".to_owned(), |breaks| format!("broken: {}", breaks.promise()));
            writeln!(out, "UNEXPECTED; it should have been: {expected}")?;
        }
        out.flush()?;
    }
    writeln!(out, "runs={} states={states} broken={broken} unexpected={unexpected}", runs.len())?;
    let good = if rule.is_some() { broken == 0 } else { unexpected == 0 };
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn wrong(what: &str) -> io::Result<ExitCode> {
    eprintln!("protocol-model: {what}");
    Ok(ExitCode::from(2))
}

/// Each rule, and which promises are broken without it, alone or together with which others.
fn list(out: &mut impl Write) -> io::Result<ExitCode> {
    let runs = run::all();
    for rule in Rule::ALL {
        writeln!(out, "{rule}")?;
        for run in runs.iter().filter(|run| run.without.contains(&rule)) {
            let promise = run.breaks.map_or("nothing is broken", |breaks| breaks.promise());
            let others: Vec<String> =
                run.without.iter().filter(|other| **other != rule).map(|other| format!(" and {other}")).collect();
            let not = if run.breaks.is_some() { "not kept without it" } else { "without it" };
            writeln!(out, "  {not}{}: {promise}", others.concat())?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
