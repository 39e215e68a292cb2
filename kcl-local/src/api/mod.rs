//! The service's operations, without a transport: a name and a body in, a body or a refusal out.

mod account;
mod cbor;
mod check;
mod codec;
mod consumers;
mod put;
mod read;
mod records_cbor;
mod records_json;
mod settings;
mod shards;
mod streams;
mod subject;
mod subscribe;
mod tags;
mod wire;

use serde::{Deserialize, Serialize};

use crate::kinesis::LocalKinesis;
use crate::model::{ErrorCode, ServiceError};

pub(crate) use codec::Codec;
pub(crate) use subject::of as subject;
pub(crate) use subscribe::{frames, subscribe_to_shard};

/// Carries out one request.
///
/// # Errors
/// What the service would refuse, as it would.
pub(crate) fn call(
    kinesis: &LocalKinesis,
    operation: &str,
    codec: Codec,
    body: &[u8],
) -> Result<Vec<u8>, ServiceError> {
    let call = Call { kinesis, codec, body };
    kinesis.admit_control(operation, || subject::of(codec, body).stream_name(kinesis))?;
    match operation {
        "PutRecord" => call.run(put::put_record),
        "PutRecords" => call.run(put::put_records),
        "GetShardIterator" => call.run(read::get_shard_iterator),
        "GetRecords" => Ok(codec.encode_records(&read::get_records(kinesis, codec.decode(body)?)?)),
        "ListShards" => call.run(shards::list_shards),
        "SplitShard" => call.run(shards::split_shard),
        "MergeShards" => call.run(shards::merge_shards),
        "UpdateShardCount" => call.run(shards::update_shard_count),
        "CreateStream" => call.run(streams::create_stream),
        "DeleteStream" => call.run(streams::delete_stream),
        "DescribeStream" => call.run(streams::describe_stream),
        "DescribeStreamSummary" => call.run(streams::describe_stream_summary),
        "ListStreams" => call.run(streams::list_streams),
        "DescribeLimits" => call.run(account::describe_limits),
        "IncreaseStreamRetentionPeriod" => call.run(settings::increase_retention),
        "DecreaseStreamRetentionPeriod" => call.run(settings::decrease_retention),
        "UpdateStreamMode" => call.run(settings::update_stream_mode),
        "DescribeAccountSettings" => call.run(account::describe_settings),
        "UpdateStreamRecordDistributionStrategy" => call.run(settings::update_distribution),
        "UpdateMaxRecordSize" => call.run(settings::update_max_record_size),
        "StartStreamEncryption" => call.run(settings::start_encryption),
        "StopStreamEncryption" => call.run(settings::stop_encryption),
        "EnableEnhancedMonitoring" => call.run(settings::enable_monitoring),
        "DisableEnhancedMonitoring" => call.run(settings::disable_monitoring),
        "AddTagsToStream" => call.run(tags::add_tags_to_stream),
        "RemoveTagsFromStream" => call.run(tags::remove_tags_from_stream),
        "ListTagsForStream" => call.run(tags::list_tags_for_stream),
        "TagResource" => call.run(tags::tag_resource),
        "UntagResource" => call.run(tags::untag_resource),
        "ListTagsForResource" => call.run(tags::list_tags_for_resource),
        "RegisterStreamConsumer" => call.run(consumers::register),
        "DeregisterStreamConsumer" => call.run(consumers::deregister),
        "DescribeStreamConsumer" => call.run(consumers::describe),
        "ListStreamConsumers" => call.run(consumers::list),
        _ => Err(unknown(operation)),
    }
}

fn unknown(operation: &str) -> ServiceError {
    let why = if operation == "SubscribeToShard" {
        "is answered by a stream of events, which the caller has to ask for: see Service::exchange"
    } else if NOT_MODELLED.contains(&operation) {
        "is an operation of Kinesis that this local double does not model; its README says what it does"
    } else {
        "is not an operation of Kinesis"
    };
    ServiceError::new(ErrorCode::UnknownOperation, format!("{operation} {why}"))
}

/// The operations of the service that are refused here; the README lists them.
const NOT_MODELLED: [&str; 22] = [
    "CreateChannel",
    "DeleteChannel",
    "DescribeChannel",
    "ListChannels",
    "UpdateChannel",
    "DeleteResourcePolicy",
    "GetResourcePolicy",
    "PutResourcePolicy",
    "UpdateAccountSettings",
    "UpdateStreamWarmThroughput",
    "AcknowledgeDeadLetterQueueRecords",
    "AcknowledgeQueueRecords",
    "CreateQueue",
    "DeleteQueue",
    "DescribeQueue",
    "ListQueues",
    "ReceiveDeadLetterQueueRecords",
    "ReceiveQueueRecords",
    "RestoreDeadLetterQueueRecords",
    "UpdateDeadLetterQueueRecordsVisibility",
    "UpdateQueue",
    "UpdateQueueRecordsVisibility",
];

#[derive(Clone, Copy)]
struct Call<'a> {
    kinesis: &'a LocalKinesis,
    codec: Codec,
    body: &'a [u8],
}

impl<'a> Call<'a> {
    /// Decodes, handles, encodes.
    fn run<Q, A>(
        self,
        handle: impl FnOnce(&LocalKinesis, Q) -> Result<A, ServiceError>,
    ) -> Result<Vec<u8>, ServiceError>
    where
        Q: Deserialize<'a>,
        A: Serialize,
    {
        let answer = handle(self.kinesis, self.codec.decode(self.body)?)?;
        Ok(self.codec.encode(&answer))
    }
}
