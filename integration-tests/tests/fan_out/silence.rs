//! A connection that falls silent: its calls time out, and what comes next goes over another one.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::ports::{ReadError, StreamSource, SystemClock};
use kcl_core::settings::PollingSettings;
use kcl_core::types::{BytePermit, Position};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::scene::{APPLICATION, shard};
use crate::secure::Secure;
use crate::waiting::within;

/// A way to a server on which the first connection falls silent when it is told to, but stays open.
struct Way {
    endpoint: String,
    silence: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://{}", listener.local_addr().unwrap());
        let server = server["https://".len()..].to_owned();
        let (silence, mut silent) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            let (mut first, _) = listener.accept().await.unwrap();
            let mut onward = TcpStream::connect(&server).await.unwrap();
            connections.spawn(async move {
                let told = async { drop(silent.wait_for(|silent| *silent).await) };
                tokio::select! {
                    biased;
                    () = told => {}
                    _ = tokio::io::copy_bidirectional(&mut first, &mut onward) => return,
                }
                // Open, and nothing comes.
                std::future::pending().await
            });
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(&server).await.unwrap();
                connections.spawn(async move {
                    drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Way { endpoint, silence, _tasks: tasks }
    }
}

/// Reads a record, and another one after the connection has fallen silent. What was told of that.
async fn read_over_a_silence(source: KinesisSource, secure: &Secure, way: &Way) -> Vec<ReadError> {
    let mut reader = source.open(&shard(0), Position::TrimHorizon);
    let (mut read, mut errors) = (0, Vec::new());
    for silent in [false, true] {
        way.silence.send_replace(silent);
        secure.put(1, 10);
        let wanted = read + 1;
        let reading = async {
            while read < wanted {
                reader.ready().await;
                match reader.next(BytePermit::unlimited()).await {
                    Ok(fetched) => read += fetched.batch.len(),
                    Err(error) => errors.push(error),
                }
            }
        };
        within("a record", reading).await;
    }
    assert_eq!(read, 2);
    errors
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_leave_a_connection_that_fell_silent_behind() {
    let secure = Secure::start(1).await;
    let way = Way::to(&secure.aws.kinesis_endpoint()).await;
    let patience = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(2)).build();
    let config = secure.client().config().to_builder().endpoint_url(&way.endpoint).timeout_config(patience);
    let clients = KinesisClients::from_client(&Client::from_conf(config.build()));
    let source = KinesisSource::new(clients, PollingSettings::default(), Arc::new(SystemClock::new()));
    let errors = read_over_a_silence(source, &secure, &way).await;
    assert!(matches!(&errors[..], [ReadError::Unavailable(_), ..]) && errors.len() <= 2, "{errors:?}");
}

/// On the connection that the SDK has for all calls, where subscriptions have none of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_leave_a_connection_that_fell_silent_behind() {
    let secure = Secure::start(1).await;
    let way = Way::to(&secure.aws.kinesis_endpoint()).await;
    let config = secure.client().config().to_builder().endpoint_url(&way.endpoint);
    let clients = KinesisClients::from_client(&Client::from_conf(config.build()));
    let source = KinesisSource::fan_out(clients, APPLICATION.parse().unwrap(), Arc::new(SystemClock::new()));
    let errors = read_over_a_silence(source, &secure, &way).await;
    assert!(errors.len() <= 1, "{errors:?}");
}
