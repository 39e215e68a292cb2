//! A program behind a proxy: all calls go through it, subscriptions on connections of the library's own.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, Tls};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::waiting::within;

/// A proxy that leads everything to one server, and the heads of the requests that it was asked with.
struct Proxy {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let seen = Arc::clone(&heads);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(serve(client, server, Arc::clone(&seen)));
            }
        });
        Proxy { address, heads, tasks }
    }

    /// The first lines of the requests, and what they showed as authorization.
    fn seen(&self) -> Vec<(String, Option<String>)> {
        let heads = self.heads.lock().unwrap();
        let seen = heads.iter().map(|head| {
            let mut lines = head.lines();
            let first = lines.next().unwrap_or_default().to_owned();
            let shown = lines.find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim().to_owned())
            });
            (first, shown)
        });
        seen.collect()
    }
}

async fn serve(mut client: TcpStream, server: SocketAddr, heads: Arc<Mutex<Vec<String>>>) {
    let Some(head) = read_head(&mut client).await else { return };
    let tunnel = head.starts_with(b"CONNECT ");
    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    let told = match tunnel {
        true => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await,
        false => server.write_all(&head).await,
    };
    if told.is_ok() {
        // Either side may be cut off at the end of a test.
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    }
}

/// What comes up to the first empty line.
async fn read_head(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    Some(head)
}

const RECORDS: usize = 20;
/// `user:secret`.
const BASIC: &str = "Basic dXNlcjpzZWNyZXQ=";

/// Lets a program read a stream by fan-out, with these variables set to the proxy.
async fn read_through(proxy: &Proxy, variable: &str, endpoint: &str, ca: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet-worker"));
    if let Some(pem) = ca {
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        command.arg("--ca-file").arg(file);
    }
    let mut child = command
        .args(["--stream", "orders", "--app", "behind-a-proxy", "--reader", "fanout", "--start", "trim-horizon"])
        .args(["--lease-store", "memory", "--output", "records"])
        .env_clear()
        .env(variable, format!("http://user:secret@{}", proxy.address))
        .env("AWS_ENDPOINT_URL_KINESIS", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", kcl_local::ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", kcl_local::SECRET_ACCESS_KEY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut records = 0;
    let read = async {
        while records < RECORDS {
            let line = lines.next_line().await.unwrap().expect("the program goes on");
            records += usize::from(line.contains("sequence"));
        }
    };
    within("all records through the proxy", read).await;
}

fn stream() -> LocalKinesis {
    let kinesis = LocalKinesis::new();
    kinesis.create_stream("orders", 2).unwrap();
    for number in 0..RECORDS {
        kinesis.put_record("orders", &format!("key-{number}"), format!("record {number}")).unwrap();
    }
    kinesis
}

#[tokio::test]
async fn tunnels_lead_all_calls_to_a_server_behind_tls() {
    let tls = Tls::generate().unwrap();
    let ca = tls.ca_pem().to_owned();
    let aws = LocalAws::start_tls(stream(), LocalDynamoDb::in_memory().unwrap(), Addresses::default(), tls);
    let aws = aws.await.unwrap();
    let mut proxy = Proxy::start(address_of(&aws)).await;
    // This leads nowhere; only the proxy knows where the server is.
    read_through(&proxy, "HTTPS_PROXY", "https://localhost:1", Some(&ca)).await;
    let seen = proxy.seen();
    assert!(seen.len() >= 2, "one tunnel for all subscriptions, and at least one for all else: {seen:?}");
    for (first, shown) in &seen {
        assert_eq!((first.as_str(), shown.as_deref()), ("CONNECT localhost:1 HTTP/1.1", Some(BASIC)));
    }
    proxy.tasks.abort_all();
}

#[tokio::test]
async fn a_proxy_passes_subscriptions_on_to_a_plain_endpoint() {
    let aws = LocalAws::start_with(stream(), LocalDynamoDb::in_memory().unwrap(), Addresses::default()).await.unwrap();
    let mut proxy = Proxy::start(address_of(&aws)).await;
    // This leads nowhere; only the proxy knows where the server is.
    read_through(&proxy, "HTTP_PROXY", "http://localhost:1", None).await;
    let seen = proxy.seen();
    let subscribed = proxy.heads.lock().unwrap().iter().filter(|head| head.contains("SubscribeToShard")).count();
    assert_eq!(subscribed, 2, "each on a connection of its own: {seen:?}");
    for (first, shown) in &seen {
        assert_eq!((first.as_str(), shown.as_deref()), ("POST http://localhost:1/ HTTP/1.1", Some(BASIC)));
    }
    proxy.tasks.abort_all();
}

fn address_of(aws: &LocalAws) -> SocketAddr {
    let endpoint = aws.kinesis_endpoint();
    endpoint.rsplit('/').next().unwrap().parse().unwrap()
}
