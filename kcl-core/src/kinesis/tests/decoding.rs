//! Codecs of one's own behind the SDK's client.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, Sleep};

use super::shard::{Shard, Turn, sequence};
use super::{Fake, Reply, TestClock, by_name, settings, shard_of};
use crate::kinesis::codec::{AnswerTail, Body, Codec, CodecError, EventTail, SdkCodec};
use crate::kinesis::{KinesisClients, KinesisSource};
use crate::ports::{Fetched, ReadError, ShardReader, StreamSource};
use crate::settings::ReadLimit;
use crate::types::{BatchBuilder, BytePermit, Position};

/// Reads as the SDK does, notes the bodies, and refuses as many of them as it is told to after their first record.
#[derive(Debug, Clone, Default)]
struct Noting {
    bodies: Arc<Mutex<Vec<String>>>,
    refuses: Arc<Mutex<usize>>,
    shared: Arc<Mutex<Vec<bool>>>,
}

impl Codec for Noting {
    fn get_records(&self, body: Body<'_>, records: &mut BatchBuilder) -> Result<AnswerTail, CodecError> {
        self.bodies.lock().unwrap().push(String::from_utf8_lossy(&body).into_owned());
        self.shared.lock().unwrap().push(body.to_bytes().as_ptr() == body.as_slice().as_ptr());
        let mut all = BatchBuilder::new();
        let tail = SdkCodec::default().get_records(body, &mut all)?;
        let mut refuses = self.refuses.lock().unwrap();
        for entry in all.entries() {
            records.push(entry.clone())?;
            if *refuses > 0 {
                *refuses -= 1;
                return Err(CodecError::new("the second one is strange"));
            }
        }
        Ok(tail)
    }

    fn event(&self, payload: Body<'_>, records: &mut BatchBuilder) -> Result<EventTail, CodecError> {
        SdkCodec::default().event(payload, records)
    }
}

fn open(clients: KinesisClients) -> Box<dyn ShardReader> {
    let source = KinesisSource::new(clients, settings(ReadLimit::None), Arc::new(TestClock::default()));
    source.open(&shard_of(by_name()), Position::TrimHorizon)
}

async fn fetch(reader: &mut Box<dyn ShardReader>) -> Result<Fetched, ReadError> {
    reader.ready().await;
    reader.next(BytePermit::unlimited()).await
}

async fn read_to_the_end(reader: &mut Box<dyn ShardReader>) -> (Vec<String>, Vec<ReadError>) {
    let (mut numbers, mut errors) = (Vec::new(), Vec::new());
    loop {
        match fetch(reader).await {
            Ok(fetched) => {
                numbers.extend(fetched.batch.iter().map(|record| record.sequence_number().to_string()));
                if fetched.end.is_some() {
                    return (numbers, errors);
                }
            }
            Err(error) => errors.push(error),
        }
    }
}

fn all(count: usize) -> Vec<String> {
    (1..=count).map(sequence).collect()
}

#[tokio::test(start_paused = true)]
async fn a_codec_sees_every_body_and_may_keep_its_buffer() {
    let codec = Noting::default();
    let fake = Shard::closed(5).with_turns([Turn::Answer(2)]).serve();
    let mut reader = open(KinesisClients::from_client(&fake.client()).decoding_with(codec.clone()));
    assert_eq!(read_to_the_end(&mut reader).await, (all(5), Vec::new()));
    let bodies = codec.bodies.lock().unwrap().clone();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].contains(&sequence(2)) && bodies[1].contains(&sequence(5)));
    assert_eq!(*codec.shared.lock().unwrap(), [true, true], "no copy is made");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_codec_names_the_place_and_loses_nothing() {
    let codec = Noting::default();
    let fake = Shard::closed(5).with_turns([Turn::Answer(2)]).serve();
    let mut reader = open(KinesisClients::from_client(&fake.client()).decoding_with(codec.clone()));
    assert_eq!(fetch(&mut reader).await.unwrap().batch.len(), 2);
    *codec.refuses.lock().unwrap() = 3;
    let (numbers, errors) = read_to_the_end(&mut reader).await;
    assert_eq!(numbers, all(5)[2..]);
    assert_eq!(errors.len(), 3);
    for error in errors {
        let text = format!("record 1 of an answer after {} cannot be decoded: the second one is strange", sequence(2));
        assert!(matches!(&error, ReadError::Invalid(told) if *told == text), "{error}");
    }
}

/// No time passes between two tries.
#[derive(Debug)]
struct AtOnce;

impl AsyncSleep for AtOnce {
    fn sleep(&self, time: Duration) -> Sleep {
        // Time-outs of the call last much longer than delays between tries.
        if time < Duration::from_secs(4) {
            Sleep::new(std::future::ready(()))
        } else {
            Sleep::new(std::future::pending())
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_and_retries_stay_the_sdks() {
    let error = |status, code| Turn::Reply(Reply::Error(status, code, "the service's words"));
    let turns = [
        error(500, "InternalFailureException"),
        error(400, "ProvisionedThroughputExceededException"),
        Turn::Reply(Reply::Broken),
        Turn::Answer(2),
        error(400, "ExpiredIteratorException"),
        error(400, "AccessDeniedException"),
    ];
    let codec = Noting::default();
    let fake = Shard::closed(5).with_turns(turns).serve();
    let client = |retries| {
        let config = fake.config().retry_config(retries).sleep_impl(SharedAsyncSleep::new(AtOnce));
        Client::from_conf(config.build())
    };
    // Taken as it is, this client tries four times by itself.
    let retrying = RetryConfig::standard().with_max_attempts(4);
    let clients = KinesisClients::new(client(RetryConfig::disabled()), client(retrying)).decoding_with(codec.clone());
    let mut reader = open(clients);
    assert_eq!(fetch(&mut reader).await.unwrap().batch.len(), 2);
    assert_eq!((fake.count("GetRecords"), codec.bodies.lock().unwrap().len()), (4, 1));
    let denied = fetch(&mut reader).await.unwrap_err();
    assert!(matches!(&denied, ReadError::Denied(text) if text.contains("the service's words")), "{denied}");
    assert_eq!(fake.count("GetShardIterator"), 2, "the expired one is replaced");
    assert_eq!(read_to_the_end(&mut reader).await, (all(5)[2..].to_vec(), Vec::new()));
    assert_eq!(codec.bodies.lock().unwrap().len(), 2, "no error comes to it");
}

#[tokio::test(start_paused = true)]
async fn throttling_is_told_from_a_codec_that_fails() {
    let throttled = Turn::Reply(Reply::Error(400, "ProvisionedThroughputExceededException", "slower"));
    let codec = Noting::default();
    let fake = Shard::closed(2).with_turns([throttled]).serve();
    let mut reader = open(KinesisClients::from_client(&fake.client()).decoding_with(codec.clone()));
    let slow = fetch(&mut reader).await.unwrap();
    assert!(slow.batch.is_empty() && slow.lag.is_none());
    assert_eq!(read_to_the_end(&mut reader).await, (all(2), Vec::new()));
}

#[tokio::test(start_paused = true)]
async fn a_client_keeps_a_protocol_of_its_own() {
    let marked = protocol::Marked::default();
    let fake: Fake = Shard::closed(2).serve();
    let client = Client::from_conf(fake.config().protocol(marked.clone()).build());
    let mut reader = open(KinesisClients::from_client(&client));
    assert_eq!(read_to_the_end(&mut reader).await, (all(2), Vec::new()));
    assert_eq!(marked.requests(), fake.calls().len(), "all requests are made by it");
}

/// A protocol that counts the requests it makes.
mod protocol {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_smithy_json::protocol::aws_json_rpc::AwsJsonRpcProtocol;
    use aws_smithy_runtime_api::http::{Request, Response};
    use aws_smithy_schema::codec::DynCodec;
    use aws_smithy_schema::protocol::ClientProtocolInner;
    use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer};
    use aws_smithy_schema::{Schema, ShapeId};
    use aws_smithy_types::config_bag::ConfigBag;
    use aws_smithy_types::endpoint::Endpoint;

    #[derive(Debug, Clone)]
    pub(super) struct Marked {
        inner: Arc<AwsJsonRpcProtocol>,
        requests: Arc<AtomicUsize>,
    }

    impl Default for Marked {
        fn default() -> Self {
            Marked { inner: Arc::new(AwsJsonRpcProtocol::aws_json_1_1()), requests: Arc::default() }
        }
    }

    impl Marked {
        pub(super) fn requests(&self) -> usize {
            self.requests.load(Ordering::SeqCst)
        }
    }

    impl ClientProtocolInner for Marked {
        type Request = Request;
        type Response = Response;

        fn protocol_id(&self) -> &ShapeId<'static> {
            self.inner.protocol_id()
        }

        fn serialize_request(
            &self,
            input: &dyn SerializableStruct,
            schema: &Schema<'_>,
            endpoint: &str,
            config: &ConfigBag,
        ) -> Result<Request, SerdeError> {
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.inner.serialize_request(input, schema, endpoint, config)
        }

        fn deserialize_response<'a>(
            &self,
            response: &'a Response,
            schema: &Schema<'_>,
            config: &'a ConfigBag,
        ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
            self.inner.deserialize_response(response, schema, config)
        }

        fn update_endpoint(
            &self,
            request: &mut Request,
            endpoint: &Endpoint,
            config: &ConfigBag,
        ) -> Result<(), SerdeError> {
            self.inner.update_endpoint(request, endpoint, config)
        }

        fn payload_codec(&self) -> Option<&dyn DynCodec> {
            self.inner.payload_codec()
        }
    }
}
