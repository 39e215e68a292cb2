//! Registered consumers: register, deregister, describe, list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check;
use super::wire::{Empty, EpochSeconds, Handled};
use crate::kinesis::LocalKinesis;
use crate::model::token::{decode_consumers_page, encode_consumers_page};
use crate::model::{ConsumerDescription, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ConsumerRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegisterRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    consumer_name: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListConsumersRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<EpochSeconds>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RegisterAnswer {
    consumer: ConsumerWire,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeAnswer {
    consumer_description: ConsumerWire,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAnswer {
    consumers: Vec<ConsumerWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConsumerWire {
    consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: String,
    consumer_status: &'static str,
    consumer_creation_timestamp: EpochSeconds,
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    stream_arn: Option<String>,
}

pub(super) fn register(kinesis: &LocalKinesis, request: RegisterRequest) -> Handled<RegisterAnswer> {
    let name = check::required(request.consumer_name, "consumerName")?;
    if !crate::model::name::is_stream_name(&name) {
        let pattern = "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]{1,128}";
        return Err(check::violation(Some(name), "consumerName", pattern));
    }
    let stream = stream_of(kinesis, request.stream_arn)?;
    let tags = check::tags(request.tags.unwrap_or_default())?;
    let consumer = kinesis.register_consumer_with(&stream, &name, tags)?;
    Ok(RegisterAnswer { consumer: wire(kinesis, &stream, &consumer) })
}

pub(super) fn deregister(kinesis: &LocalKinesis, request: ConsumerRequest) -> Handled<Empty> {
    let (stream, consumer) = named(kinesis, request)?;
    kinesis.deregister_consumer(&stream, &consumer.name)?;
    Ok(Empty {})
}

pub(super) fn describe(kinesis: &LocalKinesis, request: ConsumerRequest) -> Handled<DescribeAnswer> {
    let (stream, consumer) = named(kinesis, request)?;
    let stream_arn = Some(kinesis.stream_arn(&stream));
    Ok(DescribeAnswer { consumer_description: ConsumerWire { stream_arn, ..wire(kinesis, &stream, &consumer) } })
}

pub(super) fn list(kinesis: &LocalKinesis, request: ListConsumersRequest) -> Handled<ListAnswer> {
    let limit = check::within(request.max_results.unwrap_or(MAX_PAGE), "maxResults", 1, 10_000)?.min(MAX_PAGE) as usize;
    let stream = stream_of(kinesis, request.stream_arn)?;
    if request.next_token.is_some() && request.stream_creation_timestamp.is_some() {
        return Err(ServiceError::invalid_argument(
            "NextToken and StreamCreationTimestamp cannot be provided together.",
        ));
    }
    if let Some(EpochSeconds(created)) = request.stream_creation_timestamp
        && kinesis.stream_summary(&stream)?.created != created
    {
        return Err(ServiceError::not_found(format!("Stream {stream} that was created at {created} not found.")));
    }
    let after = request.next_token.map(|token| decode_consumers_page(&token, &stream, kinesis.now())).transpose()?;
    let all = kinesis.consumers(&stream)?.into_iter();
    let mut listed = all.filter(|consumer| after.as_ref().is_none_or(|after| consumer.name > *after));
    let page: Vec<_> = listed.by_ref().take(limit).collect();
    let last = page.last().filter(|_| listed.next().is_some());
    Ok(ListAnswer {
        next_token: last.map(|last| encode_consumers_page(&stream, &last.name, kinesis.now())),
        consumers: page.iter().map(|consumer| wire(kinesis, &stream, consumer)).collect(),
    })
}

/// The stream and the consumer of a consumer's ARN.
pub(super) fn consumer_of_arn(kinesis: &LocalKinesis, arn: &str) -> Handled<(String, ConsumerDescription)> {
    let malformed = || {
        let pattern = r"Member must satisfy regular expression pattern: ^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+";
        check::violation(Some(arn), "consumerARN", pattern)
    };
    let (stream, consumer) = arn.split_once("/consumer/").ok_or_else(malformed)?;
    let (name, second) = consumer.rsplit_once(':').ok_or_else(malformed)?;
    let stream = kinesis.settings().account.stream_name_of(stream)?.to_owned();
    let found = kinesis.consumer(&stream, name)?;
    if found.created.as_secs().to_string() != second {
        return Err(ServiceError::not_found(format!("Consumer {name} that was created at {second} not found.")));
    }
    Ok((stream, found))
}

fn named(kinesis: &LocalKinesis, request: ConsumerRequest) -> Handled<(String, ConsumerDescription)> {
    match (request.consumer_arn, request.stream_arn, request.consumer_name) {
        (Some(arn), stream_arn, consumer_name) => {
            let (stream, consumer) = consumer_of_arn(kinesis, &arn)?;
            let of_another_stream = stream_arn.is_some_and(|other| other != kinesis.stream_arn(&stream));
            if of_another_stream || consumer_name.is_some_and(|other| other != consumer.name) {
                return Err(ServiceError::invalid_argument(format!(
                    "StreamARN or ConsumerName name something else than ConsumerARN {arn}"
                )));
            }
            Ok((stream, consumer))
        }
        (None, Some(stream), Some(name)) => {
            let stream = stream_of(kinesis, Some(stream))?;
            let consumer = kinesis.consumer(&stream, &name)?;
            Ok((stream, consumer))
        }
        _ => Err(ServiceError::invalid_argument("ConsumerARN, or StreamARN and ConsumerName, have to be given")),
    }
}

fn stream_of(kinesis: &LocalKinesis, arn: Option<String>) -> Handled<String> {
    check::stream_name(kinesis, (None, Some(check::required(arn, "streamARN")?)))
}

fn wire(kinesis: &LocalKinesis, stream: &str, consumer: &ConsumerDescription) -> ConsumerWire {
    ConsumerWire {
        consumer_arn: kinesis.consumer_arn(stream, consumer),
        consumer_name: consumer.name.clone(),
        consumer_status: consumer.status.as_str(),
        consumer_creation_timestamp: EpochSeconds(consumer.created),
        stream_arn: None,
    }
}

/// However many a caller asks for, a page has no more.
const MAX_PAGE: i64 = 100;
