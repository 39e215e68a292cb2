//! The lease table while they run, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use kcl_core::types::SequenceNumber;
use tokio::task::JoinHandle;

use crate::feed::Put;
use crate::waiting::{a_little_later, within};

/// A lease as it stands in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) owner: Option<String>,
    checkpoint_owner: Option<String>,
    pub(crate) counter: u64,
    epoch: u64,
    /// `None` until the first record is done.
    pub(crate) checkpoint: Option<SequenceNumber>,
}

impl LeaseRow {
    /// Who may work on the shard: in a hand-off still the one who had it.
    fn holder(&self) -> Option<&String> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }
}

/// All leases by key.
pub(crate) type Leases = BTreeMap<String, LeaseRow>;

/// Looks at the table over and over, from its creation to the end, and compares each lease with what it was.
pub(crate) struct Table {
    client: Client,
    name: String,
    seen: Arc<Mutex<Seen>>,
    looking: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    leases: Leases,
    looks: usize,
    problems: Vec<String>,
    /// Every checkpoint that was ever seen.
    checkpoints: BTreeMap<String, Vec<SequenceNumber>>,
    /// Rows that a test deletes, and what they were.
    deleted: BTreeMap<String, LeaseRow>,
}

impl Table {
    #[expect(clippy::disallowed_methods, reason = "whoever looks ends with the table or the test")]
    pub(crate) fn watch(endpoint: &str, name: &str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = Client::from_conf(config.build());
        let seen = Arc::<Mutex<Seen>>::default();
        let (looker, noted, table) = (client.clone(), Arc::clone(&seen), name.to_owned());
        let looking = tokio::spawn(async move {
            loop {
                if let Some(items) = scan(&looker, &table).await {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).note(leases(&items));
                }
                a_little_later().await;
            }
        });
        Table { client, name: name.to_owned(), seen, looking }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Waits until the leases satisfy `condition`, and yields them.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Leases) -> bool) -> Leases {
        let holds = async {
            loop {
                let leases = self.seen().leases.clone();
                if condition(&leases) {
                    return leases;
                }
                a_little_later().await;
            }
        };
        within(what, holds).await
    }

    /// Waits until these workers have all leases between them, and none has two more than another.
    pub(crate) async fn until_even(&self, what: &str, shards: usize, workers: &[impl AsRef<str>]) -> Leases {
        self.until(what, |leases| even(leases, shards, workers)).await
    }

    /// The leases as they are now, and the keys of all other rows.
    pub(crate) async fn now(&self) -> (Leases, BTreeSet<String>) {
        let items = scan(&self.client, &self.name).await.unwrap();
        let others = items.iter().filter(|item| !item.contains_key("leaseCounter"));
        let others = others.map(|item| item["leaseKey"].as_s().unwrap().clone()).collect();
        let leases = leases(&items);
        self.seen().note(leases.clone());
        (leases, others)
    }

    /// Deletes the row of a lease, as an operator by hand, and yields what it was.
    pub(crate) async fn delete_row(&self, key: &str) -> LeaseRow {
        // Noted before it happens: whoever looks may see it at once.
        self.seen().deleted.insert(key.to_owned(), LeaseRow::default());
        let call = self.client.delete_item().table_name(&self.name).return_values(ReturnValue::AllOld);
        let answer = call.key("leaseKey", AttributeValue::S(key.to_owned())).send().await.unwrap();
        let row = lease(&answer.attributes.expect("the row was there"));
        self.seen().deleted.insert(key.to_owned(), row.clone());
        row
    }

    /// Deletes the whole table.
    pub(crate) async fn delete(&self) {
        self.looking.abort();
        self.client.delete_table().table_name(&self.name).send().await.unwrap();
    }

    pub(crate) async fn exists(&self) -> bool {
        self.client.describe_table().table_name(&self.name).send().await.is_ok()
    }

    /// Ends the looking and judges what was seen; yields how often it looked.
    ///
    /// # Panics
    /// If anything went backwards, or a checkpoint was none of the records.
    pub(crate) fn check(&self, put: &Put) -> usize {
        self.looking.abort();
        let seen = self.seen();
        assert!(seen.problems.is_empty(), "{:#?}", seen.problems);
        for (shard, checkpoint) in
            seen.checkpoints.iter().flat_map(|(shard, all)| all.iter().map(move |at| (shard, at)))
        {
            assert!(put[shard].binary_search(checkpoint).is_ok(), "{shard}: {checkpoint} is no record of it");
        }
        seen.looks
    }
}

impl Seen {
    fn note(&mut self, leases: Leases) {
        self.looks += 1;
        for (key, now) in &leases {
            let Some(before) = self.leases.get(key) else { continue };
            self.problems.extend(wrong(before, now).map(|what| format!("{key} {what}: {before:?}, then {now:?}")));
            if let Some(checkpoint) = now.checkpoint.as_ref().filter(|_| now.checkpoint != before.checkpoint) {
                self.checkpoints.entry(key.clone()).or_default().push(checkpoint.clone());
            }
        }
        for (key, before) in &self.leases {
            match (leases.contains_key(key), self.deleted.contains_key(key)) {
                (true, _) => {}
                // What it is when it is back is compared with what it was.
                (false, true) => drop(self.deleted.insert(key.clone(), before.clone())),
                (false, false) => self.problems.push(format!("{key} is gone")),
            }
        }
        let gone = self.deleted.iter().filter(|(key, _)| !leases.contains_key(*key));
        let gone: Leases = gone.map(|(key, row)| (key.clone(), row.clone())).collect();
        self.leases = leases;
        self.leases.extend(gone);
    }
}

/// What two looks at a lease must not show.
fn wrong(before: &LeaseRow, now: &LeaseRow) -> Option<&'static str> {
    if now.checkpoint < before.checkpoint || now.epoch < before.epoch || now.counter < before.counter {
        return Some("went backwards");
    }
    // A request to hand over names the next owner and leaves everything else as it is.
    let as_it_was =
        LeaseRow { owner: now.owner.clone(), checkpoint_owner: now.checkpoint_owner.clone(), ..before.clone() };
    if now.counter == before.counter && (*now != as_it_was || now.holder() != before.holder()) {
        return Some("changed under one counter");
    }
    // An overdue hand-off is completed without a new epoch; the next owner begins one.
    let completed = before.checkpoint_owner.is_some() && now.owner == before.owner;
    if now.holder().is_some() && now.holder() != before.holder() && now.epoch == before.epoch && !completed {
        return Some("has another holder in the same epoch");
    }
    None
}

/// Whether every lease has one of these owners, and none of them has two more than another.
fn even(leases: &Leases, shards: usize, workers: &[impl AsRef<str>]) -> bool {
    let owners = owners(leases);
    let counts: Vec<usize> = workers.iter().map(|worker| owners.get(worker.as_ref()).copied().unwrap_or(0)).collect();
    let settled = leases.values().all(|lease| lease.checkpoint_owner.is_none());
    let all: usize = counts.iter().sum();
    settled && all == shards && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}

/// How many leases each worker has; free ones under `-`.
pub(crate) fn owners(leases: &Leases) -> BTreeMap<&str, usize> {
    let mut owners = BTreeMap::new();
    for lease in leases.values() {
        *owners.entry(lease.owner.as_deref().unwrap_or("-")).or_default() += 1;
    }
    owners
}

/// The leases of one worker.
pub(crate) fn owned<'a>(leases: &'a Leases, worker: &str) -> Vec<&'a String> {
    leases.iter().filter(|(_, lease)| lease.owner.as_deref() == Some(worker)).map(|(key, _)| key).collect()
}

type Item = std::collections::HashMap<String, AttributeValue>;

/// All rows; none while there is no table.
async fn scan(client: &Client, table: &str) -> Option<Vec<Item>> {
    let answer = client.scan().table_name(table).consistent_read(true).send().await.ok()?;
    assert!(answer.last_evaluated_key.is_none(), "these few rows fit into one page");
    answer.items
}

fn leases(items: &[Item]) -> Leases {
    let rows = items.iter().filter(|item| item.contains_key("leaseCounter"));
    rows.map(|item| (item["leaseKey"].as_s().unwrap().clone(), lease(item))).collect()
}

fn lease(item: &Item) -> LeaseRow {
    let text = |name: &str| item.get(name).map(|value| value.as_s().unwrap().clone());
    let number = |name: &str| item.get(name).map_or(0, |value| value.as_n().unwrap().parse().unwrap());
    let checkpoint = text("checkpoint").filter(|checkpoint| checkpoint != "TRIM_HORIZON");
    LeaseRow {
        owner: text("leaseOwner"),
        checkpoint_owner: text("checkpointOwner"),
        counter: number("leaseCounter"),
        epoch: number("k_epoch"),
        checkpoint: checkpoint.map(|checkpoint| checkpoint.parse().unwrap()),
    }
}
