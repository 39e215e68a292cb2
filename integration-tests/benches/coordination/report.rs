//! Tables in Markdown, printed line by line as they are measured.

use integration_tests::budgets::{Budget, Cost, Figures};

pub(crate) fn begin(heading: &str) {
    println!("\n## {heading} (failover time 10 s, 20 ms per call, virtual time)\n");
    println!("| row | event | samples | mean | p50 | p99 | max | budget | |");
    println!("|---|---|--:|--:|--:|--:|--:|---|---|");
}

/// Prints a row; false if its budget is broken.
pub(crate) fn line(budget: &Budget, figures: &Figures) -> bool {
    let Figures { samples, mean, p50, p99, max } = figures;
    let unit = budget.unit;
    let limits: Vec<String> =
        budget.limits.iter().map(|limit| format!("{limit} {unit}").trim_end().to_owned()).collect();
    let holds = budget.limits.iter().all(|limit| limit.holds(figures));
    let verdict = match (budget.limits.is_empty(), holds) {
        (true, _) => "",
        (false, true) => "holds",
        (false, false) => "BROKEN",
    };
    println!(
        "| {} | {} | {samples} | {mean:.2} | {p50:.2} | {p99:.2} | {max:.2} | {} | {verdict} |",
        budget.name,
        budget.event,
        limits.join(", ")
    );
    holds
}

pub(crate) fn begin_costs() {
    println!("\n## DynamoDB, per lease and minute, in steady state\n");
    println!("Failed: writes whose condition did not hold. Units: capacity units. Rows: writes of workers' rows.\n");
    println!(
        "| leases | workers | renewals | with a position | moves | rows | leader row | failed | write units | gets | pages | read units |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

pub(crate) fn cost(cost: &Cost) {
    let figures = [
        cost.renewals,
        cost.checkpoints,
        cost.changes,
        cost.worker_rows,
        cost.leader_row,
        cost.failed,
        cost.write_units,
        cost.gets,
        cost.pages,
        cost.read_units,
    ];
    let per_lease: Vec<String> = figures.iter().map(|figure| format!("{:.2}", figure / cost.leases as f64)).collect();
    println!("| {} | {} | {} |", cost.leases, cost.workers, per_lease.join(" | "));
}
