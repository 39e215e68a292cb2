//! What a request is about, before it is carried out: for rates and faults that look at one stream or shard.

use serde::Deserialize;

use super::Codec;
use crate::kinesis::LocalKinesis;
use crate::model::HashKey;
use crate::model::token::{IteratorToken, PageToken};

/// The members by which requests name a stream and a shard. Whatever else the request holds is left alone; a request
/// that cannot be read is about nothing, and is refused later.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Subject {
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "ResourceARN")]
    resource_arn: Option<String>,
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_iterator: Option<String>,
    next_token: Option<String>,
    shard_id: Option<String>,
    shard_to_split: Option<String>,
    shard_to_merge: Option<String>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
}

pub(crate) fn of(codec: Codec, body: &[u8]) -> Subject {
    codec.decode(body).unwrap_or_default()
}

impl Subject {
    /// The stream, however the request names it.
    pub(crate) fn stream_name(&self, kinesis: &LocalKinesis) -> Option<String> {
        let arns = [&self.stream_arn, &self.resource_arn, &self.consumer_arn];
        let by_arn = || arns.into_iter().flatten().find_map(|arn| stream_of_arn(kinesis, arn));
        let by_iterator = || IteratorToken::decode(self.shard_iterator.as_deref()?).ok().map(|token| token.stream.name);
        let by_token = || PageToken::decode(self.next_token.as_deref()?).ok().map(|token| token.stream.name);
        self.stream_name.clone().or_else(by_arn).or_else(by_iterator).or_else(by_token)
    }

    /// The shard, as text; for a PutRecord the one that the record goes to.
    pub(crate) fn shard_id(&self, kinesis: &LocalKinesis) -> Option<String> {
        let by_iterator = || IteratorToken::decode(self.shard_iterator.as_deref()?).ok().map(|t| t.shard.to_string());
        let by_key = || {
            let explicit = || HashKey::parse("ExplicitHashKey", self.explicit_hash_key.as_deref()?).ok();
            let key = explicit().or_else(|| self.partition_key.as_deref().map(HashKey::of_partition_key))?;
            kinesis.shard_of(&self.stream_name(kinesis)?, key).ok().map(|shard| shard.to_string())
        };
        let named = [&self.shard_id, &self.shard_to_split, &self.shard_to_merge].into_iter().flatten().next().cloned();
        named.or_else(by_iterator).or_else(by_key)
    }
}

/// The stream of its own ARN, or of the ARN of one of its consumers.
fn stream_of_arn(kinesis: &LocalKinesis, arn: &str) -> Option<String> {
    let stream = arn.split_once("/consumer/").map_or(arn, |(stream, _)| stream);
    kinesis.settings().account.stream_name_of(stream).ok().map(str::to_owned)
}
