//! The program `consume` behind a proxy on which no connection lives long: it goes on by itself, and all is read once, in
//! order.

use std::process::Stdio;
use std::time::Duration;

use integration_tests::breaking::BreakingProxy;
use kcl_core::ports::{Clock, SystemClock};
use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, NewRecord, ShardFilter, Tls};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const STREAM: &str = "orders";
const RECORDS: usize = 10;
/// Rounds, and how much larger their records are than need be.
const MANY: (usize, usize) = (12, 500);
const FEW: (usize, usize) = (4, 20);
/// So many connections break at least. All of it takes a minute or two, as one that falls silent costs half a minute.
const BROKEN: u64 = 3;
const PATIENCE: Duration = Duration::from_mins(10);

/// The server, and the file with the certificates that it is trusted by, where it speaks TLS.
struct Server {
    aws: LocalAws,
    folder: tempfile::TempDir,
    is_secure: bool,
}

impl Server {
    async fn start(is_secure: bool) -> Self {
        let (kinesis, dynamodb) = (LocalKinesis::new(), LocalDynamoDb::in_memory().unwrap());
        kinesis.create_stream(STREAM, 2).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let aws = if is_secure {
            let tls = Tls::generate().unwrap();
            std::fs::write(folder.path().join("ca.pem"), tls.ca_pem()).unwrap();
            LocalAws::start_tls(kinesis, dynamodb, Addresses::default(), tls).await.unwrap()
        } else {
            LocalAws::start_with(kinesis, dynamodb, Addresses::default()).await.unwrap()
        };
        Server { aws, folder, is_secure }
    }

    fn address(&self) -> String {
        self.aws.kinesis_endpoint().rsplit('/').next().unwrap().to_owned()
    }

    /// Puts records into each open shard, and tells their data.
    fn put(&self, round: usize, bytes: usize) -> Vec<String> {
        let kinesis = self.aws.kinesis();
        let mut put = Vec::new();
        for shard in kinesis.list_shards(STREAM, ShardFilter::AtLatest).unwrap() {
            for number in 0..RECORDS {
                let data = format!("{} {round:06} {number:03} {:x<bytes$}", shard.id, "");
                kinesis
                    .put(STREAM, NewRecord::new("k", data.as_str()).with_explicit_hash_key(shard.hash_range.start))
                    .unwrap();
                put.push(data);
            }
        }
        put
    }

    fn consume(&self, reader: &str, proxy: &BreakingProxy) -> (Child, Lines<BufReader<ChildStdout>>) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-worker"));
        let port = proxy.address().port();
        if self.is_secure {
            command.arg("--ca-file").arg(self.folder.path().join("ca.pem"));
        }
        let scheme = if self.is_secure { "https" } else { "http" };
        let mut child = command
            .args(["--stream", STREAM, "--app", "behind-a-breaking-proxy", "--reader", reader])
            .args(["--start", "trim-horizon", "--lease-store", "memory", "--output", "records"])
            .args(["--idle-interval", "200ms", "--kinesis-endpoint", &format!("{scheme}://localhost:{port}")])
            .env_clear()
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", kcl_local::ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", kcl_local::SECRET_ACCESS_KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    }
}

/// Reads rounds of records over connections that break, with a split between them: so many rounds, and more until enough of
/// the connections were broken, which is a matter of bytes and of time. A subscription that breaks takes its five seconds, so
/// there are fewer rounds then.
async fn reads_all(reader: &str, is_secure: bool, (rounds, bytes): (usize, usize), seed: u64) {
    let server = Server::start(is_secure).await;
    let proxy = BreakingProxy::start(server.address(), seed).await.unwrap();
    let (_child, mut lines) = server.consume(reader, &proxy);
    let (mut put, mut read) = (Vec::new(), Vec::new());
    let clock = SystemClock::new();
    let (mut round, deadline) = (0, clock.now() + PATIENCE);
    while round < rounds || proxy.broken() < BROKEN {
        assert!(clock.now() < deadline, "{reader}: only {} connections broke in {round} rounds", proxy.broken());
        put.extend(server.put(round, bytes));
        let reading = async {
            while read.len() < put.len() {
                let line = lines.next_line().await.unwrap().expect("the program goes on");
                let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                read.extend(line["data"].as_str().map(str::to_owned));
            }
        };
        tokio::select! {
            biased;
            () = reading => {}
            () = clock.sleep_until(deadline) => panic!("{reader}: {} of {} in {PATIENCE:?}", read.len(), put.len()),
        }
        if round == 1 {
            server.aws.kinesis().split_shard_evenly(STREAM, kcl_local::ShardId(0)).unwrap();
        }
        round += 1;
    }
    // Those of one shard came in their order; those of shards that are read at the same time came as they came.
    read.sort_by_key(|data| data.split(' ').next().unwrap().to_owned());
    put.sort();
    assert_eq!(read, put, "{reader}: each once, in the order of its shard");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_goes_on_whatever_connections_do() {
    reads_all("polling", false, MANY, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_goes_on_whatever_connections_do_over_tls() {
    reads_all("polling", true, MANY, 6).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_go_on_whatever_connections_do() {
    reads_all("fanout", false, FEW, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_go_on_whatever_connections_do_over_tls() {
    reads_all("fanout", true, FEW, 8).await;
}
