//! Tags, by the calls for streams and by the calls for any resource.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::wire::{Empty, Handled};
use super::{check, consumers};
use crate::kinesis::LocalKinesis;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AddTagsRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RemoveTagsRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTagsRequest {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    exclusive_start_tag_key: Option<String>,
    limit: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagResourceRequest {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tags: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UntagResourceRequest {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListResourceTagsRequest {
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListTagsAnswer {
    tags: Vec<TagWire>,
    has_more_tags: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListResourceTagsAnswer {
    tags: Vec<TagWire>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TagWire {
    key: String,
    value: String,
}

pub(super) fn add_tags_to_stream(kinesis: &LocalKinesis, request: AddTagsRequest) -> Handled<Empty> {
    let tags = check::tags(check::required(request.tags, "tags")?)?;
    kinesis.add_tags(&check::stream_name(kinesis, (request.stream_name, request.stream_arn))?, tags)?;
    Ok(Empty {})
}

pub(super) fn remove_tags_from_stream(kinesis: &LocalKinesis, request: RemoveTagsRequest) -> Handled<Empty> {
    let keys = check::required(request.tag_keys, "tagKeys")?;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    kinesis.remove_tags(&stream, keys.iter().map(String::as_str))?;
    Ok(Empty {})
}

pub(super) fn list_tags_for_stream(kinesis: &LocalKinesis, request: ListTagsRequest) -> Handled<ListTagsAnswer> {
    let limit = check::within(request.limit.unwrap_or(MAX_PAGE), "limit", 1, MAX_PAGE)? as usize;
    let stream = check::stream_name(kinesis, (request.stream_name, request.stream_arn))?;
    let after = request.exclusive_start_tag_key;
    let all = kinesis.tags(&stream)?.into_iter();
    let mut listed = all.filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    let tags = listed.by_ref().take(limit).map(tag).collect();
    Ok(ListTagsAnswer { tags, has_more_tags: listed.next().is_some() })
}

pub(super) fn tag_resource(kinesis: &LocalKinesis, request: TagResourceRequest) -> Handled<Empty> {
    let tags = check::tags(check::required(request.tags, "tags")?)?;
    match resource(kinesis, request.resource_arn)? {
        Resource::Stream(stream) => kinesis.add_tags(&stream, tags)?,
        Resource::Consumer { stream, name } => kinesis.add_consumer_tags(&stream, &name, tags)?,
    }
    Ok(Empty {})
}

pub(super) fn untag_resource(kinesis: &LocalKinesis, request: UntagResourceRequest) -> Handled<Empty> {
    let keys = check::required(request.tag_keys, "tagKeys")?;
    let keys = keys.iter().map(String::as_str);
    match resource(kinesis, request.resource_arn)? {
        Resource::Stream(stream) => kinesis.remove_tags(&stream, keys)?,
        Resource::Consumer { stream, name } => kinesis.remove_consumer_tags(&stream, &name, keys)?,
    }
    Ok(Empty {})
}

pub(super) fn list_tags_for_resource(
    kinesis: &LocalKinesis,
    request: ListResourceTagsRequest,
) -> Handled<ListResourceTagsAnswer> {
    let tags = match resource(kinesis, request.resource_arn)? {
        Resource::Stream(stream) => kinesis.tags(&stream)?,
        Resource::Consumer { stream, name } => kinesis.consumer_tags(&stream, &name)?,
    };
    Ok(ListResourceTagsAnswer { tags: tags.into_iter().map(tag).collect() })
}

/// What can have tags.
enum Resource {
    Stream(String),
    Consumer { stream: String, name: String },
}

/// What has this ARN.
fn resource(kinesis: &LocalKinesis, arn: Option<String>) -> Handled<Resource> {
    let arn = check::required(arn, "resourceARN")?;
    if arn.contains("/consumer/") {
        let (stream, consumer) = consumers::consumer_of_arn(kinesis, &arn)?;
        return Ok(Resource::Consumer { stream, name: consumer.name });
    }
    check::stream_name(kinesis, (None, Some(arn))).map(Resource::Stream)
}

fn tag((key, value): (String, String)) -> TagWire {
    TagWire { key, value }
}

const MAX_PAGE: i64 = 50;
