//! Rows of the lease table: what is looked at, and what two looks at one must not show.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use kcl_core::types::SequenceNumber;

pub(crate) type Item = std::collections::HashMap<String, AttributeValue>;

/// A lease as it stands in the table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LeaseRow {
    pub(crate) owner: Option<String>,
    checkpoint_owner: Option<String>,
    pub(crate) counter: u64,
    epoch: u64,
    /// `None` until the first record is done, and when all are.
    pub(crate) checkpoint: Option<SequenceNumber>,
    /// Whether the shard is closed and all of it is done.
    pub(crate) ended: bool,
    pub(crate) parents: Vec<String>,
}

impl LeaseRow {
    /// Who may work on the shard: in a hand-off still the one who had it.
    fn holder(&self) -> Option<&String> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }
}

/// The leader row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) owner: String,
    pub(crate) standby: Option<String>,
    /// Completed planning cycles.
    pub(crate) cycle: u64,
    pub(crate) released: bool,
}

/// All leases by key.
pub(crate) type Leases = BTreeMap<String, LeaseRow>;

/// What two looks at a lease must not show.
pub(crate) fn wrong(before: &LeaseRow, now: &LeaseRow) -> Option<&'static str> {
    let further = if now.ended { true } else { !before.ended && now.checkpoint >= before.checkpoint };
    if !further || now.epoch < before.epoch || now.counter < before.counter {
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

/// A lease of which something is stored although a parent is not done.
pub(crate) fn too_early(leases: &Leases) -> Option<(&String, &String)> {
    let begun = leases.iter().filter(|(_, lease)| lease.ended || lease.checkpoint.is_some());
    let mut pairs = begun.flat_map(|(key, lease)| lease.parents.iter().map(move |parent| (key, parent)));
    pairs.find(|(_, parent)| leases.get(*parent).is_some_and(|parent| !parent.ended))
}

/// Whether every lease of a shard that is not done has one of these owners, and none of them has two more than another.
pub(crate) fn even(leases: &Leases, shards: usize, workers: &[impl AsRef<str>]) -> bool {
    let owners = owners(leases);
    let leases = || leases.values().filter(|lease| !lease.ended);
    let counts: Vec<usize> = workers.iter().map(|worker| owners.get(worker.as_ref()).copied().unwrap_or(0)).collect();
    let settled = leases().all(|lease| lease.checkpoint_owner.is_none());
    let all: usize = counts.iter().sum();
    settled
        && all == shards
        && leases().count() == shards
        && counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1
}

/// How many leases of shards that are not done each worker has; free ones under `-`.
pub(crate) fn owners(leases: &Leases) -> BTreeMap<&str, usize> {
    let mut owners = BTreeMap::new();
    for lease in leases.values().filter(|lease| !lease.ended) {
        *owners.entry(lease.owner.as_deref().unwrap_or("-")).or_default() += 1;
    }
    owners
}

/// The leases of one worker.
pub(crate) fn owned<'a>(leases: &'a Leases, worker: &str) -> Vec<&'a String> {
    leases.iter().filter(|(_, lease)| lease.owner.as_deref() == Some(worker)).map(|(key, _)| key).collect()
}

pub(crate) fn leases(items: &[Item]) -> Leases {
    let rows = items.iter().filter(|item| item.contains_key("leaseCounter"));
    rows.map(|item| (key(item).to_owned(), lease(item))).collect()
}

pub(crate) fn key(item: &Item) -> &str {
    item["leaseKey"].as_s().unwrap()
}

fn text(item: &Item, name: &str) -> Option<String> {
    item.get(name).map(|value| value.as_s().unwrap().clone())
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).map_or(0, |value| value.as_n().unwrap().parse().unwrap())
}

pub(crate) fn lease(item: &Item) -> LeaseRow {
    let stored = text(item, "checkpoint").unwrap();
    let parents = item.get("parentShardId").map(|parents| parents.as_ss().unwrap().clone());
    LeaseRow {
        owner: text(item, "leaseOwner"),
        checkpoint_owner: text(item, "checkpointOwner"),
        counter: number(item, "leaseCounter"),
        epoch: number(item, "k_epoch"),
        checkpoint: stored.starts_with(|first: char| first.is_ascii_digit()).then(|| stored.parse().unwrap()),
        ended: stored == "SHARD_END",
        parents: parents.unwrap_or_default(),
    }
}

pub(crate) fn leader(item: &Item) -> Leader {
    Leader {
        owner: text(item, "ownerName").unwrap(),
        standby: text(item, "k_standby"),
        cycle: number(item, "k_cycle"),
        released: item.contains_key("isReleased"),
    }
}

pub(crate) const LEADER: &str = "Leader";
