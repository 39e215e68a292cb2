//! What the worker prints: one line for what it was given, and one for what happened.

use std::fmt;
use std::str::FromStr;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// A batch was processed.
    Given { shard: String, records: usize, first: String, last: String },
    /// The sink stops at this shard.
    Stopped { shard: String },
    /// A shard waits for user code, or for memory, and the watchdog says so.
    Slow { shard: String, what: String },
    /// A lease is gone, or its shard began anew: neither may happen.
    Lost { shard: String, why: String },
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Given { shard, records, first, last } => write!(f, "given {shard} {records} {first} {last}"),
            Line::Stopped { shard } => write!(f, "stopped {shard}"),
            Line::Slow { shard, what } => write!(f, "slow {shard} {what}"),
            Line::Lost { shard, why } => write!(f, "lost {shard} {why}"),
        }
    }
}

impl FromStr for Line {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let strange = || format!("{text:?} is no line of the worker");
        let (kind, rest) = text.split_once(' ').ok_or_else(strange)?;
        let (shard, rest) = rest.split_once(' ').unwrap_or((rest, ""));
        let shard = shard.to_owned();
        Ok(match kind {
            "given" => {
                let mut parts = rest.split(' ').map(str::to_owned);
                let mut part = || parts.next().ok_or_else(strange);
                let records = part()?.parse().map_err(|_| strange())?;
                Line::Given { shard, records, first: part()?, last: part()? }
            }
            "stopped" => Line::Stopped { shard },
            "slow" => Line::Slow { shard, what: rest.to_owned() },
            "lost" => Line::Lost { shard, why: rest.to_owned() },
            _ => return Err(strange()),
        })
    }
}
