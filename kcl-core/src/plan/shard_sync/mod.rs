//! Which leases must exist: the shard list and the rows in, the leases to create out.
//!
//! A row may be missing because it was never made, because its shard was processed to the end and its row cleaned away, or
//! because somebody deleted it. The rest of this folder tells these apart: [`lineage`] knows what is over, [`absence`] for how
//! long a row has been missing, [`cleaning`] which rows may go, [`coverage`] what nobody would ever read, [`recreated`] whether the rows are of this stream.

pub(crate) mod absence;
pub(crate) mod cleaning;
pub(crate) mod coverage;
mod lineage;
pub(crate) mod recreated;

use std::collections::{BTreeMap, BTreeSet};

use coverage::Hole;
use lineage::Over;

use super::fleet_view::FleetView;
use crate::settings::InitialPosition;
use crate::types::{Checkpoint, ChildShard, Lease, LeaseKey, MultiStream, Shard, ShardId, Timestamp, WorkerId};

/// The rows of one stream by their shards: shards of different streams have the same ids.
pub(crate) type Rows<'a> = BTreeMap<ShardId, &'a Lease>;

/// Those of `leases` that are of this stream.
pub(crate) fn rows_of<'a>(stream: Option<&str>, leases: impl IntoIterator<Item = &'a Lease>) -> Rows<'a> {
    let ours = leases.into_iter().filter(|lease| lease.stream() == stream);
    ours.filter_map(|lease| Some((lease.shard_id().ok()?, lease))).collect()
}

/// Who creates rows, when, and where new shards begin.
#[derive(Debug, Clone)]
pub(crate) struct Creation {
    pub(crate) start: InitialPosition,
    /// The instant to which LATEST is pinned: the service's clock when it listed the shards.
    pub(crate) listed_at: Timestamp,
    pub(crate) creator: WorkerId,
    /// Unix seconds: where the counters of new rows start, so that fencing tokens grow if a row is ever made anew.
    pub(crate) counter: u64,
    /// When the stream was created, if it is known.
    pub(crate) stream_created: Option<Timestamp>,
    /// The stream as it stands in the keys of a table of several streams.
    pub(crate) stream: Option<String>,
}

impl Creation {
    fn lease(&self, shard: &ShardId, checkpoint: Checkpoint, start: Option<Timestamp>) -> Lease {
        let stream = self.stream.as_deref();
        let mut lease = Lease::unowned(LeaseKey::of_shard(stream, shard), checkpoint, self.counter);
        lease.multi_stream = stream.map(|stream| Box::new(MultiStream::new(stream, shard.clone())));
        lease.start = start;
        lease.last_owner = Some(self.creator.clone());
        lease.stream_created = self.stream_created;
        lease
    }

    /// Where a shard begins that no lease leads to.
    fn initial(&self) -> (Checkpoint, Option<Timestamp>) {
        match self.start {
            InitialPosition::TrimHorizon => (Checkpoint::TrimHorizon, None),
            InitialPosition::Latest => (Checkpoint::Latest, Some(self.listed_at)),
            InitialPosition::AtTimestamp(instant) => (Checkpoint::AtTimestamp, Some(instant)),
        }
    }
}

/// What is to be done about a shard of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It has a row and is not processed to its end.
    Open,
    /// It has a row and is processed to its end.
    Ended,
    /// Its row is missing and is due now.
    Due,
    /// It lies below a shard that is open or due: its row is made when that one ends.
    Below,
    /// It has no row and needs none: a shard that came from it has begun, so it was processed to its end.
    Over,
    /// It was closed before the start and is not read.
    Skipped,
}

/// The leases that are missing, in the order of the listing. Only the oldest level of each lineage is created: lower levels
/// follow when their parents end, so children are never read before all of their parents.
///
/// A shard whose parents have all ended is due (a worker died before it made the row). A shard to which no row leads begins
/// at the start: with TRIM_HORIZON or an instant its oldest listed ancestors do, open or closed; with LATEST only open ones.
/// A shard from which another came that has begun is over and never due again: its row was cleaned away.
///
/// Rows that were there once and are `vanished` prove still that the shards before them are over, and hold up those after
/// them. They are missing themselves, unless they had ended, or something that came from them has begun: then they ended
/// without our seeing it, and were cleaned away.
pub(crate) fn missing_leases<'a>(
    vanished: impl IntoIterator<Item = &'a Lease>,
    shards: &[Shard],
    rows: &Rows<'a>,
    creation: &Creation,
) -> Vec<Lease> {
    let vanished = rows_of(creation.stream.as_deref(), vanished);
    let mut before = vanished.clone();
    before.extend(rows.iter().map(|(shard, row)| (shard.clone(), *row)));
    let mut sync = Sync::new(shards, &before, creation);
    let mut is_missing = |shard: &Shard| match vanished.get(&shard.id) {
        Some(gone) if !rows.contains_key(&shard.id) => !gone.is_ended() && !sync.over.contains(&shard.id),
        _ => sync.standing(&shard.id) == Some(Standing::Due),
    };
    let missing: Vec<&Shard> = shards.iter().filter(|shard| is_missing(shard)).collect();
    missing.into_iter().map(|shard| sync.lease(shard)).collect()
}

/// Whether these shards were processed to their end, as others prove that came from them.
pub(crate) fn are_over(which: &BTreeSet<ShardId>, shards: &[Shard], rows: &Rows<'_>) -> bool {
    let over = Over::of(shards, rows);
    which.iter().all(|shard| over.contains(shard))
}

/// What nobody would ever read, although the stream takes records there: neither a lease that is open or due, nor one that
/// follows when its parents end. Nothing for streams without hash keys, which have lineage only.
pub(crate) fn holes(shards: &[Shard], rows: &Rows<'_>, creation: &Creation) -> Vec<Hole> {
    if shards.iter().all(|shard| shard.hash_range.is_none()) {
        return Vec::new();
    }
    let mut sync = Sync::new(shards, rows, creation);
    let read = |standing| matches!(standing, Some(Standing::Open | Standing::Due | Standing::Below));
    let ranges = shards.iter().filter(|shard| read(sync.standing(&shard.id))).filter_map(|shard| shard.hash_range);
    coverage::holes(ranges.collect::<Vec<_>>())
}

/// Children of ended shards that have no row: perhaps their row was cleaned away, perhaps nobody has made it.
pub(crate) fn without_row(stream: Option<&str>, fleet: &FleetView) -> impl Iterator<Item = LeaseKey> {
    let leases = fleet.leases.values().map(|seen| &seen.lease);
    let ended = leases.filter(move |lease| lease.is_ended() && lease.stream() == stream);
    let children = ended.flat_map(|lease| lease.children.iter().map(|child| lease.sibling_key(child)));
    children.filter(|key| !fleet.leases.contains_key(key))
}

struct Sync<'a> {
    listed: BTreeMap<&'a ShardId, &'a Shard>,
    rows: &'a Rows<'a>,
    over: Over<'a>,
    creation: &'a Creation,
    standings: BTreeMap<&'a ShardId, Standing>,
}

impl<'a> Sync<'a> {
    fn new(shards: &'a [Shard], rows: &'a Rows<'a>, creation: &'a Creation) -> Self {
        let listed = shards.iter().map(|shard| (&shard.id, shard)).collect();
        let over = Over::of(shards, rows);
        Sync { listed, rows, over, creation, standings: BTreeMap::new() }
    }

    /// The standing of a shard; `None` for one that is neither listed nor has a row.
    ///
    /// Lineages are walked with a stack of our own, so that no listing, however deep, can exhaust the thread's.
    fn standing(&mut self, shard: &ShardId) -> Option<Standing> {
        if let Some(standing) = self.by_row(shard) {
            return Some(standing);
        }
        let (&start, _) = self.listed.get_key_value(shard)?;
        let mut stack = vec![start];
        let mut open: BTreeSet<&ShardId> = BTreeSet::new();
        while let Some(&next) = stack.last() {
            let Some(&shard) = self.listed.get(next) else {
                stack.pop();
                continue;
            };
            // A listing whose parents form a circle is nonsense, but must not hang us: the second visit decides.
            let first_visit = open.insert(next);
            let unknown: Vec<&ShardId> = shard
                .parents()
                .filter(|id| first_visit && !self.standings.contains_key(id) && self.by_row(id).is_none())
                .filter_map(|id| self.listed.get_key_value(id).map(|(&id, _)| id))
                .collect();
            if unknown.is_empty() {
                let standing = self.judge(shard);
                self.standings.insert(next, standing);
                stack.pop();
            } else {
                stack.extend(unknown);
            }
        }
        self.standings.get(shard).copied()
    }

    fn by_row(&self, shard: &ShardId) -> Option<Standing> {
        let row = self.rows.get(shard)?;
        Some(if row.is_ended() { Standing::Ended } else { Standing::Open })
    }

    fn judge(&self, shard: &Shard) -> Standing {
        if let Some(standing) = self.by_row(&shard.id) {
            return standing;
        }
        if self.over.contains(&shard.id) {
            return Standing::Over;
        }
        let parents: Vec<Standing> = shard
            .parents()
            .filter_map(|parent| self.by_row(parent).or_else(|| self.standings.get(parent).copied()))
            .collect();
        if parents.iter().any(|p| matches!(p, Standing::Open | Standing::Due | Standing::Below)) {
            Standing::Below
        } else if parents.iter().any(|p| matches!(p, Standing::Ended | Standing::Over)) {
            Standing::Due
        } else if shard.is_closed() && self.creation.start == InitialPosition::Latest {
            Standing::Skipped
        } else {
            Standing::Due
        }
    }

    /// The row of a shard that is due.
    fn lease(&self, shard: &Shard) -> Lease {
        let parents: Vec<&Lease> = shard.parents().filter_map(|id| self.rows.get(id).copied()).collect();
        let (checkpoint, start) = if !parents.is_empty() {
            child_start(&parents)
        } else if shard.parents().any(|parent| self.over.contains(parent)) {
            // The rows of its parents are gone because they are over: it goes on where they ended.
            (Checkpoint::TrimHorizon, None)
        } else {
            self.creation.initial()
        };
        let mut lease = self.creation.lease(&shard.id, checkpoint, start);
        lease.parents = shard.parents().cloned().collect();
        lease.hash_range = shard.hash_range;
        lease
    }
}

/// Where a child begins: with its oldest record, unless no parent was ever read beyond a start at an instant. Then that
/// instant still lies ahead, and the child starts there too; it would deliver what is older otherwise.
fn child_start(parents: &[&Lease]) -> (Checkpoint, Option<Timestamp>) {
    let pinned = |lease: &&Lease| match lease.checkpoint {
        // A parent that has ended no longer says where it began, but `k_start` remains in its row.
        Checkpoint::Latest | Checkpoint::AtTimestamp | Checkpoint::ShardEnd => lease.start,
        Checkpoint::TrimHorizon | Checkpoint::At(_) => None,
    };
    let starts: Vec<Timestamp> = parents.iter().filter_map(pinned).collect();
    match starts.iter().min() {
        Some(start) if starts.len() == parents.len() => (Checkpoint::AtTimestamp, Some(*start)),
        _ => (Checkpoint::TrimHorizon, None),
    }
}

/// What the end of a shard has to do for its children.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Children {
    /// The rows to create.
    pub(crate) due: Vec<Lease>,
    /// Those that another parent has named at its end: that made their rows.
    pub(crate) there: Vec<LeaseKey>,
    /// Those of which another parent has no row yet: its finisher creates them.
    pub(crate) waiting: Vec<ShardId>,
}

/// What is to be done for the children that were named at the end of `parent`.
///
/// If none waited, the child of a merge could be read while a grandparent on the other side still is. And one that is there
/// but has no row was deleted by hand: whoever made it again would not know that somebody holds it.
pub(crate) fn children_of(
    parent: &Lease,
    children: &[ChildShard],
    others: &BTreeMap<LeaseKey, Lease>,
    creation: &Creation,
) -> Children {
    let mut result = Children::default();
    for child in children {
        let others: Vec<Option<&Lease>> = child
            .parents
            .iter()
            .map(|id| parent.sibling_key(id))
            .filter(|key| *key != parent.key)
            .map(|key| others.get(&key))
            .collect();
        if others.iter().any(Option::is_none) {
            result.waiting.push(child.id.clone());
            continue;
        }
        if others.iter().flatten().any(|other| other.is_ended() && other.children.contains(&child.id)) {
            result.there.push(parent.sibling_key(&child.id));
            continue;
        }
        let parents: Vec<&Lease> = others.into_iter().flatten().chain([parent]).collect();
        let (checkpoint, start) = child_start(&parents);
        let mut lease = creation.lease(&child.id, checkpoint, start);
        lease.parents = child.parents.iter().cloned().collect();
        lease.hash_range = child.hash_range;
        result.due.push(lease);
    }
    result
}

#[cfg(test)]
mod tests;
