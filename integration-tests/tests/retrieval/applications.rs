//! Several applications that poll one shard within the service's limits.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kcl_core::kinesis::KinesisSource;
use kcl_core::ports::Clock;
use kcl_core::settings::{PollingSettings, ReadLimit};
use kcl_core::types::BytePermit;
use kcl_local::{Limits, Settings};

use crate::reading::Reading;
use crate::scene::{Scene, with_settings};

const APPLICATIONS: usize = 3;
const SETTLING: Duration = Duration::from_secs(120);
const MEASURED: Duration = Duration::from_secs(300);

/// An application that asks as often as it may.
fn source(scene: &Scene) -> KinesisSource {
    let mut settings = PollingSettings::default();
    (settings.read_limit, settings.idle_interval) = (ReadLimit::Service, Duration::from_millis(200));
    KinesisSource::new(scene.clients(), settings, Arc::new(scene.clock.clone()))
}

/// Reads for so long; yields how many calls were answered, and the longest time without an answer.
async fn read(scene: &Scene, reading: &mut Reading, time: Duration) -> (usize, Duration) {
    let until = scene.clock.now() + time;
    let (mut answers, mut last, mut longest) = (0, scene.clock.now(), Duration::ZERO);
    while scene.clock.now() < until {
        reading.reader.ready().await;
        let result = reading.reader.next(BytePermit::unlimited()).await;
        let is_answer = result.as_ref().is_ok_and(|fetched| fetched.lag.is_some());
        reading.took(result);
        if is_answer {
            let now = scene.clock.now();
            (answers, longest, last) = (answers + 1, longest.max(now.since(last)), now);
        }
    }
    (answers, longest)
}

#[test]
fn three_applications_share_the_five_calls_a_second_of_a_shard_and_each_reads_everything() {
    let settings = Settings { limits: Limits::Service, ..Settings::default() };
    with_settings(settings, 1, async |scene| {
        let mut readings = Vec::new();
        for _ in 0..APPLICATIONS {
            readings.push(Reading::of(&source(&scene), 0));
            // One joins after the other.
            scene.pass(Duration::from_millis(730)).await;
        }
        let puts = scene.put_every_second((SETTLING + MEASURED).as_secs() - 10);
        let reads = async {
            join_all(readings.iter_mut().map(|reading| read(&scene, reading, SETTLING))).await;
            join_all(readings.iter_mut().map(|reading| read(&scene, reading, MEASURED))).await
        };
        let ((), told) = tokio::join!(puts, reads);
        let total: usize = told.iter().map(|(answers, _)| answers).sum();
        let possible = 5.0 * MEASURED.as_secs_f64();
        assert!(total as f64 > 0.6 * possible, "most of what there is is used: {told:?}");
        for (answers, longest) in &told {
            let part = *answers as f64 * APPLICATIONS as f64 / total as f64;
            assert!((0.6..=1.4).contains(&part), "an even share: {told:?}");
            assert!(*longest < Duration::from_secs(15), "nobody starves: {told:?}");
        }
        for reading in &readings {
            reading.assert_all(&scene);
            assert_eq!(reading.errors, [], "throttling is no error");
        }
    });
}
