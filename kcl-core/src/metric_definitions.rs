//! Every metric: its name, its unit and what it says. They go through the `metrics` facade; without a recorder they cost
//! next to nothing.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Unit, describe_counter, describe_gauge, describe_histogram};

/// Records that were completed.
pub const RECORDS: &str = "kcl_records_total";
/// Bytes of user data in completed records.
pub const RECORD_BYTES: &str = "kcl_record_data_bytes_total";
/// Deliveries to the handler, repeated ones included.
pub const DELIVERIES: &str = "kcl_deliveries_total";
/// Deliveries that failed; their records are delivered again.
pub const DELIVERY_FAILURES: &str = "kcl_delivery_failures_total";
/// Time the handler took for one delivery.
pub const HANDLER_TIME: &str = "kcl_handler_seconds";
/// How far behind the tip the last answer was.
pub const LAG: &str = "kcl_lag_seconds";
/// Fetches that failed.
pub const FETCH_FAILURES: &str = "kcl_fetch_failures_total";
/// 1 while a shard does not advance for several attempts, else 0.
pub const STALLED: &str = "kcl_shard_stalled";
/// User records of aggregates that were left out because they belong to another shard.
pub const OUTSIDE_SHARD: &str = "kcl_records_outside_shard_total";
/// Aggregates that could not be opened and were delivered as they came.
pub const CORRUPT_AGGREGATES: &str = "kcl_corrupt_aggregates_total";
/// Checkpoints whose record the stream no longer kept when reading was to go on there, of shards that were not at their tip
/// within a day: what came after it may be lost.
pub const DATA_LOSSES: &str = "kcl_data_losses_total";
/// Shard tasks that did not get on and were started anew, by reason.
pub const SHARD_RESTARTS: &str = "kcl_shard_restarts_total";
/// Waits of a shard that took longer than is healthy: a slow handler, memory that slow handlers hold.
pub const SLOW_WAITS: &str = "kcl_slow_waits_total";
/// Checkpoints that were stored.
pub const CHECKPOINTS: &str = "kcl_checkpoints_total";
/// Leases held now.
pub const LEASES: &str = "kcl_leases";
/// Tenures begun.
pub const LEASES_GAINED: &str = "kcl_leases_gained_total";
/// Tenures that ended against our will.
pub const LEASES_LOST: &str = "kcl_leases_lost_total";
/// Writes to lease rows that were refused, or whose answer never came.
pub const LEASE_WRITE_FAILURES: &str = "kcl_lease_write_failures_total";
/// Time one look at the whole lease table took.
pub const SCAN_TIME: &str = "kcl_lease_scan_seconds";
/// Leases that could be read and that nobody reads, as the leader sees it; 0 at all other workers.
pub const UNREAD_LEASES: &str = "kcl_unread_leases";
/// For how long the longest of them has been read by nobody.
pub const UNREAD_TIME: &str = "kcl_unread_lease_seconds";
/// Leases of streams that are no longer wanted, as the leader sees it; 0 at all other workers.
pub const PARKED_LEASES: &str = "kcl_parked_leases";
/// Bytes of records held in memory.
pub const READ_AHEAD: &str = "kcl_read_ahead_bytes";

/// Polls that the service throttled: the shard has more readers, or is read faster, than its limits allow.
pub const READS_THROTTLED: &str = "kcl_reads_throttled_total";
/// Subscriptions of enhanced fan-out by `state`: `opening`, `live`, `waiting` (to be opened again), `suspended` (nobody wants
/// their events at the moment).
pub const SUBSCRIPTIONS: &str = "kcl_fan_out_subscriptions";
/// Subscriptions that ended, by `reason`: `renewal` and `suspended` belong to their life, all others are faults.
pub const SUBSCRIPTION_ENDS: &str = "kcl_fan_out_subscription_ends_total";
/// Changes of the reader of a shard, by the reader `to` which it changed.
pub const READER_CHANGES: &str = "kcl_reader_changes_total";

/// Tells the recorder the units and sentences of all metrics. Called when a worker starts.
pub(crate) fn describe() {
    describe_counter!(RECORDS, Unit::Count, "Records that were completed.");
    describe_counter!(RECORD_BYTES, Unit::Bytes, "Bytes of user data in completed records.");
    describe_counter!(DATA_LOSSES, Unit::Count, "Checkpoints whose record the stream no longer kept.");
    describe_counter!(DELIVERIES, Unit::Count, "Deliveries to the handler, repeated ones included.");
    describe_counter!(DELIVERY_FAILURES, Unit::Count, "Deliveries that failed; their records are delivered again.");
    describe_histogram!(HANDLER_TIME, Unit::Seconds, "Time the handler took for one delivery.");
    describe_gauge!(LAG, Unit::Seconds, "How far behind the tip the last answer was.");
    describe_counter!(FETCH_FAILURES, Unit::Count, "Fetches that failed.");
    describe_gauge!(STALLED, Unit::Count, "1 while a shard does not advance for several attempts, else 0.");
    describe_counter!(OUTSIDE_SHARD, Unit::Count, "User records of aggregates that belong to another shard.");
    describe_counter!(CORRUPT_AGGREGATES, Unit::Count, "Aggregates that could not be opened and were delivered as is.");
    describe_counter!(SHARD_RESTARTS, Unit::Count, "Shard tasks that did not get on and were started anew, by reason.");
    describe_counter!(
        SLOW_WAITS,
        Unit::Count,
        "Waits of a shard that took longer than is healthy: a slow handler, memory that slow handlers hold."
    );
    describe_counter!(CHECKPOINTS, Unit::Count, "Checkpoints that were stored.");
    describe_gauge!(LEASES, Unit::Count, "Leases held now.");
    describe_counter!(LEASES_GAINED, Unit::Count, "Tenures begun.");
    describe_counter!(LEASES_LOST, Unit::Count, "Tenures that ended against our will.");
    describe_counter!(
        LEASE_WRITE_FAILURES,
        Unit::Count,
        "Writes to lease rows that were refused, or whose answer never came."
    );
    describe_histogram!(SCAN_TIME, Unit::Seconds, "Time one look at the whole lease table took.");
    describe_gauge!(UNREAD_LEASES, Unit::Count, "Leases that nobody reads, as the leader sees it; 0 at other workers.");
    describe_gauge!(UNREAD_TIME, Unit::Seconds, "For how long the longest of them has been read by nobody.");
    describe_gauge!(PARKED_LEASES, Unit::Count, "Leases of streams that are no longer wanted, as the leader sees it.");
    describe_gauge!(READ_AHEAD, Unit::Bytes, "Bytes of records held in memory.");
    describe_counter!(READS_THROTTLED, Unit::Count, "Polls that the service throttled.");
    describe_gauge!(SUBSCRIPTIONS, Unit::Count, "Subscriptions of enhanced fan-out by state.");
    describe_counter!(SUBSCRIPTION_ENDS, Unit::Count, "Subscriptions that ended, by reason.");
    describe_counter!(
        READER_CHANGES,
        Unit::Count,
        "Changes of the reader of a shard, by the reader to which it changed."
    );
}

/// The handles of one worker.
#[derive(Clone)]
pub(crate) struct WorkerMetrics {
    pub(crate) checkpoints: Counter,
    pub(crate) leases: Gauge,
    pub(crate) leases_gained: Counter,
    pub(crate) leases_lost: Counter,
    pub(crate) lease_write_failures: Counter,
    pub(crate) scan_time: Histogram,
    unread_leases: Gauge,
    unread_time: Gauge,
    parked_leases: Gauge,
    pub(crate) read_ahead: Gauge,
}

impl WorkerMetrics {
    /// Without a stream those of a worker that reads several: what it counts here is of all of them.
    pub(crate) fn new(application: &str, stream: Option<&str>, worker: &str) -> Self {
        let application = Some(("application", application.to_owned()));
        let stream = stream.map(|stream| ("stream", stream.to_owned()));
        let worker = Some(("worker", worker.to_owned()));
        let labels: Vec<(&'static str, String)> = [application, stream, worker].into_iter().flatten().collect();
        WorkerMetrics {
            checkpoints: metrics::counter!(CHECKPOINTS, &labels),
            leases: metrics::gauge!(LEASES, &labels),
            leases_gained: metrics::counter!(LEASES_GAINED, &labels),
            leases_lost: metrics::counter!(LEASES_LOST, &labels),
            lease_write_failures: metrics::counter!(LEASE_WRITE_FAILURES, &labels),
            scan_time: metrics::histogram!(SCAN_TIME, &labels),
            unread_leases: metrics::gauge!(UNREAD_LEASES, &labels),
            unread_time: metrics::gauge!(UNREAD_TIME, &labels),
            parked_leases: metrics::gauge!(PARKED_LEASES, &labels),
            read_ahead: metrics::gauge!(READ_AHEAD, &labels),
        }
    }
}

impl WorkerMetrics {
    /// What a leader sees of the whole fleet; nothing at a worker that does not lead.
    pub(crate) fn unread(&self, (leases, longest): (usize, Duration)) {
        self.unread_leases.set(leases as f64);
        self.unread_time.set(longest.as_secs_f64());
    }

    /// What the leader sees of leases that nobody is to read; none at a worker that does not lead.
    pub(crate) fn parked(&self, leases: usize) {
        self.parked_leases.set(leases as f64);
    }
}

/// What is counted for a shard without a handle.
const RARE: [&str; 6] = [DELIVERY_FAILURES, FETCH_FAILURES, SLOW_WAITS, OUTSIDE_SHARD, CORRUPT_AGGREGATES, DATA_LOSSES];

/// The handles of one shard that are used often, kept for the length of a tenure: looking one up costs more than using it.
/// What is rarely counted is looked up by its labels.
pub(crate) struct ShardMetrics {
    pub(crate) records: Counter,
    pub(crate) record_bytes: Counter,
    pub(crate) deliveries: Counter,
    pub(crate) handler_time: Histogram,
    pub(crate) lag: Gauge,
    pub(crate) stalled: Gauge,
}

/// Which shard of which worker a metric is about.
pub(crate) struct ShardLabels([(&'static str, String); 4]);

impl ShardLabels {
    pub(crate) fn new(application: &str, stream: &str, shard: &str, worker: &str) -> Self {
        ShardLabels([
            ("application", application.to_owned()),
            ("stream", stream.to_owned()),
            ("shard", shard.to_owned()),
            ("worker", worker.to_owned()),
        ])
    }

    /// Counts what is too rare for a handle of its own.
    pub(crate) fn count(&self, name: &'static str, by: u64) {
        metrics::counter!(name, &self.0).increment(by);
    }

    /// Counts a restart.
    pub(crate) fn restarted(self, reason: &'static str) {
        let [application, stream, shard, worker] = self.0;
        let labels = [application, stream, shard, worker, ("reason", reason.to_owned())];
        metrics::counter!(SHARD_RESTARTS, &labels).increment(1);
    }
}

impl ShardMetrics {
    pub(crate) fn new(ShardLabels(labels): &ShardLabels) -> Self {
        for name in RARE {
            // There from the start, at 0.
            drop(metrics::counter!(name, labels));
        }
        ShardMetrics {
            records: metrics::counter!(RECORDS, labels),
            record_bytes: metrics::counter!(RECORD_BYTES, labels),
            deliveries: metrics::counter!(DELIVERIES, labels),
            handler_time: metrics::histogram!(HANDLER_TIME, labels),
            lag: metrics::gauge!(LAG, labels),
            stalled: metrics::gauge!(STALLED, labels),
        }
    }
}

/// The handles of all polling readers of one worker.
pub(crate) struct PollingMetrics {
    pub(crate) throttled: Counter,
}

impl PollingMetrics {
    /// Metrics with these labels.
    pub(crate) fn new(labels: &[(&'static str, String)]) -> Self {
        PollingMetrics { throttled: metrics::counter!(READS_THROTTLED, labels) }
    }
}

impl std::fmt::Debug for PollingMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PollingMetrics").finish_non_exhaustive()
    }
}

/// The handles of all subscriptions of one worker. States and reasons are counted by their place in the lists that they
/// were made from.
pub(crate) struct FanOutMetrics {
    pub(crate) subscriptions: Vec<Gauge>,
    pub(crate) ends: Vec<Counter>,
    pub(crate) to_fan_out: Counter,
    pub(crate) to_polling: Counter,
}

impl FanOutMetrics {
    /// Metrics with these labels, for these states and reasons.
    pub(crate) fn new(labels: &[(&'static str, String)], states: &[&'static str], reasons: &[&'static str]) -> Self {
        let with = |name: &'static str, value: &'static str| {
            let mut labels = labels.to_vec();
            labels.push((name, value.to_owned()));
            labels
        };
        let change = |to| metrics::counter!(READER_CHANGES, &with("to", to));
        FanOutMetrics {
            subscriptions: states.iter().map(|state| metrics::gauge!(SUBSCRIPTIONS, &with("state", state))).collect(),
            ends: reasons.iter().map(|reason| metrics::counter!(SUBSCRIPTION_ENDS, &with("reason", reason))).collect(),
            to_fan_out: change("fanout"),
            to_polling: change("polling"),
        }
    }
}
