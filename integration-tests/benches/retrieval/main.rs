//! What reading through the framework costs beside a plain loop over the SDK, in one run: CPU per record, CPU of an empty
//! poll, aggregates, and the time from put to handler.
//!
//! `cargo bench -p integration-tests --bench retrieval [-- --only records|polls|aggregates|wire|latency] [--rounds N]`
//!
//! Method and results are in `docs/performance.md`.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time, and uses it")]

#[path = "../support/canned.rs"]
mod canned;
#[path = "../support/report.rs"]
mod report;
#[path = "../support/rig.rs"]
mod rig;

mod aggregates;
mod latency;
mod polls;
mod records;
mod wire;

use std::process::ExitCode;

use report::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| arguments.iter().position(|it| it == name).and_then(|at| arguments.get(at + 1)).cloned();
    if arguments.iter().any(|argument| argument == wire::SERVE) {
        wire::serve();
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` runs this program too, without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let only = value("--only");
    let rounds = value("--rounds").map_or(9, |rounds| rounds.parse().unwrap());
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let mut report = Report::new();
    if wanted("records") {
        records::measure(&mut report, rounds);
    }
    if wanted("polls") {
        polls::measure(&mut report, rounds);
    }
    if wanted("aggregates") {
        aggregates::measure(&mut report, rounds);
    }
    if wanted("wire") {
        wire::measure(&mut report, rounds);
    }
    if wanted("latency") {
        latency::measure(&mut report);
    }
    report.end()
}
