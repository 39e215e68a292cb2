//! Servers that want no more calls on a connection: GOAWAY on HTTP/2, the end of the connection on HTTP/1.1. What is under way
//! goes on, and what comes next goes over another connection.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kcl_core::kinesis::{FanOutConnections, KinesisClients, KinesisSource, TrustAnchors};
use kcl_core::ports::{ReadError, ShardReader, StreamSource, SystemClock, TokioSpawner};
use kcl_core::settings::PollingSettings;
use kcl_core::types::{BytePermit, ChildShard, Position};
use kcl_local::{Fault, FaultPlan, FaultRule, LocalAws, LocalKinesis, NewRecord, ShardFilter, ShardId};

use crate::scene::{APPLICATION, STREAM, shard};
use crate::secure::Secure;
use crate::waiting::within;

const SHARDS: u32 = 6;
const ROUNDS: usize = 5;

/// One shard, read as the runtime reads it.
struct Reading {
    reader: Box<dyn ShardReader>,
    shard: ShardId,
    numbers: Vec<String>,
    errors: Vec<ReadError>,
    children: Option<Vec<ChildShard>>,
}

impl Reading {
    fn of(source: &KinesisSource, index: u32) -> Self {
        let reader = source.open(&shard(index), Position::TrimHorizon);
        Reading { reader, shard: ShardId(index), numbers: Vec::new(), errors: Vec::new(), children: None }
    }

    async fn fetch(&mut self) {
        self.reader.ready().await;
        match self.reader.next(BytePermit::unlimited()).await {
            Ok(fetched) => {
                self.numbers.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
                self.children = fetched.end.map(|end| end.children);
            }
            Err(error) => self.errors.push(error),
        }
    }

    async fn until(&mut self, count: usize) {
        while self.numbers.len() < count {
            self.fetch().await;
        }
    }

    async fn until_end(&mut self) {
        while self.children.is_none() {
            self.fetch().await;
        }
    }
}

/// Lets every so manyth call of the operation be the last one of its connection, while all shards are read: a few rounds of
/// records, and through a split of each shard. Every record comes once, in order.
///
/// Returns what was told. Only that a call met the end of its connection may be, and that seldom.
async fn reads_all(kinesis: &LocalKinesis, source: &KinesisSource, operation: &str, every: u64) -> Vec<ReadError> {
    let rule = FaultRule::new(Fault::GoAway).operation(operation).every(every);
    kinesis.faults().set(FaultPlan { seed: 7, rules: vec![rule] });
    let mut readings: Vec<_> = (0..SHARDS).map(|index| Reading::of(source, index)).collect();
    for round in 1..=ROUNDS {
        put(kinesis, &format!("round {round}"));
        let what = format!("{operation}, every {every}: round {round} on all shards");
        within(&what, join_all(readings.iter_mut().map(|reading| reading.until(round)))).await;
    }
    for index in 0..SHARDS {
        kinesis.split_shard_evenly(STREAM, ShardId(index)).unwrap();
    }
    put(kinesis, "of the children");
    within("the parents end", join_all(readings.iter_mut().map(Reading::until_end))).await;
    assert!(readings.iter().all(|reading| reading.children.as_ref().is_some_and(|children| children.len() == 2)));
    let mut children: Vec<_> = (SHARDS..3 * SHARDS).map(|index| Reading::of(source, index)).collect();
    within("the children are read", join_all(children.iter_mut().map(|reading| reading.until(1)))).await;

    let all = kinesis.all_records(STREAM).unwrap();
    assert_eq!(all.len(), SHARDS as usize * (ROUNDS + 2));
    for reading in readings.iter().chain(&children) {
        let of_shard = all.iter().filter(|(shard, _)| *shard == reading.shard);
        let numbers: Vec<_> = of_shard.map(|(_, record)| record.sequence_number.to_string()).collect();
        assert_eq!(reading.numbers, numbers, "{operation}, every {every}: {}", reading.shard);
    }
    let strikes = kinesis.faults().strikes()[0];
    assert!(strikes >= 3 * u64::from(SHARDS) / every, "{operation}: {strikes} connections went away");
    let errors: Vec<_> = readings.into_iter().chain(children).flat_map(|reading| reading.errors).collect();
    assert!(errors.iter().all(|error| matches!(error, ReadError::Unavailable(_))), "{errors:?}");
    assert!(errors.len() <= usize::try_from(strikes).unwrap(), "{strikes} connections went away: {errors:?}");
    errors
}

/// Puts a record into each open shard.
fn put(kinesis: &LocalKinesis, data: &str) {
    for shard in kinesis.list_shards(STREAM, ShardFilter::AtLatest).unwrap() {
        let record = NewRecord::new("key", data).with_explicit_hash_key(shard.hash_range.start);
        kinesis.put(STREAM, record).unwrap();
    }
}

fn polling(clients: KinesisClients) -> KinesisSource {
    let mut settings = PollingSettings::default();
    settings.idle_interval = Duration::from_millis(200);
    KinesisSource::new(clients, settings, Arc::new(SystemClock::new()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_go_on_over_connections_that_go_away() {
    for (operation, every) in [("GetRecords", 1), ("GetRecords", 2), ("GetShardIterator", 1)] {
        let secure = Secure::start(SHARDS).await;
        reads_all(secure.aws.kinesis(), &polling(secure.clients()), operation, every).await;
        let plain = Plain::start().await;
        reads_all(plain.aws.kinesis(), &polling(plain.clients()), operation, every).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_go_on_over_connections_that_go_away() {
    for every in [1, 2, 3] {
        // A call that comes too late for one connection is made on another one, and nobody is told of it.
        let secure = Secure::start(SHARDS).await;
        let errors = reads_all(secure.aws.kinesis(), &secure.source(), "SubscribeToShard", every).await;
        none_came_too_late(&errors);
        // All calls on the one connection of the SDK.
        let secure = Secure::start(SHARDS).await;
        reads_all(secure.aws.kinesis(), &secure.source_over(secure.clients()), "SubscribeToShard", every).await;
        let plain = Plain::start().await;
        let apart = plain.clients().subscribing_over(plain.connections());
        let errors = reads_all(plain.aws.kinesis(), &fan_out(apart), "SubscribeToShard", every).await;
        // Each has a connection for itself.
        none_came_too_late(&errors);
    }
}

/// A call that was taken by a connection that goes away, and never answered, is another thing: that one is given up, and told.
fn none_came_too_late(errors: &[ReadError]) {
    let unanswered = ReadError::Unavailable("no answer in time".to_owned());
    assert!(errors.iter().all(|error| *error == unanswered), "{errors:?}");
}

fn fan_out(clients: KinesisClients) -> KinesisSource {
    KinesisSource::fan_out(clients, APPLICATION.parse().unwrap(), Arc::new(SystemClock::new()))
}

/// Kinesis on a port without TLS, with a stream.
struct Plain {
    aws: LocalAws,
}

impl Plain {
    async fn start() -> Self {
        let aws = LocalAws::start().await.unwrap();
        aws.kinesis().create_stream(STREAM, SHARDS).unwrap();
        Plain { aws }
    }

    fn clients(&self) -> KinesisClients {
        let http = aws_smithy_http_client::Builder::new().build_http();
        let config = aws_sdk_kinesis::config::Builder::from(&self.aws.kinesis().sdk_config());
        let config = config.http_client(http).endpoint_url(self.aws.kinesis_endpoint());
        KinesisClients::from_client(&aws_sdk_kinesis::Client::from_conf(config.build()))
    }

    fn connections(&self) -> FanOutConnections {
        let (clock, spawner) = (Arc::new(SystemClock::new()), Arc::new(TokioSpawner::new()));
        FanOutConnections::new(&TrustAnchors::System, clock, spawner).unwrap()
    }
}
