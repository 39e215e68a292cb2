//! CPU of a poll that brings nothing.

use std::time::Duration;

use kcl_core::settings::ReaderKind;
use tokio::sync::oneshot;

use crate::canned::{Canned, Cost, EmptyAnswers, Load, thread_cpu};
use crate::report::{Budget, Report, median};
use crate::rig::{Tally, on_one_thread, settings, worker};

const NOTHING: Load = Load { answers: 0, records: 0, bytes: 0 };
/// Polls of one round.
const POLLS: u64 = 20_000;
/// Idle shards, each polled five times a second.
const SHARDS: u32 = 500;
const INTERVAL: Duration = Duration::from_millis(200);

pub(crate) fn measure(report: &mut Report, rounds: usize) {
    report.title("CPU of an empty poll");
    let behind = Canned::new(1, NOTHING, EmptyAnswers::Behind);
    let pairs = (0..rounds).map(|_| (plain(&behind, 1, None), framework(&behind, None))).collect();
    row(report, "one shard, one poll after the other", pairs);
    let tip = Canned::new(SHARDS, NOTHING, EmptyAnswers::AtTip);
    let rounds = rounds.div_ceil(3);
    let pairs = (0..rounds).map(|_| (plain(&tip, SHARDS, Some(INTERVAL)), framework(&tip, Some(INTERVAL)))).collect();
    row(report, "500 idle shards, 5 polls a second each", pairs);
    report.note("of the framework: all of the worker, with its leases, in the same time");
}

fn row(report: &mut Report, name: &str, pairs: Vec<(Cost, Cost)>) {
    let each = |cost: Cost| cost.each() / 1e3;
    let plain = median(pairs.iter().map(|(plain, _)| each(*plain)).collect());
    let above = median(pairs.iter().map(|(plain, framework)| each(*framework) - each(*plain)).collect());
    report.row(name, "us", plain, plain + above, Budget::Above(5.0));
}

/// The cost of so many polls, once all shards are polled.
async fn polls(canned: &Canned, shards: u64) -> Cost {
    let cpu_after = |reads| {
        let (told, cpu) = oneshot::channel();
        canned.after_reads(reads, move || told.send(thread_cpu()).unwrap());
        cpu
    };
    let (begun, ended) = (cpu_after(2 * shards), cpu_after(2 * shards + POLLS));
    Cost { cpu: ended.await.unwrap() - begun.await.unwrap(), count: POLLS }
}

fn plain(canned: &Canned, shards: u32, interval: Option<Duration>) -> Cost {
    on_one_thread(async {
        let client = canned.client();
        let mut tasks = tokio::task::JoinSet::new();
        for shard in 0..shards {
            let client = client.clone();
            tasks.spawn(async move {
                // They do not all ask at the same moment, as those of a worker do not.
                tokio::time::sleep(interval.unwrap_or_default() * shard / shards).await;
                let mut iterator = Some("0".to_owned());
                loop {
                    let output = client.get_records().set_shard_iterator(iterator).limit(10_000).send().await.unwrap();
                    iterator = output.next_shard_iterator;
                    if let Some(interval) = interval {
                        tokio::time::sleep(interval).await;
                    }
                }
            });
        }
        polls(canned, u64::from(shards)).await
    })
}

fn framework(canned: &Canned, interval: Option<Duration>) -> Cost {
    on_one_thread(async {
        let settings = settings(ReaderKind::Polling).idle_interval(interval.unwrap_or(INTERVAL));
        let tally = Tally::of(usize::MAX);
        let builder = worker(canned, settings).handler(move |record| {
            tally.add(1, record.data().len() as u64);
            std::future::ready(Ok(()))
        });
        let mut handle = builder.build().unwrap().start().await.unwrap();
        let shards = if interval.is_some() { u64::from(SHARDS) } else { 1 };
        let cost = polls(canned, shards).await;
        handle.stop();
        handle.wait().await.unwrap();
        cost
    })
}
