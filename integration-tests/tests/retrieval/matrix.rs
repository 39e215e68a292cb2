//! What may happen to polling calls, one after the other: nothing of it loses or repeats a record, and what lasts is told.
//! What may happen to subscriptions stands in `fan_out::faults`.

use std::sync::Arc;
use std::time::Duration;

use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::{ReadError, SourceError, StreamSource};
use kcl_core::settings::PollingSettings;
use kcl_local::{Fault, FaultRule};

use crate::reading::Reading;
use crate::scene::{STREAM, Scene, error, on_a_stream};

fn source(scene: &Scene) -> KinesisSource {
    KinesisSource::new(scene.clients(), PollingSettings::default(), Arc::new(scene.clock.clone()))
}

/// Lets the third to fifth call of an operation meet a fault, while a record comes every second. Iterators are asked for
/// anew all the time.
fn meets(operation: &str, fault: &Fault) -> Reading {
    on_a_stream(1, async |scene| {
        let expiring = FaultRule::new(Fault::ExpiredIterator).operation("GetRecords").every(2);
        let striking = FaultRule::new(fault.clone()).operation(operation).calls(3..=5);
        scene.faults([striking, expiring]);
        let source = source(&scene);
        let mut reading = Reading::of(&source, 0);
        let reads = scene.within(Duration::from_secs(600), reading.until(&scene, 40));
        tokio::join!(scene.put_every_second(40), reads);
        assert_eq!(scene.kinesis.faults().strikes()[0], 3, "{operation}: {fault:?}");
        reading.assert_all(&scene);
        // One that expires the moment it was made is told, too.
        reading.errors.retain(|error| !error.to_string().contains("ExpiredIteratorException"));
        reading
    })
}

#[test]
fn whatever_polls_meet_each_record_comes_once_and_what_is_wrong_is_told() {
    type Told = fn(&ReadError) -> bool;
    let unavailable: Told = |error| matches!(error, ReadError::Unavailable(_));
    let denied: Told = |error| matches!(error, ReadError::Denied(_));
    let seconds = Duration::from_secs;
    for (fault, told) in [
        (error(500, "InternalFailureException"), Some(unavailable)),
        (error(503, "ServiceUnavailable"), Some(unavailable)),
        (Fault::ConnectionError, Some(unavailable)),
        (Fault::LostAnswer, Some(unavailable)),
        (Fault::LateAnswer { delay: seconds(60) }, Some(unavailable)),
        (Fault::LateAnswer { delay: seconds(3) }, None),
        (Fault::Reset { bytes: 0 }, Some(unavailable)),
        (Fault::Reset { bytes: 60 }, Some(unavailable)),
        (Fault::TruncatedBody { bytes: 60 }, Some(|error| !matches!(error, ReadError::Denied(_)))),
        (Fault::StalledStream { bytes: 60, pause: None }, Some(unavailable)),
        (Fault::StalledStream { bytes: 60, pause: Some(seconds(2)) }, None),
        (error(400, "ExpiredTokenException"), Some(denied)),
        (error(400, "KMSDisabledException"), Some(denied)),
        (error(400, "InvalidArgumentException"), Some(|error| matches!(error, ReadError::Invalid(_)))),
        (Fault::ExpiredIterator, None),
        (Fault::Throttle, None),
        (error(400, "LimitExceededException"), None),
    ] {
        let reading = meets("GetRecords", &fault);
        match told {
            Some(told) => assert!(reading.errors.iter().any(told), "{fault:?}: {:?}", reading.errors),
            None => assert_eq!(reading.errors, [], "{fault:?}"),
        }
        assert!(reading.errors.len() <= 3, "{fault:?}: {:?}", reading.errors);
    }
}

#[test]
fn an_iterator_that_cannot_be_had_is_asked_for_again() {
    for fault in [
        error(500, "InternalFailureException"),
        Fault::ConnectionError,
        Fault::TruncatedBody { bytes: 10 },
        Fault::Reset { bytes: 10 },
        Fault::Throttle,
    ] {
        let reading = meets("GetShardIterator", &fault);
        assert!(reading.errors.len() <= 3, "{fault:?}: {:?}", reading.errors);
    }
}

#[test]
fn ten_thousand_records_and_ten_megabytes_come_through_both_readers() {
    on_a_stream(1, async |scene| {
        for _ in 0..10_000 {
            scene.put("");
        }
        let large = "x".repeat(1_000_000);
        for _ in 0..12 {
            scene.put(&large);
        }
        for source in [source(&scene), scene.source()] {
            let mut reading = Reading::of(&source, 0);
            scene.within(Duration::from_secs(120), reading.until(&scene, 10_012)).await;
            reading.assert_all(&scene);
            assert_eq!(reading.errors, []);
        }
    });
}

#[test]
fn twelve_hundred_shards_are_listed_although_a_page_token_expires() {
    on_a_stream(1_200, async |scene| {
        let source = source(&scene);
        let stream = STREAM.parse().unwrap();
        assert_eq!(source.list_shards(&stream).await.unwrap().shards.len(), 1_200);
        assert_eq!(scene.calls("ListShards"), 2, "in pages");

        let expired = FaultRule::new(error(400, "ExpiredNextTokenException")).operation("ListShards").calls(2..=2);
        let slow = FaultRule::new(Fault::Throttle).operation("ListShards").calls(4..=6);
        scene.faults([expired, slow]);
        let listed = source.list_shards(&stream).await.unwrap().shards;
        assert!(listed.len() == 1_200 && listed.is_sorted_by(|one, next| one.id < next.id));
        assert_eq!(scene.kinesis.faults().strikes(), [1, 3]);

        scene.faults([FaultRule::new(Fault::TruncatedBody { bytes: 5_000 }).operation("ListShards").every(2)]);
        let told = source.list_shards(&stream).await;
        assert!(
            matches!(&told, Ok(listed) if listed.shards.len() == 1_200)
                || matches!(told, Err(SourceError::Unavailable(_))),
            "all of it or nothing"
        );
    });
}
