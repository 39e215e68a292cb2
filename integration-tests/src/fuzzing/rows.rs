//! Items of the lease table, whatever attributes they have, as a table answers with them.
//!
//! An input that begins with `{` is an item as DynamoDB writes it in JSON. Of any other one each four bytes or so are an
//! attribute: its name, its type, and what it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kcl_core::dynamodb::{DynamoDbStore, TableSettings};
use kcl_core::ports::{FleetStore, LeaseStore};
use kcl_core::testing::ManualClock;
use kcl_core::types::{CreateOutcome, Lease, LeaseKey, Projection, Row, RowPage, RowProblem, StoreError};
use serde_json::{Value, json};

use super::wire::{Wire, whole};

pub(super) fn check(bytes: &[u8]) {
    let item = if bytes.first() == Some(&b'{') { bytes.to_vec() } else { drawn(bytes).to_string().into_bytes() };
    let table = Table::with(&item);
    let clock = ManualClock::new();
    clock.run(async {
        let store = table.store(&clock);
        let lease = store.get(&LeaseKey::new("any").expect("a key")).await;
        let worker = store.worker(&"any".parse().expect("an id")).await;
        let leader = store.leader().await;
        let page = store.scan(Projection::All, None).await;
        let Some(names) = names_of(&item) else {
            // What is no item is the table's fault, and nothing more can be said.
            return;
        };
        let kinds = [told(&lease, &names), told(&worker, &names), told(&leader, &names)];
        let read = kinds.iter().filter(|read| **read).count();
        assert!(read <= 1, "one row is of one kind");
        scanned(page, read == 1, &names);
        if let Ok(Some(Ok(lease))) = lease {
            comes_back(&table, &store, lease).await;
        }
    });
}

/// Whether the row could be read. If not, what is wrong with it is said in words, with the attribute.
fn told<T>(row: &Result<Option<Result<T, RowProblem>>, StoreError>, names: &[String]) -> bool {
    match row {
        Ok(Some(Ok(_))) => true,
        Ok(Some(Err(problem))) => {
            assert!(!problem.problem.is_empty() && !problem.attribute.is_empty(), "{problem:?}");
            false
        }
        Ok(None) => {
            assert_eq!(names, &[] as &[String], "an empty item is none");
            false
        }
        Err(error) => panic!("an item that is in order is not handed on: {error}"),
    }
}

/// Between two rows that are in order, which come through whatever the third is.
fn scanned(page: Result<RowPage, StoreError>, is_read: bool, names: &[String]) {
    let page = page.unwrap_or_else(|error| panic!("one row stops a scan: {error}"));
    assert_eq!(page.rows.len() + page.unreadable.len(), 3, "{page:?}");
    let keys: Vec<_> = page.rows.iter().filter_map(key_of).collect();
    assert!(keys.contains(&BEFORE) && keys.contains(&BEHIND), "{page:?}");
    assert!(!is_read || page.unreadable.is_empty(), "{names:?} could be read alone: {page:?}");
}

fn key_of(row: &Row) -> Option<&str> {
    match row {
        Row::Lease(lease) => Some(lease.key.as_str()),
        _ => None,
    }
}

/// A lease that was read is written as it was read.
async fn comes_back(table: &Table, store: &DynamoDbStore, mut lease: Lease) {
    let created = store.create(&lease).await;
    assert!(matches!(created, CreateOutcome::Created), "{created:?}");
    let again = store.get(&lease.key).await;
    let Ok(Some(Ok(again))) = again else { panic!("{lease:?} is written as {}: {again:?}", table.shown()) };
    // A row that is written anew says what it is.
    lease.typed = again.typed;
    // Measured by somebody, and written with as many digits as anybody needs.
    assert_eq!(again.throughput.is_some(), lease.throughput.is_some(), "written as {}", table.shown());
    lease.throughput = again.throughput;
    assert_eq!(again, lease, "written as {}", table.shown());
}

/// A table with one item; it takes another one for it.
#[derive(Clone)]
struct Table {
    item: Arc<Mutex<Vec<u8>>>,
}

impl Table {
    fn with(item: &[u8]) -> Self {
        Table { item: Arc::new(Mutex::new(item.to_vec())) }
    }

    fn store(&self, clock: &ManualClock) -> DynamoDbStore {
        let table = self.clone();
        let wire = Wire::new(move |operation, request| {
            let mut item = table.item.lock().unwrap_or_else(PoisonError::into_inner);
            match operation {
                "GetItem" => whole([b"{\"Item\":", item.as_slice(), b"}"].concat()),
                "Scan" => whole(
                    [b"{\"Items\":[", row(BEFORE).as_bytes(), b",", &item, b",", row(BEHIND).as_bytes(), b"]}"]
                        .concat(),
                ),
                "PutItem" => {
                    let request: Value = serde_json::from_slice(request).expect("requests are in order");
                    *item = request["Item"].to_string().into_bytes();
                    whole("{}")
                }
                other => panic!("nobody asks for {other}"),
            }
        });
        let settings = TableSettings::new(&"fuzzing".parse().expect("a name"), Duration::from_secs(10));
        DynamoDbStore::new(aws_sdk_dynamodb::Client::new(&wire.config(clock)), settings, Arc::new(clock.clone()))
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.item.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

/// A row as the KCL makes it.
fn row(key: &str) -> String {
    let row = json!({
        "leaseKey": { "S": key }, "entityType": { "S": "LEASE" }, "checkpoint": { "S": "TRIM_HORIZON" },
        "checkpointSubSequenceNumber": { "N": "0" }, "leaseCounter": { "N": "0" },
        "ownerSwitchesSinceCheckpoint": { "N": "0" }, "startingHashKey": { "S": "0" }, "endingHashKey": { "S": "9" },
    });
    row.to_string()
}

const BEFORE: &str = "shardId-before";
const BEHIND: &str = "shardId-behind";

/// The names of the attributes, if it is an item as a table may have it; nothing if no table has such a thing.
fn names_of(item: &[u8]) -> Option<Vec<String>> {
    // A map that refuses a name that is there twice.
    let item: BTreeMap<String, Value> = serde_json::from_slice(item).ok()?;
    item.values().all(is_attribute).then(|| item.into_keys().collect())
}

fn is_attribute(value: &Value) -> bool {
    let Some((letter, value)) =
        value.as_object().filter(|value| value.len() == 1).and_then(|value| value.iter().next())
    else {
        return false;
    };
    let is_base64 =
        |value: &Value| value.as_str().is_some_and(|text| base64_simd::STANDARD.decode_to_vec(text).is_ok());
    let all = |is: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|list| list.iter().all(is));
    match letter.as_str() {
        "S" | "N" => value.is_string(),
        "B" => is_base64(value),
        "BOOL" => value.is_boolean(),
        "NULL" => value == &Value::Bool(true),
        "SS" | "NS" => all(&Value::is_string),
        "BS" => all(&is_base64),
        "L" => all(&is_attribute),
        "M" => value.as_object().is_some_and(|map| map.values().all(is_attribute)),
        _ => false,
    }
}

/// An item of these bytes.
fn drawn(bytes: &[u8]) -> Value {
    let mut bytes = bytes.iter().copied();
    let mut item = serde_json::Map::new();
    // Most rows have a key, as all rows of a table do.
    if bytes.next().is_none_or(|byte| byte % 16 != 0) {
        item.insert("leaseKey".to_owned(), json!({ "S": "shardId-000000000007" }));
    }
    while let Some(byte) = bytes.next() {
        let name = NAMES[usize::from(byte) % NAMES.len()];
        let value = value(&mut bytes);
        item.insert(name.to_owned(), value);
    }
    Value::Object(item)
}

fn value(bytes: &mut impl Iterator<Item = u8>) -> Value {
    let letter = LETTERS[usize::from(bytes.next().unwrap_or_default()) % LETTERS.len()];
    let value = match letter {
        "N" => json!(number(bytes)),
        "BOOL" => json!(bytes.next().unwrap_or_default() % 2 == 1),
        "NULL" => json!(true),
        "B" => json!(base64_simd::STANDARD.encode_to_string(text(bytes))),
        "SS" => json!((0..bytes.next().unwrap_or_default() % 4).map(|_| text(bytes)).collect::<Vec<_>>()),
        "NS" => json!([number(bytes)]),
        "L" => json!([{ "S": text(bytes) }]),
        "M" => json!({ "m": { "N": number(bytes) } }),
        _ => json!(text(bytes)),
    };
    json!({ letter: value })
}

/// A text that means something somewhere, or one of a few bytes.
fn text(bytes: &mut impl Iterator<Item = u8>) -> String {
    let byte = bytes.next().unwrap_or_default();
    match TEXTS.get(usize::from(byte)) {
        Some(text) => (*text).to_owned(),
        None => {
            let some: Vec<u8> = bytes.take(usize::from(byte % 8)).collect();
            String::from_utf8_lossy(&some).into_owned()
        }
    }
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> String {
    let byte = bytes.next().unwrap_or_default();
    NUMBERS.get(usize::from(byte)).map_or_else(|| byte.to_string(), |number| (*number).to_owned())
}

const LETTERS: [&str; 13] = ["S", "N", "S", "N", "S", "N", "SS", "B", "BOOL", "NULL", "NS", "L", "M"];

const TEXTS: [&str; 24] = [
    "TRIM_HORIZON",
    "LATEST",
    "AT_TIMESTAMP",
    "SHARD_END",
    "LEASE",
    "LEADER",
    "WORKER_METRIC_STATS",
    "CLIENT_VERSION_MIGRATION",
    "",
    "Leader",
    "49680426505810185045732782624289612274056794581097250866",
    "0",
    "340282366920938463463374607431768211455",
    "340282366920938463463374607431768211456",
    "worker-a",
    "shardId-000000000001",
    "120000",
    "-1",
    "1",
    "18446744073709551616",
    "\u{0}",
    "worker a",
    "7:orders:1",
    "\u{1F980}\u{200B}",
];

const NUMBERS: [&str; 14] = [
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551616",
    "1.5",
    "1e125",
    "-1e-130",
    "NaN",
    "",
    "0x10",
    "99999999999999999999999999999999999999",
];

/// As in `row_names` of the library; and some that it does not know.
const NAMES: [&str; 44] = [
    "leaseKey",
    "entityType",
    "leaseOwner",
    "checkpointOwner",
    "leaseCounter",
    "ownerSwitchesSinceCheckpoint",
    "checkpoint",
    "checkpointSubSequenceNumber",
    "pendingCheckpoint",
    "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
    "parentShardId",
    "childShardIds",
    "startingHashKey",
    "endingHashKey",
    "throughputKBps",
    "streamName",
    "shardId",
    "k_epoch",
    "k_c",
    "k_start",
    "k_by",
    "k_stream",
    "k_tip",
    "lut",
    "sts",
    "opr",
    "k_impl",
    "k_hb",
    "k_inc",
    "k_inbox",
    "k_cap",
    "k_max",
    "k_zone",
    "ownerName",
    "leaseDuration",
    "recordVersionNumber",
    "isReleased",
    "k_cycle",
    "k_standby",
    "sup",
    "slu",
    "",
    "of somebody else",
];
