//! The lease table while they run, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use kcl_core::types::SequenceNumber;
use tokio::task::JoinHandle;

use crate::feed::Put;
use crate::table_rows::{Item, LEADER, even, key, leader, lease, leases, too_early, wrong};
pub(crate) use crate::table_rows::{Leader, LeaseRow, Leases, owned, owners};
use crate::waiting::{a_little_later, within};

type Turn = tokio::sync::Mutex<()>;

/// Looks at the table over and over, from its creation to the end, and compares each lease with what it was.
pub(crate) struct Table {
    client: Client,
    name: String,
    seen: Arc<Mutex<Seen>>,
    /// Looks take turns: of two under way at a time, the older might be noted last, as if a row went backwards.
    turn: Arc<Turn>,
    looking: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    leases: Leases,
    leader: Option<Leader>,
    /// The keys of all other rows.
    others: BTreeSet<String>,
    looks: usize,
    problems: Vec<String>,
    /// Every checkpoint that was ever seen.
    checkpoints: BTreeMap<String, Vec<SequenceNumber>>,
    /// Rows that a test deletes, and what they were.
    deleted: BTreeMap<String, LeaseRow>,
    leader_deleted: bool,
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
        let turn = Arc::<Turn>::default();
        let (looker, noted, table, turns) = (client.clone(), Arc::clone(&seen), name.to_owned(), Arc::clone(&turn));
        let looking = tokio::spawn(async move {
            loop {
                let turn = turns.lock().await;
                if let Some(items) = scan(&looker, &table).await {
                    noted.lock().unwrap_or_else(PoisonError::into_inner).note(&items);
                }
                drop(turn);
                a_little_later().await;
            }
        });
        Table { client, name: name.to_owned(), seen, turn, looking }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Waits until what was seen satisfies `wanted`, and yields that.
    async fn until_seen<T>(&self, what: &str, wanted: impl Fn(&Seen) -> Option<T>) -> T {
        let wanted = async {
            loop {
                if let Some(found) = wanted(&self.seen()) {
                    return found;
                }
                a_little_later().await;
            }
        };
        within(what, wanted).await
    }

    /// Waits until the leases satisfy `condition`, and yields them.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Leases) -> bool) -> Leases {
        self.until_seen(what, |seen| Some(&seen.leases).filter(|leases| condition(leases)).cloned()).await
    }

    /// Waits until the leader row satisfies `condition`, and yields it.
    pub(crate) async fn until_leader(&self, what: &str, condition: impl Fn(&Leader) -> bool) -> Leader {
        self.until_seen(what, |seen| seen.leader.as_ref().filter(|leader| condition(leader)).cloned()).await
    }

    /// Waits until the keys of the rows that are no leases satisfy `condition`.
    pub(crate) async fn until_rows(&self, what: &str, condition: impl Fn(&BTreeSet<String>) -> bool) {
        self.until_seen(what, |seen| condition(&seen.others).then_some(())).await;
    }

    /// Waits until these workers have all leases between them, and none has two more than another.
    pub(crate) async fn until_even(&self, what: &str, shards: usize, workers: &[impl AsRef<str>]) -> Leases {
        self.until(what, |leases| even(leases, shards, workers)).await
    }

    /// The leases as they are now, and the keys of all other rows.
    pub(crate) async fn now(&self) -> (Leases, BTreeSet<String>) {
        let _turn = self.turn.lock().await;
        let items = scan(&self.client, &self.name).await.unwrap();
        let mut seen = self.seen();
        seen.note(&items);
        (seen.leases.clone(), seen.others.clone())
    }

    /// Deletes the row of a lease, as an operator by hand, and yields what it was.
    pub(crate) async fn delete_row(&self, key: &str) -> LeaseRow {
        // Noted before it happens: whoever looks may see it at once.
        self.seen().deleted.insert(key.to_owned(), LeaseRow::default());
        let row = lease(&self.delete_item(key).await);
        self.seen().deleted.insert(key.to_owned(), row.clone());
        row
    }

    /// Deletes the leader row.
    pub(crate) async fn delete_leader(&self) {
        self.seen().leader_deleted = true;
        self.delete_item(LEADER).await;
        self.seen().leader = None;
    }

    async fn delete_item(&self, key: &str) -> Item {
        let call = self.client.delete_item().table_name(&self.name).return_values(ReturnValue::AllOld);
        let answer = call.key("leaseKey", AttributeValue::S(key.to_owned())).send().await.unwrap();
        answer.attributes.expect("the row was there")
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
    fn note(&mut self, items: &[Item]) {
        self.looks += 1;
        self.note_leader(items.iter().find(|item| key(item) == LEADER).map(leader));
        let others = items.iter().map(key).filter(|key| *key != LEADER);
        let leases = leases(items);
        self.others = others.filter(|key| !leases.contains_key(*key)).map(str::to_owned).collect();
        self.note_leases(leases);
    }

    fn note_leader(&mut self, now: Option<Leader>) {
        if let (Some(before), false) = (&self.leader, self.leader_deleted) {
            match &now {
                Some(now) if now.cycle >= before.cycle => {}
                _ => self.problems.push(format!("the leader row went from {before:?} to {now:?}")),
            }
        }
        self.leader = now;
    }

    fn note_leases(&mut self, leases: Leases) {
        if let Some((child, parent)) = too_early(&leases) {
            self.problems.push(format!("{child} is read, but its parent {parent} is not done: {leases:?}"));
        }
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
                // Rows of shards that are done are cleaned away some day.
                (false, _) if before.ended => {}
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

/// All rows; none while there is no table.
async fn scan(client: &Client, table: &str) -> Option<Vec<Item>> {
    let answer = client.scan().table_name(table).consistent_read(true).send().await.ok()?;
    assert!(answer.last_evaluated_key.is_none(), "these few rows fit into one page");
    answer.items
}
