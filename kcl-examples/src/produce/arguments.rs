//! The flags.

use std::num::{NonZeroU32, NonZeroUsize};

use clap::Parser;
use kcl_core::types::StreamId;
use regex::bytes::Regex;

use crate::common::aws::KinesisEndpoint;
use crate::common::input::Input;
use crate::common::trust::TrustFlags;

/// Puts the lines of a file or of standard input to a stream, one record each.
///
/// A line is bytes and may be empty; its newline is left out. Lines with one partition key arrive in their order. Progress
/// goes to standard error; at the end one line on standard output says
/// "produced records=N bytes=N retried=N seconds=S".
#[derive(Debug, Parser)]
#[command(name = "produce", version)]
pub(super) struct Arguments {
    /// The stream, by name or ARN
    #[arg(long, value_name = "NAME|ARN")]
    pub(super) stream: StreamId,
    /// The file to read, or - for standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(super) input: Input,
    /// Picks the partition key from a line: the first group, or the whole match. Without, or without a match: a hash of the line
    #[arg(long, value_name = "REGEX")]
    pub(super) key_regex: Option<Regex>,
    /// Hold input back to so many lines per second
    #[arg(long, value_name = "COUNT")]
    pub(super) rate: Option<NonZeroU32>,
    /// Pack records into aggregates, as the Kinesis Producer Library does: small records then cost a fraction
    #[arg(long)]
    pub(super) aggregate: bool,
    /// How many calls may be under way at a time
    #[arg(long, value_name = "COUNT", default_value = "4")]
    pub(super) calls: NonZeroUsize,
    /// Create the stream with so many shards if it does not exist
    #[arg(long, value_name = "COUNT")]
    pub(super) create_shards: Option<NonZeroU32>,
    #[command(flatten)]
    pub(super) kinesis: KinesisEndpoint,
    #[command(flatten)]
    pub(super) trust: TrustFlags,
    /// What to log on standard error, as in RUST_LOG
    #[arg(long, value_name = "FILTER")]
    pub(super) log: Option<String>,
}
