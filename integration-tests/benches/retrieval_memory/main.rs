//! What an idle shard takes in memory: in a worker of the framework, and in a plain loop over the SDK.
//!
//! `cargo bench -p integration-tests --bench retrieval_memory [-- --shards N]`
//!
//! Each case runs in a process of its own. What counts is what lives on the heap because of the shards: the difference
//! between all of them idle, and all of them given up. The lease table is no part of it; it is in the process, but stays.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot go on says where")]
#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time, and uses it")]

#[path = "../support/canned.rs"]
#[allow(dead_code, reason = "the other benchmark needs more of it")]
mod canned;
#[path = "../support/report.rs"]
#[allow(dead_code, reason = "the other benchmark needs more of it")]
mod report;
#[path = "../support/rig.rs"]
#[allow(dead_code, reason = "the other benchmark needs more of it")]
mod rig;

use std::alloc::System;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use cap::Cap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use kcl_core::kinesis::{KinesisClients, KinesisSource};
use kcl_core::memory::MemoryStore;
use kcl_core::ports::{StreamSource, SystemClock};
use kcl_core::settings::{PollingSettings, ReaderKind};
use kcl_core::types::{BytePermit, Position, ShardRef};
use tokio::sync::oneshot;

use canned::{Canned, EmptyAnswers, Load, STREAM};
use report::{Budget, Report};
use rig::{CONSUMER, Tally, on_one_thread, settings, subscribe, worker};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// The argument with which this program measures one case, followed by the case.
const CASE: &str = "--case";
/// As rarely as a worker may be told to poll, so that most shards are idle at any time.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often, and how many times, the heap is looked at while all shards are idle.
const LOOK: Duration = Duration::from_millis(20);
const LOOKS: usize = 200;
const NOTHING: Load = Load { answers: 0, records: 0, bytes: 0 };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == CASE) {
        let [reader, side, shards] = &arguments[at + 1..at + 4] else { panic!("reader, side, shards") };
        println!("{}", one_case(reader, side, shards.parse().unwrap()));
        return ExitCode::SUCCESS;
    }
    // `cargo test --all-targets` runs this program too, without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return ExitCode::SUCCESS;
    }
    let at = arguments.iter().position(|argument| argument == "--shards");
    let counts = at.map_or(vec![1_000, 10_000], |at| vec![arguments[at + 1].parse().unwrap()]);
    let mut report = Report::new();
    report.title("memory of an idle shard, on the heap");
    for (reader, kib) in [("polling", 4.0), ("fan-out", 6.0)] {
        for shards in &counts {
            let plain = measured(reader, "plain", *shards);
            for (side, words) in [("reader", "its reader"), ("worker", "all of a worker")] {
                let name = format!("{reader}, {shards} shards, {words}");
                report.row(&name, "B", plain, measured(reader, side, *shards), Budget::Above(kib * 1024.0));
            }
        }
    }
    report.end()
}

/// Bytes per shard, measured in another process.
fn measured(reader: &str, side: &str, shards: u32) -> f64 {
    let program = std::env::current_exe().unwrap();
    let output = Command::new(program).args([CASE, reader, side, &shards.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn one_case(reader: &str, side: &str, shards: u32) -> f64 {
    let canned = Canned::new(shards, NOTHING, EmptyAnswers::AtTip);
    let bytes = on_one_thread(async {
        match (reader, side) {
            ("polling", "plain") => plain(&canned, shards, polling).await,
            ("fan-out", "plain") => plain(&canned, shards, fan_out).await,
            ("polling", "reader") => plain(&canned, shards, reading(polling_source(&canned))).await,
            ("fan-out", "reader") => plain(&canned, shards, reading(fan_out_source(&canned))).await,
            ("polling", _) => framework(&canned, shards, ReaderKind::Polling).await,
            _ => framework(&canned, shards, ReaderKind::FanOut).await,
        }
    });
    bytes as f64 / f64::from(shards)
}

/// Told once so many reads from now on have arrived.
fn reads(canned: &Canned, count: u64) -> oneshot::Receiver<()> {
    let (told, read) = oneshot::channel();
    canned.after_reads(count, move || {
        let _nobody_waits = told.send(());
    });
    read
}

/// The least that lives on the heap once all were `read`, while nothing but idling goes on. Some shard is read at any time, so
/// the heap is looked at again and again.
async fn idle(read: oneshot::Receiver<()>) -> usize {
    read.await.unwrap();
    let mut looks = tokio::time::interval(LOOK);
    let mut least = usize::MAX;
    for _ in 0..LOOKS {
        looks.tick().await;
        least = least.min(HEAP.allocated());
    }
    least
}

/// What still lives when no task is left but so many.
async fn given_up(tasks: usize) -> usize {
    while alive() > tasks {
        tokio::task::yield_now().await;
    }
    HEAP.allocated()
}

fn alive() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

async fn framework(canned: &Canned, shards: u32, reader: ReaderKind) -> usize {
    let settings = settings(reader).idle_interval(INTERVAL);
    let tally = Tally::of(usize::MAX);
    let store = MemoryStore::new();
    let builder = worker(canned, settings).store(store.clone()).handler(move |record| {
        tally.add(1, record.data().len() as u64);
        std::future::ready(Ok(()))
    });
    let times = if reader == ReaderKind::Polling { 2 } else { 1 };
    let (others, read) = (alive(), reads(canned, times * u64::from(shards)));
    let mut handle = builder.build().unwrap().start().await.unwrap();
    let idle = idle(read).await;
    handle.abort();
    drop(handle.wait().await);
    drop(handle);
    let left = given_up(others).await;
    drop(store);
    idle - left
}

async fn plain<F: Future<Output = ()> + Send + 'static>(
    canned: &Canned,
    shards: u32,
    task: impl Fn(aws_sdk_kinesis::Client, u32) -> F,
) -> usize {
    let client = canned.client();
    let (others, read) = (alive(), reads(canned, u64::from(shards)));
    let mut tasks = tokio::task::JoinSet::new();
    for shard in 0..shards {
        tasks.spawn(task(client.clone(), shard));
        tokio::task::yield_now().await;
    }
    let idle = idle(read).await;
    drop(tasks);
    idle - given_up(others).await
}

fn polling_source(canned: &Canned) -> KinesisSource {
    let mut settings = PollingSettings::default();
    settings.idle_interval = INTERVAL;
    KinesisSource::new(KinesisClients::from_client(&canned.client()), settings, Arc::new(SystemClock::new()))
}

fn fan_out_source(canned: &Canned) -> KinesisSource {
    let clients = KinesisClients::from_client(&canned.client());
    KinesisSource::fan_out(clients, "bench".parse().unwrap(), Arc::new(SystemClock::new()))
}

/// A task that reads a shard as the runtime does, and nothing else.
fn reading(source: KinesisSource) -> impl Fn(aws_sdk_kinesis::Client, u32) -> BoxFuture<'static, ()> {
    move |_, shard| {
        let shard = ShardRef::new(STREAM.parse().unwrap(), format!("shardId-{shard:012}").parse().unwrap());
        let mut reader = source.open(&shard, Position::TrimHorizon);
        async move {
            loop {
                reader.ready().await;
                reader.next(BytePermit::unlimited()).await.unwrap();
            }
        }
        .boxed()
    }
}

async fn polling(client: aws_sdk_kinesis::Client, _: u32) {
    let mut iterator = Some("0".to_owned());
    loop {
        // The call is boxed, as anybody would who looks at the size of its future.
        let call = Box::pin(client.get_records().set_shard_iterator(iterator).limit(10_000).send());
        iterator = call.await.unwrap().next_shard_iterator;
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn fan_out(client: aws_sdk_kinesis::Client, shard: u32) {
    let mut output = Box::pin(subscribe(&client, CONSUMER, &format!("shardId-{shard:012}"))).await;
    while output.event_stream.recv().await.unwrap().is_some() {}
}
