//! The whole way over HTTP: the server is another process, so its work counts for nobody.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::{BehaviorVersion, Region};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, ShardIteratorType};
use kcl_core::memory::MemoryStore;
use kcl_core::settings::ReaderKind;
use kcl_core::{ShardContext, Worker};
use kcl_local::LocalAws;

use crate::canned::{Cost, STREAM, thread_cpu};
use crate::report::{Budget, Report, median};
use crate::rig::{Counting, Tally, on_one_thread, settings};

/// The argument with which this program is the server.
pub(crate) const SERVE: &str = "--serve";

/// Records of the stream, and bytes of each.
const RECORDS: usize = 40_000;
const BYTES: usize = 1 << 10;

/// Serves until the standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _server = runtime.block_on(async {
        let aws = LocalAws::start().await.unwrap();
        println!("{}", aws.kinesis_endpoint());
        std::io::stdout().flush().unwrap();
        aws
    });
    std::io::stdin().lines().for_each(drop);
}

/// A server in a process of its own; it ends with this value.
pub(crate) struct Server {
    child: Child,
    endpoint: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = Command::new(program).arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut endpoint = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut endpoint).unwrap();
        Server { child, endpoint: endpoint.trim().to_owned() }
    }

    pub(crate) fn client(&self) -> Client {
        let config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(kcl_local::credentials())
            .endpoint_url(&self.endpoint);
        Client::from_conf(config.build())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

pub(crate) fn measure(report: &mut Report, rounds: usize) {
    let server = Server::start();
    on_one_thread(fill(&server));
    report.title("CPU per record of 1 KiB over HTTP, the server in another process");
    let rounds = rounds.div_ceil(2);
    let polls: Vec<_> = (0..rounds).map(|_| (plain(&server).each(), framework(&server).each())).collect();
    let plain = median(polls.iter().map(|(plain, _)| *plain).collect());
    let ratio = median(polls.iter().map(|(plain, framework)| framework / plain).collect());
    report.row("polling, 1 KiB", "ns", plain, plain * ratio, Budget::Percent(10.0));
    report.note(&format!("{:.0} records per CPU-second", 1e9 / (plain * ratio)));
}

async fn fill(server: &Server) {
    let client = server.client();
    client.create_stream().stream_name(STREAM).shard_count(1).send().await.unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut data = vec![0; BYTES];
    for _ in 0..RECORDS / 400 {
        let entries = (0..400).map(|_| {
            random.fill(&mut data);
            let key = format!("{:036x}", random.u128(..));
            PutRecordsRequestEntry::builder().partition_key(key).data(Blob::new(data.clone())).build().unwrap()
        });
        let entries: Vec<_> = entries.collect();
        client.put_records().stream_name(STREAM).set_records(Some(entries)).send().await.unwrap();
    }
}

fn plain(server: &Server) -> Cost {
    on_one_thread(async {
        let client = server.client();
        let iterator = client.get_shard_iterator().stream_name(STREAM).shard_id("shardId-000000000000");
        let mut iterator =
            iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap().shard_iterator;
        let tally = Tally::of(RECORDS);
        tally.begin();
        let mut left = RECORDS;
        while left > 0 {
            let output = client.get_records().set_shard_iterator(iterator).limit(10_000).send().await.unwrap();
            let bytes: usize = output.records.iter().map(|record| record.data().as_ref().len()).sum();
            tally.add(output.records.len() as u64, bytes as u64);
            left -= output.records.len();
            iterator = output.next_shard_iterator;
        }
        tally.cost()
    })
}

fn framework(server: &Server) -> Cost {
    on_one_thread(async {
        let tally = Tally::of(RECORDS);
        let processed = tally.clone();
        let settings = settings(ReaderKind::Polling).failover_time(Duration::from_secs(10));
        // Everything that the worker does counts, its start included.
        let begun = thread_cpu();
        let worker = Worker::builder(settings)
            .kinesis_client(server.client())
            .store(MemoryStore::new())
            .processor(move |_: &ShardContext| Counting(processed.clone()));
        let mut handle = worker.build().unwrap().start().await.unwrap();
        tally.done().await;
        let cost = Cost { cpu: thread_cpu() - begun, count: RECORDS as u64 };
        handle.stop();
        handle.wait().await.unwrap();
        cost
    })
}
