//! Whole workers that subscribe: take-overs, splits, stopped user code, fleets of several readers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::Spawner;
use kcl_core::settings::ReaderKind;
use kcl_core::types::Row;
use kcl_core::{
    ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext, Worker, WorkerHandle,
    async_trait,
};
use kcl_local::{Fault, ShardId};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scene::{APPLICATION, STREAM, Scene, error, on_a_stream, subscribing};

/// Workers of one application, and what they were given.
#[derive(Clone)]
struct Fleet {
    scene: Scene,
    store: MemoryStore,
    given: Arc<Mutex<Vec<(String, String, String)>>>,
    /// Shards whose records take until they are free again.
    held: watch::Sender<BTreeSet<String>>,
}

/// Tasks of one worker, which can be dropped all at once: what SIGKILL does to a process.
#[derive(Debug, Clone, Default)]
struct Killable(Arc<Mutex<JoinSet<()>>>);

impl Spawner for Killable {
    fn spawn(&self, _name: &'static str, task: BoxFuture<'static, ()>) {
        self.0.lock().unwrap().spawn(task);
    }
}

struct Noting(Fleet);

#[async_trait]
impl RecordProcessor for Noting {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let ShardContext { worker, shard, .. } = &context.shard;
        self.0.held.subscribe().wait_for(|held| !held.contains(shard.id().as_str())).await?;
        let noted = batch
            .iter()
            .map(|record| (worker.to_string(), shard.id().to_string(), record.sequence_number().to_string()));
        self.0.given.lock().unwrap().extend(noted);
        Ok(())
    }
}

impl Fleet {
    fn new(scene: &Scene) -> Self {
        let (given, held) = (Arc::default(), watch::Sender::default());
        Fleet { scene: scene.clone(), store: MemoryStore::new(), given, held }
    }

    async fn start(&self, name: &str, reader: ReaderKind) -> (WorkerHandle, Killable) {
        let settings = Settings::new(APPLICATION, STREAM).worker_id(name).reader(reader);
        let (killable, fleet) = (Killable::default(), self.clone());
        let worker = Worker::builder(settings)
            .kinesis_client(self.scene.client.clone())
            .store(self.store.clone())
            .clock(self.scene.clock.clone())
            .spawner(killable.clone())
            .seed(7)
            .processor(move |_: &ShardContext| Noting(fleet.clone()));
        (worker.build().unwrap().start().await.unwrap(), killable)
    }

    /// What was given, by shard and in order.
    fn by_shard(&self) -> BTreeMap<String, Vec<String>> {
        let mut shards = BTreeMap::<_, Vec<_>>::new();
        for (_, shard, number) in self.given.lock().unwrap().iter().cloned() {
            shards.entry(shard).or_default().push(number);
        }
        shards
    }

    /// What the stream has, by shard and in order.
    fn put(&self) -> BTreeMap<String, Vec<String>> {
        let mut shards = BTreeMap::<_, Vec<_>>::new();
        for (shard, record) in self.scene.kinesis.all_records(STREAM).unwrap() {
            shards.entry(shard.to_string()).or_default().push(record.sequence_number.to_string());
        }
        shards
    }

    #[track_caller]
    fn assert_read_once(&self) {
        assert_eq!(self.by_shard(), self.put());
    }

    /// Everything was given, in order but for what was given again after a worker was killed.
    #[track_caller]
    fn assert_read(&self) {
        let (given, put) = (self.by_shard(), self.put());
        for (shard, numbers) in &put {
            let distinct: BTreeSet<_> = given[shard].iter().collect();
            assert_eq!(distinct.len(), numbers.len(), "{shard}");
        }
    }

    fn leases(&self) -> BTreeMap<String, usize> {
        let mut owners = BTreeMap::new();
        for row in self.store.rows() {
            if let Row::Lease(lease) = row
                && !lease.is_ended()
            {
                let owner = lease.owner.as_ref().map_or("-".to_owned(), |owner| owner.to_string());
                *owners.entry(owner).or_insert(0) += 1;
            }
        }
        owners
    }

    async fn stop(&self, workers: impl IntoIterator<Item = WorkerHandle>) {
        for mut worker in workers {
            worker.stop();
            self.scene.within(Duration::from_secs(60), worker.wait()).await.unwrap();
        }
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn workers_join_and_leave_and_every_record_is_given_once() {
    on_a_stream(4, async |scene| {
        let fleet = Fleet::new(&scene);
        let (first, _tasks) = fleet.start("first", ReaderKind::FanOut).await;
        scene.put_every_second(60).await;
        let (second, _tasks) = fleet.start("second", ReaderKind::FanOut).await;
        scene.put_every_second(60).await;
        assert_eq!(fleet.leases(), [("first".to_owned(), 2), ("second".to_owned(), 2)].into());
        fleet.stop([first]).await;
        scene.put_every_second(60).await;
        assert_eq!(fleet.leases(), [("second".to_owned(), 4)].into());
        scene.pass(Duration::from_secs(10)).await;
        fleet.assert_read_once();
        fleet.stop([second]).await;
        assert_eq!(scene.calls("GetRecords"), 0);
        assert_eq!(scene.calls("RegisterStreamConsumer"), 1);
        assert_eq!(scene.kinesis.consumers(STREAM).unwrap().len(), 1, "stopping leaves it registered");
    });
}

#[test]
fn the_shards_of_a_killed_worker_are_taken_over_and_nothing_is_missing() {
    on_a_stream(4, async |scene| {
        let fleet = Fleet::new(&scene);
        let (first, first_tasks) = fleet.start("first", ReaderKind::FanOut).await;
        let (second, _tasks) = fleet.start("second", ReaderKind::FanOut).await;
        scene.put_every_second(60).await;
        *first_tasks.0.lock().unwrap() = JoinSet::new();
        drop(first);
        scene.put_every_second(30).await;
        assert_eq!(fleet.leases(), [("second".to_owned(), 4)].into());
        scene.pass(Duration::from_secs(10)).await;
        fleet.assert_read();
        fleet.stop([second]).await;
    });
}

#[test]
fn splits_and_merges_are_followed_by_subscription() {
    on_a_stream(4, async |scene| {
        let fleet = Fleet::new(&scene);
        let (first, _tasks) = fleet.start("first", ReaderKind::FanOut).await;
        let (second, _tasks) = fleet.start("second", ReaderKind::FanOut).await;
        scene.put_every_second(30).await;
        scene.kinesis.split_shard_evenly(STREAM, ShardId(0)).unwrap();
        scene.put_every_second(30).await;
        scene.kinesis.merge_shards(STREAM, ShardId(1), ShardId(2)).unwrap();
        scene.put_every_second(60).await;
        scene.pass(MINUTE).await;
        fleet.assert_read_once();
        assert_eq!(fleet.by_shard().len(), 7);
        fleet.stop([first, second]).await;
    });
}

#[test]
fn user_code_that_stops_on_some_shards_disturbs_no_other_and_keeps_its_leases() {
    on_a_stream(8, async |scene| {
        let fleet = Fleet::new(&scene);
        let (worker, _tasks) = fleet.start("only", ReaderKind::FanOut).await;
        scene.put_every_second(10).await;
        let stopped: BTreeSet<String> = (0..4).map(|index| ShardId(index).to_string()).collect();
        fleet.held.send_replace(stopped.clone());
        let before = scene.calls("SubscribeToShard");
        scene.put_every_second(600).await;
        assert_eq!(fleet.leases(), [("only".to_owned(), 8)].into());
        let counts: BTreeMap<_, _> = fleet.by_shard().into_iter().map(|(shard, given)| (shard, given.len())).collect();
        for (shard, count) in &counts {
            assert_eq!(*count < 15, stopped.contains(shard), "{counts:?}");
            assert!(*count < 15 || *count >= 609, "{counts:?}");
        }
        let renewals = scene.calls("SubscribeToShard") - before;
        assert!(renewals <= 4 * 3, "closed, and not opened before somebody wants it: {renewals}");
        fleet.held.send_replace(BTreeSet::new());
        scene.pass(MINUTE).await;
        fleet.assert_read_once();
        fleet.stop([worker]).await;
    });
}

#[test]
fn a_fleet_may_read_in_several_ways_and_change_them() {
    on_a_stream(6, async |scene| {
        let fleet = Fleet::new(&scene);
        let (polling, _tasks) = fleet.start("polling", ReaderKind::Polling).await;
        let (pushed, _tasks) = fleet.start("pushed", ReaderKind::FanOut).await;
        let (auto, _tasks) = fleet.start("auto", ReaderKind::Auto).await;
        scene.put_every_second(60).await;
        // Subscriptions fail for ten minutes: one worker polls, one waits.
        scene.faults([subscribing(error(500, "InternalFailureException"))]);
        scene.put_every_second(600).await;
        scene.kinesis.faults().clear();
        scene.put_every_second(60).await;
        scene.pass(Duration::from_secs(120)).await;
        fleet.assert_read_once();
        fleet.stop([polling, pushed]).await;
        scene.put_every_second(30).await;
        scene.pass(MINUTE).await;
        fleet.assert_read_once();
        fleet.stop([auto]).await;
    });
}

#[test]
fn subscriptions_that_break_all_the_time_cost_delay_and_nothing_else() {
    on_a_stream(3, async |scene| {
        let fleet = Fleet::new(&scene);
        scene.faults([
            subscribing(Fault::Reset { bytes: 3_000 }).every(2),
            subscribing(Fault::StalledStream { bytes: 2_000, pause: None }).every(3),
            subscribing(Fault::TruncatedBody { bytes: 1_000 }).every(5),
        ]);
        let (first, _tasks) = fleet.start("first", ReaderKind::FanOut).await;
        let (second, _tasks) = fleet.start("second", ReaderKind::Auto).await;
        scene.put_every_second(300).await;
        scene.kinesis.faults().clear();
        scene.pass(MINUTE).await;
        fleet.assert_read_once();
        fleet.stop([first, second]).await;
    });
}
