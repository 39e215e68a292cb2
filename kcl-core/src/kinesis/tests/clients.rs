//! The clients of a source.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;

use super::shard::{Shard, Turn};
use super::{Fake, KinesisClients, Reply, TestClock, by_name, settings, shard_of, source_with};
use crate::kinesis::KinesisSource;
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
async fn calls_name_the_library_where_that_costs_little() {
    let fake = Shard::open(1).serve();
    read_once(&fake).await.unwrap();
    let calls = fake.calls();
    let named = |operation: &str| {
        let call = calls.iter().find(|call| call.operation == operation).unwrap();
        call.user_agent.contains("lib/kcl-rust")
    };
    assert!(named("GetShardIterator") && !named("GetRecords"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_not_answered_in_time_leaves_its_connection() {
    let theirs = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(3)).build();
    for timeouts in [None, Some(theirs)] {
        let fake = Shard::open(2).with_turns([Turn::Answer(1), Turn::Reply(Reply::Silence)]).serve();
        let mut config = fake.config();
        config.set_timeout_config(timeouts);
        let clients = KinesisClients::from_client(&Client::from_conf(config.build()));
        let source = KinesisSource::new(clients, settings(ReadLimit::Service), Arc::new(TestClock::default()));
        let mut reader = source.open(&shard_of(by_name()), Position::TrimHorizon);
        for (records, left) in [(Some(1), 0), (None, 1), (Some(1), 1)] {
            reader.ready().await;
            let fetched = reader.next(BytePermit::unlimited()).await;
            assert_eq!((fetched.ok().map(|fetched| fetched.batch.len()), fake.left()), (records, left));
        }
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
    assert_eq!((timeouts(&clients.records), clients.patience), ((None, None, None), second(30)), "callers see to it");
    assert_eq!(timeouts(&clients.subscriptions), (None, second(30), None));

    let theirs = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(2))
        .disable_operation_timeout();
    let client = Client::from_conf(fake.config().timeout_config(theirs.build()).build());
    let clients = KinesisClients::from_client(&client);
    assert_eq!(timeouts(&clients.control), (second(1), second(2), None));
    assert_eq!((timeouts(&clients.records), clients.patience), ((second(1), second(2), None), None));

    let disabled = TimeoutConfig::builder().disable_operation_attempt_timeout().build();
    let clients = KinesisClients::from_client(&Client::from_conf(fake.config().timeout_config(disabled).build()));
    assert_eq!((timeouts(&clients.records), clients.patience), ((None, None, None), None));
}
