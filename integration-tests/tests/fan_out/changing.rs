//! Changes between readers: where and when, and that nothing is lost or repeated by them.

use std::time::Duration;

use kcl_local::{Fault, Settings};

use crate::reading::Reading;
use crate::scene::{APPLICATION, STREAM, Scene, error, on_a_stream, subscribing, with_settings};

/// How many records were polled and how many pushed cannot be seen from outside; which calls are made can.
struct Calls {
    polls: usize,
    subscriptions: usize,
}

/// Reads for so long while a record comes every second, and counts the calls of the last half.
async fn read(scene: &Scene, reading: &mut Reading, seconds: u64) -> Calls {
    let count = || (scene.calls("GetRecords"), scene.calls("SubscribeToShard"));
    tokio::join!(scene.put_every_second(seconds / 2), reading.during(scene, Duration::from_secs(seconds / 2)));
    let before = count();
    tokio::join!(scene.put_every_second(seconds / 2), reading.during(scene, Duration::from_secs(seconds / 2)));
    let now = count();
    Calls { polls: now.0 - before.0, subscriptions: now.1 - before.1 }
}

#[test]
fn it_subscribes_where_it_can() {
    on_a_stream(1, async |scene| {
        let source = scene.auto();
        let mut reading = Reading::of(&source, 0);
        let calls = read(&scene, &mut reading, 1_200).await;
        assert_eq!(calls.polls, 0);
        assert_eq!(calls.subscriptions, 2, "renewals");
        reading.assert_all(&scene);
        assert!(scene.calls("GetRecords") <= 2, "until the consumer is found: {}", scene.calls("GetRecords"));
        assert_eq!(reading.errors, []);
    });
}

#[test]
fn it_polls_while_the_consumer_is_being_created() {
    let settings = Settings { transition: Duration::from_secs(45), ..Settings::default() };
    with_settings(settings, 1, async |scene| {
        let source = scene.auto();
        let mut reading = Reading::of(&source, 0);
        scene.put("data");
        scene.within(Duration::from_secs(2), reading.until(&scene, 1)).await;
        assert_eq!(scene.calls("SubscribeToShard"), 0);
        let calls = read(&scene, &mut reading, 240).await;
        assert_eq!((calls.polls, scene.calls("SubscribeToShard")), (0, 1));
        reading.assert_all(&scene);
        assert_eq!(reading.errors, []);
    });
}

#[test]
fn it_polls_while_the_stream_takes_no_more_consumers_and_subscribes_when_there_is_room() {
    on_a_stream(1, async |scene| {
        for index in 0..20 {
            scene.kinesis.register_consumer(STREAM, &format!("other-{index}")).unwrap();
        }
        let source = scene.auto();
        let mut reading = Reading::of(&source, 0);
        let calls = read(&scene, &mut reading, 600).await;
        assert_eq!((calls.subscriptions, reading.errors.len()), (0, 0), "it is no error");
        assert!(calls.polls >= 250, "{}", calls.polls);
        let asked = scene.calls("RegisterStreamConsumer");
        assert!(asked <= 25, "once a minute at most, after some tries at first: {asked}");

        scene.kinesis.deregister_consumer(STREAM, "other-7").unwrap();
        let calls = read(&scene, &mut reading, 240).await;
        assert_eq!(calls.polls, 0);
        assert!(scene.kinesis.consumer(STREAM, APPLICATION).is_ok());
        reading.assert_all(&scene);
        assert_eq!(reading.errors, []);
    });
}

#[test]
fn it_polls_when_subscriptions_keep_failing_and_comes_back() {
    for fault in [
        error(500, "InternalFailureException"),
        error(400, "AccessDeniedException"),
        error(400, "ResourceInUseException"),
        Fault::Throttle,
        Fault::Reset { bytes: 131 },
        Fault::Reset { bytes: 2_000 },
        Fault::TruncatedBody { bytes: 900 },
        Fault::StalledStream { bytes: 900, pause: None },
    ] {
        on_a_stream(1, async |scene| {
            let source = scene.auto();
            let mut reading = Reading::of(&source, 0);
            scene.faults([subscribing(fault.clone())]);
            let calls = read(&scene, &mut reading, 600).await;
            assert!(calls.polls > 100, "{fault:?}: {} polls", calls.polls);
            assert!(calls.subscriptions < 30, "{fault:?}: {} subscriptions", calls.subscriptions);
            // What makes it poll is mended by that; only what came before was told.
            assert!(reading.errors.len() <= 2 * 5, "{fault:?}: {:?}", reading.errors.len());
            let behind = crate::reading::of_shard(&scene, 0).len() - reading.numbers.len();
            assert!(behind <= 61, "{fault:?}: {behind} records behind");

            scene.kinesis.faults().clear();
            let calls = read(&scene, &mut reading, 1_800).await;
            assert_eq!((calls.polls, calls.subscriptions), (0, 3), "{fault:?}");
            reading.assert_all(&scene);
        });
    }
}

#[test]
fn a_consumer_that_is_removed_is_done_without_until_it_is_back() {
    let settings = Settings { transition: Duration::from_secs(30), ..Settings::default() };
    with_settings(settings, 1, async |scene| {
        let source = scene.auto();
        let mut reading = Reading::of(&source, 0);
        read(&scene, &mut reading, 120).await;
        scene.kinesis.deregister_consumer(STREAM, APPLICATION).unwrap();
        let calls = read(&scene, &mut reading, 300).await;
        assert_eq!(calls.polls, 0, "it is registered again");
        assert!(scene.calls("GetRecords") > 20, "meanwhile it polls");
        reading.assert_all(&scene);
    });
}

#[test]
fn a_change_at_the_end_of_a_shard_finds_the_end() {
    on_a_stream(1, async |scene| {
        let source = scene.auto();
        let mut reading = Reading::of(&source, 0);
        read(&scene, &mut reading, 20).await;
        scene.faults([subscribing(error(500, "InternalFailureException"))]);
        scene.put("last");
        scene.kinesis.split_shard_evenly(STREAM, kcl_local::ShardId(0)).unwrap();
        scene.within(Duration::from_secs(60), reading.until_end(&scene)).await;
        assert_eq!(reading.children.as_ref().unwrap().len(), 2);
        reading.assert_all(&scene);
    });
}
