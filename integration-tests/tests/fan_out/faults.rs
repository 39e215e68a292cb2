//! What may happen on the way: nothing of it loses or repeats a record.

use std::time::Duration;

use kcl_core::ports::{Clock, ReadError, StreamSource};
use kcl_core::types::BytePermit;
use kcl_local::{Fault, FaultRule};
use proptest::prelude::*;

use crate::reading::Reading;
use crate::scene::{Scene, error, on_a_stream, shard, subscribing};

/// Lets one SubscribeToShard call meet a fault and everything after it none, while a record comes every second. Returns
/// what reading was like, and how long after the fault the first record came.
fn meets(fault: Fault) -> (Reading, Duration) {
    on_a_stream(1, async |scene| {
        scene.faults([subscribing(fault.clone()).calls(1..=1)]);
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        let begun = scene.clock.now();
        let (mut first, mut writes) = (None, std::pin::pin!(scene.put_every_second(60)));
        let reads = async {
            while reading.numbers.len() < 60 {
                reading.fetch(&scene).await;
                if first.is_none() && !reading.numbers.is_empty() {
                    first = Some(scene.clock.now().since(begun));
                }
            }
        };
        tokio::join!(&mut writes, scene.within(Duration::from_secs(120), reads));
        reading.assert_all(&scene);
        assert_eq!(scene.kinesis.faults().strikes(), [1]);
        (reading, first.unwrap())
    })
}

#[test]
fn a_subscription_that_cannot_be_opened_is_tried_again_with_delays() {
    let seconds = Duration::from_secs;
    type Told = fn(&ReadError) -> bool;
    let unavailable: Told = |error| matches!(error, ReadError::Unavailable(_));
    let denied: Told = |error| matches!(error, ReadError::Denied(_));
    for (fault, told, within) in [
        (error(500, "InternalFailureException"), Some(unavailable), seconds(1)),
        (error(503, "ServiceUnavailable"), Some(unavailable), seconds(1)),
        (Fault::ConnectionError, Some(unavailable), seconds(1)),
        (error(400, "ExpiredTokenException"), Some(denied), seconds(1)),
        (error(400, "AccessDeniedException"), Some(denied), seconds(1)),
        (error(400, "KMSDisabledException"), Some(denied), seconds(1)),
        (error(400, "InvalidArgumentException"), Some(|error| matches!(error, ReadError::Invalid(_))), seconds(1)),
        // It is answered behind the caller's patience, and the subscription that it began is in the way for five seconds.
        (Fault::LateAnswer { delay: seconds(60) }, Some(unavailable), seconds(17)),
        (Fault::LostAnswer, Some(unavailable), seconds(8)),
        (Fault::StalledStream { bytes: 0, pause: None }, Some(unavailable), seconds(17)),
        (Fault::LateAnswer { delay: seconds(3) }, None, seconds(4)),
        (Fault::Throttle, None, seconds(1)),
        (error(400, "LimitExceededException"), None, seconds(1)),
        (error(400, "ResourceInUseException"), None, seconds(2)),
    ] {
        let (reading, first) = meets(fault.clone());
        assert!(first <= within, "{fault:?}: the first record after {first:?}");
        match told {
            Some(told) => {
                assert!(reading.errors.len() == 1 && told(&reading.errors[0]), "{fault:?}: {:?}", reading.errors);
            }
            None => assert_eq!(reading.errors, [], "{fault:?}"),
        }
    }
}

#[test]
fn a_subscription_that_breaks_is_opened_again_without_a_word() {
    // The first frame has some 130 bytes, an event with one record some 500.
    for bytes in [131, 200, 400, 900, 2_000, 5_000] {
        for fault in [Fault::Reset { bytes }, Fault::TruncatedBody { bytes }] {
            let (reading, _) = meets(fault.clone());
            assert_eq!(reading.errors, [], "{fault:?}");
            assert!(reading.nothing <= 1, "{fault:?}: {}", reading.nothing);
        }
        let (reading, _) = meets(Fault::StalledStream { bytes, pause: None });
        assert_eq!(reading.errors, [], "a silent stall after {bytes} bytes");
    }
}

#[test]
fn silence_is_noticed_after_fifteen_seconds_and_a_pause_below_is_borne() {
    let stalled = |pause| Fault::StalledStream { bytes: 131, pause };
    let (_, first) = meets(stalled(None));
    assert!((15..=17).contains(&first.as_secs()), "{first:?}");
    let (reading, first) = meets(stalled(Some(Duration::from_secs(14))));
    assert!((14..=15).contains(&first.as_secs()), "{first:?}");
    assert_eq!((reading.errors.len(), reading.nothing), (0, 0));
}

#[test]
fn what_goes_on_failing_is_told_again_and_again_with_growing_delays() {
    for (fault, most_calls) in [
        (error(500, "InternalFailureException"), 25),
        (Fault::Reset { bytes: 131 }, 25),
        (Fault::StalledStream { bytes: 131, pause: None }, 15),
        (Fault::TruncatedBody { bytes: 131 }, 25),
    ] {
        on_a_stream(1, async |scene| {
            scene.put("data");
            let source = scene.source();
            let mut reading = Reading::of(&source, 0);
            scene.faults([subscribing(fault.clone())]);
            reading.during(&scene, Duration::from_secs(300)).await;
            let calls = scene.calls("SubscribeToShard");
            assert!((8..=most_calls).contains(&calls), "{fault:?}: {calls} calls in five minutes");
            assert!(reading.errors.len() + 2 >= calls, "{fault:?}: {} told of {calls}", reading.errors.len());
            scene.kinesis.faults().clear();
            scene.within(Duration::from_secs(40), reading.until(&scene, 1)).await;
            reading.assert_all(&scene);
        });
    }
}

#[test]
fn throttling_for_minutes_is_no_error_and_calls_become_rare() {
    on_a_stream(1, async |scene| {
        scene.put("data");
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        scene.faults([subscribing(Fault::Throttle)]);
        reading.during(&scene, Duration::from_secs(300)).await;
        assert_eq!(reading.errors, []);
        assert!(scene.calls("SubscribeToShard") < 60, "{}", scene.calls("SubscribeToShard"));
        scene.kinesis.faults().clear();
        scene.within(Duration::from_secs(11), reading.until(&scene, 1)).await;
    });
}

#[test]
fn a_shard_that_another_worker_held_a_moment_ago_is_read_soon_after_the_five_seconds() {
    on_a_stream(1, async |scene| {
        let (before, after) = (scene.source(), scene.source());
        let mut first = Reading::of(&before, 0);
        scene.put("first");
        scene.within(Duration::from_secs(5), first.until(&scene, 1)).await;
        // It loses the lease, and its reader is dropped with it.
        drop(first);
        scene.put("second");
        let mut second = Reading::of(&after, 0);
        scene.within(Duration::from_secs(8), second.until(&scene, 2)).await;
        assert_eq!(second.errors, []);
    });
}

#[test]
fn a_reader_that_lives_on_with_the_same_consumer_is_named() {
    on_a_stream(1, async |scene| {
        let (one, other) = (scene.source(), scene.source());
        let (mut first, mut second) = (Reading::of(&one, 0), Reading::of(&other, 0));
        // Each takes the shard from the other, so both read it, slowly; and both are told why.
        let time = Duration::from_secs(120);
        tokio::join!(first.during(&scene, time), second.during(&scene, time), scene.put_every_second(100));
        for reading in [&first, &second] {
            let all = crate::reading::of_shard(&scene, 0);
            assert_eq!(reading.numbers, all[..reading.numbers.len()], "in order and once");
            assert!(reading.numbers.len() > 50, "{}", reading.numbers.len());
        }
    });
}

#[test]
fn a_shard_that_is_not_there_is_told() {
    on_a_stream(1, async |scene| {
        let source = scene.source();
        let mut reader = source.open(&shard(9), kcl_core::types::Position::TrimHorizon);
        let told = reader.next(BytePermit::unlimited()).await.unwrap_err();
        assert!(
            matches!(&told, ReadError::NotFound { shard, .. } if shard.ends_with("shardId-000000000009")),
            "{told}"
        );
        assert_eq!(scene.calls("RegisterStreamConsumer"), 1);
    });
}

/// One of the things that may happen to a call.
fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => (0_u64..6_000).prop_map(|bytes| Fault::Reset { bytes }),
        3 => (0_u64..6_000).prop_map(|bytes| Fault::TruncatedBody { bytes }),
        2 => (0_u64..6_000).prop_map(|bytes| Fault::StalledStream { bytes, pause: None }),
        2 => (0_u64..6_000, 0_u64..20).prop_map(|(bytes, pause)| {
            Fault::StalledStream { bytes, pause: Some(Duration::from_secs(pause)) }
        }),
        1 => Just(Fault::Throttle),
        1 => Just(Fault::ConnectionError),
        1 => Just(Fault::LostAnswer),
        1 => (0_u64..20).prop_map(|delay| Fault::LateAnswer { delay: Duration::from_secs(delay) }),
        1 => Just(error(500, "InternalFailureException")),
        1 => Just(error(400, "ResourceInUseException")),
        1 => Just(error(400, "ExpiredTokenException")),
        1 => Just(error(400, "ResourceNotFoundException")),
    ]
}

/// What whoever reads does meanwhile.
#[derive(Debug, Clone)]
enum Deed {
    /// Fetches, and waits for it so many milliseconds at most.
    Fetch(u64),
    Rest(u64),
    Put,
}

fn deed() -> impl Strategy<Value = Deed> {
    prop_oneof![
        6 => (0_u64..15_000).prop_map(Deed::Fetch),
        1 => (0_u64..10_000).prop_map(Deed::Rest),
        4 => Just(Deed::Put),
    ]
}

async fn carry_out(scene: &Scene, reading: &mut Reading, deed: &Deed) {
    match deed {
        Deed::Put => scene.put("data"),
        Deed::Fetch(millis) => reading.during(scene, Duration::from_millis(*millis)).await,
        Deed::Rest(millis) => {
            tokio::select! {
                biased;
                never = reading.reader.rest() => match never {},
                () = scene.pass(Duration::from_millis(*millis)) => {}
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_subscriptions_meet_each_record_comes_once(
        faults in prop::collection::vec((fault(), 1_u64..4), 0..6),
        deeds in prop::collection::vec(deed(), 0..40),
        auto in any::<bool>(),
    ) {
        on_a_stream(1, async |scene| {
            let rules = faults.iter().map(|(fault, every)| subscribing(fault.clone()).every(*every).calls(..=12));
            let polled = FaultRule::new(Fault::ExpiredIterator).operation("GetRecords").every(3);
            scene.faults(rules.chain([polled]));
            let source = if auto { scene.auto() } else { scene.source() };
            let mut reading = Reading::of(&source, 0);
            for deed in &deeds {
                carry_out(&scene, &mut reading, deed).await;
            }
            scene.put("last");
            scene.kinesis.split_shard_evenly("orders", kcl_local::ShardId(0)).unwrap();
            scene.within(Duration::from_secs(1_200), reading.until_end(&scene)).await;
            reading.assert_all(&scene);
        });
    }
}
