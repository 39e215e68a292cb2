//! The clients of a source.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;

use super::shard::{Shard, Turn};
use super::{Fake, KinesisClients, Reply, TestClock, by_name, shard_of, source_with};
use crate::ports::{ReadError, StreamSource};
use crate::settings::ReadLimit;
use crate::types::{BytePermit, Position};

async fn read_once(fake: &Fake) -> Result<usize, ReadError> {
    let clock = Arc::new(TestClock::default());
    let mut reader = source_with(fake, ReadLimit::Service, &clock).open(&shard_of(by_name()), Position::TrimHorizon);
    reader.next(BytePermit::unlimited()).await.map(|fetched| fetched.batch.len())
}

#[tokio::test(start_paused = true)]
async fn only_control_calls_are_repeated() {
    let oops = Reply::Error(500, "InternalFailureException", "oops");
    let fake = Shard::open(1).with_iterator_turns(vec![oops.clone(); 2]).serve();
    assert_eq!(read_once(&fake).await, Ok(1));
    assert_eq!(fake.count("GetShardIterator"), 3);

    let fake = Shard::open(1).with_turns([Turn::Reply(oops)]).serve();
    assert!(read_once(&fake).await.is_err());
    assert_eq!(fake.count("GetRecords"), 1);
}

#[tokio::test(start_paused = true)]
async fn every_call_names_the_library() {
    let fake = Shard::open(1).serve();
    read_once(&fake).await.unwrap();
    for call in fake.calls() {
        assert!(call.user_agent.contains("lib/kcl-rust"), "{}: {}", call.operation, call.user_agent);
    }
}

#[test]
fn time_outs_of_the_user_stay() {
    let timeouts = |client: &Client| {
        let config = client.config().timeout_config().unwrap();
        (config.connect_timeout(), config.operation_attempt_timeout(), config.operation_timeout())
    };
    let second = |n| Some(Duration::from_secs(n));

    let fake = Shard::open(0).serve();
    let clients = KinesisClients::from_client(&fake.client());
    assert_eq!(timeouts(&clients.control), (None, second(5), second(20)));
    assert_eq!(timeouts(&clients.records), (None, second(30), None));

    let theirs = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .disable_operation_timeout();
    let client = Client::from_conf(fake.config().timeout_config(theirs.build()).build());
    let clients = KinesisClients::from_client(&client);
    assert_eq!(timeouts(&clients.control), (second(1), second(2), None));
    assert_eq!(timeouts(&clients.records), (second(1), second(2), None));
}
