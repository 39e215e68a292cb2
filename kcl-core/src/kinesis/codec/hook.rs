//! Where a codec meets the SDK: a protocol around the client's own, for one call.
//!
//! An interceptor puts it into the configuration of the call, so the client needs no other configuration, and what is decoded
//! finds its way to the caller although the SDK's output types have no room for it: through a slot that the two share. To
//! the SDK the answer then has no members.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_kinesis::operation::get_records::GetRecordsOutput;
use aws_sdk_kinesis::types::SubscribeToShardEvent;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeSerializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
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
use crate::types::BatchBuilder;

/// What a body was decoded to.
#[derive(Debug)]
pub(in crate::kinesis) struct Decoded<T> {
    pub(in crate::kinesis) records: BatchBuilder,
    pub(in crate::kinesis) tail: T,
}

/// A body that could not be decoded.
#[derive(Debug)]
pub(in crate::kinesis) struct Failed {
    /// How many records were decoded before.
    pub(in crate::kinesis) index: usize,
    pub(in crate::kinesis) error: CodecError,
}

/// Where the codec leaves what it decoded, and the reader finds it. Written and emptied once per answer.
#[derive(Debug)]
pub(in crate::kinesis) struct Slot<T>(Arc<Mutex<Option<Outcome<T>>>>);

/// What came of decoding.
pub(in crate::kinesis) type Outcome<T> = Result<Decoded<T>, Failed>;

impl<T> Slot<T> {
    pub(in crate::kinesis) fn new() -> Self {
        Slot(Arc::default())
    }

    /// What was decoded since it was asked last.
    pub(in crate::kinesis) fn take(&self) -> Option<Outcome<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Decodes; the SDK is told that it failed, so that it does with it what it does with answers that make no sense.
    fn fill(&self, decode: impl FnOnce(&mut BatchBuilder) -> Result<T, CodecError>) -> Result<(), SerdeError> {
        let mut records = BatchBuilder::new();
        let (kept, told) = match decode(&mut records) {
            Ok(tail) => (Ok(Decoded { records, tail }), Ok(())),
            Err(error) => {
                let told = Err(SerdeError::custom(error.to_string()));
                (Err(Failed { index: records.entries().len(), error }), told)
            }
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept);
        told
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Slot(Arc::clone(&self.0))
    }
}

/// What a call brings.
#[derive(Debug, Clone)]
enum Target {
    GetRecords(Slot<AnswerTail>),
    Events(Slot<EventTail>),
}

/// Hands the answers of one call to a codec.
#[derive(Debug)]
pub(in crate::kinesis) struct Hook {
    codec: Arc<dyn Codec>,
    target: Target,
}

impl Hook {
    pub(in crate::kinesis) fn get_records(codec: Arc<dyn Codec>, slot: Slot<AnswerTail>) -> Self {
        Hook { codec, target: Target::GetRecords(slot) }
    }

    pub(in crate::kinesis) fn events(codec: Arc<dyn Codec>, slot: Slot<EventTail>) -> Self {
        Hook { codec, target: Target::Events(slot) }
    }
}

#[dyn_dispatch_hint]
impl Intercept for Hook {
    fn name(&self) -> &'static str {
        "KclCodec"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let inner = config.load::<SharedClientProtocol>().ok_or("the client has no protocol")?.clone();
        let protocol = Protocol { inner, codec: Arc::clone(&self.codec), target: self.target.clone() };
        config.interceptor_state().store_put(SharedClientProtocol::new(protocol));
        Ok(())
    }
}

/// The protocol of the client, but for the records.
#[derive(Debug, Clone)]
struct Protocol {
    inner: SharedClientProtocol,
    codec: Arc<dyn Codec>,
    target: Target,
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
        match &self.target {
            Target::GetRecords(slot) if is(schema, GetRecordsOutput::SCHEMA) => {
                let bytes = response.body().bytes().ok_or_else(|| SerdeError::custom("the body is not complete"))?;
                let body = Body { bytes, shared: Some(response.body()), sdk: self.inner.payload_codec() };
                slot.fill(|records| self.codec.get_records(body, records))?;
                Ok(Box::new(Members::Taken))
            }
            _ => self.inner.deserialize_response(response, schema, config),
        }
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
        match self.target {
            Target::Events(_) => self.inner.payload_codec().and(Some(self)),
            Target::GetRecords(_) => self.inner.payload_codec(),
        }
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
        match &self.target {
            Target::Events(slot) if is(schema, SubscribeToShardEvent::SCHEMA) => {
                let body = Body { bytes: payload, shared: None, sdk: Some(sdk) };
                slot.fill(|records| self.codec.event(body, records))
            }
            // An exception, whose kind nobody knows before it is read.
            _ => sdk.create_deserializer(payload).read_struct(schema, state),
        }
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
