//! Where workers begin, and what becomes of a checkpoint that is older than what the stream keeps: with both readers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::ports::DataLoss;
use kcl_core::settings::{InitialPosition, ReaderKind};
use kcl_core::{EventStream, Settings, Worker, WorkerEvent, WorkerHandle};
use kcl_local::{Fault, FaultRule};

use crate::scene::{APPLICATION, STREAM, Scene, error, on_a_stream};

const READERS: [ReaderKind; 2] = [ReaderKind::Polling, ReaderKind::FanOut];
const HOUR: Duration = Duration::from_secs(3_600);

/// A worker at a time, over one table, and the data that they were given.
struct Consumer {
    scene: Scene,
    reader: ReaderKind,
    store: MemoryStore,
    given: Arc<Mutex<Vec<String>>>,
}

impl Consumer {
    fn new(scene: &Scene, reader: ReaderKind) -> Self {
        Consumer { scene: scene.clone(), reader, store: MemoryStore::new(), given: Arc::default() }
    }

    async fn start(&self, start: InitialPosition) -> (WorkerHandle, EventStream) {
        let settings = Settings::new(APPLICATION, STREAM).worker_id("only").reader(self.reader).start(start);
        let given = Arc::clone(&self.given);
        let worker = Worker::builder(settings)
            .kinesis_client(self.scene.client.clone())
            .store(self.store.clone())
            .clock(self.scene.clock.clone())
            .seed(7)
            .handler(move |record| {
                given.lock().unwrap().push(String::from_utf8_lossy(record.data()).into_owned());
                std::future::ready(Ok(()))
            });
        let worker = worker.build().unwrap();
        let events = worker.events();
        (worker.start().await.unwrap(), events)
    }

    async fn stop(&self, mut worker: WorkerHandle) {
        worker.stop();
        self.scene.within(Duration::from_secs(60), worker.wait()).await.unwrap();
    }

    fn given(&self) -> Vec<String> {
        self.given.lock().unwrap().clone()
    }
}

/// What a worker that has stopped told of losses.
async fn losses(events: &mut EventStream) -> Vec<DataLoss> {
    let mut told = Vec::new();
    while let Some(Ok(event)) = events.next().await {
        match event {
            WorkerEvent::DataLoss { loss, .. } => told.push(loss),
            WorkerEvent::Stopped => break,
            _ => {}
        }
    }
    told
}

#[test]
fn a_shard_that_was_only_empty_for_longer_than_the_retention_goes_on_without_a_report() {
    for reader in READERS {
        on_a_stream(1, async |scene| {
            let consumer = Consumer::new(&scene, reader);
            scene.put("read");
            let mut told = Vec::new();
            for _ in 0..3 {
                let (worker, mut events) = consumer.start(InitialPosition::TrimHorizon).await;
                scene.pass(Duration::from_secs(30)).await;
                consumer.stop(worker).await;
                told.extend(losses(&mut events).await);
                scene.pass(15 * HOUR).await;
            }
            assert!(scene.kinesis.all_records(STREAM).unwrap().is_empty(), "it is older than the retention");
            let (worker, mut events) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.pass(Duration::from_secs(30)).await;
            scene.put("new");
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;
            told.extend(losses(&mut events).await);
            assert_eq!((told, consumer.given()), (vec![], vec!["read".to_owned(), "new".to_owned()]), "{reader:?}");
        });
    }
}

#[test]
fn a_shard_that_is_empty_because_all_of_it_is_lost_is_reported_with_the_next_record() {
    for reader in READERS {
        on_a_stream(1, async |scene| {
            let consumer = Consumer::new(&scene, reader);
            scene.put("read");
            let (worker, _events) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;
            scene.put("lost");
            scene.pass(30 * HOUR).await;
            // One worker finds nothing at all, the next one finds what came since.
            let mut told = Vec::new();
            for data in ["new", "newer"] {
                let (worker, mut events) = consumer.start(InitialPosition::TrimHorizon).await;
                scene.pass(Duration::from_secs(30)).await;
                consumer.stop(worker).await;
                told.extend(losses(&mut events).await);
                scene.put(data);
            }
            let (worker, mut events) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;
            told.extend(losses(&mut events).await);
            assert_eq!(told.len(), 1, "{reader:?}: {told:?}");
            assert_eq!(consumer.given(), ["read", "new", "newer"], "{reader:?}");
        });
    }
}

#[test]
fn a_checkpoint_older_than_the_retention_is_reported_once_and_reading_goes_on_with_what_is_kept() {
    for reader in READERS {
        on_a_stream(1, async |scene| {
            let consumer = Consumer::new(&scene, reader);
            let (worker, _events) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.put("read");
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;

            scene.put("lost");
            scene.pass(20 * HOUR).await;
            scene.put("kept");
            scene.pass(5 * HOUR).await;
            let (worker, mut events) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.pass(Duration::from_secs(30)).await;
            scene.put("new");
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;
            // It is stored now that it was passed.
            let (worker, mut later) = consumer.start(InitialPosition::TrimHorizon).await;
            scene.pass(Duration::from_secs(30)).await;
            consumer.stop(worker).await;

            assert_eq!(consumer.given(), ["read", "kept", "new"], "{reader:?}");
            let records = scene.kinesis.all_records(STREAM).unwrap();
            let mut told = losses(&mut events).await;
            told.extend(losses(&mut later).await);
            assert_eq!(told.len(), 1, "{reader:?}: {told:?}");
            assert_eq!(told[0].next.to_string(), records[0].1.sequence_number.to_string(), "{reader:?}");
            assert!(told[0].checkpoint < told[0].next);
        });
    }
}

#[test]
fn latest_is_pinned_when_the_lease_is_made_although_nothing_can_be_read_for_a_minute() {
    for reader in READERS {
        on_a_stream(2, async |scene| {
            scene.put("before");
            scene.pass(Duration::from_secs(5)).await;
            let refused = |operation: &str| FaultRule::new(error(500, "InternalFailureException")).operation(operation);
            scene.faults([refused("GetRecords"), refused("GetShardIterator"), refused("SubscribeToShard")]);
            let consumer = Consumer::new(&scene, reader);
            let (worker, _events) = consumer.start(InitialPosition::Latest).await;
            scene.pass(Duration::from_secs(10)).await;
            for number in 0..3 {
                scene.put(&format!("after {number}"));
                scene.pass(Duration::from_secs(20)).await;
            }
            assert_eq!(consumer.given(), Vec::<String>::new());
            scene.kinesis.faults().clear();
            scene.pass(Duration::from_secs(90)).await;
            consumer.stop(worker).await;
            let mut given = consumer.given();
            given.sort();
            assert_eq!(given, ["after 0", "after 0", "after 1", "after 1", "after 2", "after 2"], "{reader:?}");
        });
    }
}

#[test]
fn an_instant_is_stored_with_the_lease_and_holds_for_the_next_worker() {
    for reader in READERS {
        on_a_stream(1, async |scene| {
            scene.put("before");
            scene.pass(Duration::from_secs(10)).await;
            let instant = kcl_core::ports::Clock::wall(&scene.clock);
            scene.pass(Duration::from_secs(10)).await;
            scene.put("after");
            let consumer = Consumer::new(&scene, reader);
            // The first one never gets to read.
            scene.faults([
                FaultRule::new(Fault::ConnectionError).operation("GetRecords"),
                FaultRule::new(Fault::ConnectionError).operation("SubscribeToShard"),
            ]);
            let (worker, _events) = consumer.start(InitialPosition::AtTimestamp(instant)).await;
            scene.pass(Duration::from_secs(20)).await;
            consumer.stop(worker).await;
            scene.kinesis.faults().clear();
            let (worker, _events) = consumer.start(InitialPosition::Latest).await;
            scene.pass(Duration::from_secs(40)).await;
            consumer.stop(worker).await;
            assert_eq!(consumer.given(), ["after"], "{reader:?}: the row says where, not the setting");
        });
    }
}
