//! The lease table while they run, and what must hold of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::types::SequenceNumber;
use tokio::task::JoinHandle;

use crate::feed::Put;
use crate::waiting::{a_little_later, within};

/// A lease as it stands in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) owner: Option<String>,
    counter: u64,
    epoch: u64,
    /// `None` until the first record is done.
    pub(crate) checkpoint: Option<SequenceNumber>,
}

/// All leases by key.
pub(crate) type Leases = BTreeMap<String, LeaseRow>;

/// Looks at the table over and over, from its creation to the end, and compares each lease with what it was.
pub(crate) struct Table {
    client: Client,
    name: &'static str,
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
}

impl Table {
    #[expect(clippy::disallowed_methods, reason = "whoever looks ends with the table or the test")]
    pub(crate) fn watch(endpoint: &str, name: &'static str) -> Self {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let client = Client::from_conf(config.build());
        let seen = Arc::<Mutex<Seen>>::default();
        let (looker, noted) = (client.clone(), Arc::clone(&seen));
        let looking = tokio::spawn(async move {
            loop {
                if let Some(items) = scan(&looker, name).await {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).note(leases(&items));
                }
                a_little_later().await;
            }
        });
        Table { client, name, seen, looking }
    }

    /// Waits until the leases satisfy `condition`, and yields them.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Leases) -> bool) -> Leases {
        let holds = async {
            loop {
                let leases = self.seen.lock().unwrap().leases.clone();
                if condition(&leases) {
                    return leases;
                }
                a_little_later().await;
            }
        };
        within(what, holds).await
    }

    /// The leases as they are now, and the keys of all other rows.
    pub(crate) async fn now(&self) -> (Leases, Vec<String>) {
        let items = scan(&self.client, self.name).await.unwrap();
        let others = items.iter().filter(|item| !item.contains_key("leaseCounter"));
        let others = others.map(|item| item["leaseKey"].as_s().unwrap().clone()).collect();
        let leases = leases(&items);
        self.seen.lock().unwrap().note(leases.clone());
        (leases, others)
    }

    /// Ends the looking and judges what was seen; yields how often it looked.
    ///
    /// # Panics
    /// If anything went backwards, or a checkpoint was none of the records.
    pub(crate) fn check(self, put: &Put) -> usize {
        self.looking.abort();
        let seen = self.seen.lock().unwrap();
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
            let moved = now.counter > before.counter || now == before;
            if now.checkpoint < before.checkpoint || now.epoch < before.epoch || !moved {
                self.problems.push(format!("{key} went from {before:?} to {now:?}"));
            }
            if now.owner.is_some() && now.owner != before.owner && now.epoch == before.epoch {
                self.problems.push(format!("{key} has another owner in the same epoch: {before:?}, then {now:?}"));
            }
            if let Some(checkpoint) = now.checkpoint.as_ref().filter(|_| now.checkpoint != before.checkpoint) {
                self.checkpoints.entry(key.clone()).or_default().push(checkpoint.clone());
            }
        }
        for key in self.leases.keys().filter(|key| !leases.contains_key(*key)) {
            self.problems.push(format!("{key} is gone"));
        }
        self.leases = leases;
    }
}

/// How many leases each worker has; free ones under `-`.
pub(crate) fn owners(leases: &Leases) -> BTreeMap<&str, usize> {
    let mut owners = BTreeMap::new();
    for lease in leases.values() {
        *owners.entry(lease.owner.as_deref().unwrap_or("-")).or_default() += 1;
    }
    owners
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
        counter: number("leaseCounter"),
        epoch: number("k_epoch"),
        checkpoint: checkpoint.map(|checkpoint| checkpoint.parse().unwrap()),
    }
}
