//! What a codec does not see, and what becomes of its own errors: with both readers, in virtual time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::ReadError;
use kcl_core::settings::PollingSettings;
use kcl_local::{Fault, FaultRule};

use crate::codec::Marking;
use crate::reading::{Reading, of_shard};
use crate::scene::{APPLICATION, Scene, error, on_a_stream};

const PATIENCE: Duration = Duration::from_secs(60);

fn polling(scene: &Scene, codec: &Marking) -> KinesisSource {
    let clients = scene.clients().decoding_with(codec.clone());
    KinesisSource::new(clients, PollingSettings::default(), Arc::new(scene.clock.clone()))
}

fn fan_out(scene: &Scene, codec: &Marking) -> KinesisSource {
    let clients = scene.clients().decoding_with(codec.clone());
    KinesisSource::fan_out(clients, APPLICATION.parse().unwrap(), Arc::new(scene.clock.clone()))
}

/// How a reader is made.
type Make = fn(&Scene, &Marking) -> KinesisSource;

const BOTH: [Make; 2] = [polling, fan_out];

#[test]
fn its_errors_name_the_position_and_lose_nothing() {
    for make in BOTH {
        on_a_stream(1, async |scene| {
            let codec = Marking::default();
            let source = make(&scene, &codec);
            let mut reading = Reading::of(&source, 0);
            scene.put("first");
            scene.within(PATIENCE, reading.until(&scene, 1)).await;
            codec.refuses.store(2, Ordering::SeqCst);
            scene.put("second");
            scene.put("third");
            scene.within(PATIENCE, reading.until(&scene, 3)).await;
            reading.assert_all(&scene);
            let at = &of_shard(&scene, 0)[0];
            let words = format!("record 1 of an answer after {at} cannot be decoded: refused by the test");
            assert_eq!(reading.errors, vec![ReadError::Invalid(words); 2]);
        });
    }
}

#[test]
fn the_end_of_a_shard_comes_through_it() {
    for make in BOTH {
        on_a_stream(1, async |scene| {
            let codec = Marking::default();
            let source = make(&scene, &codec);
            let mut reading = Reading::of(&source, 0);
            scene.put("last");
            scene.kinesis.split_shard_evenly(crate::scene::STREAM, kcl_local::ShardId(0)).unwrap();
            scene.within(PATIENCE, reading.until_end(&scene)).await;
            reading.assert_all(&scene);
            assert_eq!(reading.children.unwrap().len(), 2);
        });
    }
}

#[test]
fn the_errors_of_the_service_are_read_by_the_sdk() {
    let faults = [
        Fault::Throttle,
        error(500, "InternalFailureException"),
        error(400, "ResourceInUseException"),
        error(400, "ExpiredTokenException"),
        Fault::ConnectionError,
    ];
    for make in BOTH {
        on_a_stream(1, async |scene| {
            let codec = Marking::default();
            let reads = |fault: &Fault, operation: &str| FaultRule::new(fault.clone()).operation(operation);
            let rules = faults.iter().enumerate().flat_map(|(number, fault)| {
                let call = number as u64 + 1;
                ["GetRecords", "SubscribeToShard"].map(|operation| reads(fault, operation).calls(call..=call))
            });
            scene.faults(rules);
            scene.put("data");
            let source = make(&scene, &codec);
            let mut reading = Reading::of(&source, 0);
            scene.within(PATIENCE, reading.until(&scene, 1)).await;
            reading.assert_all(&scene);
            let strikes: u64 = scene.kinesis.faults().strikes().into_iter().sum();
            assert_eq!(strikes, 5, "all of them were met");
            let denied = reading.errors.iter().filter(|error| matches!(error, ReadError::Denied(_)));
            assert_eq!(denied.count(), 1, "{:?}", reading.errors);
            for body in codec.answers.lock().unwrap().iter().chain(&*codec.events.lock().unwrap()) {
                assert!(body.contains("MillisBehindLatest"), "{body}");
            }
        });
    }
}
