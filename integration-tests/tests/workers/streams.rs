//! A worker over the wire that reads several streams, each in its own way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::ports::SystemClock;
use kcl_core::settings::ReadLimit;
use kcl_core::streams::{StreamConfig, StreamSet};
use kcl_core::{RecordProcessor, RecordProcessorFactory, Settings, ShardContext};
use kcl_local::LocalKinesis;

use crate::log::Log;
use crate::services::{APPLICATION, STREAM, Services};
use crate::waiting::within;

/// Shards of the two have the same ids, and perhaps records the same numbers.
struct ByStream {
    clicks: Box<dyn RecordProcessorFactory>,
    others: Box<dyn RecordProcessorFactory>,
}

impl RecordProcessorFactory for ByStream {
    fn processor(&self, shard: &ShardContext) -> Box<dyn RecordProcessor> {
        let of_clicks = shard.shard.stream().name().as_str() == "clicks";
        if of_clicks { self.clicks.processor(shard) } else { self.others.processor(shard) }
    }
}

#[tokio::test]
async fn streams_of_two_services_are_read_by_one_worker_one_by_polling_and_one_by_fan_out() {
    let (services, elsewhere) = (Services::new(2), LocalKinesis::new());
    elsewhere.create_stream("clicks", 3).unwrap();
    services.put(20);
    for number in 0..30 {
        elsewhere.put_record("clicks", &format!("key-{number}"), "data").unwrap();
    }
    let client = aws_sdk_kinesis::Client::new(&elsewhere.sdk_config());
    let source = KinesisSource::fan_out(
        KinesisClients::from_client(&client),
        "audit".parse().unwrap(),
        Arc::new(SystemClock::new()),
    );
    let streams =
        [StreamConfig::new(STREAM.parse().unwrap()), StreamConfig::new("clicks".parse().unwrap()).source(source)];
    let (orders, audited) = (Log::default(), Log::default());
    let settings = Settings::default()
        .application(APPLICATION)
        .worker_id("a")
        .failover_time(Duration::from_secs(3))
        .read_limit(ReadLimit::None)
        .idle_interval(Duration::from_millis(20));
    let worker = services
        .builder(settings)
        .streams(StreamSet::fixed(streams))
        .processor(ByStream { clicks: Box::new(audited.processors()), others: Box::new(orders.processors()) });
    let mut worker = worker.build().unwrap().start().await.unwrap();
    orders.until_read(20).await;
    audited.until_read(30).await;
    let keys: BTreeSet<String> = services.keys().await.into_iter().filter(|key| key != "a").collect();
    let of = |stream: &str| keys.iter().filter(|key| key.starts_with(&format!("000000000000:{stream}:1"))).count();
    assert_eq!((of(STREAM), of("clicks"), keys.len()), (2, 3, 5), "account, name and creation time: {keys:?}");
    worker.stop();
    let report = within("the worker ends", worker.wait()).await.unwrap();
    assert_eq!((report.released, report.undone.len()), (5, 0));
}
