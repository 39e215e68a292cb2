//! The way of one process to the stream as its SDK client sees it: calls take time, fail and break, and so do subscriptions
//! while they are open.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use aws_sdk_kinesis::Client;
use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame};
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::ports::Clock;
use kcl_core::settings::PollingSettings;
use serde_json::{Value, json};

use super::clock::Machine;
use super::executor::ProcessId;
use super::scenario::Reader;
use super::stream::{Break, ReadFate, Stream};
use super::timeline::Sleep;
use crate::virtual_sleep::sleep_of;

/// The library's own source, on the clock of a machine; nothing if a scenario reads without it.
pub(crate) fn source(
    reader: Reader,
    stream: &Arc<Stream>,
    (process, machine): (ProcessId, &Machine),
) -> Option<KinesisSource> {
    let way = Way { inner: stream.kinesis.http_client(), stream: Arc::clone(stream), process };
    let clients = || {
        let config = stream.kinesis.sdk_config().into_builder().http_client(way).sleep_impl(sleep_of(machine));
        let config = config.time_source(WallTime(machine.clone()));
        KinesisClients::from_client(&Client::new(&config.build()))
    };
    let clock: Arc<dyn Clock> = Arc::new(machine.clone());
    let (polling, consumer) = (PollingSettings::default(), || "simulation".parse().expect("a name"));
    match reader {
        Reader::Model => None,
        Reader::Polling => Some(KinesisSource::new(clients(), polling, clock)),
        Reader::FanOut => Some(KinesisSource::fan_out(clients(), consumer(), clock)),
        Reader::Auto => Some(KinesisSource::auto(clients(), polling, consumer(), clock)),
    }
}

/// What the SDK signs with.
#[derive(Debug)]
struct WallTime(Machine);

impl TimeSource for WallTime {
    fn now(&self) -> SystemTime {
        let millis = u64::try_from(self.0.wall().as_millis()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }
}

/// The way there.
#[derive(Clone)]
struct Way {
    inner: SharedHttpClient,
    stream: Arc<Stream>,
    process: ProcessId,
}

impl HttpClient for Way {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(Calling { way: self.clone(), inner })
    }
}

struct Calling {
    way: Way,
    inner: SharedHttpConnector,
}

impl HttpConnector for Calling {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let (way, inner) = (self.way.clone(), self.inner.clone());
        HttpConnectorFuture::new(async move {
            let stream = &way.stream;
            // The SDK gives a call up whose request nobody reads for some seconds.
            let body = std::mem::replace(request.body_mut(), SdkBody::taken()).collect().await;
            let body = body.map_err(ConnectorError::user)?;
            *request.body_mut() = SdkBody::from(body.to_bytes());
            stream.timeline.sleep(stream.delay()).await;
            let answer = way.answer(&operation, request, &inner).await;
            // It is on its way back.
            stream.timeline.sleep(stream.delay()).await;
            answer
        })
    }
}

impl Way {
    async fn answer(
        &self,
        operation: &str,
        request: HttpRequest,
        inner: &SharedHttpConnector,
    ) -> Result<HttpResponse, ConnectorError> {
        let stream = &self.stream;
        let reads = matches!(operation, "GetRecords" | "GetShardIterator" | "SubscribeToShard");
        let fate = if reads { stream.fate() } else { ReadFate::Fine };
        stream.recorder().note(|| format!("{} asks {operation}: {fate:?}", self.process));
        match (operation, fate) {
            (_, ReadFate::Error) => Err(ConnectorError::io("the connection broke (simulated)".into())),
            ("GetRecords", ReadFate::Expired) => Ok(refusal("ExpiredIteratorException")),
            ("GetRecords", ReadFate::Empty) => Ok(nothing_yet(&request)),
            ("GetRecords", ReadFate::FalseEnd) => Ok(false_end(inner.call(request).await?).await),
            ("SubscribeToShard", ReadFate::Expired) => Ok(refusal("ResourceInUseException")),
            ("SubscribeToShard", _) => {
                let response = inner.call(request).await?;
                let broken = stream.breaks();
                if let Some((frames, how)) = broken {
                    let process = self.process;
                    stream
                        .recorder()
                        .note(|| format!("a subscription of {process} ends after {frames} frames: {how:?}"));
                }
                Ok(response.map(|inner| {
                    let pushed = Pushed { inner, stream: Arc::clone(stream), broken, wait: None, late: None };
                    SdkBody::from_body_1_x(pushed)
                }))
            }
            _ => inner.call(request).await,
        }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Way({})", self.process)
    }
}

impl fmt::Debug for Calling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.way.fmt(f)
    }
}

fn refusal(code: &str) -> HttpResponse {
    answer(400, &json!({ "__type": code, "message": "simulated" }))
}

/// As a shard answers that has records further on.
fn nothing_yet(request: &HttpRequest) -> HttpResponse {
    let asked: Value = serde_json::from_slice(request.body().bytes().unwrap_or_default()).unwrap_or_default();
    answer(200, &json!({ "Records": [], "NextShardIterator": asked["ShardIterator"], "MillisBehindLatest": 1_000 }))
}

/// An answer without records, if it is one, says that nothing comes any more.
async fn false_end(response: HttpResponse) -> HttpResponse {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let mut told: Value = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(members) = told.as_object_mut().filter(|told| told.get("Records") == Some(&json!([]))) {
        members.remove("NextShardIterator");
    }
    answer(status, &told)
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let status = status.try_into().expect("a status");
    HttpResponse::new(status, SdkBody::from(body.to_string()))
}

/// The frames of a subscription, as far as they come.
struct Pushed {
    inner: SdkBody,
    stream: Arc<Stream>,
    /// After how many more frames it breaks, and how.
    broken: Option<(usize, Break)>,
    /// Until it is looked at again whether it still stalls.
    wait: Option<Sleep>,
    /// A frame on its way.
    late: Option<(Sleep, Frame<Bytes>)>,
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Body for Pushed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if this.stream.is_down() {
            return Poll::Ready(Some(Err("the connection broke (simulated)".into())));
        }
        match this.broken {
            Some((0, Break::End)) => return Poll::Ready(None),
            Some((0, Break::Reset)) => return Poll::Ready(Some(Err("the connection broke (simulated)".into()))),
            Some((0, Break::Stall)) => {
                ready!(this.poll_stall(context));
                return Poll::Ready(Some(Err("the connection broke at last (simulated)".into())));
            }
            _ => {}
        }
        if this.late.is_none() {
            match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
                Some(Ok(frame)) => this.late = Some((this.stream.timeline.sleep(this.stream.delay()), frame)),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        if let Some((sleep, _)) = &mut this.late {
            ready!(Pin::new(sleep).poll(context));
        }
        if let Some((left, _)) = &mut this.broken {
            *left -= 1;
        }
        Poll::Ready(this.late.take().map(|(_, frame)| Ok(frame)))
    }
}

impl Pushed {
    /// Says nothing until nothing goes wrong any more.
    fn poll_stall(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.stream.is_calm() {
            let timeline = &self.stream.timeline;
            let wait = self.wait.get_or_insert_with(|| timeline.sleep(LOOK));
            ready!(Pin::new(wait).poll(context));
            self.wait = None;
        }
        Poll::Ready(())
    }
}

/// How often a stalled subscription looks whether the faults are over.
const LOOK: Duration = Duration::from_millis(500);
