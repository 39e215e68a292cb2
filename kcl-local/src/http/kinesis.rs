//! Kinesis over HTTP.

use bytes::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};

use super::{ERROR_TYPE, Service, answer_non_post, operation, respond};
use crate::api::{self, Codec};
use crate::kinesis::LocalKinesis;
use crate::model::{ErrorCode, ServiceError};

impl Service for LocalKinesis {
    fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let id = self.next_request();
        if request.method() != Method::POST {
            let (status, body) = answer_non_post(request.method());
            return respond(status, "text/plain", body.into(), id, self.now());
        }
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let codec = Codec::of_content_type(content_type);
        let outcome = codec.clone().and_then(|codec| call(self, codec, &request));
        // A client whose encoding is not spoken at least sees the reason in clear text.
        let codec = codec.unwrap_or(Codec::Json);
        match outcome {
            Ok(body) => respond(StatusCode::OK, codec.content_type(), body, id, self.now()),
            Err(error) => refuse(self, codec, &error, id),
        }
    }
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

fn refuse(kinesis: &LocalKinesis, codec: Codec, error: &ServiceError, id: u64) -> Response<Bytes> {
    let body = codec.encode_error(error);
    let mut response = respond(StatusCode::BAD_REQUEST, codec.content_type(), body, id, kinesis.now());
    response.headers_mut().insert(ERROR_TYPE, super::text(error.code().as_str()));
    response
}

const TARGET_PREFIX: &str = "Kinesis_20131202.";
