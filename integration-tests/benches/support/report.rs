//! Rows of a table, each with its budget.

use std::process::ExitCode;

/// What was measured, row by row.
#[derive(Debug, Default)]
pub(crate) struct Report {
    broken: usize,
}

/// How a row is judged.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Budget {
    /// The framework takes at most so many percent more than the plain loop.
    Percent(f64),
    /// The framework takes at most so much more than the plain loop, in the unit of the row.
    Above(f64),
}

impl Report {
    pub(crate) fn new() -> Self {
        Report::default()
    }

    /// Begins a table.
    pub(crate) fn title(&self, title: &str) {
        println!("\n{title}");
        println!("{:<44} {:>11} {:>11} {:>9}  budget", "", "plain SDK", "framework", "more");
    }

    /// One row, in `unit`.
    pub(crate) fn row(&mut self, name: &str, unit: &str, plain: f64, framework: f64, budget: Budget) {
        let percent = (framework / plain - 1.0) * 100.0;
        let above = framework - plain;
        let (more, limit, holds) = match budget {
            Budget::Percent(most) => (format!("{percent:+.1} %"), format!("{most:+.0} %"), percent <= most),
            Budget::Above(most) => (format!("{above:+.1}"), format!("{most:+.0} {unit}"), above <= most),
        };
        let word = if holds { "holds" } else { "BROKEN" };
        self.broken += usize::from(!holds);
        let name = format!("{name} [{unit}]");
        println!("{name:<44} {plain:>11.1} {framework:>11.1} {more:>9}  {limit}  {word}");
    }

    /// Something worth knowing.
    pub(crate) fn note(&self, text: &str) {
        println!("  {text}");
    }

    /// The last line; the program fails if a budget is broken.
    pub(crate) fn end(self) -> ExitCode {
        match self.broken {
            0 => {
                println!("\nall budgets hold");
                ExitCode::SUCCESS
            }
            broken => {
                println!("\n{broken} budgets BROKEN");
                ExitCode::FAILURE
            }
        }
    }
}

/// The middle one of some values.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
