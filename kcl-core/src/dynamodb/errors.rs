//! What a failed call means: certainly without effect, or perhaps with.
//!
//! A lease is lost by believing the first when the second is true, so everything that is not known for certain is
//! [`Failure::Unknown`].

use std::error::Error;

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::dns::ResolveDnsError;
use aws_smithy_runtime_api::client::result::ConnectorError;

use crate::types::StoreError;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// It certainly had no effect.
    Refused(StoreError),
    /// It perhaps had its effect.
    Unknown(StoreError),
}

impl Failure {
    /// For reads, where an effect does not matter.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Failure::Refused(error) | Failure::Unknown(error) => error,
        }
    }
}

/// Tells what the failure of any operation means.
pub(super) fn failure<E>(error: &SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        // Nothing was sent: the request could not be built.
        SdkError::ConstructionFailure(_) => Failure::Refused(StoreError::Invalid(with_sources(error))),
        SdkError::DispatchFailure(dispatch) => match dispatch.as_connector_error() {
            Some(connector) => not_dispatched(connector),
            None => Failure::Unknown(StoreError::Unavailable(with_sources(error))),
        },
        SdkError::ServiceError(service) => {
            let code = service.err().code();
            refused_by_service(code, service.err().message(), service.raw().status().as_u16())
        }
        // Time-outs, and answers that make no sense: an HTML page of a proxy, an empty body with status 500.
        _ => Failure::Unknown(StoreError::Unavailable(with_sources(error))),
    }
}

fn not_dispatched(error: &ConnectorError) -> Failure {
    let message = with_sources(error);
    if never_connected(error) || error.is_user() {
        return Failure::Refused(StoreError::Unavailable(message));
    }
    // Signing comes before sending. The error types of the credential providers are not exported by the SDK.
    let lacks_credentials = ["credential", "identity", "auth scheme"].iter().any(|word| message.contains(word));
    if error.is_other() && lacks_credentials {
        return Failure::Refused(StoreError::Denied(message));
    }
    Failure::Unknown(StoreError::Unavailable(message))
}

/// Whether the connection was never made, so that not one byte of the request left.
fn never_connected(error: &ConnectorError) -> bool {
    sources(error).any(|source| {
        let refused = source
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused);
        // hyper's own word for any failure before a connection was there, TLS and connect time-outs included. Its error
        // type is in a crate that the SDK does not export.
        refused || source.is::<ResolveDnsError>() || source.to_string() == "client error (Connect)"
    })
}

fn refused_by_service(code: Option<&str>, message: Option<&str>, status: u16) -> Failure {
    let Some(code) = code else {
        let message = format!("answer with status {status} that is no answer of DynamoDB");
        return Failure::Unknown(StoreError::Unavailable(message));
    };
    let message = match message {
        Some(message) => format!("{code}: {message}"),
        None => code.to_owned(),
    };
    // A server that failed inside may have done so after the effect.
    if status >= 500 || status == 408 {
        return Failure::Unknown(StoreError::Unavailable(message));
    }
    match code {
        "TransactionInProgressException" | "RequestTimeoutException" | "RequestTimeout" => {
            Failure::Unknown(StoreError::Unavailable(message))
        }
        code if is_throttling(code) => Failure::Refused(StoreError::Throttled(message)),
        code if is_denial(code) => Failure::Refused(StoreError::Denied(message)),
        "ResourceNotFoundException" | "TableNotFoundException" => Failure::Refused(StoreError::TableMissing(message)),
        _ => Failure::Refused(StoreError::Invalid(message)),
    }
}

/// Codes that ask to come again later; a row that another transaction holds at the moment is one of them.
pub(super) fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "ProvisionedThroughputExceeded"
            | "ThrottlingException"
            | "ThrottlingError"
            | "Throttling"
            | "RequestLimitExceeded"
            | "LimitExceededException"
            | "TooManyRequestsException"
            | "TransactionConflictException"
            | "TransactionConflict"
            | "ReplicatedWriteConflictException"
    )
}

fn is_denial(code: &str) -> bool {
    matches!(
        code,
        "AccessDeniedException"
            | "AccessDenied"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "RequestExpired"
            | "NotAuthorized"
            | "OptInRequired"
    )
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The SDK's errors say what happened only in their sources.
fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = sources(error).map(ToString::to_string).collect();
    texts.dedup();
    texts.join(": ")
}
