//! What the metrics say of reading.

use std::collections::BTreeMap;
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::settings::ReaderKind;
use kcl_core::{Settings, Worker, WorkerHandle, metric_definitions as names};
use kcl_local::{Fault, FaultRule};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tokio::sync::watch;

use crate::scene::{APPLICATION, STREAM, Scene, error, on_a_stream, subscribing};

/// A worker on a scene, and what the metrics said of it so far.
struct Told<'a> {
    scene: &'a Scene,
    worker: WorkerHandle,
    read: watch::Sender<usize>,
    snapshotter: Snapshotter,
    counters: BTreeMap<(String, String), u64>,
    gauges: BTreeMap<(String, String), f64>,
}

/// Runs a test with a worker whose metrics are listened to.
fn listening(reader: ReaderKind, test: impl AsyncFnOnce(&mut Told<'_>)) {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    ::metrics::with_local_recorder(&recorder, || {
        on_a_stream(1, async |scene| {
            let read = watch::Sender::new(0);
            let counted = read.clone();
            let worker = Worker::builder(Settings::new(APPLICATION, STREAM).worker_id("a").reader(reader))
                .kinesis_client(scene.client.clone())
                .store(MemoryStore::new())
                .clock(scene.clock.clone())
                .seed(7)
                .handler(move |_| {
                    counted.send_modify(|read| *read += 1);
                    std::future::ready(Ok(()))
                });
            let worker = worker.build().unwrap().start().await.unwrap();
            let (counters, gauges) = (BTreeMap::new(), BTreeMap::new());
            let mut told = Told { scene: &scene, worker, read, snapshotter, counters, gauges };
            test(&mut told).await;
            told.worker.stop();
            told.scene.within(Duration::from_secs(60), told.worker.wait()).await.unwrap();
            told.look();
            for state in ["opening", "live", "waiting", "suspended"] {
                assert_eq!(told.gauge(names::SUBSCRIPTIONS, state), 0.0, "{state}, at the end");
            }
        });
    });
}

impl Told<'_> {
    /// Takes down what was counted since the last look.
    fn look(&mut self) {
        for (key, _, _, value) in self.snapshotter.snapshot().into_vec() {
            let mut labels = key.key().labels();
            // The label that tells metrics of one name apart.
            let own = labels.find(|label| matches!(label.key(), "state" | "reason" | "to"));
            let name = (key.key().name().to_owned(), own.map(|label| label.value().to_owned()).unwrap_or_default());
            match value {
                DebugValue::Counter(more) => *self.counters.entry(name).or_default() += more,
                // A look sets the recorder's value to 0: of a gauge that goes up and down it is what changed since.
                DebugValue::Gauge(change) if name.0 == names::SUBSCRIPTIONS => {
                    *self.gauges.entry(name).or_default() += change.0;
                }
                DebugValue::Gauge(now) => drop(self.gauges.insert(name, now.0)),
                DebugValue::Histogram(_) => {}
            }
        }
    }

    fn counter(&self, name: &str, label: &str) -> u64 {
        self.counters.get(&(name.to_owned(), label.to_owned())).copied().unwrap_or_default()
    }

    fn gauge(&self, name: &str, label: &str) -> f64 {
        self.gauges.get(&(name.to_owned(), label.to_owned())).copied().unwrap_or_default()
    }

    /// Puts records of one byte until the handler had so many.
    async fn read_on(&mut self, count: usize) {
        let seen = *self.read.borrow();
        let mut read = self.read.subscribe();
        let arrives = async { drop(read.wait_for(|now| *now >= seen + count).await) };
        let puts = self.scene.put_every_second(u64::try_from(count).unwrap());
        self.scene.within(Duration::from_secs(120), async { tokio::join!(arrives, puts) }).await;
        self.look();
    }
}

#[test]
fn polling_counts_records_bytes_throttling_and_failures_and_tells_the_lag() {
    listening(ReaderKind::Polling, async |told| {
        told.read_on(3).await;
        assert_eq!((told.counter(names::RECORDS, ""), told.counter(names::RECORD_BYTES, "")), (3, 3));
        assert_eq!((told.counter(names::READS_THROTTLED, ""), told.counter(names::FETCH_FAILURES, "")), (0, 0));
        assert_eq!(told.gauge(names::LAG, ""), 0.0);
        let reads = |fault: Fault| FaultRule::new(fault).operation("GetRecords");
        told.scene.faults([
            reads(Fault::ExpiredIterator).calls(1..=1),
            reads(Fault::Throttle).calls(2..=4),
            reads(error(500, "InternalFailureException")).calls(5..=6),
        ]);
        told.read_on(3).await;
        assert_eq!(told.counter(names::READS_THROTTLED, ""), 3);
        assert_eq!(told.counter(names::FETCH_FAILURES, ""), 2, "an expired iterator is none");
        assert_eq!(told.counter(names::RECORDS, ""), 6);
        assert_eq!(told.gauge(names::READ_AHEAD, ""), 0.0, "all is done");
    });
}

#[test]
fn subscriptions_are_counted_by_state_and_their_ends_by_reason() {
    listening(ReaderKind::FanOut, async |told| {
        told.read_on(2).await;
        assert_eq!(told.gauge(names::SUBSCRIPTIONS, "live"), 1.0);
        told.scene.pass(Duration::from_secs(301)).await;
        told.read_on(1).await;
        assert_eq!(told.counter(names::SUBSCRIPTION_ENDS, "renewal"), 1);
        told.scene.faults([
            subscribing(Fault::Reset { bytes: 400 }).calls(1..=1),
            subscribing(Fault::Throttle).calls(2..=3),
            subscribing(error(400, "ResourceInUseException")).calls(4..=4),
            subscribing(error(500, "InternalFailureException")).calls(5..=5),
            subscribing(error(400, "AccessDeniedException")).calls(6..=6),
            subscribing(Fault::StalledStream { bytes: 131, pause: None }).calls(7..=7),
        ]);
        told.scene.pass(Duration::from_secs(300)).await;
        told.read_on(2).await;
        let ends = ["broken", "throttled", "in_use", "unavailable", "refused", "silent", "renewal", "ended_early"];
        let ends = ends.map(|reason| told.counter(names::SUBSCRIPTION_ENDS, reason));
        assert_eq!(ends, [1, 2, 1, 1, 1, 1, 2, 0]);
        assert_eq!(told.counter(names::RECORDS, ""), 5);
        assert_eq!(told.gauge(names::SUBSCRIPTIONS, "live"), 1.0);
    });
}

#[test]
fn changes_of_the_reader_are_counted() {
    listening(ReaderKind::Auto, async |told| {
        told.read_on(2).await;
        assert_eq!(told.counter(names::READER_CHANGES, "fanout"), 1);
        told.scene.faults([subscribing(error(500, "InternalFailureException"))]);
        told.scene.pass(Duration::from_secs(600)).await;
        told.read_on(2).await;
        // It tries to subscribe again now and then.
        let polled = told.counter(names::READER_CHANGES, "polling");
        assert!(polled >= 1 && told.counter(names::READER_CHANGES, "fanout") == polled, "{polled}");
        told.scene.kinesis.faults().clear();
        told.scene.pass(Duration::from_secs(1_800)).await;
        told.read_on(2).await;
        assert_eq!(told.counter(names::READER_CHANGES, "fanout"), polled + 1);
        assert_eq!(told.counter(names::READER_CHANGES, "polling"), polled);
    });
}
