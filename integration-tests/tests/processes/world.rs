//! One scenario's world: a stream, a lease table, what is put, and what all workers and the table show.

use std::time::Duration;

use kcl_local::LocalAws;
use tokio::sync::{Mutex, MutexGuard};

use crate::feed::Feed;
use crate::observed::{State, Summary};
use crate::stopwatch::Stopwatch;
use crate::table::{LeaseRow, Table};
use crate::waiting::{a_little_later, within};
use crate::worker::{Fleet, Program, Worker};

/// A stream of this process, a table there or at the endpoint that `KCL_TEST_DYNAMODB_ENDPOINT` names, and workers.
pub(crate) struct World {
    pub(crate) watch: Stopwatch,
    pub(crate) shards: usize,
    /// Before the fleet: in a test that fails they tell what they said, and the fleet has the folder for that.
    workers: Vec<Worker>,
    pub(crate) fleet: Fleet,
    pub(crate) feed: Feed,
    pub(crate) table: Table,
    /// Those whose end or output was cut.
    killed: Vec<String>,
    aws: LocalAws,
    _turn: MutexGuard<'static, ()>,
}

/// Where the two services are.
pub(crate) struct Endpoints {
    pub(crate) kinesis: String,
    pub(crate) dynamodb: String,
}

/// Fleets of many processes side by side would only show how slow the machine is.
static TURN: Mutex<()> = Mutex::const_new(());

impl World {
    /// `name` is that of the application, with a part that makes it unique: the table may live longer than the test.
    pub(crate) async fn new(name: &str, shards: usize) -> Self {
        World::with(name, shards, failover_time(), async |endpoints| endpoints).await
    }

    /// The same with a failover time; what `between` makes of the endpoints is where the workers look for them.
    pub(crate) async fn with(
        name: &str,
        shards: usize,
        failover: Duration,
        between: impl AsyncFnOnce(Endpoints) -> Endpoints,
    ) -> Self {
        let turn = TURN.lock().await;
        let watch = Stopwatch::start();
        println!("{name}, F = {failover:?}");
        let aws = LocalAws::start().await.unwrap();
        aws.kinesis().create_stream(STREAM, shards.try_into().unwrap()).unwrap();
        let kinesis = aws.kinesis_endpoint();
        let dynamodb = std::env::var("KCL_TEST_DYNAMODB_ENDPOINT").unwrap_or_else(|_| aws.dynamodb_endpoint());
        let application = format!("{name}-{}", std::process::id());
        let feed = Feed::new(&kinesis, STREAM);
        let table = Table::watch(&dynamodb, &application);
        let Endpoints { kinesis, dynamodb } = between(Endpoints { kinesis, dynamodb }).await;
        let environment = vec![
            ("AWS_ENDPOINT_URL_KINESIS", kinesis),
            ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb),
            ("KCL_STREAM", STREAM.to_owned()),
            ("KCL_APPLICATION", application),
            ("KCL_FAILOVER_TIME", format!("{}ms", failover.as_millis())),
            // Many at once on a small machine take their time, which is not what is looked at.
            ("KCL_START_TIMEOUT", "25s".to_owned()),
            ("KCL_READ_LIMIT", "none".to_owned()),
            ("KCL_IDLE_INTERVAL", "200ms".to_owned()),
        ];
        let fleet = Fleet::new(environment, &[]);
        World { watch, shards, fleet, feed, table, workers: Vec::new(), killed: Vec::new(), aws, _turn: turn }
    }

    pub(crate) fn start(&mut self, names: &[impl AsRef<str>]) {
        self.workers.extend(names.iter().map(|name| self.fleet.start(name.as_ref())));
    }

    pub(crate) fn start_program(&mut self, program: Program, name: &str) {
        self.workers.push(self.fleet.start_program(program, name));
    }

    pub(crate) fn worker(&self, name: &str) -> &Worker {
        self.workers.iter().find(|worker| worker.name == name).unwrap_or_else(|| panic!("{name} does not run"))
    }

    fn take(&mut self, name: &str) -> Worker {
        let place = self.workers.iter().position(|worker| worker.name == name);
        self.workers.swap_remove(place.unwrap_or_else(|| panic!("{name} does not run")))
    }

    /// Waits until all who run share the shards, in the table and in what they do.
    pub(crate) async fn until_shared(&self, what: &str) {
        let names: Vec<&String> = self.workers.iter().map(|worker| &worker.name).collect();
        self.while_all_run(self.table.until_even(what, self.shards, &names)).await;
        self.until_worked_on().await;
        self.watch.tell(what);
    }

    /// What the future yields, unless a worker ends by itself before: then there is nothing to wait for.
    async fn while_all_run<T>(&self, future: impl Future<Output = T>) -> T {
        let someone_has_ended = async {
            while self.workers.iter().all(|worker| !worker.has_ended()) {
                a_little_later().await;
            }
        };
        tokio::select! {
            biased;
            value = future => value,
            () = someone_has_ended => panic!("a worker has ended by itself"),
        }
    }

    /// Waits until each of these was given records.
    pub(crate) async fn until_reading(&self, names: &[impl AsRef<str>]) {
        for name in names.iter().map(AsRef::as_ref) {
            let reads = format!("{name} reads");
            self.while_all_run(self.fleet.observed.until(&reads, |state| state.delivered_to(name) > 0)).await;
        }
    }

    /// Kills workers at once. From then on whoever begins a tenure of one of their shards must have a higher token.
    pub(crate) async fn kill(&mut self, names: &[impl AsRef<str>]) {
        let mut killed: Vec<Worker> = names.iter().map(|name| self.take(name.as_ref())).collect();
        killed.iter().for_each(Worker::kill);
        for worker in &mut killed {
            let status = worker.ended().await;
            assert!(!status.success(), "{status}");
            self.fleet.observed.mark_dead(&worker.name);
            self.killed.push(worker.name.clone());
        }
    }

    /// Asks workers to stop, all at once, and waits until each has ended well.
    pub(crate) async fn terminate(&mut self, names: &[impl AsRef<str>]) {
        let mut stopped: Vec<Worker> = names.iter().map(|name| self.take(name.as_ref())).collect();
        stopped.iter().for_each(Worker::terminate);
        for worker in &mut stopped {
            let status = worker.ended().await;
            assert!(status.success(), "a worker that is asked to stop ends well: {} {status}", worker.name);
        }
    }

    /// Waits for all who run to end by themselves, and yields what each says at its end.
    pub(crate) async fn until_all_failed(&mut self) -> Vec<String> {
        let mut logs = Vec::new();
        for mut worker in std::mem::take(&mut self.workers) {
            let status = worker.ended().await;
            assert!(!status.success(), "{}: {status}", worker.name);
            logs.push(worker.log());
        }
        logs
    }

    /// Waits until everything that was put is read, stops all who run, and holds what they printed and what the table
    /// showed against what was put.
    pub(crate) async fn end(mut self) -> Summary {
        let put = self.feed.so_far().await;
        self.while_all_run(self.fleet.observed.until_read(&put)).await;
        self.watch.tell("everything is read");
        let names: Vec<String> = self.workers.iter().map(|worker| worker.name.clone()).collect();
        // One after the other, and each when those who are left work on everything: nothing is on its way to one who is gone.
        for name in names {
            self.terminate(&[&name]).await;
            self.until_worked_on().await;
            self.watch.tell(format!("{name} has ended, and what it had is worked on by others"));
        }
        let (leases, _) = self.table.now().await;
        for (shard, numbers) in &put {
            // Rows of shards that are done are cleaned away some day.
            let Some(LeaseRow { owner, checkpoint, ended: false, .. }) = leases.get(shard) else { continue };
            // Whoever stops sees the fleet once: one that was killed a moment ago looks alive, and may be named.
            let free = owner.as_ref().is_none_or(|owner| self.killed.contains(owner));
            let given_back = free && checkpoint.as_ref() == numbers.last();
            // A lease may be lost, on a machine so slow that no write comes through in time.
            let lost = self.fleet.observed.look(|state| state.was_lost(shard));
            assert!(given_back || lost, "{shard}: all that was read is stored and given back: {:?}", leases[shard]);
        }
        let looks = self.table.check(&put);
        let killed: Vec<&str> = self.killed.iter().map(String::as_str).collect();
        let summary = self.fleet.observed.check(&put, &killed);
        assert_eq!(summary.distinct, put.values().map(Vec::len).sum::<usize>());
        self.watch.tell(format!("{summary:?}, {looks} looks at the table"));
        self.shut().await;
        summary
    }

    /// Waits until those who run work on all shards, if any run.
    async fn until_worked_on(&self) {
        let names: Vec<&str> = self.workers.iter().map(|worker| worker.name.as_str()).collect();
        let held = |state: &State| names.iter().map(|name| state.held_by(name)).sum::<usize>() == self.shards;
        if !names.is_empty() {
            self.while_all_run(self.fleet.observed.until("those who are left work on all shards", held)).await;
        }
    }

    /// Stops the servers.
    pub(crate) async fn shut(self) {
        within("the servers stop", self.aws.stop()).await;
    }
}

/// F: 2 s, or the seconds in `KCL_TEST_FAILOVER_SECONDS`.
pub(crate) fn failover_time() -> Duration {
    Duration::from_secs(seconds("KCL_TEST_FAILOVER_SECONDS").unwrap_or(2))
}

/// A number of seconds from the environment.
pub(crate) fn seconds(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}; write whole seconds, such as 60")))
}

const STREAM: &str = "logs";
