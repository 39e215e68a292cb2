//! What a failed call means: by the service's error code and the HTTP status, never by the words of a message.

use std::error::Error;

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::types::error::SubscribeToShardEventStreamError;
use aws_smithy_types::event_stream::RawMessage;

use crate::ports::{ReadError, SourceError};
use crate::types::{ShardRef, StreamId};

/// A failed call, sorted by what can be done about it. Each carries a text for people: code, message, request id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Fewer calls are wanted; nothing is wrong.
    Throttled(String),
    /// The iterator or page token is too old: make a new one.
    Expired(String),
    /// The service does not understand an argument, perhaps the iterator.
    BadArgument(String),
    /// Somebody else has it, or it is being changed: later perhaps.
    InUse(String),
    /// No such stream, shard or consumer.
    NotFound(String),
    /// Credentials, policies or keys forbid it.
    Denied(String),
    /// Out of reach, too slow, or broken inside: the same call may succeed later.
    Unavailable(String),
    /// Refused for another reason.
    Refused(String),
    /// It came, and makes no sense.
    Nonsense(String),
}

impl Fault {
    /// Sorts the error of any operation.
    pub(super) fn of<E>(error: &SdkError<E>) -> Fault
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(service) => {
                let status = service.raw().status().as_u16();
                let code = service.err().code().unwrap_or_default();
                let message = service.err().message().unwrap_or("(no message)");
                let request = error.request_id().map(|id| format!(", request {id}")).unwrap_or_default();
                by_code(code, status)(format!("{code}: {message} (HTTP {status}{request})"))
            }
            // An answer that is no answer of the service: a proxy's page, a body cut short, an error without a code.
            SdkError::ResponseError(response) => {
                let status = response.raw().status().as_u16();
                by_status(status)(format!("the answer cannot be understood (HTTP {status}): {}", sources(error)))
            }
            SdkError::TimeoutError(_) => Fault::Unavailable(format!("no answer in time: {}", sources(error))),
            SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => Fault::Unavailable(
                format!("the endpoint cannot be reached (check endpoint, region and network): {}", sources(error)),
            ),
            SdkError::DispatchFailure(_) => Fault::Unavailable(format!(
                "the call cannot be sent (check credentials, region and endpoint): {}",
                sources(error)
            )),
            SdkError::ConstructionFailure(_) => {
                Fault::Refused(format!("the request cannot be built (check the client's settings): {}", sources(error)))
            }
            _ => Fault::Unavailable(sources(error)),
        }
    }

    /// Sorts what a stream of events ended with. Those that the service sends carry no code, so they go by their type.
    pub(super) fn of_events(error: &SdkError<SubscribeToShardEventStreamError, RawMessage>) -> Fault {
        use SubscribeToShardEventStreamError as Sent;
        let SdkError::ServiceError(service) = error else {
            return Fault::Unavailable(format!("the stream of events broke off: {}", sources(error)));
        };
        let text = sources(service.err());
        match service.err() {
            Sent::ResourceInUseException(_) => Fault::InUse(text),
            Sent::ResourceNotFoundException(_) => Fault::NotFound(text),
            Sent::KmsThrottlingException(_) => Fault::Throttled(text),
            Sent::KmsDisabledException(_)
            | Sent::KmsInvalidStateException(_)
            | Sent::KmsAccessDeniedException(_)
            | Sent::KmsNotFoundException(_)
            | Sent::KmsOptInRequired(_) => Fault::Denied(text),
            // Failures inside, and whatever is added later.
            _ => Fault::Unavailable(text),
        }
    }

    /// The text for people.
    pub(super) fn text(&self) -> &str {
        match self {
            Fault::Throttled(text)
            | Fault::Expired(text)
            | Fault::BadArgument(text)
            | Fault::InUse(text)
            | Fault::NotFound(text)
            | Fault::Denied(text)
            | Fault::Unavailable(text)
            | Fault::Refused(text)
            | Fault::Nonsense(text) => text,
        }
    }

    /// As the error of a reader.
    pub(super) fn into_read_error(self, shard: &ShardRef) -> ReadError {
        match self {
            Fault::NotFound(message) => ReadError::NotFound { shard: shard.to_string(), message },
            Fault::Denied(text) => ReadError::Denied(text),
            Fault::Throttled(text) | Fault::Expired(text) | Fault::InUse(text) | Fault::Unavailable(text) => {
                ReadError::Unavailable(text)
            }
            Fault::BadArgument(text) | Fault::Refused(text) | Fault::Nonsense(text) => ReadError::Invalid(text),
        }
    }

    /// As the error of a listing.
    pub(super) fn into_source_error(self, stream: &StreamId) -> SourceError {
        match self {
            Fault::NotFound(message) => SourceError::NotFound { stream: stream.to_string(), message },
            Fault::Denied(text) => SourceError::Denied(text),
            Fault::Throttled(text) => SourceError::Throttled(text),
            Fault::Expired(text) | Fault::InUse(text) | Fault::Unavailable(text) => SourceError::Unavailable(text),
            Fault::BadArgument(text) | Fault::Refused(text) | Fault::Nonsense(text) => SourceError::Invalid(text),
        }
    }
}

/// Codes that only the front end of all services gives are in no model, so they are matched by name here.
fn by_code(code: &str, status: u16) -> fn(String) -> Fault {
    match code {
        "ProvisionedThroughputExceededException"
        | "LimitExceededException"
        | "KMSThrottlingException"
        | "ThrottlingException"
        | "Throttling"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "SlowDown" => Fault::Throttled,
        "ExpiredIteratorException" | "ExpiredNextTokenException" => Fault::Expired,
        "InvalidArgumentException" | "ValidationException" | "SerializationException" => Fault::BadArgument,
        "ResourceNotFoundException" => Fault::NotFound,
        "AccessDeniedException"
        | "AccessDenied"
        | "KMSAccessDeniedException"
        | "KMSDisabledException"
        | "KMSInvalidStateException"
        | "KMSNotFoundException"
        | "KMSOptInRequired"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "RequestExpired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "NotAuthorized"
        | "OptInRequired" => Fault::Denied,
        "ResourceInUseException" => Fault::InUse,
        "InternalFailure"
        | "InternalFailureException"
        | "InternalServerError"
        | "ServiceUnavailable"
        | "ServiceUnavailableException" => Fault::Unavailable,
        _ => by_status(status),
    }
}

fn by_status(status: u16) -> fn(String) -> Fault {
    match status {
        429 => Fault::Throttled,
        401 | 403 | 407 => Fault::Denied,
        408 => Fault::Unavailable,
        400..=499 => Fault::Refused,
        // Success included: the answer was cut short or garbled on its way.
        _ => Fault::Unavailable,
    }
}

/// The error and what caused it, outermost first; a layer that only repeats the one above it is left out.
fn sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let words = source.to_string();
        if !text.ends_with(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        next = source.source();
    }
    text
}
