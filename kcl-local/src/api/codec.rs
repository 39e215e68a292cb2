//! How bodies are written.

use serde::{Deserialize, Serialize};

use super::read::Records;
use super::{cbor, records_cbor, records_json};
use crate::model::{ErrorCode, FanOutEvent, ServiceError};

/// An encoding of requests and answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// awsJson 1.1.
    Json,
    /// The compact binary form that Java clients use by default.
    Cbor,
}

impl Codec {
    /// The encoding of a request with this content type. A missing one means JSON, as simple clients leave it out.
    pub(crate) fn of_content_type(content_type: Option<&str>) -> Result<Self, ServiceError> {
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence {
            "" | "application/x-amz-json-1.1" | "application/json" => Ok(Self::Json),
            "application/x-amz-cbor-1.1" => Ok(Self::Cbor),
            other => Err(ServiceError::new(
                ErrorCode::Serialization,
                format!(
                    "content type '{other}' is not supported: send application/x-amz-json-1.1 or application/x-amz-cbor-1.1"
                ),
            )),
        }
    }

    /// The content type of answers.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    pub(crate) fn decode<'a, T: Deserialize<'a>>(self, body: &'a [u8]) -> Result<T, ServiceError> {
        match self {
            Self::Json => decode_json(body),
            Self::Cbor => {
                cbor::decode(body).map_err(|error| ServiceError::new(ErrorCode::Serialization, error.to_string()))
            }
        }
    }

    pub(crate) fn encode<T: Serialize>(self, answer: &T) -> Vec<u8> {
        match self {
            Self::Json => serde_json::to_vec(answer).expect("answers have string keys and finite numbers"),
            Self::Cbor => cbor::encode(answer),
        }
    }

    /// GetRecords has a way of its own because its answers are large.
    pub(super) fn encode_records(self, records: &Records) -> Vec<u8> {
        match self {
            Self::Json => records_json::encode(records),
            Self::Cbor => records_cbor::encode(records),
        }
    }

    /// So have the events of subscriptions.
    pub(super) fn encode_event(self, event: &FanOutEvent) -> Vec<u8> {
        match self {
            Self::Json => records_json::encode_event(event),
            Self::Cbor => records_cbor::encode_event(event),
        }
    }

    pub(crate) fn encode_error(self, code: &str, message: &str) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "__type")]
            code: &'a str,
            message: &'a str,
        }
        self.encode(&Body { code, message })
    }
}

fn decode_json<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ServiceError> {
    // serde would take an array for a structure; the protocol does not.
    let is_object = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    if !is_object {
        return Err(ServiceError::new(ErrorCode::Serialization, "The body has to be a JSON object"));
    }
    serde_json::from_slice(body).map_err(|error| ServiceError::new(ErrorCode::Serialization, error.to_string()))
}
