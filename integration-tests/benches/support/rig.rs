//! A worker of the framework, and a plain loop over the SDK, that count what they read and what it costs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::settings::{InitialPosition, ReadLimit, ReaderKind};
use kcl_core::{
    ProcessContext, ProcessError, RecordBatch, RecordProcessor, Settings, ShardContext, Worker, WorkerBuilder,
    async_trait,
};
use tokio::sync::Notify;

use crate::canned::{Canned, Cost, STREAM, thread_cpu};

/// A consumer that is none; answers are made beforehand.
pub(crate) const CONSUMER: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/bench:1";

/// How the framework is given user code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// A processor that gets batches.
    Processor,
    /// A function that gets records.
    Function,
}

/// What was read so far.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    state: Arc<Mutex<State>>,
    done: Arc<Notify>,
}

#[derive(Default)]
struct State {
    records: u64,
    bytes: u64,
    wanted: u64,
    begun: Duration,
    ended: Duration,
}

impl Tally {
    pub(crate) fn of(wanted: usize) -> Self {
        let tally = Tally::default();
        tally.state.lock().unwrap().wanted = wanted as u64;
        tally
    }

    /// From now on it costs.
    pub(crate) fn begin(&self) {
        self.state.lock().unwrap().begun = thread_cpu();
    }

    /// So much was read. When it is all, what it cost is noted before anybody is woken.
    pub(crate) fn add(&self, records: u64, bytes: u64) {
        let mut state = self.state.lock().unwrap();
        state.records += records;
        state.bytes += bytes;
        if state.records >= state.wanted && state.ended.is_zero() {
            state.ended = thread_cpu();
            self.done.notify_one();
        }
    }

    pub(crate) async fn done(&self) {
        self.done.notified().await;
    }

    pub(crate) fn cost(&self) -> Cost {
        let state = self.state.lock().unwrap();
        assert!(state.bytes > 0, "the data was looked at");
        Cost { cpu: state.ended - state.begun, count: state.records }
    }
}

pub(crate) struct Counting(pub(crate) Tally);

#[async_trait]
impl RecordProcessor for Counting {
    async fn process_records(&mut self, batch: RecordBatch, _: &ProcessContext) -> Result<(), ProcessError> {
        let bytes: usize = batch.iter().map(|record| record.data().len()).sum();
        self.0.add(batch.len() as u64, bytes as u64);
        Ok(())
    }
}

/// Settings under which nothing but the CPU holds a reader up.
pub(crate) fn settings(reader: ReaderKind) -> Settings {
    Settings::new("bench", STREAM).reader(reader).read_limit(ReadLimit::None).start(InitialPosition::TrimHorizon)
}

pub(crate) fn worker(canned: &Canned, settings: Settings) -> WorkerBuilder {
    Worker::builder(settings).kinesis_client(canned.client()).store(MemoryStore::new())
}

/// What a worker takes for all records, from the arrival of its first call for records to the end of the last delivery.
pub(crate) fn framework(canned: &Canned, reader: ReaderKind, code: Code, total: usize) -> Cost {
    on_one_thread(async {
        let tally = Tally::of(total);
        let begin = tally.clone();
        canned.when_read(move || begin.begin());
        let builder = worker(canned, settings(reader));
        let (counted, processed) = (tally.clone(), tally.clone());
        let builder = match code {
            Code::Processor => builder.processor(move |_: &ShardContext| Counting(processed.clone())),
            Code::Function => builder.handler(move |record| {
                counted.add(1, record.data().len() as u64);
                std::future::ready(Ok(()))
            }),
        };
        let mut handle = builder.build().unwrap().start().await.unwrap();
        tally.done().await;
        handle.stop();
        handle.wait().await.unwrap();
        tally.cost()
    })
}

/// What the loop that anybody would write over `get_records` takes for the same.
pub(crate) fn plain_polling(canned: &Canned, code: Code, total: usize) -> Cost {
    on_one_thread(async {
        let client = canned.client();
        let tally = Tally::of(total);
        let begin = tally.clone();
        canned.when_read(move || begin.begin());
        let mut iterator = Some("0".to_owned());
        let mut left = total;
        while left > 0 {
            let output = client.get_records().set_shard_iterator(iterator).limit(10_000).send().await.unwrap();
            count(&tally, code, &output.records);
            left -= output.records.len();
            iterator = output.next_shard_iterator;
        }
        tally.cost()
    })
}

/// The same over `recv`.
pub(crate) fn plain_fan_out(canned: &Canned, code: Code, total: usize) -> Cost {
    on_one_thread(async {
        let client = canned.client();
        let tally = Tally::of(total);
        let begin = tally.clone();
        canned.when_read(move || begin.begin());
        let mut output = subscribe(&client, CONSUMER, "shardId-000000000000").await;
        let mut left = total;
        while left > 0 {
            let event = output.event_stream.recv().await.unwrap().unwrap();
            let event = event.as_subscribe_to_shard_event().unwrap();
            count(&tally, code, &event.records);
            left -= event.records.len();
        }
        tally.cost()
    })
}

pub(crate) async fn subscribe(
    client: &aws_sdk_kinesis::Client,
    consumer: &str,
    shard: &str,
) -> aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput {
    use aws_sdk_kinesis::types::{ShardIteratorType, StartingPosition};
    let start = StartingPosition::builder().r#type(ShardIteratorType::TrimHorizon).build().unwrap();
    let call = client.subscribe_to_shard().consumer_arn(consumer).shard_id(shard).starting_position(start);
    call.send().await.unwrap()
}

/// Looks at the same things that user code of the framework looks at, and as often.
fn count(tally: &Tally, code: Code, records: &[aws_sdk_kinesis::types::Record]) {
    match code {
        Code::Processor => {
            let bytes: usize = records.iter().map(|record| record.data().as_ref().len()).sum();
            tally.add(records.len() as u64, bytes as u64);
        }
        Code::Function => {
            for record in records {
                tally.add(1, record.data().as_ref().len() as u64);
            }
        }
    }
}

/// Everything runs on this thread, whose CPU time is what is measured.
pub(crate) fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
