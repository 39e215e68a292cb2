//! Who owns what and how far it is: from the lease table, as an operator would look.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kcl_core::dynamodb::{DynamoDbStore, TableSettings};
use kcl_core::ports::{LeaseStore, SystemClock};
use kcl_core::types::{ApplicationName, Checkpoint, Projection, Row};

use super::cloud::{Cloud, NAME};
use super::tally::{Counts, Tally};

/// Looks at the lease table.
#[derive(Debug)]
pub(super) struct Observer {
    store: DynamoDbStore,
    tally: Tally,
}

/// What an observer has seen.
#[derive(Debug, Clone, Default)]
pub(super) struct Look {
    /// Shards that have a lease, by id.
    pub(super) shards: BTreeMap<String, ShardLook>,
    /// All shards together.
    pub(super) total: Counts,
}

/// One shard.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShardLook {
    /// Who holds the lease.
    pub(super) owner: Option<String>,
    /// What the lease says is processed.
    pub(super) checkpoint: Checkpoint,
    /// Its records.
    pub(super) counts: Counts,
}

impl Observer {
    /// Looks at the table of this application.
    pub(super) fn new(cloud: &Cloud, failover_time: Duration, tally: Tally) -> anyhow::Result<Observer> {
        let settings = TableSettings::new(&ApplicationName::new(NAME)?, failover_time);
        let store = DynamoDbStore::new(cloud.dynamodb.clone(), settings, Arc::new(SystemClock::new()));
        Ok(Observer { store, tally })
    }

    /// The table as it is now; none if it cannot be read just now.
    pub(super) async fn look(&self) -> Option<Look> {
        let mut shards = BTreeMap::new();
        let mut counts = self.tally.by_shard();
        let mut page = None;
        loop {
            let rows = self.store.scan(Projection::Planning, page).await.ok()?;
            for row in rows.rows {
                if let Row::Lease(lease) = row {
                    let shard = lease.key.as_str().to_owned();
                    let counts = counts.remove(&shard).unwrap_or_default();
                    let owner = lease.holder().map(ToString::to_string);
                    shards.insert(shard, ShardLook { owner, checkpoint: lease.checkpoint, counts });
                }
            }
            page = rows.next;
            if page.is_none() {
                return Some(Look { shards, total: self.tally.total() });
            }
        }
    }
}

impl Look {
    /// How many shards each worker owns.
    pub(super) fn owners(&self) -> BTreeMap<&str, usize> {
        let mut owners = BTreeMap::new();
        for owner in self.shards.values().filter_map(|shard| shard.owner.as_deref()) {
            *owners.entry(owner).or_default() += 1;
        }
        owners
    }

    /// The worker with the most shards.
    pub(super) fn busiest(&self) -> Option<&str> {
        self.owners().into_iter().max_by_key(|(_, shards)| *shards).map(|(owner, _)| owner)
    }

    /// Shards that have an owner, and another one than before.
    pub(super) fn changed_hands<'a>(&'a self, before: &'a Look) -> impl Iterator<Item = (&'a str, &'a ShardLook)> {
        let owner_before = |id: &String| before.shards.get(id).map(|shard| &shard.owner);
        let changed = self
            .shards
            .iter()
            .filter(move |(id, shard)| shard.owner.is_some() && owner_before(id) != Some(&shard.owner));
        changed.map(|(id, shard)| (id.as_str(), shard))
    }

    /// Whether every shard has an owner, and none is this one.
    pub(super) fn is_without(&self, worker: &str) -> bool {
        self.shards.values().all(|shard| shard.owner.as_deref().is_some_and(|owner| owner != worker))
    }
}
