//! Kinesis over HTTP.

use bytes::Bytes;
use futures_util::StreamExt;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};

use super::{Body, ERROR_TYPE, Exchange, Service, answer_non_post, at_once, operation, respond};
use crate::api::{self, Codec};
use crate::faults::{CallFacts, Fault, FaultService, Refused, Strike, inject};
use crate::kinesis::LocalKinesis;
use crate::model::stream::EntryError;
use crate::model::{ErrorCode, ServiceError, ShardId};

impl Service for LocalKinesis {
    fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let id = self.next_request();
        if request.method() != Method::POST {
            let (status, body) = answer_non_post(request.method());
            return respond(status, "text/plain", body.into(), id, self.now());
        }
        let codec = codec_of(&request);
        let outcome = codec.clone().and_then(|codec| call(self, codec, &request));
        // A client whose encoding is not spoken at least sees the reason in clear text.
        let codec = codec.unwrap_or(Codec::Json);
        match outcome {
            Ok(body) => respond(StatusCode::OK, codec.content_type(), body, id, self.now()),
            Err(error) => refuse(self, codec, (status_of(error.code()), error.code().as_str(), error.message()), id),
        }
    }

    fn exchange(&self, request: Request<Bytes>) -> Exchange {
        match strike(self, &request) {
            None => exchange(self, request),
            Some(strike) => answer_with_fault(self, strike, request),
        }
    }
}

/// Without faults: at once and whole, but for the one operation that streams.
fn exchange(kinesis: &LocalKinesis, request: Request<Bytes>) -> Exchange {
    let streams =
        request.method() == Method::POST && operation(request.headers(), TARGET_PREFIX) == Some("SubscribeToShard");
    if !streams {
        return at_once(kinesis.answer(request));
    }
    let codec = codec_of(&request);
    let subscription = codec.clone().and_then(|codec| api::subscribe_to_shard(kinesis, codec, request.body()));
    let codec = codec.unwrap_or(Codec::Json);
    let id = kinesis.next_request();
    match subscription {
        Ok(subscription) => {
            let response = respond(StatusCode::OK, EVENT_STREAM, Vec::new(), id, kinesis.now());
            let frames = api::frames(subscription, codec).map(Ok);
            Box::pin(std::future::ready(Ok(response.map(|_| Body::pieces(frames)))))
        }
        Err(error) => {
            tracing::debug!(operation = "SubscribeToShard", code = error.code().as_str(), "refused");
            let what = (status_of(error.code()), error.code().as_str(), error.message());
            at_once(refuse(kinesis, codec, what, id))
        }
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InternalFailure => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn codec_of(request: &Request<Bytes>) -> Result<Codec, ServiceError> {
    Codec::of_content_type(request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()))
}

/// The fault that the request meets, if any.
fn strike(kinesis: &LocalKinesis, request: &Request<Bytes>) -> Option<Strike> {
    if !kinesis.faults().is_active() {
        return None;
    }
    let operation = operation(request.headers(), TARGET_PREFIX)?;
    let subject = api::subject(codec_of(request).unwrap_or(Codec::Json), request.body());
    kinesis.faults().decide(&CallFacts {
        service: FaultService::Kinesis,
        operation,
        resource: subject.stream_name(kinesis).as_deref(),
        shard: subject.shard_id(kinesis).as_deref(),
        is_for_many_shards: operation == "PutRecords",
    })
}

fn answer_with_fault(kinesis: &LocalKinesis, Strike { fault, shard }: Strike, request: Request<Bytes>) -> Exchange {
    let operation = operation(request.headers(), TARGET_PREFIX).unwrap_or_default();
    let throttled = throttled(operation);
    if operation == "PutRecords"
        && let Some(shard) = shard.as_deref().and_then(ShardId::parse)
        && let Some(refused) = Refused::by(&fault, throttled)
    {
        let error = EntryError { code: refused.code.into(), message: refused.message.into() };
        return at_once(kinesis.refusing_entries(shard, error).answer(request));
    }
    if let Fault::StaleList { age } = fault {
        return at_once(kinesis.listing_as_of(age).answer(request));
    }
    let codec = codec_of(&request).unwrap_or(Codec::Json);
    let (answering, refusing) = (kinesis.clone(), kinesis.clone());
    let answer = move || exchange(&answering, request);
    let refuse = move |refused: &Refused| {
        let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        refuse(&refusing, codec, (status, &refused.code, &refused.message), refusing.next_request())
    };
    inject(fault, kinesis.clock(), throttled, answer, refuse)
}

/// The error that the service has for too many calls of the operation.
fn throttled(operation: &str) -> &'static str {
    let of_data = ["PutRecord", "PutRecords", "GetRecords", "GetShardIterator"].contains(&operation);
    if of_data { ErrorCode::ProvisionedThroughputExceeded.as_str() } else { ErrorCode::LimitExceeded.as_str() }
}

fn call(kinesis: &LocalKinesis, codec: Codec, request: &Request<Bytes>) -> Result<Vec<u8>, ServiceError> {
    let operation = operation(request.headers(), TARGET_PREFIX).ok_or_else(|| {
        let message = format!("the header X-Amz-Target has to name an operation: {TARGET_PREFIX}<operation>");
        ServiceError::new(ErrorCode::UnknownOperation, message)
    })?;
    let outcome = api::call(kinesis, operation, codec, request.body());
    if let Err(error) = &outcome {
        tracing::debug!(operation, code = error.code().as_str(), message = error.message(), "refused");
    }
    outcome
}

fn refuse(
    kinesis: &LocalKinesis,
    codec: Codec,
    (status, code, message): (StatusCode, &str, &str),
    id: u64,
) -> Response<Bytes> {
    let body = codec.encode_error(code, message);
    let mut response = respond(status, codec.content_type(), body, id, kinesis.now());
    response.headers_mut().insert(ERROR_TYPE, super::text(code));
    response
}

pub(crate) const TARGET_PREFIX: &str = "Kinesis_20131202.";
const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";
