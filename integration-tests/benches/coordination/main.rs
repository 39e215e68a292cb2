//! Prints what coordination takes and costs, in virtual time, and whether the budgets hold.
//!
//! `cargo bench -p integration-tests --bench coordination -- [--seeds N] [--row NAME] [--quick]`

mod arguments;
mod report;

use std::process::ExitCode;

use arguments::Arguments;
use clap::Parser;
use integration_tests::budgets::{self, BESIDES, BUDGETS, Budget, Stuck};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match measure(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(stuck) => {
            eprintln!("coordination: {stuck}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what was asked for; false if a budget is broken.
fn measure(arguments: &Arguments) -> Result<bool, Stuck> {
    let mut all_hold = true;
    for (heading, budgets) in [("Budgets", BUDGETS), ("Besides", BESIDES)] {
        let wanted: Vec<&Budget> = budgets.iter().filter(|budget| arguments.wants(budget.name)).collect();
        if !wanted.is_empty() {
            report::begin(heading);
        }
        for budget in wanted {
            let figures = budget.measure(arguments.seeds_of(budget.effort))?;
            all_hold &= report::line(budget, &figures);
        }
    }
    if arguments.wants("cost") {
        report::begin_costs();
        for (leases, workers) in arguments.sizes() {
            report::cost(&budgets::cost(1, leases, workers)?);
        }
    }
    Ok(all_hold)
}
