//! All settings with their defaults, checked.

use std::time::Duration;

use super::{
    AssignmentKind, CorruptAggregates, InitialPosition, PollingSettings, ReadLimit, ReaderKind, Settings, Timings,
};
use crate::types::{ApplicationName, ConsumerId, StreamId, WorkerId};

/// All settings with their defaults, checked. See the setters of [`Settings`] for what each one means.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct EffectiveSettings {
    /// [`Settings::application`].
    pub application: ApplicationName,
    /// [`Settings::stream`]; absent for a worker that reads a set of streams.
    pub stream: Option<StreamId>,
    /// [`Settings::worker_id`]; absent: one is made at start.
    pub worker_id: Option<WorkerId>,
    /// [`Settings::table_name`].
    pub table_name: ApplicationName,
    /// [`Settings::start`].
    pub start: InitialPosition,
    /// [`Settings::failover_time`].
    pub failover_time: Duration,
    /// What follows from the failover time.
    pub timings: Timings,
    /// [`Settings::reader`].
    pub reader: ReaderKind,
    /// [`Settings::consumer`].
    pub consumer: ConsumerId,
    /// [`Settings::read_limit`] and [`Settings::idle_interval`].
    pub polling: PollingSettings,
    /// [`Settings::corrupt_aggregates`].
    pub corrupt_aggregates: CorruptAggregates,
    /// [`Settings::read_ahead_bytes`].
    pub read_ahead_bytes: usize,
    /// [`Settings::checkpoint_interval`] and its limits.
    pub checkpoint: CheckpointSettings,
    /// [`Settings::drain_timeout`].
    pub drain_timeout: Duration,
    /// [`Settings::assignment`].
    pub assignment: AssignmentKind,
    /// [`Settings::capacity`].
    pub capacity: f64,
    /// [`Settings::max_leases`].
    pub max_leases: Option<usize>,
    /// [`Settings::start_timeout`].
    pub start_timeout: Duration,
    /// [`Settings::stream_set_interval`].
    pub stream_set_interval: Duration,
    /// [`Settings::stream_grace`].
    pub stream_grace: Duration,
    /// [`Settings::zone`].
    pub zone: Option<String>,
}

/// When the runtime stores positions by itself. A stop, a move and the end of a shard always store first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointSettings {
    /// At most this often.
    pub interval: Duration,
    /// Early, after this many records.
    pub max_records: Option<u64>,
    /// Early, after this many bytes.
    pub max_bytes: Option<u64>,
}

/// Settings that cannot work, with every problem listed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("wrong settings: {}", problems.join("; "))]
pub struct InvalidSettings {
    /// Each problem, naming the setting and the value.
    pub problems: Vec<String>,
}

impl Settings {
    /// Fills in the defaults and checks everything.
    ///
    /// # Errors
    /// [`InvalidSettings`] with every problem, also those that were found when a value was set.
    pub fn resolve(self) -> Result<EffectiveSettings, InvalidSettings> {
        self.resolve_for(StreamsNamed::BySettings)
    }

    /// The same for a worker that is given the streams in another way.
    pub(crate) fn resolve_for(self, named: StreamsNamed) -> Result<EffectiveSettings, InvalidSettings> {
        let mut check = Check { problems: self.problems };
        let failover_time = self.failover_time.unwrap_or(Duration::from_secs(10));
        check.within("failover_time", failover_time, Duration::from_millis(500), Duration::from_secs(600));
        let timings = Timings::from_failover_time(failover_time);

        let read_limit = self.read_limit.unwrap_or_default();
        let idle_interval = self.idle_interval.unwrap_or(Duration::from_secs(1));
        let least_idle = match read_limit {
            ReadLimit::Service => Duration::from_millis(200),
            ReadLimit::None => Duration::from_millis(1),
        };
        check.within("idle_interval", idle_interval, least_idle, Duration::from_secs(10));

        let drain_timeout = self.drain_timeout.unwrap_or(Duration::from_secs(20));
        check.within("drain_timeout", drain_timeout, Duration::ZERO, Duration::from_secs(600));
        let start_timeout = self.start_timeout.unwrap_or(Duration::from_secs(20));
        check.within("start_timeout", start_timeout, Duration::from_secs(1), Duration::from_secs(25));
        if let Some(interval) = self.checkpoint_interval {
            check.within("checkpoint_interval", interval, Duration::from_millis(10), Duration::from_secs(3600));
        }
        let interval = self.checkpoint_interval.unwrap_or(timings.renewal);

        let read_ahead = self.read_ahead_bytes.map_or(256 << 20, |bytes| bytes.0);
        check.at_least("read_ahead_bytes", Some(read_ahead), 1 << 20);
        check.at_least("checkpoint_max_records", self.checkpoint_max_records, 1);
        check.at_least("checkpoint_max_bytes", self.checkpoint_max_bytes.map(|bytes| bytes.0), 1);
        check.at_least("max_leases", self.max_leases, 1);
        let capacity = self.capacity.unwrap_or(1.0);
        check.weight("capacity", capacity);
        let application = check.required("application", self.application);
        let stream = match named {
            StreamsNamed::BySettings => check.required("stream", self.stream),
            StreamsNamed::ToBuilder => {
                check.of_no_single_stream(self.stream.as_ref(), self.consumer.as_ref());
                None
            }
        };
        check.consumer_of(self.consumer.as_ref(), stream.as_ref());
        let stream_set_interval = self.stream_set_interval.unwrap_or(Duration::from_secs(60));
        check.within("stream_set_interval", stream_set_interval, Duration::from_secs(1), Duration::from_secs(3600));
        let stream_grace = self.stream_grace.unwrap_or(Duration::from_secs(3600));
        check.within("stream_grace", stream_grace, Duration::ZERO, TEN_YEARS);

        match application {
            Some(application) if check.problems.is_empty() => Ok(EffectiveSettings {
                table_name: self.table_name.unwrap_or_else(|| application.clone()),
                consumer: self.consumer.unwrap_or_else(|| ConsumerId::of_application(&application)),
                application,
                stream,
                worker_id: self.worker_id,
                start: self.start.unwrap_or(InitialPosition::TrimHorizon),
                failover_time,
                timings,
                reader: self.reader.unwrap_or(ReaderKind::Polling),
                polling: PollingSettings { read_limit, idle_interval },
                corrupt_aggregates: self.corrupt_aggregates.unwrap_or_default(),
                read_ahead_bytes: usize::try_from(read_ahead).unwrap_or(usize::MAX),
                checkpoint: CheckpointSettings {
                    interval,
                    max_records: self.checkpoint_max_records,
                    max_bytes: self.checkpoint_max_bytes.map(|bytes| bytes.0),
                },
                drain_timeout,
                assignment: self.assignment.unwrap_or(AssignmentKind::Count),
                capacity,
                max_leases: self.max_leases.map(|leases| usize::try_from(leases).unwrap_or(usize::MAX)),
                start_timeout,
                stream_set_interval,
                stream_grace,
                zone: self.zone,
            }),
            _ => Err(InvalidSettings { problems: check.problems }),
        }
    }
}

/// Where it is said what a worker reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamsNamed {
    /// The settings name one stream.
    BySettings,
    /// The builder is given a set.
    ToBuilder,
}

const TEN_YEARS: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Collects problems instead of stopping at the first.
struct Check {
    problems: Vec<String>,
}

impl Check {
    fn within(&mut self, name: &str, value: Duration, least: Duration, most: Duration) {
        if value < least || value > most {
            self.problems
                .push(format!("{name}: {value:?} is out of range, it must lie between {least:?} and {most:?}"));
        }
    }

    fn at_least(&mut self, name: &str, value: Option<u64>, least: u64) {
        if let Some(value) = value.filter(|value| *value < least) {
            self.problems.push(format!("{name}: {value} is too small, it must be at least {least}"));
        }
    }

    fn weight(&mut self, name: &str, value: f64) {
        if !(0.01..=1000.0).contains(&value) {
            self.problems.push(format!("{name}: {value} is out of range, it must lie between 0.01 and 1000"));
        }
    }

    /// An ARN names a stream, which must be the one that is read.
    fn consumer_of(&mut self, consumer: Option<&ConsumerId>, stream: Option<&StreamId>) {
        let (Some(theirs), Some(ours)) = (consumer.and_then(ConsumerId::stream), stream) else { return };
        let same = match ours.arn() {
            Some(_) => ours == theirs,
            None => ours.name() == theirs.name(),
        };
        if !same {
            self.problems.push(format!("consumer: it belongs to the stream {theirs}, not to {ours}"));
        }
    }

    fn of_no_single_stream(&mut self, stream: Option<&StreamId>, consumer: Option<&ConsumerId>) {
        if let Some(stream) = stream {
            self.problems
                .push(format!("stream: {stream} is named beside a set of streams; leave it out, or add it to the set"));
        }
        if let Some(theirs) = consumer.and_then(ConsumerId::stream) {
            self.problems
                .push(format!("consumer: it belongs to the stream {theirs} only; name one that all streams have"));
        }
    }

    fn required<T>(&mut self, name: &str, value: Option<T>) -> Option<T> {
        // A value that was given but was wrong has been reported already.
        let reported = self.problems.iter().any(|problem| problem.to_lowercase().contains(&format!("{name}:")));
        if value.is_none() && !reported {
            self.problems.push(format!("{name}: it is required and has no default"));
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_explicitly_wins_in_the_order_of_the_layers() {
        let file: Settings =
            serde_json::from_str(r#"{"failover_time":"20s","idle_interval":"3s","max_leases":7}"#).unwrap();
        let environment = Settings::from_variables(|name| match name {
            "KCL_FAILOVER_TIME" => Some("15s".into()),
            "KCL_ZONE" => Some("eu-1a".into()),
            "KCL_IDLE_INTERVAL" => Some(String::new()),
            _ => None,
        });
        let code = Settings::new("app", "stream").failover_time(Duration::from_secs(5));
        let effective = code.or(environment).or(file).resolve().unwrap();
        assert_eq!(effective.failover_time, Duration::from_secs(5));
        assert_eq!(effective.polling.idle_interval, Duration::from_secs(3));
        assert_eq!(effective.zone.as_deref(), Some("eu-1a"));
        assert_eq!(effective.max_leases, Some(7));
        assert_eq!(effective.table_name.as_str(), "app");
    }

    #[test]
    fn every_problem_is_listed_with_name_and_value() {
        let error = Settings::new("a", "or ders")
            .failover_time(Duration::from_millis(10))
            .max_leases(0)
            .or(Settings::from_variables(|name| (name == "KCL_START_TIMEOUT").then(|| "soon".into())))
            .resolve()
            .unwrap_err();
        let text = error.to_string();
        for part in ["\"a\"", "\"or ders\"", "10ms", "max_leases: 0", "KCL_START_TIMEOUT", "\"soon\""] {
            assert!(text.contains(part), "{text} should name {part}");
        }
        assert_eq!(error.problems.len(), 5, "{text}");
    }

    #[test]
    fn the_consumer_is_the_applications_unless_one_is_named_for_the_stream_that_is_read() {
        let settings = || Settings::new("app", "orders");
        let effective = settings().resolve().unwrap();
        assert_eq!((effective.reader, effective.consumer.as_str()), (ReaderKind::Polling, "app"));
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/audit:1790000000";
        for consumer in ["audit", arn] {
            let effective = settings().reader(ReaderKind::FanOut).consumer(consumer).resolve().unwrap();
            assert_eq!(effective.consumer.as_str(), consumer);
        }
        let elsewhere = "arn:aws:kinesis:us-east-1:123456789012:stream/orders";
        for (stream, consumer, part) in [
            ("clicks", arn, "consumer: it belongs to the stream arn:aws:kinesis:eu-west-1"),
            (elsewhere, arn, "not to arn:aws:kinesis:us-east-1"),
            ("orders", "au dit", "consumer: consumer name \"au dit\""),
        ] {
            let error = Settings::new("app", stream).consumer(consumer).resolve().unwrap_err().to_string();
            assert!(error.contains(part), "{error} should contain {part:?}");
        }
        let reader = |text: &str| Settings::from_variables(|name| (name == "KCL_READER").then(|| text.into()));
        assert_eq!(settings().or(reader("auto")).resolve().unwrap().reader, ReaderKind::Auto);
        let error = settings().or(reader("efo")).resolve().unwrap_err().to_string();
        assert!(error.contains("choose polling, fanout or auto"), "{error}");
    }

    #[test]
    fn a_set_of_streams_stands_in_for_the_one() {
        let set = |settings: Settings| settings.resolve_for(StreamsNamed::ToBuilder);
        let effective = set(Settings::default().application("app")).unwrap();
        assert_eq!((effective.stream, effective.consumer.as_str()), (None, "app"));
        assert_eq!(
            (effective.stream_set_interval, effective.stream_grace),
            (Duration::from_secs(60), Duration::from_secs(3600))
        );
        let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/audit:1790000000";
        let wrong = Settings::new("app", "orders").stream_set_interval(Duration::ZERO).consumer(arn);
        let text = set(wrong).unwrap_err().to_string();
        for part in ["stream: orders is named beside a set", "stream_set_interval: 0ns", "consumer: it belongs to"] {
            assert!(text.contains(part), "{text} should contain {part:?}");
        }
    }

    #[test]
    fn what_has_no_default_is_required() {
        let error = Settings::default().resolve().unwrap_err();
        assert_eq!(error.problems.len(), 2, "{error}");
    }

    #[test]
    fn a_file_with_unknown_members_or_wrong_values_is_refused() {
        let error =
            serde_json::from_str::<Settings>(r#"{"failover":"20s","idle_interval":3}"#).unwrap_err().to_string();
        assert!(error.contains("failover: no such setting") && error.contains("idle_interval"), "{error}");
    }

    #[test]
    fn how_leases_are_spread_is_read_from_everywhere() {
        let file = |json: &str| serde_json::from_str::<Settings>(json).unwrap();
        let base = || Settings::new("app", "stream");
        let effective = base().or(file(r#"{"assignment":"load","capacity":2.5}"#)).resolve().unwrap();
        assert_eq!((effective.assignment, effective.capacity), (AssignmentKind::Load, 2.5));
        let effective = base().or(file(r#"{"assignment":"count","capacity":2}"#)).resolve().unwrap();
        assert_eq!((effective.assignment, effective.capacity), (AssignmentKind::Count, 2.0));
        let effective = base().resolve().unwrap();
        assert_eq!((effective.assignment, effective.capacity), (AssignmentKind::Count, 1.0));
        let environment = Settings::from_variables(|name| match name {
            "KCL_ASSIGNMENT" => Some("random".into()),
            "KCL_CAPACITY" => Some("much".into()),
            _ => None,
        });
        let text = base().or(environment).resolve().unwrap_err().to_string();
        assert!(text.contains("KCL_ASSIGNMENT: \"random\"") && text.contains("KCL_CAPACITY: \"much\""), "{text}");
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let text = base().capacity(wrong).resolve().unwrap_err().to_string();
            assert!(text.contains("capacity: "), "{text}");
        }
    }

    #[test]
    fn timings_follow_from_the_failover_time() {
        let timings = Settings::new("app", "stream").resolve().unwrap().timings;
        assert_eq!(timings.attempt, Duration::from_secs(1));
        assert_eq!(timings.expiry, Duration::from_secs(11));
        assert_eq!(timings.heartbeat, Duration::from_secs(2));
        assert_eq!((timings.observation, timings.inbox), (Duration::from_secs(2), Duration::from_secs(1)));
        assert_eq!((timings.lock, timings.leaderless), (Duration::from_secs(12), Duration::from_secs(20)));
        assert_eq!((timings.hand_off, timings.overdue), (Duration::from_secs(30), Duration::from_secs(44)));
    }
}
