//! The flags.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use clap::Parser;
use kcl_core::settings::{ReadLimit, ReaderKind, parse_duration};
use regex::bytes::Regex;

use super::fleet::FleetSettings;
use crate::common::input::Input;
use crate::common::program::Usage;

/// A stream, its records and a fleet of workers in one process: no account, no network.
///
/// Creates a stream in an embedded Kinesis, feeds it, and lets the workers of one application share its shards through
/// leases in an embedded DynamoDB, until every record was read. Shows on standard error who reads what. Ends with one line
/// on standard output, "summary put=N read=N distinct=N duplicated=N missing=N workers=N shards=N seconds=S", and with code
/// 0 only if nothing is missing. Records are counted by shard and sequence number, as the put answered.
#[derive(Debug, Parser)]
#[command(name = "quickstart", version)]
pub(super) struct Arguments {
    /// Feed the lines of this file, or of standard input with -, instead of made-up ones
    #[arg(long, value_name = "FILE")]
    pub(super) input: Option<Input>,
    /// How many lines to make up [default: 20000]
    #[arg(long, value_name = "COUNT", conflicts_with = "input")]
    pub(super) records: Option<NonZeroU64>,
    /// Picks the partition key from a line: the first group, or the whole match. Without, or without a match: a hash of the line
    #[arg(long, value_name = "REGEX")]
    pub(super) key_regex: Option<Regex>,
    /// Hold the feed back to so many records per second [default: 4000 for made-up lines, no limit for others]
    #[arg(long, value_name = "COUNT")]
    pub(super) rate: Option<NonZeroU32>,
    /// How many shards the stream has
    #[arg(long, value_name = "COUNT", default_value = "6")]
    pub(super) shards: NonZeroU32,
    /// How many workers share them
    #[arg(long, value_name = "COUNT", default_value = "2")]
    pub(super) workers: NonZeroUsize,
    /// Kill one worker this long after the first record was read, as SIGKILL would; the run then lasts at least until the
    /// others have its shards
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub(super) kill_after: Option<Duration>,
    /// How long a worker may be silent before others take its leases; short here, so that a take-over is soon seen
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = parse_duration)]
    pub(super) failover_time: Duration,
    /// How workers read: by asking, by enhanced fan-out, or by what can be had
    #[arg(long, value_name = "polling|fanout|auto", default_value = "polling")]
    pub(super) reader: ReaderKind,
    /// Whether workers keep to the read limits of the real service: service or none
    #[arg(long, value_name = "service|none", default_value = "none", value_parser = read_limit)]
    pub(super) read_limit: ReadLimit,
    /// What to log on standard error, as in RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
}

impl Arguments {
    /// What no single flag can say about itself.
    pub(super) fn check(&self) -> Result<(), Usage> {
        if self.kill_after.is_some() && self.workers.get() == 1 {
            return Err(Usage("--kill-after needs another worker that takes over: give --workers 2 or more".into()));
        }
        self.fleet().check()
    }

    /// How all workers are set.
    pub(super) fn fleet(&self) -> FleetSettings {
        let &Arguments { failover_time, reader, read_limit, .. } = self;
        FleetSettings { workers: self.workers.get(), failover_time, reader, read_limit }
    }
}

fn read_limit(text: &str) -> Result<ReadLimit, String> {
    match text {
        "service" => Ok(ReadLimit::Service),
        "none" => Ok(ReadLimit::None),
        _ => Err("choose service or none".to_owned()),
    }
}
