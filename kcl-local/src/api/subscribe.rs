//! SubscribeToShard: the call, and the frames of its event stream.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use serde::Deserialize;

use super::wire::{EpochSeconds, Handled};
use super::{Codec, check, consumers, put, read};
use crate::kinesis::{LocalKinesis, Subscription};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SubscribeRequest {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<PositionWire>,
    dry_run: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PositionWire {
    r#type: Option<String>,
    sequence_number: Option<String>,
    timestamp: Option<EpochSeconds>,
}

pub(crate) fn subscribe_to_shard(kinesis: &LocalKinesis, codec: Codec, body: &[u8]) -> Handled<Subscription> {
    let request: SubscribeRequest = codec.decode(body)?;
    let arn = check::required(request.consumer_arn, "consumerARN")?;
    let shard = check::required(request.shard_id, "shardId")?;
    let start = check::required(request.starting_position, "startingPosition")?;
    let kind = check::required(start.r#type, "startingPosition.type")?;
    let position = read::position(&kind, start.sequence_number.as_deref(), start.timestamp)?;
    let (stream, consumer) = consumers::consumer_of_arn(kinesis, &arn)?;
    let shard = check::shard_id(kinesis, &shard, &stream)?;
    kinesis.admit_control("SubscribeToShard", || Some(format!("{arn} {shard}")))?;
    if request.dry_run == Some(true) {
        kinesis.check_subscribe(&stream, &consumer.name, shard, position)?;
        return Err(put::dry_run());
    }
    kinesis.subscribe_to_shard(&stream, &consumer.name, shard, position)
}

/// The frames: first the answer to the call itself, then event by event, and the error that ends it, if one does.
pub(crate) fn frames(subscription: Subscription, codec: Codec) -> impl Stream<Item = Bytes> + Send + 'static {
    let first = frame(":event-type", "event", "initial-response", codec, codec.encode(&super::wire::Empty {}));
    let rest = stream::unfold(subscription, move |mut subscription| async move {
        let bytes = match subscription.next().await? {
            Ok(event) => frame(":event-type", "event", "SubscribeToShardEvent", codec, codec.encode_event(&event)),
            Err(error) => {
                let code = error.code().as_str();
                frame(":exception-type", "exception", code, codec, codec.encode_error(code, error.message()))
            }
        };
        Some((bytes, subscription))
    });
    stream::once(std::future::ready(first)).chain(rest)
}

fn frame(kind: &'static str, message_type: &'static str, name: &'static str, codec: Codec, payload: Vec<u8>) -> Bytes {
    let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
    let message = Message::new(payload)
        .add_header(header(":message-type", message_type))
        .add_header(header(kind, name))
        .add_header(header(":content-type", codec.content_type()));
    let mut frame = Vec::with_capacity(message.payload().len() + 256);
    write_message_to(&message, &mut frame).expect("headers are short, and events are far below 4 GiB");
    frame.into()
}
