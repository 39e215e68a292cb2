//! The body of a `GetRecords` answer, whatever it is, read by the reader that polls.

use std::sync::Arc;

use bytes::Bytes;
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::settings::PollingSettings;
use kcl_core::testing::ManualClock;

use super::expected::known_of;
use super::reading::Reading;
use super::wire::{Wire, whole};

pub(super) fn check(body: &[u8]) {
    let clock = ManualClock::new();
    let answer = Bytes::copy_from_slice(body);
    let wire = Wire::new(move |operation, _| match operation {
        "GetShardIterator" => whole(r#"{"ShardIterator":"from the beginning"}"#),
        _ => whole(answer.clone()),
    });
    let clients = KinesisClients::from_client(&aws_sdk_kinesis::Client::new(&wire.config(&clock)));
    let source = KinesisSource::new(clients, PollingSettings::default(), Arc::new(clock.clone()));
    let (records, errors) = clock.run(async {
        let mut reading = Reading::of(&source, &clock);
        reading.fetches(FETCHES).await;
        reading.finish(body.len())
    });
    let Some(expected) = known_of(body).map(|known| known.records) else { return };
    // Answers that are too large for the budget are asked for in smaller parts, which this service does not know.
    assert!(records.is_empty() || records == expected, "{records:?} came of {expected:?}");
    assert!(
        !records.is_empty() || expected.is_empty() || body.len() > SURELY_FITS,
        "nothing came of {expected:?}: {errors:?}"
    );
}

/// The same answer again and again is the same records, which must not come twice.
const FETCHES: usize = 4;
/// A body of which nobody is asked for less.
const SURELY_FITS: usize = 4 << 10;
