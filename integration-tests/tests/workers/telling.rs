//! What workers tell the outside: metrics with their labels, spans with their fields.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

use kcl_core::{Record, metric_definitions as names};
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{Layer, Registry};

use crate::log::Log;
use crate::services::{APPLICATION, STREAM, Services};
use crate::waiting::within;

const SHARD: &str = "shardId-000000000000";

/// A worker's life on one thread: so what is set for this thread sees all of it.
fn on_this_thread(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

#[test]
fn metrics_have_their_names_and_labels() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        on_this_thread(async {
            let services = Services::new(1);
            services.put(25);
            let log = Log::default();
            let mut worker = services.start("a", &log).await;
            log.until_read(25).await;
            services.until_stored(SHARD).await;
            worker.stop();
            within("the worker ends", worker.wait()).await.unwrap();
        });
    });

    let mut found = BTreeMap::new();
    for (key, unit, description, value) in snapshotter.snapshot().into_vec() {
        let labels: BTreeMap<String, String> =
            key.key().labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect();
        assert!(unit.is_some() && description.is_some(), "{} says what it is", key.key().name());
        found.insert(key.key().name().to_owned(), (labels, value));
    }
    let of_worker = [("application", APPLICATION), ("stream", STREAM), ("worker", "a")];
    let of_shard = [("application", APPLICATION), ("shard", SHARD), ("stream", STREAM), ("worker", "a")];
    let labels = |name: &str| found[name].0.iter().map(|(name, value)| (&**name, &**value)).collect::<Vec<_>>();
    for name in [names::RECORDS, names::RECORD_BYTES, names::DELIVERIES, names::HANDLER_TIME, names::LAG] {
        assert_eq!(labels(name), of_shard, "{name}");
    }
    for name in [names::CHECKPOINTS, names::LEASES, names::LEASES_GAINED, names::SCAN_TIME, names::READ_AHEAD] {
        assert_eq!(labels(name), of_worker, "{name}");
    }
    let data: usize = (0..25).map(|number| format!("record {number}").len()).sum();
    assert_eq!(found["kcl_records_total"].1, DebugValue::Counter(25));
    assert_eq!(found["kcl_record_data_bytes_total"].1, DebugValue::Counter(data as u64));
    assert_eq!(found["kcl_leases_gained_total"].1, DebugValue::Counter(1));
    assert_eq!(found["kcl_leases"].1, DebugValue::Gauge(0.0.into()), "all are given back");
    assert_eq!(found["kcl_read_ahead_bytes"].1, DebugValue::Gauge(0.0.into()), "nothing is held any more");
    assert!(matches!(found["kcl_checkpoints_total"].1, DebugValue::Counter(1..)));
    assert!(matches!(&found["kcl_handler_seconds"].1, DebugValue::Histogram(times) if !times.is_empty()));
}

#[test]
fn user_code_and_the_library_speak_within_a_span_that_names_the_tenure() {
    let spans = Spans::default();
    // For the whole process: tracing forgets what is said on one thread if another thread without subscriber says it too.
    tracing::subscriber::set_global_default(Registry::default().with(spans.clone())).unwrap();
    on_this_thread(async {
        let services = Services::new(1);
        services.put(5);
        let log = Log::default();
        let writing = log.clone();
        let worker = services.builder(Services::settings(TOLD)).handler(move |record: Record| {
            let log = writing.clone();
            async move {
                tracing::info!("user code speaks");
                log.note(&record);
                Ok(())
            }
        });
        let mut worker = worker.build().unwrap().start().await.unwrap();
        log.until_read(5).await;
        worker.stop();
        within("the worker ends", worker.wait()).await.unwrap();
    });

    let found = spans.0.lock().unwrap();
    let expected = [("epoch", "1"), ("lease_key", SHARD), ("shard_id", SHARD), ("stream", STREAM), ("worker_id", TOLD)];
    let tenure: Vec<(&str, &str)> = found.shard.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(tenure, expected);
    for said in ["user code speaks", "lease gained", "lease released"] {
        assert!(found.said_within.contains(said), "{said:?} is not among {:?}", found.said_within);
    }
}

/// The worker that is listened to, among all those of this process.
const TOLD: &str = "told";

/// The fields of its span `shard`, and what was said within it.
#[derive(Debug, Clone, Default)]
struct Spans(Arc<Mutex<Found>>);

#[derive(Debug, Default)]
struct Found {
    shard: BTreeMap<String, String>,
    said_within: BTreeSet<String>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if attributes.metadata().name() == "shard" && fields.0.get("worker_id").is_some_and(|worker| worker == TOLD) {
            context.span(id).unwrap().extensions_mut().insert(Told);
            self.0.lock().unwrap().shard = fields.0;
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut spans = context.event_scope(event).into_iter().flatten();
        if spans.any(|span| span.extensions().get::<Told>().is_some()) {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().said_within.extend(fields.0.remove("message"));
        }
    }
}

/// Marks the span that is listened to.
struct Told;

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}"));
    }
}
