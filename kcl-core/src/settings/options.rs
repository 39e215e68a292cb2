//! The options one by one: setters, environment variables and file members come from one list.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::value::{Bytes, SettingValue};
use super::{AssignmentKind, CorruptAggregates, InitialPosition, ReadLimit, ReaderKind};
use crate::types::{ApplicationName, ConsumerId, StreamId, WorkerId};

macro_rules! options {
    ($( $(#[$doc:meta])* $name:ident: $type:ty, $variable:literal, $from:ty, |$value:ident| $convert:expr; )*) => {
        /// The options that were set explicitly, and nothing else. Wrong values are kept as problems and reported by
        /// [`resolve`](Settings::resolve), all together.
        ///
        /// Deserialises from any format with members named like the setters; durations are text (`"10s"`), unknown
        /// members are refused.
        #[derive(Debug, Clone, Default)]
        #[must_use]
        pub struct Settings {
            $( pub(super) $name: Option<$type>, )*
            pub(super) problems: Vec<String>,
        }

        impl Settings {
            $(
                $(#[$doc])*
                #[doc = ""]
                #[doc = concat!("Environment: `", $variable, "`. File: `", stringify!($name), "`.")]
                pub fn $name(mut self, $value: $from) -> Self {
                    match $convert {
                        Ok(value) => self.$name = Some(value),
                        Err(problem) => self.problems.push(format!("{}: {problem}", stringify!($name))),
                    }
                    self
                }
            )*

            /// Puts these options on top of `lower`: what is not set here is taken from there.
            pub fn or(mut self, lower: Settings) -> Self {
                $( if self.$name.is_none() { self.$name = lower.$name; } )*
                self.problems.extend(lower.problems);
                self
            }

            /// Reads the options from variables given by name, as [`from_env`](Settings::from_env) does from the
            /// environment. An empty variable counts as not set.
            pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
                let mut settings = Settings::default();
                $(
                    if let Some(text) = variable($variable).filter(|text| !text.is_empty()) {
                        match <$type as SettingValue>::parse(&text) {
                            Ok(value) => settings.$name = Some(value),
                            Err(problem) => settings.problems.push(format!("{}: {problem}", $variable)),
                        }
                    }
                )*
                settings
            }

            fn from_texts(mut texts: BTreeMap<String, String>) -> Self {
                let mut settings = Settings::default();
                $(
                    if let Some(text) = texts.remove(stringify!($name)) {
                        match <$type as SettingValue>::parse(&text) {
                            Ok(value) => settings.$name = Some(value),
                            Err(problem) => settings.problems.push(format!("{}: {problem}", stringify!($name))),
                        }
                    }
                )*
                for unknown in texts.into_keys() {
                    let known = [$(stringify!($name)),*].join(", ");
                    settings.problems.push(format!("{unknown}: no such setting; there are {known}"));
                }
                settings
            }
        }
    };
}

options! {
    /// The application: all workers with this name share the shards of the stream. It names the lease table, too.
    /// Required. Another name is another application that reads everything for itself.
    application: ApplicationName, "KCL_APPLICATION", impl AsRef<str>, |name| ApplicationName::parse(name.as_ref());

    /// The stream, by name or by ARN. Required, and the same for all workers of an application; left out where the builder is
    /// given a set of [`streams`](crate::WorkerBuilder::streams).
    stream: StreamId, "KCL_STREAM", impl AsRef<str>, |stream| StreamId::parse(stream.as_ref());

    /// The id of this worker, unique in the fleet. Default: host name and a random part, so that it never collides. With
    /// an id that stays the same over restarts, a restarted worker has its leases back at once if nobody took them; two
    /// processes with one id at a time are detected, and the older one ends with an error.
    worker_id: WorkerId, "KCL_WORKER_ID", impl AsRef<str>, |id| WorkerId::parse(id.as_ref());

    /// The name of the lease table. Default: the application name. All workers of a fleet must agree.
    table_name: ApplicationName, "KCL_TABLE_NAME", impl AsRef<str>, |name| ApplicationName::parse(name.as_ref());

    /// Where a shard is read from that has no checkpoint yet: `trim-horizon` (default, nothing is left out), `latest`, or an
    /// instant in RFC 3339. Once a lease exists its checkpoint decides; other workers see the start in the row.
    start: InitialPosition, "KCL_START", InitialPosition, |start| Ok::<_, String>(start);

    /// How long a worker may be silent before others take its leases (F): `10s` by default, 500 ms to 10 min. Raised, the
    /// table costs less and a worker survives longer outages of it; a crash then takes longer to be noticed. It must be the
    /// same in the whole fleet, since each side measures with its own. Renewal, time-outs and the rest follow from it:
    /// [`Timings`](super::Timings).
    failover_time: Duration, "KCL_FAILOVER_TIME", Duration, |time| Ok::<_, String>(time);

    /// How shards are read: `polling` (default), `fanout` or `auto`. Enhanced fan-out brings records some 70 ms after they
    /// were put and has 2 MB/s of each shard for this application alone, but it is billed by the hour and shard and by the
    /// gigabyte, and a stream takes 20 consumers. `auto` uses it where it can be had, polls while the consumer limit is
    /// reached or subscriptions keep failing, and goes back. [`consumer`](Settings::consumer) says whose subscriptions they
    /// are; `read_limit` and `idle_interval` count while a shard is polled. Workers of one fleet may differ: a position is
    /// the same for all readers, so a change of reader loses and repeats nothing.
    reader: ReaderKind, "KCL_READER", ReaderKind, |reader| Ok::<_, String>(reader);

    /// The registered consumer of enhanced fan-out, by name or by ARN. Default: one with the name of the application, as
    /// the KCL has it. A name that is not registered yet is registered at the start, and stays registered when workers stop;
    /// an ARN must exist and belong to the stream. Used with `reader` `fanout` and `auto`. It must be the same in the whole
    /// fleet, and no other application's: a shard has one subscription per consumer, so two applications with one
    /// consumer take it from each other.
    consumer: ConsumerId, "KCL_CONSUMER", impl AsRef<str>, |consumer| consumer.as_ref().parse::<ConsumerId>();

    /// Whether polling keeps to the service's read limits: `service` (default: per shard 5 calls/s and 2 MB/s, shared
    /// fairly with other applications) or `none`, for servers without limits. Without, the real service throttles, and
    /// other applications on the stream feel it.
    read_limit: ReadLimit, "KCL_READ_LIMIT", ReadLimit, |limit| Ok::<_, String>(limit);

    /// How long a polling reader waits at the tip of a shard before it asks again: `1s` by default, 200 ms to 10 s (from
    /// 1 ms with `read_limit` none). Raised, records arrive later and calls are saved; below 1 s it takes calls from other
    /// applications on the stream, who share five per second and shard.
    idle_interval: Duration, "KCL_IDLE_INTERVAL", Duration, |interval| Ok::<_, String>(interval);

    /// What becomes of a record that begins like an aggregate of the Kinesis Producer Library and cannot be opened: `stop`
    /// (default: the shard stops there and is reported as stalled until this is changed) or `deliver` (the handler gets it
    /// as it came, as one record). Other workers see no difference but the shard's lag.
    corrupt_aggregates: CorruptAggregates, "KCL_CORRUPT_AGGREGATES", CorruptAggregates, |what| Ok::<_, String>(what);

    /// How many bytes of records this worker may hold in memory, in all its shards together: `256MiB` by default, at least
    /// 1 MiB. Raised, slow handlers on some shards disturb others later; it is memory. Each shard has a fair share of it
    /// and may always have one call in flight. Other workers see nothing of it.
    read_ahead_bytes: Bytes, "KCL_READ_AHEAD_BYTES", impl Into<Bytes>, |bytes| Ok::<_, String>(bytes.into());

    /// How often the position of a shard is stored at most: by default with every renewal (F/3), where it costs nothing.
    /// Shorter intervals mean fewer repeated records after a crash, and a write of their own; longer ones save nothing.
    checkpoint_interval: Duration, "KCL_CHECKPOINT_INTERVAL", Duration, |interval| Ok::<_, String>(interval);

    /// Store the position early after this many records, per shard. Default: no such limit. At least 1.
    checkpoint_max_records: u64, "KCL_CHECKPOINT_MAX_RECORDS", u64, |records| Ok::<_, String>(records);

    /// Store the position early after this many bytes of records, per shard. Default: no such limit. At least 1.
    checkpoint_max_bytes: Bytes, "KCL_CHECKPOINT_MAX_BYTES", impl Into<Bytes>, |bytes| Ok::<_, String>(bytes.into());

    /// How long a worker that stops lets a running handler finish: `20s` by default, at most 10 min. Then the handler is
    /// cancelled; its records are delivered again elsewhere. It must lie below the time that your platform grants between
    /// SIGTERM and SIGKILL. Raised, a stop may take longer, and other workers wait as long for the shard.
    ///
    /// A shard that is begun anew, or given away, because it does not get on has the same time. A shard that the leader asks
    /// for has [`Timings::hand_off`](crate::settings::Timings::hand_off), 30 s, in every fleet: others count on it.
    drain_timeout: Duration, "KCL_DRAIN_TIMEOUT", Duration, |time| Ok::<_, String>(time);

    /// How leases are spread over the workers: `count` (default) gives each as many as the others, floor or ceil of the
    /// mean; `load` lets each carry as much as the others by measured throughput, with a band of 10 % in which nothing moves.
    /// With `load`, workers hold different numbers of leases, and leases move when the traffic shifts. Both go by
    /// `capacity`. Whoever leads decides for all, so it must be the same in the whole fleet. A strategy of your own that is
    /// given to the builder replaces it.
    assignment: AssignmentKind, "KCL_ASSIGNMENT", AssignmentKind, |assignment| Ok::<_, String>(assignment);

    /// How much this worker takes in relation to the others, a weight: `1` by default, 0.01 to 1000. One with 2 has twice as
    /// many leases as one with 1, or carries twice as much with `assignment` load. Raised for one worker, the others have
    /// fewer; raised for all, nothing changes. `max_leases` limits it in numbers. Others see it in the worker's row; Java
    /// workers count as 1 and, where one of them leads, do not look at it.
    capacity: f64, "KCL_CAPACITY", f64, |weight| Ok::<_, String>(weight);

    /// How many leases this worker holds at most. Default: no limit, at least 1. If the limits of all workers together are
    /// too low, shards stay unread: visible as leases without owner. Others see it in the worker's row, and a leader that is
    /// one of ours keeps to it; Java leaders go by their own limit.
    max_leases: u64, "KCL_MAX_LEASES", u64, |leases| Ok::<_, String>(leases);

    /// How long the start may wait for an endpoint that cannot be reached before it fails: `20s` by default, 1 s to 25 s; a call that is under way then has another
    /// 5 s.
    /// A running worker waits for ever.
    start_timeout: Duration, "KCL_START_TIMEOUT", Duration, |time| Ok::<_, String>(time);

    /// How often a provider of [`streams`](crate::WorkerBuilder::streams) is asked which are wanted: `1m` by default, 1 s to
    /// 1 h. Raised, a stream that is added or left out is noticed later, and the provider is called less often. Workers ask
    /// each for itself; while they disagree, whoever leads decides which leases are given out.
    stream_set_interval: Duration, "KCL_STREAM_SET_INTERVAL", Duration, |interval| Ok::<_, String>(interval);

    /// How long the leases of a stream that is no longer among the [`streams`](crate::WorkerBuilder::streams) are kept: `1h` by
    /// default, as the KCL waits for former streams, at most 10 years; never less than 1.1 F. Raised, a stream that is wanted again goes on where it
    /// stood after longer; it costs rows of the table. The leader counts from when it last saw one of them move, and a new
    /// leader may begin to count anew, so that they may be kept longer. It should be the same in the whole fleet, and longer
    /// than a deployment takes: a worker that leads and does not know a stream yet takes it for one that is not wanted.
    stream_grace: Duration, "KCL_STREAM_GRACE", Duration, |grace| Ok::<_, String>(grace);

    /// The availability zone of this worker, shown to others in its row. Default: not said.
    zone: String, "KCL_ZONE", impl Into<String>, |zone| Ok::<_, String>(zone.into());
}

impl Settings {
    /// The two settings that have no default: who reads, and what.
    pub fn new(application: impl AsRef<str>, stream: impl AsRef<str>) -> Self {
        Settings::default().application(application).stream(stream)
    }

    /// The options that the environment sets, in variables `KCL_...` named at each setter.
    pub fn from_env() -> Self {
        Settings::from_variables(|name| std::env::var(name).ok())
    }
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Settings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of settings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Settings, A::Error> {
                let mut texts = BTreeMap::new();
                while let Some((name, Scalar(text))) = map.next_entry::<String, Scalar>()? {
                    texts.insert(name, text);
                }
                let settings = Settings::from_texts(texts);
                if settings.problems.is_empty() {
                    Ok(settings)
                } else {
                    Err(de::Error::custom(settings.problems.join("; ")))
                }
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A text or a number; both are read as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a text or a number")]
        enum Raw {
            Text(String),
            Whole(u64),
            Number(f64),
        }
        Raw::deserialize(deserializer).map(|raw| match raw {
            Raw::Text(text) => Scalar(text),
            Raw::Whole(number) => Scalar(number.to_string()),
            Raw::Number(number) => Scalar(number.to_string()),
        })
    }
}
