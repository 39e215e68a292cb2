//! The registered consumer: found, registered, awaited, missed.

use std::time::Duration;

use kcl_core::ports::{ReadError, SourceError, StreamSource};
use kcl_local::{ConsumerStatus, Settings};

use crate::reading::Reading;
use crate::scene::{APPLICATION, STREAM, Scene, error, on_a_stream, with_settings};

fn registered(scene: &Scene) -> Vec<String> {
    scene.kinesis.consumers(STREAM).unwrap().into_iter().map(|consumer| consumer.name).collect()
}

fn stream() -> kcl_core::types::StreamId {
    STREAM.parse().unwrap()
}

async fn reads(scene: &Scene, source: &kcl_core::kinesis::KinesisSource) {
    let mut reading = Reading::of(source, 0);
    let before = crate::reading::of_shard(scene, 0).len();
    scene.put("data");
    scene.within(Duration::from_secs(30), reading.until(scene, before + 1)).await;
}

#[test]
fn it_is_registered_once_named_like_the_application_and_stays() {
    on_a_stream(1, async |scene| {
        let (first, second) = (scene.source(), scene.source());
        // Two workers start at the same time: both find no consumer, and one of them registers it.
        let stream = stream();
        let prepared = tokio::join!(first.prepare(&stream), second.prepare(&stream));
        assert_eq!(prepared, (Ok(()), Ok(())));
        assert_eq!(registered(&scene), [APPLICATION]);
        assert_eq!(scene.calls("RegisterStreamConsumer"), 2, "the slower one hears that it is there");
        reads(&scene, &first).await;
        drop((first, second));
        assert_eq!(registered(&scene), [APPLICATION]);
        let later = scene.source();
        later.prepare(&stream).await.unwrap();
        assert_eq!(scene.calls("RegisterStreamConsumer"), 2, "it is there already");
        assert_eq!(scene.calls("DeregisterStreamConsumer"), 0);
    });
}

#[test]
fn it_may_be_given_by_arn_and_must_exist_then() {
    on_a_stream(1, async |scene| {
        let consumer = scene.kinesis.register_consumer(STREAM, "audit").unwrap();
        let arn = scene.kinesis.consumer_arn(STREAM, &consumer);
        let source = scene.source_of(&arn);
        source.prepare(&stream()).await.unwrap();
        reads(&scene, &source).await;
        assert_eq!((scene.calls("RegisterStreamConsumer"), scene.calls("DescribeStreamSummary")), (0, 0));

        let missing = scene.source_of(&arn.replace("audit", "other"));
        let refused = missing.prepare(&stream()).await.unwrap_err();
        assert!(matches!(&refused, SourceError::Invalid(text) if text.contains("consumer/other")), "{refused}");
        let mut reading = Reading::of(&missing, 0);
        reading.fetch(&scene).await;
        assert!(matches!(&reading.errors[0], ReadError::Invalid(text) if text.contains("consumer/other")));
    });
}

#[test]
fn it_is_waited_for_until_it_is_active_and_nothing_is_told_meanwhile() {
    let settings = Settings { transition: Duration::from_secs(25), ..Settings::default() };
    with_settings(settings, 1, async |scene| {
        let source = scene.source();
        source.prepare(&stream()).await.unwrap();
        let status = scene.kinesis.consumer(STREAM, APPLICATION).unwrap().status;
        assert_eq!(status, ConsumerStatus::Creating, "the start does not wait for it");
        let mut reading = Reading::of(&source, 0);
        scene.put("data");
        scene.within(Duration::from_secs(31), reading.until(&scene, 1)).await;
        assert_eq!((reading.errors.len(), reading.nothing), (0, 0));
        assert!(scene.calls("DescribeStreamConsumer") < 15, "with back-off: {}", scene.calls("DescribeStreamConsumer"));
    });
}

#[test]
fn one_that_takes_minutes_is_told_and_waited_for_all_the_same() {
    let settings = Settings { transition: Duration::from_secs(150), ..Settings::default() };
    with_settings(settings, 1, async |scene| {
        let source = scene.source();
        let mut reading = Reading::of(&source, 0);
        scene.put("data");
        scene.within(Duration::from_secs(240), reading.until(&scene, 1)).await;
        let told = reading.errors.iter().filter(|error| error.to_string().contains("CREATING")).count();
        assert!(told > 0 && told == reading.errors.len(), "{:?}", reading.errors);
    });
}

#[test]
fn a_stream_with_too_many_says_so_in_plain_words_at_the_start() {
    on_a_stream(1, async |scene| {
        for index in 0..20 {
            scene.kinesis.register_consumer(STREAM, &format!("other-{index}")).unwrap();
        }
        let source = scene.source();
        let refused = source.prepare(&stream()).await.unwrap_err();
        assert!(matches!(refused, SourceError::ConsumerLimit(_)) && !refused.is_retryable(), "{refused:?}");
        for part in ["stream orders has 20 registered consumers", "50 with On-demand Advantage", "orders-app"] {
            assert!(refused.to_string().contains(part), "{refused} should contain {part:?}");
        }
        // A worker that runs already, when its consumer is removed by mistake and its place taken, is told the same.
        let mut reading = Reading::of(&source, 0);
        reading.fetch(&scene).await;
        let told = reading.errors[0].to_string();
        assert!(told.contains("20 registered consumers") && told.contains("deregister one"), "{told}");
        scene.kinesis.deregister_consumer(STREAM, "other-3").unwrap();
        scene.put("data");
        scene.within(Duration::from_secs(90), reading.until(&scene, 1)).await;
    });
}

#[test]
fn a_limit_that_passes_is_waited_out() {
    on_a_stream(1, async |scene| {
        // Too many consumers in CREATING, or too many calls: the service has one code for all limits.
        let limit = kcl_local::FaultRule::new(error(400, "LimitExceededException")).operation("RegisterStreamConsumer");
        scene.faults([limit.calls(1..=4)]);
        scene.source().prepare(&stream()).await.unwrap();
        assert_eq!(registered(&scene), [APPLICATION]);
    });
}

#[test]
fn one_that_is_removed_under_a_reader_is_registered_again_and_nothing_is_lost() {
    on_a_stream(2, async |scene| {
        let source = scene.source();
        let mut readings = [Reading::of(&source, 0), Reading::of(&source, 1)];
        let writes = scene.put_every_second(60);
        let removes = async {
            scene.pass(Duration::from_secs(20)).await;
            scene.kinesis.deregister_consumer(STREAM, APPLICATION).unwrap();
        };
        let [first, second] = &mut readings;
        let reads = scene.within(Duration::from_secs(120), async {
            tokio::join!(first.until(&scene, 60), second.until(&scene, 60))
        });
        tokio::join!(writes, removes, reads);
        for reading in &readings {
            reading.assert_all(&scene);
        }
        assert_eq!(registered(&scene), [APPLICATION]);
        assert_eq!(scene.calls("RegisterStreamConsumer"), 2, "once for both shards");
    });
}

#[test]
fn without_the_right_to_register_the_service_is_quoted() {
    on_a_stream(1, async |scene| {
        let denied = kcl_local::FaultRule::new(error(400, "AccessDeniedException")).operation("RegisterStreamConsumer");
        scene.faults([denied]);
        let refused = scene.source().prepare(&stream()).await.unwrap_err();
        assert!(matches!(&refused, SourceError::Denied(text) if text.contains("by a fault rule")), "{refused}");
    });
}
