//! Where a codec meets the SDK: a protocol around that of the client.
//!
//! The SDK's output types have no room for what a codec decodes, so to the SDK an answer has no members, and the records go to
//! the caller by a slot. The slot belongs to the task that polls the call: the body is decoded on that very task, and a
//! configuration for each call, which could carry it too, costs 6 us, a seventh of an empty poll.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::SubscribeToShardEvent;
use aws_smithy_json::protocol::aws_json_rpc::AwsJsonRpcProtocol;
use aws_smithy_runtime_api::http::{Request, Response};
use aws_smithy_schema::codec::{DynCodec, PayloadSerializer};
use aws_smithy_schema::protocol::{ClientProtocolInner, SharedClientProtocol};
use aws_smithy_schema::serde::{SerdeError, SerializableStruct, ShapeDeserializer};
use aws_smithy_schema::{Schema, ShapeId};
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::endpoint::Endpoint;
use aws_smithy_types::error::metadata::Builder as ErrorMetadataBuilder;
use aws_smithy_types::{BigDecimal, BigInteger, Blob, DateTime, Document};

use super::{AnswerTail, Body, Codec, CodecError, EventTail};
use crate::types::{BatchBuilder, ChildShard};

/// What a body was decoded to.
#[derive(Debug)]
pub(in crate::kinesis) struct Decoded {
    pub(in crate::kinesis) records: BatchBuilder,
    pub(in crate::kinesis) tail: Tail,
}

/// What an answer, or an event, says besides its records.
#[derive(Debug, Default, PartialEq)]
pub(in crate::kinesis) struct Tail {
    /// The next iterator, or the number to go on from.
    pub(in crate::kinesis) next: Option<String>,
    pub(in crate::kinesis) millis_behind_latest: Option<i64>,
    pub(in crate::kinesis) child_shards: Option<Vec<ChildShard>>,
}

impl Tail {
    /// The lag that it tells.
    pub(in crate::kinesis) fn lag(&self) -> Option<Duration> {
        self.millis_behind_latest.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis)
    }
}

impl From<AnswerTail> for Tail {
    fn from(tail: AnswerTail) -> Self {
        let AnswerTail { next_shard_iterator: next, millis_behind_latest, child_shards } = tail;
        Tail { next, millis_behind_latest, child_shards }
    }
}

impl From<EventTail> for Tail {
    fn from(tail: EventTail) -> Self {
        let EventTail { continuation_sequence_number: next, millis_behind_latest, child_shards } = tail;
        Tail { next, millis_behind_latest, child_shards }
    }
}

/// A body that could not be decoded.
#[derive(Debug)]
pub(in crate::kinesis) struct Failed {
    /// How many records were decoded before.
    pub(in crate::kinesis) index: usize,
    pub(in crate::kinesis) error: CodecError,
}

/// What came of decoding.
pub(in crate::kinesis) type Outcome = Result<Decoded, Failed>;

/// Where the codec leaves what it decoded while a call is polled, and how many records are expected.
#[derive(Default)]
struct Slot {
    expected: usize,
    outcome: Option<Outcome>,
}

tokio::task_local! {
    static SLOT: RefCell<Slot>;
}

/// Makes a call of a client that decodes with a codec, or waits for its next event: what it yields, and what its body was
/// decoded to. `expected` is how many records may come. Cancel safe if the call is: it is decoded in the poll that yields it.
pub(in crate::kinesis) async fn decoding<F: Future>(expected: usize, call: F) -> (F::Output, Option<Outcome>) {
    let mut call = pin!(SLOT.scope(RefCell::new(Slot { expected, outcome: None }), call));
    let output = call.as_mut().await;
    let slot = call.take_value().map(RefCell::into_inner);
    (output, slot.and_then(|slot| slot.outcome))
}

/// A client whose records this codec decodes, within [`decoding`].
pub(in crate::kinesis) fn decoded_by(client: &Client, codec: Arc<dyn Codec>) -> Client {
    let config = client.config();
    let inner = config.protocol().cloned().unwrap_or_else(|| SharedClientProtocol::new(json()));
    Client::from_conf(config.to_builder().protocol(Protocol { inner, codec }).build())
}

/// As the SDK's client sets it up where it is given no other.
fn json() -> AwsJsonRpcProtocol {
    AwsJsonRpcProtocol::aws_json_1_1().with_default_namespace("com.amazonaws.kinesis")
}

/// The protocol of the client, but for the records.
#[derive(Debug, Clone)]
struct Protocol {
    inner: SharedClientProtocol,
    codec: Arc<dyn Codec>,
}

impl Protocol {
    /// Decodes into the slot; the SDK is told that it failed, so that it does with it what it does with answers that make no
    /// sense.
    fn fill<T: Into<Tail>>(
        &self,
        decode: impl FnOnce(&dyn Codec, &mut BatchBuilder) -> Result<T, CodecError>,
    ) -> Result<(), SerdeError> {
        SLOT.try_with(|slot| {
            let mut slot = slot.borrow_mut();
            let mut records = BatchBuilder::new();
            records.reserve(slot.expected);
            let (outcome, told) = match decode(&*self.codec, &mut records) {
                Ok(tail) => (Ok(Decoded { records, tail: tail.into() }), Ok(())),
                Err(error) => {
                    let told = Err(SerdeError::custom(error.to_string()));
                    (Err(Failed { index: records.entries().len(), error }), told)
                }
            };
            slot.outcome = Some(outcome);
            told
        })
        .map_err(|_| SerdeError::custom("nobody waits for records"))?
    }
}

impl ClientProtocolInner for Protocol {
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
        self.inner.serialize_request(input, schema, endpoint, config)
    }

    fn deserialize_response<'a>(
        &self,
        response: &'a Response,
        schema: &Schema<'_>,
        config: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        if !is(schema, GetRecordsOutput::SCHEMA) {
            return self.inner.deserialize_response(response, schema, config);
        }
        let bytes = response.body().bytes().ok_or_else(|| SerdeError::custom("the body is not complete"))?;
        let body = Body { bytes, shared: Some(response.body()), sdk: self.inner.payload_codec() };
        self.fill(|codec, records| codec.get_records(body, records))?;
        Ok(Box::new(Members::Taken))
    }

    fn parse_error_metadata(
        &self,
        response: &Response,
        config: &ConfigBag,
    ) -> Result<ErrorMetadataBuilder, SerdeError> {
        self.inner.parse_error_metadata(response, config)
    }

    fn deserialize_error_response<'a>(
        &self,
        response: &'a Response,
        config: &'a ConfigBag,
    ) -> Result<Box<dyn ShapeDeserializer + 'a>, SerdeError> {
        self.inner.deserialize_error_response(response, config)
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
        self.inner.payload_codec().and(Some(self))
    }

    fn event_stream_media_type(&self) -> Option<&str> {
        self.inner.event_stream_media_type()
    }

    fn parse_event_stream_error_metadata(&self, payload: &[u8]) -> Result<ErrorMetadataBuilder, SerdeError> {
        self.inner.parse_event_stream_error_metadata(payload)
    }
}

/// For what comes in events: records, and exceptions.
impl DynCodec for Protocol {
    fn create_deserializer<'a>(&self, payload: &'a [u8]) -> Box<dyn ShapeDeserializer + 'a> {
        Box::new(Members::OfEvent { protocol: self.clone(), payload })
    }

    fn create_serializer(&self) -> Box<dyn PayloadSerializer + '_> {
        self.payload_serializer()
    }
}

impl Protocol {
    fn payload_serializer(&self) -> Box<dyn PayloadSerializer + '_> {
        self.inner.payload_codec().expect("without a codec of its own it offers none").create_serializer()
    }

    fn read_event(&self, payload: &[u8], schema: &Schema<'_>, state: &mut Consumer<'_>) -> Result<(), SerdeError> {
        let sdk = self.inner.payload_codec().ok_or_else(|| SerdeError::custom("the protocol has no payload codec"))?;
        if !is(schema, SubscribeToShardEvent::SCHEMA) {
            // An exception, whose kind nobody knows before it is read.
            return sdk.create_deserializer(payload).read_struct(schema, state);
        }
        let body = Body { bytes: payload, shared: None, sdk: Some(sdk) };
        self.fill(|codec, records| codec.event(body, records))
    }
}

fn is(schema: &Schema<'_>, other: &Schema<'_>) -> bool {
    schema.shape_id() == other.shape_id()
}

type Consumer<'a> = dyn FnMut(&Schema<'_>, &mut dyn ShapeDeserializer) -> Result<(), SerdeError> + 'a;

/// What the SDK reads instead of a body.
enum Members<'a> {
    /// The codec has read it: to the SDK it has no members.
    Taken,
    OfEvent {
        protocol: Protocol,
        payload: &'a [u8],
    },
}

/// A body is a structure and nothing else.
macro_rules! no_structure {
    ($($read:ident: $value:ty),*) => {
        $(fn $read(&mut self, _: &Schema<'_>) -> Result<$value, SerdeError> {
            Err(SerdeError::custom("a body is a structure"))
        })*
    };
}

impl ShapeDeserializer for Members<'_> {
    fn read_struct(&mut self, schema: &Schema<'_>, state: &mut Consumer<'_>) -> Result<(), SerdeError> {
        match self {
            Members::Taken => Ok(()),
            Members::OfEvent { protocol, payload } => protocol.read_event(payload, schema, state),
        }
    }

    fn read_list(
        &mut self,
        _: &Schema<'_>,
        _: &mut dyn FnMut(&mut dyn ShapeDeserializer) -> Result<(), SerdeError>,
    ) -> Result<(), SerdeError> {
        Err(SerdeError::custom("a body is a structure"))
    }

    fn read_map(
        &mut self,
        _: &Schema<'_>,
        _: &mut dyn FnMut(String, &mut dyn ShapeDeserializer) -> Result<(), SerdeError>,
    ) -> Result<(), SerdeError> {
        Err(SerdeError::custom("a body is a structure"))
    }

    no_structure! {
        read_boolean: bool, read_byte: i8, read_short: i16, read_integer: i32, read_long: i64, read_float: f32,
        read_double: f64, read_big_integer: BigInteger, read_big_decimal: BigDecimal, read_string: String,
        read_blob: Blob, read_timestamp: DateTime, read_document: Document
    }

    fn is_null(&self) -> bool {
        false
    }

    fn container_size(&self) -> Option<usize> {
        None
    }
}
