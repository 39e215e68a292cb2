//! A Kinesis whose answers with records were made beforehand, so that serving them costs next to nothing. Everything else
//! (listing, consumers) is answered by a `kcl-local` in the process.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use hyper::body::{Body, Frame};
use kcl_local::LocalKinesis;

pub(crate) const STREAM: &str = "orders";

/// So many answers of so many records of so many bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) answers: usize,
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

impl Load {
    pub(crate) fn total(self) -> usize {
        self.answers * self.records
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Canned {
    answers: Arc<Vec<Bytes>>,
    events: Arc<Vec<Bytes>>,
    /// What is answered when all answers were given.
    empty: EmptyAnswers,
    kinesis: LocalKinesis,
    inner: SharedHttpClient,
    on_read: Arc<Mutex<Watch>>,
}

/// What follows the last answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EmptyAnswers {
    /// Empty answers that say there is more to come, so that a reader asks again at once.
    Behind,
    /// Empty answers at the tip.
    AtTip,
}

/// What was seen of reading calls.
#[derive(Default)]
struct Watch {
    calls: u64,
    /// What is to be done once so many have arrived.
    marks: BTreeMap<u64, Box<dyn FnOnce() + Send>>,
}

impl Canned {
    pub(crate) fn new(shards: u32, load: Load, empty: EmptyAnswers) -> Self {
        let kinesis = LocalKinesis::new();
        kinesis.create_stream(STREAM, shards).unwrap();
        let answers = (0..load.answers).map(|index| Bytes::from(answer(load, index))).collect();
        let mut events = vec![frame("initial-response", Bytes::from_static(b"{}"))];
        events.extend((0..load.answers).map(|index| frame("SubscribeToShardEvent", Bytes::from(event(load, index)))));
        Canned {
            answers: Arc::new(answers),
            events: Arc::new(events),
            empty,
            inner: kinesis.http_client(),
            kinesis,
            on_read: Arc::default(),
        }
    }

    /// A client as a user makes it.
    pub(crate) fn client(&self) -> Client {
        let config = self.kinesis.sdk_config().into_builder().http_client(self.clone());
        Client::new(&config.build())
    }

    /// Calls this when the first read, or subscription, from now on arrives.
    pub(crate) fn when_read(&self, first: impl FnOnce() + Send + 'static) {
        self.after_reads(1, first);
    }

    /// Calls this when so many reads, or subscriptions, from now on have arrived.
    pub(crate) fn after_reads(&self, reads: u64, then: impl FnOnce() + Send + 'static) {
        let mut watch = self.on_read.lock().unwrap();
        let mark = watch.calls + reads;
        watch.marks.insert(mark, Box::new(then));
    }

    /// How many reads have arrived.
    pub(crate) fn reads(&self) -> u64 {
        self.on_read.lock().unwrap().calls
    }

    fn read(&self) {
        let mut watch = self.on_read.lock().unwrap();
        watch.calls += 1;
        let calls = watch.calls;
        if let Some(then) = watch.marks.remove(&calls) {
            then();
        }
    }

    fn get_records(&self, body: &[u8]) -> SdkBody {
        self.read();
        let index = iterator_of(body);
        match self.answers.get(index) {
            Some(answer) => SdkBody::from(answer.clone()),
            None => {
                let millis = if self.empty == EmptyAnswers::Behind { 1 } else { 0 };
                let text = format!(r#"{{"Records":[],"NextShardIterator":"{index}","MillisBehindLatest":{millis}}}"#);
                SdkBody::from(text)
            }
        }
    }
}

/// An iterator is the number of answers before it.
fn iterator_of(body: &[u8]) -> usize {
    const KEY: &[u8] = br#""ShardIterator":""#;
    let at = body.windows(KEY.len()).position(|window| window == KEY).unwrap() + KEY.len();
    let digits = body[at..].iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}

impl HttpClient for Canned {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Connector { canned: self.clone(), inner })
    }
}

#[derive(Debug)]
struct Connector {
    canned: Canned,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let canned = self.canned.clone();
        let body = match target.rsplit('.').next() {
            Some("GetRecords") => canned.get_records(request.body().bytes().unwrap()),
            Some("GetShardIterator") => SdkBody::from(r#"{"ShardIterator":"0"}"#),
            Some("SubscribeToShard") => {
                canned.read();
                SdkBody::from_body_1_x(Events { events: canned.events, next: 0, empty: None })
            }
            _ => return self.inner.call(request),
        };
        HttpConnectorFuture::new(async move {
            // A call over a socket always lets other tasks run.
            tokio::task::yield_now().await;
            Ok(HttpResponse::new(200.try_into().unwrap(), body))
        })
    }
}

impl fmt::Debug for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canned")
    }
}

/// The frames of a subscription, and then an empty event every five seconds, as the service has it.
struct Events {
    events: Arc<Vec<Bytes>>,
    next: usize,
    empty: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Events {
    fn empty(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        const INTERVAL: Duration = Duration::from_secs(5);
        let empty = self.empty.get_or_insert_with(|| Box::pin(tokio::time::sleep(INTERVAL)));
        std::task::ready!(empty.as_mut().poll(context));
        self.empty = None;
        let payload = r#"{"Records":[],"ContinuationSequenceNumber":"1","MillisBehindLatest":0}"#;
        Poll::Ready(frame("SubscribeToShardEvent", Bytes::from_static(payload.as_bytes())))
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let event = match self.events.get(self.next) {
            Some(event) => event.clone(),
            None => std::task::ready!(self.empty(context)),
        };
        self.next += 1;
        Poll::Ready(Some(Ok(Frame::data(event))))
    }
}

fn frame(kind: &str, payload: Bytes) -> Bytes {
    let header = |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
    let message = Message::new(payload)
        .add_header(header(":message-type", "event"))
        .add_header(header(":event-type", kind))
        .add_header(header(":content-type", "application/json"));
    let mut bytes = Vec::new();
    write_message_to(&message, &mut bytes).unwrap();
    Bytes::from(bytes)
}

fn answer(load: Load, index: usize) -> String {
    let records = records(load, index);
    format!(r#"{{"Records":[{records}],"NextShardIterator":"{}","MillisBehindLatest":1000}}"#, index + 1)
}

fn event(load: Load, index: usize) -> String {
    let records = records(load, index);
    let last = sequence((index + 1) * load.records);
    format!(r#"{{"Records":[{records}],"ContinuationSequenceNumber":"{last}","MillisBehindLatest":1000}}"#)
}

/// Records as the service writes them: numbers of 56 digits, keys like UUIDs.
fn records(load: Load, index: usize) -> String {
    let mut random = fastrand::Rng::with_seed(index as u64);
    let mut data = vec![0; load.bytes];
    let records = (1..=load.records).map(|record| {
        random.fill(&mut data);
        let number = sequence(index * load.records + record);
        let key = format!("{:08x}-{:04x}-{:04x}-{:016x}", random.u32(..), random.u16(..), random.u16(..), random.u64(..));
        format!(
            r#"{{"ApproximateArrivalTimestamp":1.700000000123E9,"Data":"{}","PartitionKey":"{key}","SequenceNumber":"{number}"}}"#,
            base64::encode(&data)
        )
    });
    records.collect::<Vec<_>>().join(",")
}

fn sequence(number: usize) -> String {
    format!("4968042650581018504573278262428961227405679458{number:010}")
}

/// What a stretch of work cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) cpu: Duration,
    pub(crate) count: u64,
}

impl Cost {
    /// CPU of one of them, in nanoseconds.
    pub(crate) fn each(self) -> f64 {
        self.cpu.as_nanos() as f64 / self.count as f64
    }
}

/// The CPU time that this thread has used.
pub(crate) fn thread_cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// Answers made once for all rounds.
#[derive(Default)]
pub(crate) struct Shelf(BTreeMap<usize, Canned>);

impl Shelf {
    pub(crate) fn of(&mut self, load: Load) -> Canned {
        self.0.entry(load.bytes).or_insert_with(|| Canned::new(1, load, EmptyAnswers::AtTip)).clone()
    }
}
