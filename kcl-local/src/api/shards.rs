//! ListShards, SplitShard, MergeShards, UpdateShardCount.

use serde::{Deserialize, Serialize};

use super::check;
use super::wire::{Empty, EpochSeconds, Handled, ShardWire};
use crate::kinesis::LocalKinesis;
use crate::model::{HashKey, ServiceError, ShardFilter};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListShardsRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<EpochSeconds>,
    shard_filter: Option<ShardFilterWire>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ShardFilterWire {
    r#type: Option<String>,
    shard_id: Option<String>,
    timestamp: Option<EpochSeconds>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListShardsAnswer {
    shards: Vec<ShardWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SplitShardRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_split: Option<String>,
    new_starting_hash_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MergeShardsRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    shard_to_merge: Option<String>,
    adjacent_shard_to_merge: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateShardCountRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    target_shard_count: Option<i64>,
    scaling_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UpdateShardCountAnswer {
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_name: String,
    current_shard_count: u32,
    target_shard_count: u32,
}

pub(super) fn list_shards(kinesis: &LocalKinesis, request: ListShardsRequest) -> Handled<ListShardsAnswer> {
    let asked = check::within(request.max_results.unwrap_or(MAX_PAGE), "maxResults", 1, 10_000)?;
    let limit = asked.min(MAX_PAGE) as usize;
    let page = match &request.next_token {
        Some(token) => {
            refuse_beside_token(&request)?;
            kinesis.list_next_shard_page(token, limit)?
        }
        None => first_page(kinesis, request, limit)?,
    };
    Ok(ListShardsAnswer { shards: page.shards.iter().map(ShardWire::from).collect(), next_token: page.next_token })
}

pub(super) fn split_shard(kinesis: &LocalKinesis, request: SplitShardRequest) -> Handled<Empty> {
    let shard = check::required(request.shard_to_split, "shardToSplit")?;
    let at = check::required(request.new_starting_hash_key, "newStartingHashKey")?;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let at = HashKey::parse("NewStartingHashKey", &at)?;
    check::provisioned(kinesis, &stream, "SplitShard")?;
    kinesis.split_shard(&stream, check::shard_id(kinesis, &shard, &stream)?, at)?;
    Ok(Empty {})
}

pub(super) fn merge_shards(kinesis: &LocalKinesis, request: MergeShardsRequest) -> Handled<Empty> {
    let shard = check::required(request.shard_to_merge, "shardToMerge")?;
    let adjacent = check::required(request.adjacent_shard_to_merge, "adjacentShardToMerge")?;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    check::provisioned(kinesis, &stream, "MergeShards")?;
    let shards = (check::shard_id(kinesis, &shard, &stream)?, check::shard_id(kinesis, &adjacent, &stream)?);
    kinesis.merge_shards(&stream, shards.0, shards.1)?;
    Ok(Empty {})
}

pub(super) fn update_shard_count(
    kinesis: &LocalKinesis,
    request: UpdateShardCountRequest,
) -> Handled<UpdateShardCountAnswer> {
    let target = check::required(request.target_shard_count, "targetShardCount")?;
    let target = check::within(target, "targetShardCount", 1, i64::from(u32::MAX))? as u32;
    let scaling = check::required(request.scaling_type, "scalingType")?;
    if scaling != "UNIFORM_SCALING" {
        return Err(check::not_one_of(&scaling, "scalingType", &["UNIFORM_SCALING"]));
    }
    let stream_name = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    check::provisioned(kinesis, &stream_name, "UpdateShardCount")?;
    let current_shard_count = kinesis.update_shard_count(&stream_name, target)?;
    let stream_arn = kinesis.stream_arn(&stream_name);
    Ok(UpdateShardCountAnswer { stream_arn, stream_name, current_shard_count, target_shard_count: target })
}

fn first_page(
    kinesis: &LocalKinesis,
    request: ListShardsRequest,
    limit: usize,
) -> Handled<crate::model::stream::ShardPage> {
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let filter = request.shard_filter.map(|filter| shard_filter(kinesis, filter, &stream)).transpose()?;
    let after = request.exclusive_start_shard_id.map(|id| check::shard_id(kinesis, &id, &stream)).transpose()?;
    if let Some(EpochSeconds(created)) = request.stream_creation_timestamp
        && kinesis.stream_summary(&stream)?.created != created
    {
        return Err(ServiceError::not_found(format!("Stream {stream} that was created at {created} not found.")));
    }
    kinesis.list_shard_page(&stream, filter.unwrap_or(ShardFilter::FromTrimHorizon), after, limit)
}

/// A token says all that a listing needs.
fn refuse_beside_token(request: &ListShardsRequest) -> Handled<()> {
    let beside = [
        ("StreamName", request.stream_name.is_some()),
        ("StreamCreationTimestamp", request.stream_creation_timestamp.is_some()),
        ("ExclusiveStartShardId", request.exclusive_start_shard_id.is_some()),
        ("ShardFilter", request.shard_filter.is_some()),
    ];
    match beside.iter().find(|(_, given)| *given) {
        Some((member, _)) => {
            Err(ServiceError::invalid_argument(format!("NextToken and {member} cannot be provided together.")))
        }
        None => Ok(()),
    }
}

fn shard_filter(kinesis: &LocalKinesis, filter: ShardFilterWire, stream: &str) -> Handled<ShardFilter> {
    let kind = check::required(filter.r#type, "shardFilter.type")?;
    let needs = |member: &str| {
        ServiceError::invalid_argument(format!("ShardFilter of type {kind} needs {member}, which is missing"))
    };
    match kind.as_str() {
        "AFTER_SHARD_ID" => {
            let id = filter.shard_id.ok_or_else(|| needs("ShardId"))?;
            check::shard_id(kinesis, &id, stream).map(ShardFilter::AfterShardId)
        }
        "AT_TIMESTAMP" => Ok(ShardFilter::AtTimestamp(filter.timestamp.ok_or_else(|| needs("Timestamp"))?.0)),
        "FROM_TIMESTAMP" => Ok(ShardFilter::FromTimestamp(filter.timestamp.ok_or_else(|| needs("Timestamp"))?.0)),
        "AT_TRIM_HORIZON" => Ok(ShardFilter::AtTrimHorizon),
        "FROM_TRIM_HORIZON" => Ok(ShardFilter::FromTrimHorizon),
        "AT_LATEST" => Ok(ShardFilter::AtLatest),
        other => Err(check::not_one_of(other, "shardFilter.type", &FILTERS)),
    }
}

/// However many a caller asks for, a page has no more.
const MAX_PAGE: i64 = 1000;
const FILTERS: [&str; 6] =
    ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"];
