//! The API's constraints on members, in the service's words.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::kinesis::LocalKinesis;
use crate::model::name::is_stream_name;
use crate::model::{RecordDistribution, ServiceError, ShardId, StreamMode};

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

/// How a stream gets its capacity.
pub(super) fn stream_mode(value: &str) -> Result<StreamMode, ServiceError> {
    [StreamMode::Provisioned, StreamMode::OnDemand]
        .into_iter()
        .find(|mode| mode.as_str() == value)
        .ok_or_else(|| not_one_of(value, "streamModeDetails.streamMode", &["PROVISIONED", "ON_DEMAND"]))
}

/// How records find their shard.
pub(super) fn distribution(value: &str) -> Result<RecordDistribution, ServiceError> {
    [RecordDistribution::UserPartitionKey, RecordDistribution::Auto]
        .into_iter()
        .find(|distribution| distribution.as_str() == value)
        .ok_or_else(|| not_one_of(value, "recordDistributionStrategy", &["AUTO", "USER_PARTITION_KEY"]))
}

/// Refuses what only provisioned streams can do.
pub(super) fn provisioned(kinesis: &LocalKinesis, stream: &str, operation: &str) -> Result<(), ServiceError> {
    match kinesis.stream_summary(stream)?.mode {
        StreamMode::Provisioned => Ok(()),
        StreamMode::OnDemand => Err(ServiceError::validation(format!(
            "{operation} is only supported for data streams with the provisioned capacity mode, stream {stream} is in \
             mode ON_DEMAND."
        ))),
    }
}

/// Refuses a warm throughput, for which an account has to be set up first.
pub(super) fn no_warm_throughput(value: Option<i64>) -> Result<(), ServiceError> {
    match value {
        None => Ok(()),
        Some(_) => Err(ServiceError::invalid_argument(
            "WarmThroughputMiBps is only supported in accounts that have MinimumThroughputBillingCommitment enabled, \
             which this local double does not model.",
        )),
    }
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
pub(super) fn shard_id(kinesis: &LocalKinesis, text: &str, stream: &str) -> Result<ShardId, ServiceError> {
    let account = &kinesis.settings().account.id;
    ShardId::parse(text).ok_or_else(|| {
        ServiceError::not_found(format!("Could not find shard {text} in stream {stream} under account {account}."))
    })
}

/// The text of a sequence number.
pub(super) fn sequence_text<'a>(text: &'a str, member: &str) -> Result<&'a str, ServiceError> {
    let canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if text.is_empty() || text.len() > 129 || !canonical {
        let pattern = r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,128})";
        return Err(violation(Some(text), member, pattern));
    }
    Ok(text)
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

/// Tags with keys and values of allowed length and letters.
pub(super) fn tags(tags: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, ServiceError> {
    let allowed = |letter: char| letter.is_alphanumeric() || letter.is_whitespace() || "_.:/=+-@%".contains(letter);
    if !tags.iter().flat_map(|(key, value)| [key, value]).all(|text| text.chars().all(allowed)) {
        return Err(ServiceError::invalid_argument(
            "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . : / = + - \
             @ %.",
        ));
    }
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
