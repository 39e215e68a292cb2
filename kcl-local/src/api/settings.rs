//! Changes to a stream: retention, mode, record size, encryption, monitoring.

use serde::{Deserialize, Serialize};

use super::check;
use super::wire::{Empty, Handled, ModeWire};
use crate::kinesis::LocalKinesis;
use crate::model::Encryption;
use crate::model::stream::Retention;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RetentionRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    retention_period_hours: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    stream_mode_details: Option<ModeWire>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DistributionRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    record_distribution_strategy: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MaxRecordSizeRequest {
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_in_kib: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EncryptionRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    encryption_type: Option<String>,
    key_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MonitoringRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_level_metrics: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MonitoringAnswer {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_level_metrics: Vec<String>,
    desired_shard_level_metrics: Vec<String>,
}

pub(super) fn increase_retention(kinesis: &LocalKinesis, request: RetentionRequest) -> Handled<Empty> {
    change_retention(kinesis, request, Retention::Increase)
}

pub(super) fn decrease_retention(kinesis: &LocalKinesis, request: RetentionRequest) -> Handled<Empty> {
    change_retention(kinesis, request, Retention::Decrease)
}

pub(super) fn update_stream_mode(kinesis: &LocalKinesis, request: ModeRequest) -> Handled<Empty> {
    let details = check::required(request.stream_mode_details, "streamModeDetails")?;
    let arn = check::required(request.stream_arn, "streamARN")?;
    let stream = check::stream_name(kinesis, (None, Some(arn)))?;
    check::no_warm_throughput(request.warm_throughput_mibps)?;
    kinesis.change_mode(&stream, check::stream_mode(&details.stream_mode)?)?;
    Ok(Empty {})
}

pub(super) fn update_distribution(kinesis: &LocalKinesis, request: DistributionRequest) -> Handled<Empty> {
    let strategy = check::required(request.record_distribution_strategy, "recordDistributionStrategy")?;
    let arn = check::required(request.stream_arn, "streamARN")?;
    let stream = check::stream_name(kinesis, (None, Some(arn)))?;
    kinesis.change_distribution(&stream, check::distribution(&strategy)?)?;
    Ok(Empty {})
}

pub(super) fn update_max_record_size(kinesis: &LocalKinesis, request: MaxRecordSizeRequest) -> Handled<Empty> {
    let kib = check::required(request.max_record_size_in_kib, "maxRecordSizeInKiB")?;
    let arn = check::required(request.stream_arn, "streamARN")?;
    let stream = check::stream_name(kinesis, (None, Some(arn)))?;
    kinesis.change_max_record(&stream, check::max_record_kib(kib)?)?;
    Ok(Empty {})
}

pub(super) fn start_encryption(kinesis: &LocalKinesis, request: EncryptionRequest) -> Handled<Empty> {
    change_encryption(kinesis, request, |key_id| Encryption::Kms { key_id })
}

pub(super) fn stop_encryption(kinesis: &LocalKinesis, request: EncryptionRequest) -> Handled<Empty> {
    change_encryption(kinesis, request, |_| Encryption::None)
}

pub(super) fn enable_monitoring(kinesis: &LocalKinesis, request: MonitoringRequest) -> Handled<MonitoringAnswer> {
    change_monitoring(kinesis, request, |metrics, named| metrics.extend(named))
}

pub(super) fn disable_monitoring(kinesis: &LocalKinesis, request: MonitoringRequest) -> Handled<MonitoringAnswer> {
    change_monitoring(kinesis, request, |metrics, named| metrics.retain(|metric| !named.contains(metric)))
}

fn change_retention(
    kinesis: &LocalKinesis,
    request: RetentionRequest,
    change: impl FnOnce(u32) -> Retention,
) -> Handled<Empty> {
    let hours = check::required(request.retention_period_hours, "retentionPeriodHours")?;
    let hours = check::within(hours, "retentionPeriodHours", 0, i64::from(u32::MAX))? as u32;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    kinesis.change_retention(&stream, change(hours))?;
    Ok(Empty {})
}

fn change_encryption(
    kinesis: &LocalKinesis,
    request: EncryptionRequest,
    change: impl FnOnce(String) -> Encryption,
) -> Handled<Empty> {
    let kind = check::required(request.encryption_type, "encryptionType")?;
    let key_id = check::required(request.key_id, "keyId")?;
    if kind != "KMS" {
        return Err(check::not_one_of(&kind, "encryptionType", &["KMS"]));
    }
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    kinesis.change_encryption(&stream, change(key_id))?;
    Ok(Empty {})
}

fn change_monitoring(
    kinesis: &LocalKinesis,
    request: MonitoringRequest,
    change: impl FnOnce(&mut std::collections::BTreeSet<String>, Vec<String>),
) -> Handled<MonitoringAnswer> {
    let mut named = check::required(request.shard_level_metrics, "shardLevelMetrics")?;
    if let Some(unknown) = named.iter().find(|name| *name != "ALL" && !METRICS.contains(&name.as_str())) {
        return Err(check::not_one_of(unknown, "shardLevelMetrics", &METRICS));
    }
    if named.iter().any(|name| name == "ALL") {
        named = METRICS.map(str::to_owned).to_vec();
    }
    let stream_name = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let (current, desired) = kinesis.change_metrics(&stream_name, |metrics| change(metrics, named))?;
    Ok(MonitoringAnswer {
        stream_arn: kinesis.stream_arn(&stream_name),
        stream_name,
        current_shard_level_metrics: current,
        desired_shard_level_metrics: desired,
    })
}

const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
];
