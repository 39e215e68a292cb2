//! The API's constraints on members, in the service's words.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::kinesis::LocalKinesis;
use crate::model::name::is_stream_name;
use crate::model::{ServiceError, ShardId, StreamMode};

use super::wire::StreamRef;

/// A member that has to be there.
pub(super) fn required<T>(value: Option<T>, member: &str) -> Result<T, ServiceError> {
    value.ok_or_else(|| missing(member))
}

/// A member that is not there.
pub(super) fn missing(member: &str) -> ServiceError {
    violation(None::<&str>, member, "Member must not be null")
}

/// A number with bounds.
pub(super) fn within(value: i64, member: &str, least: i64, most: i64) -> Result<i64, ServiceError> {
    let constraint = if value < least {
        format!("Member must have value greater than or equal to {least}")
    } else if value > most {
        format!("Member must have value less than or equal to {most}")
    } else {
        return Ok(value);
    };
    Err(violation(Some(value), member, &constraint))
}

/// A member whose value is none of those it can have.
pub(super) fn not_one_of(value: &str, member: &str, values: &[&str]) -> ServiceError {
    violation(Some(value), member, &format!("Member must satisfy enum value set: [{}]", values.join(", ")))
}

/// A text that is one of a few values.
pub(super) fn stream_mode(value: &str) -> Result<StreamMode, ServiceError> {
    [StreamMode::Provisioned, StreamMode::OnDemand]
        .into_iter()
        .find(|mode| mode.as_str() == value)
        .ok_or_else(|| not_one_of(value, "streamModeDetails.streamMode", &["PROVISIONED", "ON_DEMAND"]))
}

/// The stream that a request means, by name or ARN or both.
pub(super) fn stream_name(kinesis: &LocalKinesis, (name, arn): StreamRef) -> Result<String, ServiceError> {
    if let Some(name) = name.as_deref().filter(|name| !is_stream_name(name)) {
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]{1,128}";
        return Err(violation(Some(name), "streamName", pattern));
    }
    let by_arn = arn.as_deref().map(|arn| kinesis.settings().account.stream_name_of(arn)).transpose()?;
    match (name, by_arn) {
        (None, None) => Err(ServiceError::invalid_argument("StreamName or StreamARN has to be given")),
        (Some(name), Some(other)) if name != other => Err(ServiceError::invalid_argument(format!(
            "StreamName {name} and StreamARN name different streams, the ARN names {other}: give one of them"
        ))),
        (Some(name), _) => Ok(name),
        (None, Some(name)) => Ok(name.to_owned()),
    }
}

/// A shard id. One that no shard can have is as unknown as one that no shard happens to have.
pub(super) fn shard_id(text: &str, stream: &str) -> Result<ShardId, ServiceError> {
    ShardId::parse(text)
        .ok_or_else(|| ServiceError::not_found(format!("Could not find shard {text} in stream {stream}.")))
}

/// A violated constraint.
pub(super) fn violation(value: Option<impl Display>, member: &str, constraint: &str) -> ServiceError {
    let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
    ServiceError::validation(format!(
        "1 validation error detected: Value {value} at '{member}' failed to satisfy constraint: {constraint}"
    ))
}

/// The size of the largest record a stream takes.
pub(super) fn max_record_kib(kib: i64) -> Result<u32, ServiceError> {
    within(kib, "maxRecordSizeInKiB", 1024, 10_240).map(|kib| kib as u32)
}

/// Tags with keys and values of allowed length.
pub(super) fn tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ServiceError> {
    for (key, value) in &tags {
        if !(1..=128).contains(&key.chars().count()) {
            return Err(violation(Some(key), "tags.key", "Member must have length between 1 and 128"));
        }
        if value.chars().count() > 256 {
            return Err(violation(Some(value), "tags.value", "Member must have length less than or equal to 256"));
        }
    }
    Ok(tags)
}
