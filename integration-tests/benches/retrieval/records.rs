//! CPU per record, from the body of an answer to user code.

use kcl_core::settings::ReaderKind;

use crate::canned::{Canned, Load, Shelf};
use crate::report::{Budget, Report, median};
use crate::rig::{Code, framework, plain_fan_out, plain_polling};

/// As many bytes for each size, in answers as they come from far behind, and what may be added.
const LOADS: [(&str, Load, Budget); 4] = [
    ("100 B", Load { answers: 48, records: 2_000, bytes: 100 }, A_TENTH),
    ("1 KiB", Load { answers: 48, records: 500, bytes: 1 << 10 }, A_TENTH),
    ("100 KiB", Load { answers: 48, records: 8, bytes: 100 << 10 }, A_TENTH),
    // Of a quiet shard: what an answer costs counts for more.
    ("1 KiB, 10 an answer", Load { answers: 480, records: 10, bytes: (1 << 10) + 1 }, Budget::Percent(15.0)),
];

const A_TENTH: Budget = Budget::Percent(10.0);

pub(crate) fn measure(report: &mut Report, rounds: usize) {
    let mut shelf = Shelf::default();
    report.title("CPU per record, from the body of an answer to user code");
    for (name, load, budget) in LOADS {
        let canned = shelf.of(load);
        let polling = pairs(rounds, &canned, load, Code::Processor, ReaderKind::Polling);
        row(report, &format!("polling, {name}"), polling, budget);
        let pushed = pairs(rounds, &canned, load, Code::Processor, ReaderKind::FanOut);
        row(report, &format!("fan-out, {name}"), pushed, budget);
    }
    report.title("the same with a function that is called for each record");
    for (name, load, budget) in LOADS.into_iter().take(3) {
        let polling = pairs(rounds, &shelf.of(load), load, Code::Function, ReaderKind::Polling);
        row(report, &format!("polling, {name}"), polling, budget);
    }
}

/// Rounds that take turns, so that whatever else the machine does meets both.
fn pairs(rounds: usize, canned: &Canned, load: Load, code: Code, reader: ReaderKind) -> Vec<(f64, f64)> {
    let plain = || match reader {
        ReaderKind::FanOut => plain_fan_out(canned, code, load.total()),
        _ => plain_polling(canned, code, load.total()),
    };
    // Neither side begins with cold caches.
    plain();
    framework(canned, reader, code, load.total());
    (0..rounds).map(|_| (plain().each(), framework(canned, reader, code, load.total()).each())).collect()
}

fn row(report: &mut Report, name: &str, pairs: Vec<(f64, f64)>, budget: Budget) {
    let plain = median(pairs.iter().map(|(plain, _)| *plain).collect());
    // The ratio of each pair, since the machine may have been slower in one of the rounds.
    let ratio = median(pairs.iter().map(|(plain, framework)| framework / plain).collect());
    report.row(name, "ns", plain, plain * ratio, budget);
}
