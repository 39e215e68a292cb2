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

/// How long that takes them.
const WINDOW: Duration = Duration::from_millis(1_000 * POLLS / (5 * SHARDS as u64));
/// Of a worker that polls next to nothing.
const REST: Duration = Duration::from_secs(10);

pub(crate) fn measure(report: &mut Report, rounds: usize) {
    report.title("CPU of an empty poll");
    let behind = Canned::new(1, NOTHING, EmptyAnswers::Behind);
    let pairs = (0..rounds).map(|_| (plain(&behind, 1, None), framework(&behind, None))).map(per_poll).collect();
    row(report, "one shard, one poll after the other", pairs);
    let tip = Canned::new(SHARDS, NOTHING, EmptyAnswers::AtTip);
    let rounds = rounds.div_ceil(2);
    let (mut whole, mut polls) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let plain = plain(&tip, SHARDS, Some(INTERVAL));
        let (busy, idle) = (framework(&tip, Some(INTERVAL)), at_rest(&tip));
        whole.push(per_poll((plain, busy)));
        polls.push(per_poll((plain, Cost { cpu: busy.cpu - idle.cpu, count: busy.count - idle.count })));
    }
    row(report, "500 idle shards, 5 polls a second each", polls);
    let all = above(&whole);
    report.note(&format!("with all else that a worker does in that time, such as to renew 500 leases: {all:+.1} us"));
}

fn per_poll((plain, framework): (Cost, Cost)) -> (f64, f64) {
    (plain.each() / 1e3, framework.each() / 1e3)
}

fn row(report: &mut Report, name: &str, pairs: Vec<(f64, f64)>) {
    let plain = median(pairs.iter().map(|(plain, _)| *plain).collect());
    report.row(name, "us", plain, plain + above(&pairs), Budget::Above(5.0));
}

/// By how much the framework takes longer.
fn above(pairs: &[(f64, f64)]) -> f64 {
    median(pairs.iter().map(|(plain, framework)| framework - plain).collect())
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
    let shards = if interval.is_some() { u64::from(SHARDS) } else { 1 };
    with_worker(canned, interval.unwrap_or(INTERVAL), async || polls(canned, shards).await)
}

/// What all else costs a worker in the time of its polls.
fn at_rest(canned: &Canned) -> Cost {
    with_worker(canned, REST, async || {
        let (told, all_polled) = oneshot::channel();
        canned.after_reads(u64::from(SHARDS), move || told.send(()).unwrap());
        all_polled.await.unwrap();
        tokio::time::sleep(INTERVAL).await;
        let (cpu, reads) = (thread_cpu(), canned.reads());
        tokio::time::sleep(WINDOW).await;
        Cost { cpu: thread_cpu() - cpu, count: canned.reads() - reads }
    })
}

fn with_worker(canned: &Canned, interval: Duration, measured: impl AsyncFnOnce() -> Cost) -> Cost {
    on_one_thread(async {
        let settings = settings(ReaderKind::Polling).idle_interval(interval);
        let tally = Tally::of(usize::MAX);
        let builder = worker(canned, settings).handler(move |record| {
            tally.add(1, record.data().len() as u64);
            std::future::ready(Ok(()))
        });
        let mut handle = builder.build().unwrap().start().await.unwrap();
        let cost = measured().await;
        handle.stop();
        handle.wait().await.unwrap();
        cost
    })
}
