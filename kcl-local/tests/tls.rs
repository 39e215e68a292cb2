//! Both services behind TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use common::{client_through, trusting};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use kcl_local::{Addresses, LocalAws, LocalDynamoDb, LocalKinesis, Tls};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};

fn client(endpoint: &str, ca_pem: &str) -> aws_sdk_kinesis::Client {
    client_through(trusting(ca_pem), endpoint)
}

async fn start(tls: Tls) -> LocalAws {
    let kinesis = LocalKinesis::new();
    kinesis.create_stream("orders", 1).unwrap();
    LocalAws::start_tls(kinesis, LocalDynamoDb::in_memory().unwrap(), Addresses::default(), tls).await.unwrap()
}

#[tokio::test]
async fn a_client_that_trusts_the_authority_is_served() {
    let tls = Tls::generate().unwrap();
    let aws = start(tls.clone()).await;
    assert!(aws.kinesis_endpoint().starts_with("https://127.0.0.1:"));
    for endpoint in [aws.kinesis_endpoint(), aws.kinesis_endpoint().replace("127.0.0.1", "localhost")] {
        let shards = client(&endpoint, tls.ca_pem()).list_shards().stream_name("orders").send().await.unwrap();
        assert_eq!(shards.shards().len(), 1);
    }
    let other = Tls::generate().unwrap();
    let strict = client(&aws.kinesis_endpoint(), other.ca_pem());
    assert!(strict.list_shards().stream_name("orders").send().await.is_err());
    aws.stop().await;
}

#[tokio::test]
async fn http2_and_http1_are_agreed_on() {
    let tls = Tls::generate().unwrap();
    let aws = start(tls.clone()).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(tls.ca_pem().as_bytes()).unwrap()).unwrap();
    for protocol in ["h2", "http/1.1"] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config.unwrap().with_root_certificates(roots.clone()).with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let socket = tokio::net::TcpStream::connect(&aws.kinesis_endpoint()["https://".len()..]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        assert_eq!(socket.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let request = Request::get("https://localhost/").body(Full::new(Bytes::new())).unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        let response = if protocol == "h2" {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
            tasks.spawn(async { drop(connection.await) });
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(socket)).await.unwrap();
            tasks.spawn(async { drop(connection.await) });
            sender.send_request(request).await.unwrap()
        };
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "healthy");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_program_keeps_its_authority_and_says_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut authorities = Vec::new();
    for _ in 0..2 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_local-aws"));
        command.args(["--kinesis-port", "0", "--dynamodb-port", "0", "--stream", "orders=1", "--tls", "--data"]);
        let mut child = command.arg(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap()).lines().take(6).map(Result::unwrap).collect();
        let value = |name: &str| {
            let prefix = format!("export {name}=");
            lines.iter().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
        };
        let bundle = value("AWS_CA_BUNDLE");
        assert_eq!(std::path::Path::new(&bundle), folder.path().join("ca.pem"));
        let ca_pem = std::fs::read_to_string(bundle).unwrap();
        let client = client(&value("AWS_ENDPOINT_URL_KINESIS"), &ca_pem);
        assert_eq!(client.list_shards().stream_name("orders").send().await.unwrap().shards().len(), 1);
        authorities.push(ca_pem);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_eq!(authorities[0], authorities[1]);
}
