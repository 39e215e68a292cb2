//! The flags, and how they, the environment and a file become settings.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use kcl_core::Settings;
use kcl_core::settings::{
    AssignmentKind, Bytes, InitialPosition, InvalidSettings, ReadLimit, ReaderKind, parse_bytes, parse_duration,
};
use kcl_core::streams::StreamSet;
use kcl_core::types::StreamId;

use super::lines::Names;
use super::streams::StreamsFile;
use crate::common::aws::{DynamoDbEndpoint, KinesisEndpoint};
use crate::common::program::Usage;
use crate::common::trust::TrustFlags;

/// One worker of an application: reads its share of the shards of a stream, or of several, and prints what it is given as JSON lines.
///
/// Start it as often as you like with the same streams and --app: the workers share the shards. SIGTERM and Ctrl-C end it
/// after the batches in hand, with its leases given back. Settings come from flags, else from the environment
/// (KCL_FAILOVER_TIME and so on), else from the file. Durations are written like 10s, 500ms or 1m 30s.
#[derive(Debug, Parser)]
#[command(name = "consume", version)]
pub(super) struct Arguments {
    /// The stream, by name or ARN; several with commas between them, or the flag several times
    #[arg(long, value_name = "NAME|ARN", value_delimiter = ',')]
    stream: Vec<String>,
    /// A file that names the streams, one in a line, and may change while the program runs
    #[arg(long, value_name = "FILE", conflicts_with = "stream")]
    streams_file: Option<PathBuf>,
    /// How often that file is read again. Default: 1m
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    stream_set_interval: Option<Duration>,
    /// How long the leases of streams that are not named any more are kept. Default: 1h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    stream_grace: Option<Duration>,
    /// The application: workers of one name share the shards, and it names the lease table
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// The id of this worker, unique in the application. Default: host name and a random part
    #[arg(long, value_name = "ID")]
    worker_id: Option<String>,
    /// Where a shard without checkpoint is read from: trim-horizon (default), latest, or an instant like 2026-01-31T12:00:00Z
    #[arg(long, value_name = "trim-horizon|latest|RFC3339")]
    start: Option<InitialPosition>,
    /// How shards are read: by asking (default), by enhanced fan-out, or by what can be had
    #[arg(long, value_name = "polling|fanout|auto")]
    reader: Option<ReaderKind>,
    /// The registered consumer of enhanced fan-out. Default: one with the application's name, registered if need be
    #[arg(long, value_name = "NAME|ARN")]
    consumer: Option<String>,
    /// Where leases are kept
    #[arg(long, value_name = "dynamodb|sqlite:PATH|memory", default_value = "dynamodb")]
    pub(super) lease_store: StoreChoice,
    /// How long a worker may be silent before others take its leases; the same in all of them. Default: 10s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    failover_time: Option<Duration>,
    #[command(flatten)]
    pub(super) kinesis: KinesisEndpoint,
    #[command(flatten)]
    pub(super) dynamodb: DynamoDbEndpoint,
    #[command(flatten)]
    pub(super) trust: TrustFlags,
    /// What to print, besides gained, lost and released leases
    #[arg(long, value_enum, default_value_t = Format::Records)]
    pub(super) output: Format,
    /// Whether to keep to the service's read limits (default), or not, for servers without any
    #[arg(long, value_name = "service|none", value_parser = read_limit)]
    read_limit: Option<ReadLimit>,
    /// How long to wait at the tip of a shard before asking again. Default: 1s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    idle_interval: Option<Duration>,
    /// The lease table's name. Default: that of the application
    #[arg(long, value_name = "NAME")]
    table_name: Option<String>,
    /// How often positions are stored. Default: a third of the failover time
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    checkpoint_interval: Option<Duration>,
    /// How long a batch in hand may take at the end. Default: 20s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    drain_timeout: Option<Duration>,
    /// How long the start may wait for endpoints that do not answer. Default: 20s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    start_timeout: Option<Duration>,
    /// How leases are spread: as many for each worker (count, default), or as much to carry (load)
    #[arg(long, value_name = "count|load")]
    assignment: Option<AssignmentKind>,
    /// How much this worker takes in relation to the others, a weight. Default: 1
    #[arg(long, value_name = "WEIGHT")]
    capacity: Option<f64>,
    /// How many leases this worker holds at most. Default: no limit
    #[arg(long, value_name = "COUNT")]
    max_leases: Option<u64>,
    /// How much fetched data may be in memory, such as 64MiB. Default: 256MiB
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    read_ahead_bytes: Option<Bytes>,
    /// A TOML file with settings, named as in the library's documentation
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What to log on standard error, as in RUST_LOG
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A line for each record, with its data
    Records,
    /// A line for each batch
    Batches,
    /// The number of records so far, at most ten times a second
    Counts,
}

/// Where leases are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreChoice {
    DynamoDb,
    Sqlite(PathBuf),
    Memory,
}

impl FromStr for StoreChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "dynamodb" => Ok(StoreChoice::DynamoDb),
            "memory" => Ok(StoreChoice::Memory),
            _ => match text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
                Some(path) => Ok(StoreChoice::Sqlite(path.into())),
                None => Err("choose dynamodb, sqlite:PATH (such as sqlite:leases.db) or memory".to_owned()),
            },
        }
    }
}

impl Arguments {
    /// What to log, if it was said.
    pub(super) fn log(&self) -> Option<&str> {
        self.log.as_deref()
    }

    /// The settings of all three sources, flags before environment before file, checked: what is wrong with them is said
    /// before anything else is tried.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let file = match &self.config {
            Some(path) => {
                let named = || format!("the settings in {}", path.display());
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{} cannot be read; check --config", path.display()))?;
                toml::from_str(&text)
                    .map_err(|error| Usage(format!("{}: {}", named(), error.to_string().trim_end())))?
            }
            None => Settings::default(),
        };
        let several = self.reads_several();
        let environment = |name: &str| std::env::var(name).ok().filter(|_| !(several && name == "KCL_STREAM"));
        let settings = self.flags().or(Settings::from_variables(environment)).or(file);
        if !several {
            settings.clone().resolve().map_err(wrong)?;
        }
        Ok(settings)
    }

    /// Whether a set of streams is read, and not one.
    pub(super) fn reads_several(&self) -> bool {
        self.stream.len() > 1 || self.streams_file.is_some()
    }

    /// What lines name.
    pub(super) fn names(&self) -> Names {
        if self.reads_several() { Names::StreamAndShard } else { Names::Shard }
    }

    /// The set of streams, if it is one.
    pub(super) fn streams(&self) -> anyhow::Result<Option<StreamSet>> {
        if let Some(path) = &self.streams_file {
            return Ok(Some(StreamSet::provided(StreamsFile::new(path.clone()))));
        }
        if !self.reads_several() {
            return Ok(None);
        }
        let streams = self.stream.iter().map(|name| name.trim().parse::<StreamId>());
        let streams: Vec<StreamId> = streams.collect::<Result<_, _>>().map_err(|error| Usage(error.to_string()))?;
        Ok(Some(StreamSet::fixed(streams)))
    }

    fn flags(&self) -> Settings {
        fn set<T: Clone>(settings: Settings, flag: &Option<T>, setter: fn(Settings, T) -> Settings) -> Settings {
            match flag {
                Some(value) => setter(settings, value.clone()),
                None => settings,
            }
        }
        let settings = set(Settings::default(), &self.app, Settings::application);
        let settings = match self.stream.as_slice() {
            [stream] => settings.stream(stream),
            _ => settings,
        };
        let settings = set(settings, &self.stream_set_interval, Settings::stream_set_interval);
        let settings = set(settings, &self.stream_grace, Settings::stream_grace);
        let settings = set(settings, &self.worker_id, Settings::worker_id);
        let settings = set(settings, &self.table_name, Settings::table_name);
        let settings = set(settings, &self.start, Settings::start);
        let settings = set(settings, &self.failover_time, Settings::failover_time);
        let settings = set(settings, &self.reader, Settings::reader);
        let settings = set(settings, &self.consumer, Settings::consumer);
        let settings = set(settings, &self.read_limit, Settings::read_limit);
        let settings = set(settings, &self.idle_interval, Settings::idle_interval);
        let settings = set(settings, &self.read_ahead_bytes, Settings::read_ahead_bytes);
        let settings = set(settings, &self.checkpoint_interval, Settings::checkpoint_interval);
        let settings = set(settings, &self.drain_timeout, Settings::drain_timeout);
        let settings = set(settings, &self.start_timeout, Settings::start_timeout);
        let settings = set(settings, &self.assignment, Settings::assignment);
        let settings = set(settings, &self.capacity, Settings::capacity);
        set(settings, &self.max_leases, Settings::max_leases)
    }
}

/// Settings that cannot work, as a wrong use of the program.
pub(super) fn wrong(settings: InvalidSettings) -> Usage {
    Usage(format!("{settings} (settings come from flags, KCL_... variables and --config; see --help)"))
}

fn bytes(text: &str) -> Result<Bytes, String> {
    parse_bytes(text).map(Bytes)
}

fn read_limit(text: &str) -> Result<ReadLimit, String> {
    match text {
        "service" => Ok(ReadLimit::Service),
        "none" => Ok(ReadLimit::None),
        _ => Err("choose service or none".to_owned()),
    }
}
