//! Workers that read several streams.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, SourceError};
use kcl_core::settings::InitialPosition;
use kcl_core::streams::{StreamConfig, StreamProvider, StreamSet};
use kcl_core::testing::{ManualClock, ScriptedSource};
use kcl_core::types::{
    Checkpoint, Lease, LeaseKey, MultiStream, Row, ShardId, ShardRef, StreamId, Timestamp, WorkerId,
};
use kcl_core::{
    BoxError, BuildError, EventStream, LeaseReleasedReason, ProcessContext, ProcessError, RecordBatch, RecordProcessor,
    Settings, ShardContext, Worker, WorkerBuilder, WorkerError, WorkerEvent, WorkerHandle, async_trait,
};

use crate::fleet::{Killable, name};

const SECOND: Duration = Duration::from_secs(1);

/// What was delivered of each shard, `stream/shard`, in order: sequence numbers, which count from 1.
type Seen = Arc<Mutex<BTreeMap<String, Vec<u64>>>>;

/// Streams, a table and what workers saw.
struct Scene {
    clock: ManualClock,
    store: MemoryStore,
    source: ScriptedSource,
    seen: Seen,
}

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

fn shard(of: &str, index: usize) -> ShardRef {
    ShardRef::new(stream(of), ShardId::new(name(index)).unwrap())
}

/// When the streams were created.
const CREATED: i64 = 1_700_000_000;

fn key(of: &str, index: usize) -> LeaseKey {
    key_of(of, CREATED, index)
}

fn key_of(of: &str, created: i64, index: usize) -> LeaseKey {
    LeaseKey::new(format!("000000000000:{of}:{created}:{}", name(index))).unwrap()
}

impl Scene {
    /// These streams with two shards each.
    fn new(clock: &ManualClock, streams: &[&str]) -> Self {
        let source = ScriptedSource::new(clock.clone());
        let scene = Scene { clock: clock.clone(), store: MemoryStore::new(), source, seen: Seen::default() };
        streams.iter().for_each(|name| scene.create(name));
        scene
    }

    fn create(&self, name: &str) {
        for index in 0..2 {
            self.source.add_shard(&shard(name, index), None);
        }
        self.source.set_created(&stream(name), Timestamp::from_seconds(CREATED));
    }

    /// Puts a record into each shard.
    fn put(&self, streams: &[&str]) {
        for name in streams {
            (0..2).for_each(|index| drop(self.source.append(&shard(name, index), "data")));
        }
    }

    fn builder(&self, worker: &str, streams: StreamSet) -> WorkerBuilder {
        let seen = Arc::clone(&self.seen);
        Worker::builder(Settings::default().application("app").worker_id(worker))
            .streams(streams)
            .store(self.store.clone())
            .source(self.source.clone())
            .clock(self.clock.clone())
            .seed(7)
            .processor(move |_: &ShardContext| Noting(Arc::clone(&seen)))
    }

    async fn start(&self, worker: &str, streams: StreamSet) -> (WorkerHandle, EventStream) {
        let worker = self.builder(worker, streams).build().unwrap();
        let events = worker.events();
        (worker.start().await.unwrap(), events)
    }

    async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    fn seen(&self, of: &str) -> [Vec<u64>; 2] {
        let seen = self.seen.lock().unwrap();
        [0, 1].map(|index| seen.get(&shard(of, index).to_string()).cloned().unwrap_or_default())
    }

    /// The leases of the table and who holds them.
    fn holders(&self) -> BTreeMap<String, String> {
        let leases = self
            .store
            .rows()
            .into_iter()
            .filter_map(|row| if let Row::Lease(lease) = row { Some(lease) } else { None });
        leases.map(|lease| (lease.key.to_string(), lease.holder().map_or("-", WorkerId::as_str).to_owned())).collect()
    }
}

struct Noting(Seen);

#[async_trait]
impl RecordProcessor for Noting {
    async fn process_records(&mut self, batch: RecordBatch, context: &ProcessContext) -> Result<(), ProcessError> {
        let mut seen = self.0.lock().unwrap();
        let numbers = seen.entry(context.shard.shard.to_string()).or_default();
        for record in batch {
            numbers.push(record.sequence_number().as_str().parse()?);
        }
        Ok(())
    }
}

/// A provider whose answers tests set: names, or an error.
#[derive(Clone)]
struct Names(Arc<Mutex<Answer>>);

enum Answer {
    Streams(Vec<StreamId>),
    Error(&'static str),
    Panic,
}

impl Names {
    fn of(names: &[&str]) -> Self {
        Names(Arc::new(Mutex::new(Answer::Streams(names.iter().map(|name| stream(name)).collect()))))
    }

    fn say(&self, answer: Answer) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn name(&self, names: &[&str]) {
        self.say(Answer::Streams(names.iter().map(|name| stream(name)).collect()));
    }

    fn set(&self) -> StreamSet {
        StreamSet::provided(self.clone())
    }
}

#[async_trait]
impl StreamProvider for Names {
    async fn streams(&self) -> Result<Vec<StreamConfig>, BoxError> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Answer::Streams(streams) => Ok(streams.iter().cloned().map(StreamConfig::new).collect()),
            Answer::Error(why) => Err((*why).into()),
            Answer::Panic => panic!("a defect of the provider"),
        }
    }
}

fn fixed(names: &[&str]) -> StreamSet {
    StreamSet::fixed(names.iter().map(|name| stream(name)))
}

/// All events that wait.
fn waiting(events: &mut EventStream) -> Vec<WorkerEvent> {
    std::iter::from_fn(|| events.next().now_or_never().flatten()).map(Result::unwrap).collect()
}

/// Leases of a stream that were given back because it is not wanted.
fn handed_back(events: &[WorkerEvent], of: &str) -> usize {
    let back = events.iter().filter(|event| {
        matches!(event, WorkerEvent::LeaseReleased { tenure, reason: LeaseReleasedReason::Unwanted }
            if tenure.shard.stream() == &stream(of))
    });
    back.count()
}

#[test]
fn workers_share_the_shards_of_all_streams_and_each_knows_where_a_record_is_from() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let (_a, _) = scene.start("a", fixed(&["orders", "clicks"])).await;
        let (_b, _) = scene.start("b", fixed(&["orders", "clicks"])).await;
        scene.put(&["orders"]);
        scene.put(&["orders", "clicks"]);
        scene.pass(20 * SECOND).await;
        assert_eq!(scene.seen("orders"), [[1, 2], [1, 2]]);
        assert_eq!(scene.seen("clicks"), [[1], [1]]);
        let holders = scene.holders();
        let keys = [key("clicks", 0), key("clicks", 1), key("orders", 0), key("orders", 1)];
        assert_eq!(holders.keys().cloned().collect::<Vec<_>>(), keys.map(|key| key.to_string()));
        let of = |worker: &str| holders.values().filter(|holder| *holder == worker).count();
        assert_eq!((of("a"), of("b")), (2, 2), "leases are counted over all streams: {holders:?}");
        scene.put(&["orders", "clicks"]);
        scene.pass(2 * SECOND).await;
        assert_eq!((scene.seen("orders")[0].len(), scene.seen("clicks")[0].len()), (3, 2), "those that moved, too");
        let lease = scene.store.lease(&key("orders", 1)).unwrap();
        let expected = MultiStream::new(format!("000000000000:orders:{CREATED}"), ShardId::new(name(1)).unwrap());
        assert_eq!(lease.multi_stream.as_deref(), Some(&expected));
    });
}

#[test]
fn each_stream_begins_where_it_is_to_and_comes_from_its_own_source() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders"]);
        let elsewhere = Scene::new(&clock, &["clicks"]);
        scene.put(&["orders"]);
        elsewhere.put(&["clicks"]);
        scene.pass(SECOND).await;
        let clicks =
            StreamConfig::new(stream("clicks")).start(InitialPosition::Latest).source(elsewhere.source.clone());
        let (_a, _) = scene.start("a", StreamSet::fixed([StreamConfig::new(stream("orders")), clicks])).await;
        scene.pass(10 * SECOND).await;
        elsewhere.put(&["clicks"]);
        scene.pass(10 * SECOND).await;
        assert_eq!(scene.seen("orders"), [[1], [1]], "with the oldest record");
        assert_eq!(scene.seen("clicks"), [[2], [2]], "with what came after the start");
    });
}

#[test]
fn shards_split_and_merge_within_their_stream() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let (_a, _) = scene.start("a", fixed(&["orders", "clicks"])).await;
        scene.put(&["orders", "clicks"]);
        scene.pass(10 * SECOND).await;
        let ids = |numbers: &[usize]| numbers.iter().map(|n| ShardId::new(name(*n)).unwrap()).collect::<Vec<_>>();
        scene.source.reshard(&stream("orders"), &ids(&[0, 1]), &[(ids(&[2])[0].clone(), None)]);
        scene.source.append(&shard("orders", 2), "data");
        scene.pass(120 * SECOND).await;
        let seen = scene.seen.lock().unwrap().get(&shard("orders", 2).to_string()).cloned();
        assert_eq!(seen, Some(vec![1]));
        let left: BTreeSet<String> = scene.holders().into_keys().collect();
        let expected = [key("clicks", 0), key("clicks", 1), key("orders", 2)].map(|key| key.to_string());
        assert_eq!(left, expected.into(), "rows of shards that are over went, of this stream only");
        let child = scene.store.lease(&key("orders", 2)).unwrap();
        assert_eq!(child.stream(), Some("000000000000:orders:1700000000"));
    });
}

#[test]
fn a_stream_that_is_added_while_the_workers_run_is_read() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let names = Names::of(&["orders"]);
        let (_a, mut events) = scene.start("a", names.set()).await;
        let (_b, _) = scene.start("b", names.set()).await;
        scene.put(&["orders", "clicks"]);
        scene.pass(60 * SECOND).await;
        assert_eq!(scene.seen("clicks"), [[], []] as [[u64; 0]; 2]);
        names.name(&["orders", "clicks"]);
        scene.pass(80 * SECOND).await;
        assert_eq!((scene.seen("orders"), scene.seen("clicks")), ([vec![1], vec![1]], [vec![1], vec![1]]));
        let added = WorkerEvent::StreamsChanged { added: vec![stream("clicks")], removed: vec![] };
        assert!(waiting(&mut events).contains(&added));
    });
}

#[test]
fn a_stream_that_is_left_out_is_handed_back_with_its_checkpoint_and_forgotten_after_the_grace() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let names = Names::of(&["orders", "clicks"]);
        let (_a, mut a) = scene.start("a", names.set()).await;
        let (_b, mut b) = scene.start("b", names.set()).await;
        scene.put(&["orders", "clicks"]);
        // One checkpoint is in memory only when the stream is left out.
        scene.pass(59 * SECOND).await;
        names.name(&["orders"]);
        scene.put(&["clicks"]);
        scene.pass(120 * SECOND).await;
        let events = [waiting(&mut a), waiting(&mut b)].concat();
        assert_eq!((handed_back(&events, "clicks"), handed_back(&events, "orders")), (2, 0));
        let seen = scene.seen("clicks");
        for (index, seen) in seen.iter().enumerate() {
            let lease = scene.store.lease(&key("clicks", index)).unwrap();
            let done = lease.checkpoint.record().unwrap().sequence.as_str().parse::<u64>().unwrap();
            assert_eq!((lease.owner, Some(&done)), (None, seen.last()), "what was completed is stored");
        }
        scene.put(&["orders", "clicks"]);
        scene.pass(3_400 * SECOND).await;
        assert_eq!(scene.holders().len(), 4, "kept for an hour");
        assert_eq!(scene.seen("orders")[0], [1, 2], "the other stream is read on");
        assert_eq!(scene.seen("clicks"), seen, "nobody reads it");
        scene.pass(300 * SECOND).await;
        let left: Vec<String> = scene.holders().into_keys().collect();
        assert_eq!(left, [key("orders", 0), key("orders", 1)].map(|key| key.to_string()));
    });
}

#[test]
fn a_stream_that_is_wanted_again_within_the_grace_goes_on_where_it_stood() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let names = Names::of(&["orders", "clicks"]);
        let (_a, _) = scene.start("a", names.set()).await;
        scene.put(&["clicks"]);
        scene.pass(30 * SECOND).await;
        names.name(&["orders"]);
        scene.pass(1_800 * SECOND).await;
        scene.put(&["clicks"]);
        names.name(&["clicks", "orders"]);
        scene.pass(90 * SECOND).await;
        assert_eq!(scene.seen("clicks"), [[1, 2], [1, 2]], "nothing twice, and nothing left out");
    });
}

#[test]
fn the_grace_goes_on_counting_when_the_standby_takes_over() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let names = Names::of(&["orders", "clicks"]);
        let killable = Killable::default();
        let leader = scene.builder("a", names.set()).spawner(killable.clone()).build().unwrap().start().await.unwrap();
        let (_b, _) = scene.start("b", names.set()).await;
        scene.pass(30 * SECOND).await;
        names.name(&["orders"]);
        scene.pass(3_000 * SECOND).await;
        killable.kill();
        drop(leader);
        scene.pass(760 * SECOND).await;
        let left: Vec<String> = scene.holders().into_keys().collect();
        assert_eq!(left, [key("orders", 0), key("orders", 1)].map(|key| key.to_string()));
    });
}

#[test]
fn a_worker_that_still_wants_a_stream_keeps_its_rows_from_a_leader_that_does_not() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["clicks"]);
        let (old, new) = (Names::of(&["clicks"]), Names::of(&["clicks"]));
        let (_leads, _) = scene.start("a", new.set()).await;
        let (_holds, _) = scene.start("b", old.set()).await;
        scene.pass(40 * SECOND).await;
        new.name(&[]);
        scene.pass(8_000 * SECOND).await;
        let holders: BTreeSet<String> = scene.holders().into_values().collect();
        assert_eq!(holders, ["-".to_owned(), "b".to_owned()].into(), "as long as one is read, all are needed");
        old.name(&[]);
        scene.pass(3_800 * SECOND).await;
        assert_eq!(scene.holders().len(), 0);
    });
}

#[test]
fn a_provider_that_fails_keeps_the_streams_and_is_told() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let names = Names::of(&["orders", "clicks"]);
        let (_a, mut events) = scene.start("a", names.set()).await;
        for (answer, part) in [
            (Answer::Error("the database is away"), "the database is away"),
            (Answer::Panic, "a defect of the provider"),
            (Answer::Streams(vec![stream("orders"), stream("orders")]), "orders is named twice"),
        ] {
            names.say(answer);
            scene.put(&["orders", "clicks"]);
            scene.pass(70 * SECOND).await;
            let told = waiting(&mut events)
                .into_iter()
                .any(|event| matches!(event, WorkerEvent::StreamSetUnknown { error } if error.contains(part)));
            assert!(told, "{part}");
        }
        assert_eq!((scene.seen("orders")[0].len(), scene.seen("clicks")[0].len()), (3, 3));
        assert_eq!(handed_back(&waiting(&mut events), "clicks"), 0);
        names.name(&["orders"]);
        scene.pass(70 * SECOND).await;
        assert_eq!(handed_back(&waiting(&mut events), "clicks"), 2);
    });
}

#[test]
fn a_start_waits_for_the_provider_and_gives_up_at_the_start_time_out() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders"]);
        let names = Names::of(&["orders"]);
        names.say(Answer::Error("the database is away"));
        let failed = scene.builder("a", names.set()).build().unwrap().start().await.unwrap_err();
        assert!(matches!(&failed, WorkerError::StreamSet(why) if why == "the database is away"), "{failed}");
        assert_eq!(scene.store.rows(), [], "it leaves no trace");
        let start = scene.builder("a", names.set()).build().unwrap().start();
        let (started, ()) = futures_util::join!(start, async {
            scene.pass(5 * SECOND).await;
            names.name(&["orders"]);
        });
        started.unwrap();
    });
}

#[test]
fn a_stream_that_can_never_be_listed_holds_nothing_up() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        scene.source.fail_listings_of(&stream("clicks"), Some(SourceError::Denied("not yours".into())));
        let begun = clock.now();
        let (_a, _) = scene.start("a", fixed(&["clicks", "orders", "payments"])).await;
        assert!(clock.now().since(begun) < SECOND, "nor does it hold up the start");
        scene.put(&["orders", "clicks"]);
        scene.pass(10 * SECOND).await;
        assert_eq!(scene.seen("orders"), [[1], [1]]);
        scene.pass(600 * SECOND).await;
        scene.put(&["orders"]);
        scene.pass(10 * SECOND).await;
        assert_eq!(scene.seen("orders"), [[1, 2], [1, 2]]);
        assert_eq!(scene.holders().len(), 2);
        scene.source.fail_listings_of(&stream("clicks"), None);
        scene.create("payments");
        scene.pass(60 * SECOND).await;
        assert_eq!(scene.seen("clicks"), [[1], [1]]);
        assert_eq!(scene.holders().len(), 6);
    });
}

#[test]
fn leases_of_a_stream_that_cannot_be_listed_any_more_are_read_on() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let (_a, _) = scene.start("a", fixed(&["orders", "clicks"])).await;
        let (_b, kill) = {
            let killable = Killable::default();
            let worker = scene.builder("b", fixed(&["orders", "clicks"])).spawner(killable.clone()).build().unwrap();
            (worker.start().await.unwrap(), killable)
        };
        scene.put(&["clicks"]);
        scene.pass(30 * SECOND).await;
        scene.source.fail_listings_of(&stream("clicks"), Some(SourceError::Denied("not yours".into())));
        scene.pass(60 * SECOND).await;
        kill.kill();
        scene.put(&["clicks"]);
        scene.pass(60 * SECOND).await;
        assert_eq!(scene.seen("clicks").map(|seen| seen.last().copied()), [Some(2); 2]);
    });
}

#[test]
fn a_stream_that_is_created_again_is_read_anew_and_its_old_leases_are_parked() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders", "clicks"]);
        let (_a, mut a) = scene.start("a", fixed(&["orders", "clicks"])).await;
        let (_b, mut b) = scene.start("b", fixed(&["orders", "clicks"])).await;
        scene.put(&["orders", "clicks"]);
        scene.pass(40 * SECOND).await;
        scene.source.set_created(&stream("clicks"), Timestamp::from_seconds(CREATED + 9));
        scene.pass(120 * SECOND).await;
        let events = [waiting(&mut a), waiting(&mut b)].concat();
        assert_eq!((handed_back(&events, "clicks"), handed_back(&events, "orders")), (2, 0));
        let before = format!("000000000000:clicks:{CREATED}").parse().unwrap();
        assert!(events.contains(&WorkerEvent::StreamRecreated { stream: stream("clicks"), before }));
        let holders = scene.holders();
        for index in 0..2 {
            assert_eq!(holders[key("clicks", index).as_str()], "-", "parked");
            assert_ne!(holders[key_of("clicks", CREATED + 9, index).as_str()], "-", "read");
        }
        assert_eq!((scene.seen("orders"), scene.seen("clicks")), ([vec![1], vec![1]], [vec![1, 1], vec![1, 1]]));
        scene.pass(3_700 * SECOND).await;
        assert_eq!(scene.holders().len(), 4, "the old ones are removed");
    });
}

#[test]
fn rows_of_a_java_fleet_are_gone_on_with_under_the_identity_that_it_gave_the_stream() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["clicks"]);
        scene.put(&["clicks"]);
        scene.put(&["clicks"]);
        // As the KCL writes them: with an epoch that the program made up, untyped where old, held by a worker that is gone.
        for index in 0..2 {
            let shard = ShardId::new(name(index)).unwrap();
            let mut row = Lease::unowned(LeaseKey::of_shard(Some(JAVA), &shard), Checkpoint::TrimHorizon, 7);
            row.multi_stream = Some(Box::new(MultiStream::new(JAVA, shard)));
            row.owner = Some(WorkerId::new("java-worker").unwrap());
            (row.epoch, row.own_counter, row.checkpoint) = (None, None, "1".parse().map(at).unwrap());
            scene.store.put_row(Row::Lease(Box::new(row)));
        }
        let bare = Lease::unowned(LeaseKey::new(name(9)).unwrap(), Checkpoint::TrimHorizon, 7);
        scene.store.put_row(Row::Lease(Box::new(bare.clone())));
        let taken_over = StreamConfig::new(stream("clicks")).identity(JAVA.parse().unwrap());
        let (_a, _) = scene.start("a", StreamSet::fixed([taken_over])).await;
        scene.pass(30 * SECOND).await;
        assert_eq!(scene.seen("clicks"), [[2], [2]], "on from its checkpoints");
        scene.pass(4_000 * SECOND).await;
        assert_eq!(scene.store.lease(&bare.key), Some(bare), "a row of a table of one stream is left alone");
        assert_eq!(scene.holders().len(), 3);
    });
}

const JAVA: &str = "000000000000:clicks:1";

fn at(sequence: kcl_core::types::SequenceNumber) -> Checkpoint {
    Checkpoint::At(kcl_core::types::RecordPosition { sequence, sub: 0 })
}

#[test]
fn a_stream_whose_identity_cannot_be_known_waits_for_one() {
    let clock = ManualClock::new();
    clock.run(async {
        let scene = Scene::new(&clock, &["orders"]);
        // It is not said whose this stream is, nor when it was created.
        scene.source.add_shard(&shard("untold", 0), None);
        scene.source.append(&shard("untold", 0), "data");
        let (_a, _) = scene.start("a", fixed(&["orders", "untold"])).await;
        scene.pass(60 * SECOND).await;
        assert_eq!(scene.holders().len(), 2, "no lease can be made for it");
        let other = Scene { store: MemoryStore::new(), ..Scene::new(&clock, &[]) };
        let given = StreamConfig::new(stream("untold")).identity("1:untold:1".parse().unwrap());
        let (_b, _) = other.start("b", StreamSet::fixed([given.source(scene.source.clone())])).await;
        scene.pass(10 * SECOND).await;
        assert_eq!(other.seen("untold")[0], [1]);
    });
}

#[test]
fn a_set_that_cannot_be_right_is_refused_before_the_start() {
    let clock = ManualClock::new();
    let scene = Scene::new(&clock, &[]);
    let refused = |set: StreamSet| scene.builder("a", set).build().unwrap_err().to_string();
    assert!(refused(fixed(&[])).contains("there is none"));
    assert!(refused(fixed(&["orders", "clicks", "orders"])).contains("orders is named twice"));
    let settings = Settings::new("app", "orders");
    let both = Worker::builder(settings).streams(fixed(&["clicks"])).handler(|_| async { Ok(()) }).build();
    assert!(
        matches!(&both, Err(BuildError::Settings(wrong)) if wrong.to_string().contains("beside a set")),
        "{both:?}"
    );
    let no_way = Worker::builder(Settings::default().application("app"))
        .streams(fixed(&["clicks"]))
        .store(MemoryStore::new())
        .handler(|_| async { Ok(()) })
        .build();
    assert!(matches!(no_way, Err(BuildError::Missing { .. })));
}
