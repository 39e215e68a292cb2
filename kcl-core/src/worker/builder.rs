//! Puts settings and components together.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{HttpClient, SharedHttpClient};
use aws_types::SdkConfig;

use super::function::FunctionFactory;
use super::reads::{Way, what_to_read};
use super::{Worker, aws};
use crate::error::BuildError;
use crate::kinesis::KinesisClients;
use crate::kinesis::codec::{Codec, SdkCodec};
use crate::ports::{
    Clock, FleetStore, LeaseStore, ProcessError, RecordProcessorFactory, Spawner, StreamSource, SystemClock,
    TokioSpawner,
};
use crate::runtime::{self, AssignmentStrategy, Context, Parts, StreamSet};
use crate::settings::{ReaderKind, Settings, StreamsNamed};
use crate::types::{Incarnation, Record, WorkerId};

/// Builds a [`Worker`] from settings and components.
///
/// Needed are user code ([`processor`](WorkerBuilder::processor) or [`handler`](WorkerBuilder::handler)), a way to the
/// stream and a way to the lease table: [`aws`](WorkerBuilder::aws) is both, ready clients or components of your own take
/// precedence over it.
#[must_use]
pub struct WorkerBuilder {
    settings: Settings,
    aws: Option<SdkConfig>,
    kinesis: Option<aws_sdk_kinesis::Client>,
    dynamodb: Option<aws_sdk_dynamodb::Client>,
    subscribing_over: Option<SharedHttpClient>,
    codec: Arc<dyn Codec>,
    stores: Option<(Arc<dyn LeaseStore>, Arc<dyn FleetStore>)>,
    source: Option<Arc<dyn StreamSource>>,
    streams: Option<StreamSet>,
    clock: Arc<dyn Clock>,
    spawner: Arc<dyn Spawner>,
    seed: Option<u64>,
    factory: Option<Arc<dyn RecordProcessorFactory>>,
    strategy: Option<Arc<dyn AssignmentStrategy>>,
}

impl WorkerBuilder {
    pub(super) fn new(settings: Settings) -> Self {
        WorkerBuilder {
            settings,
            aws: None,
            kinesis: None,
            dynamodb: None,
            subscribing_over: None,
            codec: Arc::new(SdkCodec::default()),
            stores: None,
            source: None,
            streams: None,
            clock: Arc::new(SystemClock::new()),
            spawner: Arc::new(TokioSpawner::new()),
            seed: None,
            factory: None,
            strategy: None,
        }
    }

    /// Reach Kinesis and DynamoDB with this configuration. Endpoint, credentials, region, HTTP client and TLS are used as
    /// they are; time-outs, retries and the retry quota are set on copies, for each purpose.
    pub fn aws(mut self, config: &SdkConfig) -> Self {
        self.aws = Some(config.clone());
        self
    }

    /// Reach Kinesis with this client; see [`aws`](WorkerBuilder::aws) for what is changed on copies of it.
    pub fn kinesis_client(mut self, client: aws_sdk_kinesis::Client) -> Self {
        self.kinesis = Some(client);
        self
    }

    /// Keep leases in DynamoDB with this client; see [`aws`](WorkerBuilder::aws) for what is changed on copies of it.
    pub fn dynamodb_client(mut self, client: aws_sdk_dynamodb::Client) -> Self {
        self.dynamodb = Some(client);
        self
    }

    /// Subscribe (`reader` `fanout` and `auto`) over this HTTP client. Default: the one that the Kinesis client was given; if
    /// it was given none, connections of the library's own ([`FanOutConnections`](crate::kinesis::FanOutConnections)) that
    /// trust what the system trusts. The SDK's own client puts all calls on one connection, on which three shards that are
    /// not read hold up everything else: give a client with trust anchors of your own to these connections instead.
    pub fn subscribing_over(mut self, http: impl HttpClient + 'static) -> Self {
        self.subscribing_over = Some(SharedHttpClient::new(http));
        self
    }

    /// Decode records from Kinesis in this way. Default: as the SDK does ([`SdkCodec`]).
    pub fn codec(mut self, codec: impl Codec) -> Self {
        self.codec = Arc::new(codec);
        self
    }

    /// Keep leases and worker rows here instead of in DynamoDB.
    pub fn store<S: LeaseStore + FleetStore>(mut self, store: S) -> Self {
        let store = Arc::new(store);
        self.stores = Some((Arc::clone(&store) as Arc<dyn LeaseStore>, store));
        self
    }

    /// Keep leases and worker rows in two different places.
    pub fn stores(mut self, leases: Arc<dyn LeaseStore>, fleet: Arc<dyn FleetStore>) -> Self {
        self.stores = Some((leases, fleet));
        self
    }

    /// Read from here instead of from Kinesis.
    pub fn source(mut self, source: impl StreamSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Read these streams, beside each other, instead of the one that the settings name. They share the workers, the lease
    /// table, the setting `read_ahead_bytes` and the user code, which finds the stream in its
    /// [`ShardContext`](crate::ShardContext). Streams without a source of their own are reached as one would be: through
    /// [`source`](WorkerBuilder::source), [`kinesis_client`](WorkerBuilder::kinesis_client) or [`aws`](WorkerBuilder::aws).
    ///
    /// A stream that does not answer holds up neither the start nor the others: it is logged and tried again for ever.
    pub fn streams(mut self, streams: StreamSet) -> Self {
        self.streams = Some(streams);
        self
    }

    /// Take all time from here. Default: the machine's clocks.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Start all tasks through this. Default: the current tokio runtime.
    pub fn spawner(mut self, spawner: impl Spawner) -> Self {
        self.spawner = Arc::new(spawner);
        self
    }

    /// Draw all random numbers from this seed, for replays. Default: from the system.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Spread leases over workers in this way instead of the one that the setting `assignment` names. Whoever leads decides
    /// for all, so give all workers of a fleet the same; [`assignment`](crate::assignment) shows how to write one.
    pub fn strategy(mut self, strategy: impl AssignmentStrategy) -> Self {
        self.strategy = Some(Arc::new(strategy));
        self
    }

    /// Process records with processors that this factory makes, one per shard and tenure: usually a closure
    /// `|_shard: &ShardContext| MyProcessor::new()`.
    pub fn processor(mut self, factory: impl RecordProcessorFactory) -> Self {
        self.factory = Some(Arc::new(factory));
        self
    }

    /// Process records with a function: it is called for each record of a shard in order, and for several shards at once.
    /// An error or a panic delivers that record again, with growing delays, for ever; `?` works on any error.
    pub fn handler<F, Fut>(mut self, handler: F) -> Self
    where
        F: Fn(Record) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), ProcessError>> + Send + 'static,
    {
        self.factory = Some(Arc::new(FunctionFactory::new(handler)));
        self
    }

    /// Checks everything and wires it. No IO happens before the start.
    ///
    /// # Errors
    /// [`BuildError`]: wrong settings with every problem listed, or a component that is missing.
    pub fn build(self) -> Result<Worker, BuildError> {
        let named = if self.streams.is_some() { StreamsNamed::ToBuilder } else { StreamsNamed::BySettings };
        let settings = self.settings.resolve_for(named)?;
        let factory = self
            .factory
            .ok_or(BuildError::Missing { missing: "user code", cure: "call .handler(..) or .processor(..)" })?;
        let (leases, fleet) = match self.stores {
            Some(stores) => stores,
            None => {
                let client = self.dynamodb.or_else(|| self.aws.as_ref().map(aws::dynamodb_client));
                let client = client.ok_or(BuildError::Missing {
                    missing: "a way to the lease table",
                    cure: "call .aws(..), .dynamodb_client(..) or .store(..)",
                })?;
                aws::dynamodb_store(&client, &settings, &self.clock)
            }
        };
        let mut random = self.seed.map_or_else(system_random, fastrand::Rng::with_seed);
        let incarnation = incarnation(&mut random);
        let worker = settings.worker_id.clone().unwrap_or_else(|| default_worker_id(&mut random));
        let way = match self.source {
            Some(source) => Way::Source(source),
            None => match self.kinesis.or_else(|| self.aws.as_ref().map(aws::kinesis_client)) {
                Some(client) => {
                    let own = || aws::own_connections(&client, &self.clock, &self.spawner);
                    let over = match settings.reader {
                        ReaderKind::Polling => None,
                        ReaderKind::FanOut | ReaderKind::Auto => self.subscribing_over.or_else(own),
                    };
                    let clients = KinesisClients::from_client(&client).with_codec(self.codec);
                    Way::Kinesis { clients, over }
                }
                None => Way::None,
            },
        };
        let reads = what_to_read(self.streams, way, &settings, &worker, &self.clock)?;
        let strategy = self.strategy.unwrap_or_else(|| runtime::strategy(settings.assignment));
        let parts = Parts {
            settings,
            worker,
            incarnation,
            leases,
            fleet,
            reads,
            clock: self.clock,
            spawner: self.spawner,
            factory,
            strategy,
            random,
        };
        Ok(Worker { context: Context::new(parts) })
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where chance comes from the system: the seed of a worker")]
fn system_random() -> fastrand::Rng {
    fastrand::Rng::new()
}

fn incarnation(random: &mut fastrand::Rng) -> Incarnation {
    let id = uuid::Builder::from_random_bytes(random.u128(..).to_be_bytes()).into_uuid();
    Incarnation::new(id.to_string()).expect("a UUID has 36 characters")
}

/// Host name and a random part: unique, and it tells an operator where to look.
fn default_worker_id(random: &mut fastrand::Rng) -> WorkerId {
    let host = rustix::system::uname();
    let host: String =
        host.nodename().to_string_lossy().chars().filter(|c| !c.is_control() && *c != ':').take(200).collect();
    let unique = format!("{:08x}", random.u32(..));
    WorkerId::new(format!("{host}-{unique}"))
        .or_else(|_| WorkerId::new(format!("worker-{unique}")))
        .expect("a word and eight digits are a worker id")
}

impl fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}
