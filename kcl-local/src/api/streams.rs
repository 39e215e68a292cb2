//! Streams as a whole: create, delete, describe, list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::check;
use super::wire::{Empty, EpochSeconds, Handled, ModeWire, ShardWire};
use crate::kinesis::LocalKinesis;
use crate::model::token::{decode_streams_page, encode_streams_page};
use crate::model::{Encryption, NewStream, ServiceError, StreamMode, StreamSummary};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateStreamRequest {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeWire>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
    record_distribution_strategy: Option<String>,
}

/// The request of every operation that names a stream and nothing else.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct StreamRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteStreamRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    enforce_consumer_deletion: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    limit: Option<i64>,
    exclusive_start_shard_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListStreamsRequest {
    limit: Option<i64>,
    exclusive_start_stream_name: Option<String>,
    next_token: Option<String>,
}

/// What `DescribeStream` and `DescribeStreamSummary` have in common.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeWire,
    retention_period_hours: u32,
    stream_creation_timestamp: EpochSeconds,
    enhanced_monitoring: [Monitoring; 1],
    encryption_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Monitoring {
    shard_level_metrics: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamAnswer {
    stream_description: FullDescription,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct FullDescription {
    #[serde(flatten)]
    description: Description,
    shards: Vec<ShardWire>,
    has_more_shards: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeStreamSummaryAnswer {
    stream_description_summary: SummaryDescription,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryDescription {
    #[serde(flatten)]
    description: Description,
    open_shard_count: u32,
    consumer_count: u32,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: u32,
    /// Of on-demand streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    record_distribution_strategy: Option<&'static str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListStreamsAnswer {
    stream_names: Vec<String>,
    stream_summaries: Vec<ListedStream>,
    has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ListedStream {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: &'static str,
    stream_mode_details: ModeWire,
    stream_creation_timestamp: EpochSeconds,
}

pub(super) fn create_stream(kinesis: &LocalKinesis, request: CreateStreamRequest) -> Handled<Empty> {
    let name = check::required(request.stream_name, "streamName")?;
    let mode = request.stream_mode_details.map(|details| check::stream_mode(&details.stream_mode)).transpose()?;
    let mut new = match mode.unwrap_or(StreamMode::Provisioned) {
        StreamMode::OnDemand => NewStream::on_demand(&name),
        StreamMode::Provisioned => {
            let shards = check::required(request.shard_count, "shardCount")?;
            NewStream::provisioned(&name, check::within(shards, "shardCount", 1, i64::from(u32::MAX))? as u32)
        }
    };
    if let Some(kib) = request.max_record_size_in_kib {
        new.max_record_kib = check::max_record_kib(kib)?;
    }
    if let Some(strategy) = request.record_distribution_strategy {
        new.distribution = check::distribution(&strategy)?;
    }
    check::no_warm_throughput(request.warm_throughput_mibps)?;
    new.tags = check::tags(request.tags.unwrap_or_default())?;
    kinesis.create_stream_with(new)?;
    Ok(Empty {})
}

pub(super) fn delete_stream(kinesis: &LocalKinesis, request: DeleteStreamRequest) -> Handled<Empty> {
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let consumers = kinesis.consumers(&stream)?.len();
    if consumers > 0 && request.enforce_consumer_deletion != Some(true) {
        return Err(ServiceError::in_use(format!(
            "Stream {stream} has {consumers} registered consumers: deregister them, or set EnforceConsumerDeletion"
        )));
    }
    kinesis.delete_stream(&stream)?;
    Ok(Empty {})
}

pub(super) fn describe_stream(kinesis: &LocalKinesis, request: DescribeStreamRequest) -> Handled<DescribeStreamAnswer> {
    let limit = check::within(request.limit.unwrap_or(MAX_PAGE), "limit", 1, 10_000)?.min(MAX_PAGE) as usize;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let after = request.exclusive_start_shard_id.map(|id| check::shard_id(kinesis, &id, &stream)).transpose()?;
    let (summary, shards, has_more_shards) = kinesis.describe_stream(&stream, after, limit)?;
    let description = describe(kinesis, summary);
    let shards = shards.iter().map(ShardWire::from).collect();
    Ok(DescribeStreamAnswer { stream_description: FullDescription { description, shards, has_more_shards } })
}

pub(super) fn describe_stream_summary(
    kinesis: &LocalKinesis,
    request: StreamRequest,
) -> Handled<DescribeStreamSummaryAnswer> {
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let summary = kinesis.stream_summary(&stream)?;
    Ok(DescribeStreamSummaryAnswer {
        stream_description_summary: SummaryDescription {
            open_shard_count: summary.open_shards,
            consumer_count: summary.consumers,
            max_record_size_in_kib: summary.max_record_kib,
            record_distribution_strategy: (summary.mode == StreamMode::OnDemand).then(|| summary.distribution.as_str()),
            description: describe(kinesis, summary),
        },
    })
}

pub(super) fn list_streams(kinesis: &LocalKinesis, request: ListStreamsRequest) -> Handled<ListStreamsAnswer> {
    let limit = check::within(request.limit.unwrap_or(MAX_PAGE), "limit", 1, 10_000)?.min(MAX_PAGE) as usize;
    let after = match request.next_token {
        Some(token) => Some(decode_streams_page(&token, kinesis.now())?),
        None => request.exclusive_start_stream_name,
    };
    let all = kinesis.stream_summaries();
    let mut listed = all.into_iter().filter(|stream| after.as_ref().is_none_or(|after| stream.name > *after));
    let page: Vec<StreamSummary> = listed.by_ref().take(limit).collect();
    let has_more_streams = listed.next().is_some();
    Ok(ListStreamsAnswer {
        stream_names: page.iter().map(|stream| stream.name.clone()).collect(),
        next_token: page.last().filter(|_| has_more_streams).map(|last| encode_streams_page(&last.name, kinesis.now())),
        stream_summaries: page.into_iter().map(|stream| listed_stream(kinesis, stream)).collect(),
        has_more_streams,
    })
}

fn describe(kinesis: &LocalKinesis, summary: StreamSummary) -> Description {
    let (encryption_type, key_id) = match summary.encryption {
        Encryption::None => ("NONE", None),
        Encryption::Kms { key_id } => ("KMS", Some(key_id)),
    };
    Description {
        stream_arn: kinesis.stream_arn(&summary.name),
        stream_name: summary.name,
        stream_status: summary.status.as_str(),
        stream_mode_details: ModeWire { stream_mode: summary.mode.as_str().into() },
        retention_period_hours: summary.retention_hours,
        stream_creation_timestamp: EpochSeconds(summary.created),
        enhanced_monitoring: [Monitoring { shard_level_metrics: summary.metrics }],
        encryption_type,
        key_id,
    }
}

fn listed_stream(kinesis: &LocalKinesis, stream: StreamSummary) -> ListedStream {
    ListedStream {
        stream_arn: kinesis.stream_arn(&stream.name),
        stream_name: stream.name,
        stream_status: stream.status.as_str(),
        stream_mode_details: ModeWire { stream_mode: stream.mode.as_str().into() },
        stream_creation_timestamp: EpochSeconds(stream.created),
    }
}

/// However many a caller asks for, a page has no more.
const MAX_PAGE: i64 = 100;
