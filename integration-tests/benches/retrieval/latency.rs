//! Time from put to handler, beside plain loops that read the same records at the same time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{Clock, SystemClock};
use kcl_core::settings::{InitialPosition, ReaderKind};
use kcl_core::types::Moment;
use kcl_core::{
    BoxError, ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext, Worker, async_trait,
};
use tokio::sync::watch;

use crate::report::{Budget, Report};
use crate::rig::on_one_thread;
use crate::wire::Server;

const STREAM: &str = "latency";
const IDLE: Duration = Duration::from_millis(200);

pub(crate) fn measure(report: &mut Report) {
    let server = Server::start();
    report.title("time from put to handler; both read the same records at the same time");
    on_one_thread(async {
        let client = server.client();
        client.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
        let (plain, ours) = times(&client, ReaderKind::Polling, 200, Duration::from_millis(61)).await;
        rows(report, "polling every 200 ms", plain, ours, IDLE.as_secs_f64() * 1e3 / 4.0);
        let (plain, ours) = times(&client, ReaderKind::FanOut, 400, Duration::from_millis(13)).await;
        rows(report, "fan-out", plain, ours, 5.0);
    });
    report.note("two pollers are not in step, so a record meets each of them at another moment of its interval");
}

fn rows(report: &mut Report, name: &str, plain: Vec<f64>, ours: Vec<f64>, above: f64) {
    for (word, share) in [("p50", 0.5), ("p99", 0.99)] {
        let budget = Budget::Above(above);
        report.row(&format!("{name}, {word}"), "ms", quantile(&plain, share), quantile(&ours, share), budget);
    }
}

fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// When each record arrived, by its number, in milliseconds after it was put.
#[derive(Clone)]
struct Arrivals {
    clock: SystemClock,
    put: Arc<Mutex<Vec<Moment>>>,
    times: Arc<Mutex<Vec<f64>>>,
    /// Whoever reads does so from now on.
    reads: watch::Sender<bool>,
    count: watch::Sender<usize>,
}

impl Arrivals {
    fn new(put: &Arc<Mutex<Vec<Moment>>>) -> Self {
        let (reads, count) = (watch::Sender::new(false), watch::Sender::new(0));
        Arrivals { clock: SystemClock::new(), put: Arc::clone(put), times: Arc::default(), reads, count }
    }

    async fn reading(&self) {
        self.reads.subscribe().wait_for(|reads| *reads).await.unwrap();
    }

    fn arrived(&self, data: &[u8]) {
        let now = self.clock.now();
        let number = std::str::from_utf8(data).unwrap().parse::<usize>();
        if let Some(put) = number.ok().and_then(|number| self.put.lock().unwrap().get(number).copied()) {
            self.times.lock().unwrap().push(now.since(put).as_secs_f64() * 1e3);
        }
        self.count.send_modify(|count| *count += 1);
    }

    async fn until(&self, count: usize) {
        self.count.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
    }

    fn sorted(&self) -> Vec<f64> {
        let mut times = self.times.lock().unwrap().clone();
        times.sort_by(f64::total_cmp);
        times
    }
}

/// Where records have arrived once a worker hands them out.
struct Arriving(Arrivals);

#[async_trait]
impl RecordProcessor for Arriving {
    async fn initialize(&mut self, _: &ShardContext) -> Result<(), BoxError> {
        // LATEST was pinned before, when the lease was made.
        self.0.reads.send_replace(true);
        Ok(())
    }

    async fn process_records(&mut self, batch: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        batch.iter().for_each(|record| self.0.arrived(record.data()));
        Ok(())
    }
}

/// Puts so many records with about this distance; returns the sorted times of a plain loop, and of a worker.
async fn times(client: &Client, reader: ReaderKind, records: usize, distance: Duration) -> (Vec<f64>, Vec<f64>) {
    let put = Arc::default();
    let (plain, ours) = (Arrivals::new(&put), Arrivals::new(&put));
    let looping = tokio::spawn(plain_loop(client.clone(), reader, plain.clone()));
    let arrivals = ours.clone();
    let settings = Settings::new(format!("latency-{reader:?}"), STREAM)
        .reader(reader)
        .idle_interval(IDLE)
        .start(InitialPosition::Latest);
    let worker = Worker::builder(settings).kinesis_client(client.clone()).store(MemoryStore::new());
    let worker = worker.processor(move |_: &ShardContext| Arriving(arrivals.clone()));
    let mut handle = worker.build().unwrap().start().await.unwrap();
    tokio::join!(plain.reading(), ours.reading());
    // With the first record all connections are there.
    send(client, "begin").await;
    tokio::join!(plain.until(1), ours.until(1));
    let mut random = fastrand::Rng::with_seed(7);
    for number in 0..records {
        put.lock().unwrap().push(SystemClock::new().now());
        send(client, &number.to_string()).await;
        tokio::time::sleep(distance.mul_f64(0.5 + random.f64())).await;
    }
    tokio::join!(plain.until(1 + records), ours.until(1 + records));
    handle.stop();
    handle.wait().await.unwrap();
    looping.abort();
    (plain.sorted(), ours.sorted())
}

async fn send(client: &Client, data: &str) {
    let blob = Blob::new(data.as_bytes());
    client.put_record().stream_name(STREAM).partition_key("key").data(blob).send().await.unwrap();
}

async fn plain_loop(client: Client, reader: ReaderKind, arrivals: Arrivals) {
    match reader {
        ReaderKind::FanOut => plain_fan_out(client, arrivals).await,
        _ => plain_polling(client, arrivals).await,
    }
}

async fn plain_polling(client: Client, arrivals: Arrivals) {
    let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::Latest).send().await.unwrap();
    let mut iterator = iterator.shard_iterator;
    arrivals.reads.send_replace(true);
    loop {
        let begun = tokio::time::Instant::now();
        let output = client.get_records().set_shard_iterator(iterator).send().await.unwrap();
        output.records.iter().for_each(|record| arrivals.arrived(record.data().as_ref()));
        iterator = output.next_shard_iterator;
        tokio::time::sleep_until(begun + IDLE).await;
    }
}

async fn plain_fan_out(client: Client, arrivals: Arrivals) {
    let stream = client.describe_stream_summary().stream_name(STREAM).send().await.unwrap();
    let arn = stream.stream_description_summary.unwrap().stream_arn;
    let consumer = client.register_stream_consumer().stream_arn(arn).consumer_name("plain").send().await.unwrap();
    let consumer = consumer.consumer.unwrap().consumer_arn;
    let start = StartingPosition::builder().r#type(ShardIteratorType::Latest).build().unwrap();
    let call = client.subscribe_to_shard().consumer_arn(consumer).shard_id("shardId-000000000000");
    let mut output = call.starting_position(start).send().await.unwrap();
    arrivals.reads.send_replace(true);
    while let Some(event) = output.event_stream.recv().await.unwrap() {
        let event = event.as_subscribe_to_shard_event().unwrap().clone();
        event.records.iter().for_each(|record| arrivals.arrived(record.data().as_ref()));
    }
}
