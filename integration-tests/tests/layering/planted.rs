//! The checker sees what it is there for.

use crate::source::Source;
use crate::violations;

/// What is found in a file of this content: lines, and what stands there.
fn found(file: &str, text: &str) -> Vec<(usize, String)> {
    violations(&Source::new(file, text)).into_iter().map(|violation| (violation.line, violation.what)).collect()
}

fn check(file: &str, text: &str, expected: &[(usize, &str)]) {
    let expected: Vec<(usize, String)> = expected.iter().map(|(line, what)| (*line, (*what).to_owned())).collect();
    assert_eq!(found(file, text), expected, "{file}: {text}");
}

#[test]
fn a_layer_that_names_a_higher_one_is_found_however_it_is_written() {
    check("types/lease.rs", "use super::ShardId;\nuse crate::plan::transition;", &[(2, "crate::plan::transition")]);
    check(
        "plan/holding.rs",
        "use crate::{types::{Lease, Row}, shard::machine::Action};",
        &[(1, "crate::shard::machine::Action")],
    );
    check(
        "shard/machine.rs",
        "\nfn f(plan: &super::super::plan::holding::Holding) {}",
        &[(2, "super::super::plan::holding::Holding")],
    );
    check("ports/clock.rs", "pub use crate::settings::Timings as T;", &[(1, "crate::settings::Timings")]);
    check("kinesis/polling.rs", "use crate::runtime::Context;", &[(1, "crate::runtime::Context")]);
    check("sqlite/mod.rs", "use super::dynamodb::DynamoDbStore;", &[(1, "super::dynamodb::DynamoDbStore")]);
    check(
        "runtime/scan.rs",
        "fn f() { let _ = crate::memory::MemoryStore::new(); }",
        &[(1, "crate::memory::MemoryStore::new")],
    );
    check(
        "worker/mod.rs",
        "use crate::plan::assignment::CountStrategy;",
        &[(1, "crate::plan::assignment::CountStrategy")],
    );
}

#[test]
fn a_detour_over_the_root_and_a_module_without_a_place_are_found() {
    check("plan/mod.rs", "use crate::Worker;", &[(1, "crate::Worker")]);
    check("plan/mod.rs", "use crate::*;", &[(1, "crate::*")]);
    check("janitor/mod.rs", "use crate::types::Lease;", &[(1, "janitor")]);
}

#[test]
fn waiting_telling_and_aws_are_found_where_they_do_not_belong() {
    check("plan/assignment.rs", "use crate::types::Lease;\nasync fn f() { g().await }", &[(2, "async"), (2, "await")]);
    check("types/time.rs", "fn f() { tracing::info!(\"x\"); }", &[(1, "tracing::info")]);
    check("settings/mod.rs", "use tokio::sync::Notify;", &[(1, "tokio::sync::Notify")]);
    check("runtime/tasks.rs", "use aws_sdk_kinesis::Client;", &[(1, "aws_sdk_kinesis::Client")]);
    check("kinesis/list.rs", "use aws_sdk_kinesis::Client;", &[]);
}

#[test]
fn what_belongs_to_one_file_is_found_in_others() {
    check("runtime/scan.rs", "fn f() { tokio::spawn(g()); }", &[(1, "tokio::spawn")]);
    check("kinesis/mod.rs", "use tokio::task::{self, JoinSet};", &[(1, "tokio::task::JoinSet")]);
    check("kinesis/mod.rs", "fn f() { task::spawn_blocking(g); }", &[(1, "task::spawn_blocking")]);
    check("dynamodb/mod.rs", "fn f(s: &S) { s.spawner.spawn(g()) }", &[(1, "spawner")]);
    check("memory/mod.rs", "fn f() { std::thread::spawn(g); }", &[(1, "std::thread::spawn")]);
    check("runtime/heartbeat.rs", "use std::time::{Duration, Instant};", &[(1, "std::time::Instant")]);
    check("types/time.rs", "use std::time::SystemTime;\nfn f() { SystemTime::now(); }", &[(2, "SystemTime::now")]);
    check("runtime/context.rs", "fn f() { fastrand::u64(..); }", &[(1, "fastrand::u64")]);
    check("runtime/context.rs", "fn f() { std::env::var(\"HOME\"); }", &[(1, "std::env::var")]);
}

#[test]
fn names_are_found_outside_of_the_files_that_hold_them() {
    check("runtime/assigner.rs", "const A: &str =\n    \"leaseCounter\";", &[(2, "leaseCounter")]);
    check("dynamodb/read.rs", "const A: &str = r#\"k_epoch\"#;", &[(1, "k_epoch")]);
    check("row_names.rs", "const A: &str = \"k_epoch\";", &[]);
    check("runtime/budget.rs", "const A: &str = \"kcl_read_ahead_bytes\";", &[(1, "kcl_read_ahead_bytes")]);
    check("plan/fleet_view.rs", "use std::collections::{BTreeMap, HashMap};", &[(1, "HashMap")]);
    check("kinesis/mod.rs", "fn f() { metrics::counter!(\"x\"); }", &[(1, "metrics::counter")]);
}

#[test]
fn comments_texts_and_tests_do_not_count() {
    let text = "//! See `crate::runtime`.\n/// [`tokio::spawn`](crate::worker)\nfn f() { let _ = \"crate::runtime::run\"; }\n\
                // tokio::spawn(f())\n#[cfg(test)]\nuse crate::runtime::run;\n\
                #[cfg(test)]\nmod tests { use crate::memory::MemoryStore; async fn g() { \"leaseCounter\"; } }\n\
                fn async_like() { let tokio_like = 1; }";
    check("types/ids.rs", text, &[]);
    check(
        "types/ids.rs",
        "#[cfg(feature = \"sqlite\")]\nuse crate::sqlite::SqliteStore;",
        &[(2, "crate::sqlite::SqliteStore")],
    );
}
