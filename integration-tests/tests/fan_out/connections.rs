//! Over TLS and HTTP/2: windows, several connections, what is trusted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{BoxFuture, join_all};
use kcl_core::kinesis::{FanOutConnections, KinesisSource, TrustAnchors};
use kcl_core::ports::{ShardReader, Spawner, StreamSource, SystemClock, TokioSpawner};
use kcl_core::types::{BytePermit, Position};

use crate::scene::shard;
use crate::secure::Secure;
use crate::waiting::within;

/// Fetches until so many records came.
async fn read(reader: &mut Box<dyn ShardReader>, count: usize) {
    let mut read = 0;
    while read < count {
        reader.ready().await;
        read += reader.next(BytePermit::unlimited()).await.unwrap().batch.len();
    }
}

fn readers(source: &KinesisSource, shards: std::ops::Range<u32>) -> Vec<Box<dyn ShardReader>> {
    shards.map(|index| source.open(&shard(index), Position::TrimHorizon)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_nobody_reads_do_not_hold_up_the_others() {
    let secure = Secure::start(12).await;
    secure.put(1, 10);
    let source = secure.source();
    let mut stopped = readers(&source, 0..6);
    within("they are open", join_all(stopped.iter_mut().map(|reader| read(reader, 1)))).await;
    // More than the SDK's windows hold, for each.
    secure.put(8, 1 << 19);
    let mut others = readers(&source, 6..12);
    within("the others are read", join_all(others.iter_mut().map(|reader| read(reader, 9)))).await;
    // So are those that stood still, from where they stood.
    within("all are read", join_all(stopped.iter_mut().map(|reader| read(reader, 8)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_one_connection_of_the_sdk_they_do_until_they_are_closed() {
    let secure = Secure::start(8).await;
    secure.put(1, 10);
    let source = secure.source_over(secure.clients());
    let mut stopped = readers(&source, 0..4);
    within("they are open", join_all(stopped.iter_mut().map(|reader| read(reader, 1)))).await;
    secure.put(8, 1 << 19);
    let mut others = readers(&source, 4..8);
    // The runtime lets a reader rest while user code is busy. Without that the others would stand still for ever.
    let resting = join_all(stopped.iter_mut().map(|reader| reader.rest()));
    tokio::select! {
        biased;
        _ = within("the others are read", join_all(others.iter_mut().map(|reader| read(reader, 9)))) => {}
        _ = resting => {}
    }
    within("all are read", join_all(stopped.iter_mut().map(|reader| read(reader, 8)))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_shards_than_fit_on_a_connection_are_read_over_several() {
    let secure = Secure::start(150).await;
    let connections = Counting::default();
    let source = secure.source_over(secure.clients().subscribing_over(secure.connections(connections.clone())));
    secure.put(1, 10);
    let mut all = readers(&source, 0..150);
    within("all are read", join_all(all.iter_mut().map(|reader| read(reader, 1)))).await;
    secure.put(1, 10);
    within("all are read on", join_all(all.iter_mut().map(|reader| read(reader, 1)))).await;
    assert_eq!(connections.0.load(Ordering::SeqCst), 3, "64 on each, and no connection in vain");
}

/// Counts connections: each is driven by a task.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Spawner for Counting {
    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.0.fetch_add(usize::from(name == "fan-out connection"), Ordering::SeqCst);
        TokioSpawner::new().spawn(name, task);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_found_again() {
    let secure = Secure::start(4).await;
    let source = secure.source();
    secure.put(1, 10);
    let mut all = readers(&source, 0..4);
    within("all are read", join_all(all.iter_mut().map(|reader| read(reader, 1)))).await;
    let addresses = kcl_local::Addresses {
        kinesis: secure.aws.kinesis_endpoint()["https://".len()..].parse().unwrap(),
        ..kcl_local::Addresses::default()
    };
    let again = secure.restarted(addresses).await;
    again.put(1, 10);
    let reading = all.iter_mut().map(async |reader| {
        let mut read = 0;
        while read < 1 {
            reader.ready().await;
            // While nobody listens, that is told.
            read += reader.next(BytePermit::unlimited()).await.map_or(0, |fetched| fetched.batch.len());
        }
    });
    within("all are read on", join_all(reading)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_is_trusted_is_spoken_to() {
    let secure = Secure::start(1).await;
    let stranger = Secure::start(1).await;
    let (clock, spawner) = (Arc::new(SystemClock::new()), Arc::new(TokioSpawner::new()));
    let connections = FanOutConnections::new(&stranger.anchors(), clock, spawner).unwrap();
    let source = secure.source_over(secure.clients().subscribing_over(connections));
    let told = source.open(&shard(0), Position::TrimHorizon).next(BytePermit::unlimited()).await.unwrap_err();
    assert!(told.to_string().contains("invalid peer certificate"), "{told}");

    for (pem, part) in [(&b""[..], "no certificate"), (b"-----BEGIN CERTIFICATE-----\nAAAA", "trusted certificates")] {
        let (clock, spawner) = (Arc::new(SystemClock::new()), Arc::new(TokioSpawner::new()));
        let refused = FanOutConnections::new(&TrustAnchors::Pem(pem.to_vec()), clock, spawner).unwrap_err();
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_endpoint_is_read_with_a_connection_for_each_shard() {
    let aws = kcl_local::LocalAws::start().await.unwrap();
    aws.kinesis().create_stream(crate::scene::STREAM, 3).unwrap();
    let config = aws.kinesis().sdk_config();
    let plain = aws_smithy_http_client::Builder::new().build_http();
    let config =
        aws_sdk_kinesis::config::Builder::from(&config).http_client(plain).endpoint_url(aws.kinesis_endpoint());
    let client = aws_sdk_kinesis::Client::from_conf(config.build());
    let (clock, spawner) = (Arc::new(SystemClock::new()), Arc::new(TokioSpawner::new()));
    let connections = FanOutConnections::new(&TrustAnchors::System, clock.clone(), spawner).unwrap();
    let clients = kcl_core::kinesis::KinesisClients::from_client(&client).subscribing_over(connections);
    let source = KinesisSource::fan_out(clients, crate::scene::APPLICATION.parse().unwrap(), clock);
    for number in 0..30 {
        aws.kinesis().put_record(crate::scene::STREAM, &format!("key-{number}"), "data").unwrap();
    }
    let mut all = readers(&source, 0..3);
    within("all are read", join_all(all.iter_mut().map(|reader| read(reader, 1)))).await;
}
