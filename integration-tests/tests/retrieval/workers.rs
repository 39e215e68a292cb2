//! Whole workers over sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kcl_core::memory::MemoryStore;
use kcl_core::settings::ReaderKind;
use kcl_core::{Settings, Worker};
use kcl_local::LocalAws;
use tokio::sync::watch;

use crate::codec::{MARK, Marking};
use crate::waiting::within;

const RECORDS: usize = 300;

/// Reads a stream of two shards to its tip, and returns the data of all records.
async fn read_all(reader: ReaderKind, codec: &Marking) -> Vec<String> {
    let aws = LocalAws::start().await.unwrap();
    aws.kinesis().create_stream("orders", 2).unwrap();
    for number in 0..RECORDS {
        aws.kinesis().put_record("orders", &format!("key-{number}"), format!("record {number}")).unwrap();
    }
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::v2026_01_12())
        .region(aws_sdk_kinesis::config::Region::new("us-east-1"))
        .credentials_provider(kcl_local::credentials())
        .endpoint_url(aws.kinesis_endpoint());
    let data = Arc::new(Mutex::new(Vec::new()));
    let count = watch::Sender::new(0);
    let (given, counted) = (Arc::clone(&data), count.clone());
    let settings = Settings::new("decoding", "orders").reader(reader).idle_interval(Duration::from_millis(200));
    let worker = Worker::builder(settings)
        .kinesis_client(aws_sdk_kinesis::Client::from_conf(config.build()))
        .store(MemoryStore::new())
        .codec(codec.clone())
        .handler(move |record| {
            given.lock().unwrap().push(String::from_utf8(record.data().to_vec()).unwrap());
            counted.send_modify(|count| *count += 1);
            std::future::ready(Ok(()))
        });
    let mut worker = worker.build().unwrap().start().await.unwrap();
    within("all records", count.subscribe().wait_for(|count| *count >= RECORDS)).await.unwrap();
    worker.stop();
    within("the stop", worker.wait()).await.unwrap();
    aws.stop().await;
    let mut data = data.lock().unwrap().clone();
    data.sort_unstable();
    data
}

#[tokio::test]
async fn records_come_through_the_codec_of_a_worker_with_both_readers() {
    let mut expected: Vec<_> = (0..RECORDS).map(|number| format!("{MARK}record {number}")).collect();
    expected.sort_unstable();
    for reader in [ReaderKind::Polling, ReaderKind::FanOut] {
        let codec = Marking::default();
        assert_eq!(read_all(reader, &codec).await, expected, "{reader:?}");
        let (answers, events) = (codec.answers.lock().unwrap().len(), codec.events.lock().unwrap().len());
        assert_eq!((answers > 0, events > 0), (reader == ReaderKind::Polling, reader == ReaderKind::FanOut));
    }
}
