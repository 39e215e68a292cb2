//! Kinesis in virtual time, its calls counted, and readers on it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use integration_tests::virtual_sleep::sleep_of;
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::ports::Clock;
use kcl_core::settings::PollingSettings;
use kcl_core::testing::ManualClock;
use kcl_core::types::{ConsumerId, ShardRef};
use kcl_local::{Fault, FaultPlan, FaultRule, LocalKinesis, NewRecord, Settings, ShardFilter, Sleep, Timestamp};

pub(crate) const STREAM: &str = "orders";
pub(crate) const APPLICATION: &str = "orders-app";

/// A stream, its service, and the clock of both.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) kinesis: LocalKinesis,
    pub(crate) client: Client,
    calls: Calls,
}

/// How many calls there were, by operation.
type Calls = Arc<Mutex<BTreeMap<String, usize>>>;

/// Runs a test in virtual time, with a stream of so many shards.
pub(crate) fn on_a_stream<F: Future>(shards: u32, test: impl FnOnce(Scene) -> F) -> F::Output {
    with_settings(Settings::default(), shards, test)
}

/// The same with a service that behaves as the settings say.
pub(crate) fn with_settings<F: Future>(settings: Settings, shards: u32, test: impl FnOnce(Scene) -> F) -> F::Output {
    let clock = ManualClock::new();
    let scene = Scene::new(&clock, settings, shards);
    clock.run(test(scene))
}

impl Scene {
    fn new(clock: &ManualClock, settings: Settings, shards: u32) -> Self {
        let kinesis = LocalKinesis::with_settings(settings, Arc::new(ServiceClock(clock.clone())));
        kinesis.create_stream(STREAM, shards).unwrap();
        // Let the stream become active, where that takes time.
        clock.advance(kinesis.settings().transition);
        let calls = Arc::default();
        let counting = Counting { inner: kinesis.http_client(), calls: Arc::clone(&calls) };
        let config = kinesis.sdk_config().into_builder().sleep_impl(sleep_of(clock)).http_client(counting);
        Scene { clock: clock.clone(), client: Client::new(&config.build()), kinesis, calls }
    }

    pub(crate) fn clients(&self) -> KinesisClients {
        KinesisClients::from_client(&self.client)
    }

    /// A source that subscribes as the application's consumer.
    pub(crate) fn source(&self) -> KinesisSource {
        self.source_of(APPLICATION)
    }

    /// A source that subscribes as this consumer.
    pub(crate) fn source_of(&self, consumer: &str) -> KinesisSource {
        let consumer: ConsumerId = consumer.parse().unwrap();
        KinesisSource::fan_out(self.clients(), consumer, Arc::new(self.clock.clone()))
    }

    /// A source that subscribes where it can.
    pub(crate) fn auto(&self) -> KinesisSource {
        let (polling, consumer) = (PollingSettings::default(), APPLICATION.parse().unwrap());
        KinesisSource::auto(self.clients(), polling, consumer, Arc::new(self.clock.clone()))
    }

    /// How many calls of an operation there were so far.
    pub(crate) fn calls(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().get(operation).copied().unwrap_or_default()
    }

    /// Puts a record into each open shard.
    pub(crate) fn put(&self, data: &str) {
        for shard in self.kinesis.list_shards(STREAM, ShardFilter::AtLatest).unwrap() {
            let record = NewRecord::new("key", data).with_explicit_hash_key(shard.hash_range.start);
            self.kinesis.put(STREAM, record).unwrap();
        }
    }

    /// Puts a record into each shard, every second for so long.
    pub(crate) async fn put_every_second(&self, seconds: u64) {
        for second in 0..seconds {
            self.put(&format!("{second}"));
            self.pass(Duration::from_secs(1)).await;
        }
    }

    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.sleep_until(self.clock.now() + time).await;
    }

    /// Meets callers with these faults from now on.
    pub(crate) fn faults(&self, rules: impl IntoIterator<Item = FaultRule>) {
        self.kinesis.faults().set(FaultPlan { seed: 7, rules: rules.into_iter().collect() });
    }

    /// What the future yields.
    ///
    /// # Panics
    /// If it takes longer than this in virtual time.
    pub(crate) async fn within<T>(&self, time: Duration, future: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            value = future => value,
            () = self.clock.sleep_until(self.clock.now() + time) => panic!("not within {time:?}"),
        }
    }
}

pub(crate) fn shard(index: u32) -> ShardRef {
    ShardRef::new(STREAM.parse().unwrap(), format!("shardId-{index:012}").parse().unwrap())
}

/// A rule for SubscribeToShard calls.
pub(crate) fn subscribing(fault: Fault) -> FaultRule {
    FaultRule::new(fault).operation("SubscribeToShard")
}

/// An error answer.
pub(crate) fn error(status: u16, code: &str) -> Fault {
    Fault::Error { code: code.to_owned(), status, message: "by a fault rule".to_owned() }
}

/// The service lives in the same time as its readers.
#[derive(Debug)]
struct ServiceClock(ManualClock);

impl kcl_local::Clock for ServiceClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(u64::try_from(self.0.wall().as_millis()).unwrap())
    }

    fn sleep_until(&self, deadline: Timestamp) -> Sleep {
        let clock = self.0.clone();
        let left = deadline.since(kcl_local::Clock::now(self));
        let until = clock.now() + left;
        Box::pin(async move { clock.sleep_until(until).await })
    }
}

#[derive(Debug, Clone)]
struct Counting {
    inner: SharedHttpClient,
    calls: Calls,
}

#[derive(Debug)]
struct CountingConnector {
    inner: SharedHttpConnector,
    calls: Calls,
}

impl HttpClient for Counting {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, parts);
        SharedHttpConnector::new(CountingConnector { inner, calls: Arc::clone(&self.calls) })
    }
}

impl HttpConnector for CountingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        *self.calls.lock().unwrap().entry(operation).or_default() += 1;
        self.inner.call(request)
    }
}
