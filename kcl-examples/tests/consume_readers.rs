//! The program `consume` with every reader, also against servers behind TLS.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![cfg(unix)]

mod common;

use std::path::PathBuf;
use std::process::Command;

use common::{CONSUME, PRODUCE, Running, Services, program, run};
use kcl_local::Tls;
use tempfile::TempDir;

/// A certificate authority, and a file with its certificate.
struct Authority {
    tls: Tls,
    file: PathBuf,
    _folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let (tls, folder) = (Tls::generate().unwrap(), tempfile::tempdir().unwrap());
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, tls.ca_pem()).unwrap();
        Authority { tls, file, _folder: folder }
    }

    fn file(&self) -> &str {
        self.file.to_str().unwrap()
    }
}

/// With the credentials that `local-aws` exports: they are not made up for endpoints behind TLS.
fn with_credentials(mut command: Command) -> Command {
    command.envs([("AWS_ACCESS_KEY_ID", "local"), ("AWS_SECRET_ACCESS_KEY", "local"), ("AWS_REGION", "us-east-1")]);
    command
}

fn until(consume: &mut Running, total: u64) {
    while consume.next_event("count")["total"].as_u64().unwrap() < total {}
}

#[test]
fn each_reader_reads_everything_and_they_can_be_changed_between_runs() {
    let services = Services::with_stream(2);
    for (run, reader) in ["fanout", "auto", "polling", "fanout"].into_iter().enumerate() {
        services.put(0..100);
        let flags = ["--output", "counts", "--reader", reader];
        let mut consume = Running::start(services.consume("orders-app", &flags));
        until(&mut consume, 100);
        consume.signal("TERM");
        let (status, rest) = consume.wait();
        assert_eq!(status.code(), Some(0), "run {run}");
        assert!(!rest.contains("\"total\":101"), "nothing is repeated: {rest}");
    }
    let consumers = services.aws.kinesis().consumers("orders").unwrap();
    assert_eq!(consumers.len(), 1, "one for the application, and it stays");
    assert_eq!(consumers[0].name, "orders-app");
}

#[test]
fn servers_behind_tls_are_trusted_by_file_for_every_reader_and_the_table() {
    let authority = Authority::new();
    for reader in ["polling", "fanout", "auto"] {
        let services = Services::secure(3, &authority.tls);
        let mut produce = with_credentials(services.produce(&["--ca-file", authority.file()]));
        let lines: Vec<u8> = (0..50).flat_map(|number| format!("{number}\n").into_bytes()).collect();
        produce.env("AWS_CA_BUNDLE", "/does/not/exist");
        assert_eq!(run(produce, &lines).code, Some(0));

        // By the variable; and by the flag, which comes first. The second worker goes on where the first one ended.
        let ways =
            [(&[][..], authority.file(), 50..80, 80), (&["--ca-file", authority.file()][..], "/gone", 80..110, 30)];
        for (flags, variable, put, total) in ways {
            let flags = [&["--output", "counts", "--reader", reader], flags].concat();
            let mut command = with_credentials(services.consume("orders-app", &flags));
            command.env("AWS_CA_BUNDLE", variable);
            let mut consume = Running::start(command);
            services.put(put);
            until(&mut consume, total);
            consume.signal("TERM");
            assert_eq!(consume.wait().0.code(), Some(0), "{reader} {flags:?}");
        }
    }
}

#[test]
fn who_is_not_trusted_is_not_spoken_to() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let services = Services::secure(1, &authority.tls);
    for flags in [&["--ca-file", stranger.file()][..], &[]] {
        let flags = [&["--start-timeout", "1s", "--reader", "fanout"], flags].concat();
        let ended = run(with_credentials(services.consume("orders-app", &flags)), b"");
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("certificate"), "{}", ended.err);
    }
}

#[test]
fn a_file_that_holds_no_certificates_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for path in [PRODUCE, CONSUME] {
        for (file, expected) in
            [(empty.to_str().unwrap(), "there is no certificate in PEM"), ("/gone.pem", "cannot be read")]
        {
            let mut command = program(path);
            command.args(["--stream", "orders", "--kinesis-endpoint", "https://127.0.0.1:1", "--ca-file", file]);
            if path == CONSUME {
                command.args(["--app", "orders-app", "--lease-store", "memory"]);
            }
            let ended = run(with_credentials(command), b"");
            assert_eq!(ended.code, Some(1), "{ended:?}");
            assert!(ended.err.contains(&format!("--ca-file {file}")) && ended.err.contains(expected), "{}", ended.err);
        }
    }
}

#[test]
fn a_stream_with_too_many_consumers_is_read_by_auto_and_refused_by_fanout() {
    let services = Services::with_stream(1);
    for index in 0..20 {
        services.aws.kinesis().register_consumer("orders", &format!("other-{index}")).unwrap();
    }
    let ended = run(services.consume("orders-app", &["--reader", "fanout"]), b"");
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    for part in ["stream orders has 20 registered consumers", "deregister one", "reader polling or auto"] {
        assert!(ended.err.contains(part), "{part:?} is missing in: {}", ended.err);
    }
    services.put(0..10);
    let mut consume = Running::start(services.consume("orders-app", &["--reader", "auto", "--output", "counts"]));
    until(&mut consume, 10);
    consume.signal("TERM");
    assert_eq!(consume.wait().0.code(), Some(0));
}
