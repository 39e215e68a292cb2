//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Parser;

/// Kinesis and DynamoDB on this machine.
///
/// When both answer, prints `export NAME=value` lines for clients on standard output, and stays until SIGINT or SIGTERM.
/// Logs go to standard error; RUST_LOG says how much.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// The address to listen on; 0.0.0.0 for clients on other machines
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) host: IpAddr,
    /// The port of Kinesis; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 4568)]
    pub(crate) kinesis_port: u16,
    /// The port of DynamoDB; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub(crate) dynamodb_port: u16,
    /// A folder for the data of both services; without it all data is in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Speak TLS on both ports; prints the path of the authority to trust as AWS_CA_BUNDLE
    #[arg(long)]
    pub(crate) tls: bool,
    /// Throttle as the service does: per shard 1,000 records and 1 MiB per second in, 5 reads and 2 MiB per second out
    #[arg(long)]
    pub(crate) limits: bool,
    /// A TOML file of fault rules, read again on SIGHUP; the README of the crate describes it
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// A stream to create at the start, such as orders=4; may be given several times
    #[arg(long = "stream", value_name = "NAME=SHARDS")]
    pub(crate) streams: Vec<StreamArgument>,
}

#[derive(Debug, Clone)]
pub(crate) struct StreamArgument {
    pub(crate) name: String,
    pub(crate) shards: u32,
}

impl FromStr for StreamArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "write NAME=SHARDS, such as orders=4";
        let (name, shards) = text.split_once('=').ok_or_else(|| format!("it has no '=': {form}"))?;
        let shards = shards.parse().map_err(|_| format!("'{shards}' is not a number of shards: {form}"))?;
        Ok(Self { name: name.to_owned(), shards })
    }
}
