//! The event stream of a subscription, whatever it is, read by the reader that subscribes.
//!
//! The first byte of an input says how the rest of it comes: even, as the bytes of the wire, in pieces whose size follows from
//! it; odd, as payloads with 0x1E between them, each in a frame that is in order.

use std::sync::Arc;

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use bytes::Bytes;
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::testing::ManualClock;

use super::expected::{Expected, Known, known_of};
use super::reading::Reading;
use super::wire::{Wire, whole};

/// Between two payloads.
pub(super) const BETWEEN: u8 = 0x1E;

pub(super) fn check(bytes: &[u8]) {
    let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
    let payloads: Vec<_> = if first % 2 == 1 { rest.split(|byte| *byte == BETWEEN).collect() } else { Vec::new() };
    let wire = if payloads.is_empty() { rest.to_vec() } else { framed(&payloads) };
    let size = 1 + usize::from(first / 2) * 37;
    let pieces: Vec<Bytes> = wire.chunks(size.max(wire.len() / MOST_PIECES + 1)).map(Bytes::copy_from_slice).collect();
    let records = read(pieces, wire.len());
    if payloads.is_empty() {
        return;
    }
    let known: Vec<_> = payloads.iter().map(|payload| known_of(payload)).collect();
    holds(&records, &known);
}

fn read(pieces: Vec<Bytes>, bytes: usize) -> Vec<Expected> {
    let clock = ManualClock::new();
    let wire = Wire::new(move |operation, _| match operation {
        "SubscribeToShard" => pieces.clone(),
        _ => whole(CONSUMER),
    });
    let clients = KinesisClients::from_client(&aws_sdk_kinesis::Client::new(&wire.config(&clock)));
    let consumer = CONSUMER_ARN.parse().expect("an ARN");
    let source = KinesisSource::fan_out(clients, consumer, Arc::new(clock.clone()));
    clock.run(async {
        let mut reading = Reading::of(&source, &clock);
        reading.fetches(FETCHES).await;
        reading.finish(bytes).0
    })
}

/// Holds what came against what the payloads have, as far as that is known. What an event brings is not brought again by the
/// next subscription, although this service sends it again.
fn holds(records: &[Expected], events: &[Option<Known>]) {
    let Some(events) = events.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else { return };
    // An event that says nothing ends the subscription, lest it pass for the end of the shard.
    if events.iter().any(|event| event.records.is_empty() && event.continuation.is_none()) {
        return;
    }
    let all: Vec<_> = events.iter().flat_map(|event| event.records.clone()).collect();
    if !follow_each_other(&events) {
        assert!(records.iter().all(|record| all.contains(record)), "{records:?} came of {all:?}");
        return;
    }
    assert!(all.starts_with(records), "{records:?} came of {all:?}");
    assert!(records.len() == all.len() || events.len() + 2 > FETCHES, "only {records:?} came of {all:?}");
}

/// Whether each event's records lie behind all that the events before it speak of.
fn follow_each_other(events: &[&Known]) -> bool {
    let mut last = None;
    events.iter().all(|event| {
        let follows = event.records.first().is_none_or(|first| last < Some(first.number()));
        last = last.clone().max(event.records.last().map(Expected::number)).max(event.continuation.clone());
        follows
    })
}

/// The frames of a subscription with these events.
pub(super) fn framed(payloads: &[&[u8]]) -> Vec<u8> {
    let mut wire = Vec::new();
    let mut write = |kind: &'static str, payload: &[u8]| {
        let header = |name: &'static str, value: &'static str| Header::new(name, HeaderValue::String(value.into()));
        let message = Message::new(Bytes::copy_from_slice(payload))
            .add_header(header(":message-type", "event"))
            .add_header(header(":event-type", kind))
            .add_header(header(":content-type", "application/json"));
        write_message_to(&message, &mut wire).expect("a frame of this size");
    };
    write("initial-response", b"{}");
    payloads.iter().for_each(|payload| write("SubscribeToShardEvent", payload));
    wire
}

/// Events, and some subscriptions after the first.
const FETCHES: usize = 12;
/// So many at most, however small they should be.
const MOST_PIECES: usize = 4_000;
const CONSUMER_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/fuzzing:1";
const CONSUMER: &str = r#"{"ConsumerDescription":{"ConsumerName":"fuzzing","ConsumerARN":"arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/fuzzing:1","ConsumerStatus":"ACTIVE","ConsumerCreationTimestamp":1767225600}}"#;
