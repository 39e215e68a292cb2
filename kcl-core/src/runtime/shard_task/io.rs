//! What a shard task asks of the world: each a future that owns what it needs and yields what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::budget::ShardBudget;
use super::super::context::Context;
use super::super::lease_keeper::Parted;
use super::super::scan::scan;
use super::super::shard_sync;
use super::super::streams::Stream;
use super::Tenancy;
use crate::plan::holding::Farewell;
use crate::plan::shard_end::ShardEnding;
use crate::plan::shard_sync::{are_over, rows_of};
use crate::ports::{Fetched, LeaseLostReason, ReadError, ShardReader};
use crate::shard::machine::Proof;
use crate::shard::watchdog::Wait;
use crate::types::{Checkpoint, ChildShard, Lease, Moment, Projection, Row, Shard, ShardId, ShardRef, StoreError};

/// What came of a question.
pub(super) enum IoDone {
    Parents(Result<Parents, String>),
    /// `asked`: before the source was.
    Fetched {
        reader: Box<dyn ShardReader>,
        budget: ShardBudget,
        asked: Moment,
        result: Result<Fetched, ReadError>,
    },
    Proof(Result<Proof, String>),
}

impl IoDone {
    /// How far behind the tip the answer was, if it says so.
    pub(super) fn lag(&self) -> Option<Duration> {
        match self {
            IoDone::Fetched { result: Ok(fetched), .. } => fetched.lag,
            IoDone::Fetched { .. } | IoDone::Parents(_) | IoDone::Proof(_) => None,
        }
    }
}

/// How the parents of a shard stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parents {
    /// All are over.
    Over,
    /// One is still read, or will be.
    Open,
    /// One that the stream lists has no row, although the shard has not begun.
    Missing,
}

/// What came of ending the tenure.
pub(super) enum FarewellDone {
    Written(Parted),
    Lost(LeaseLostReason),
    /// The children could not be created; the end was not written.
    NotPrepared(String),
}

/// Fetches what comes next. The byte permit is taken only once a call is worth making. Each step but the
/// first, which the caller states, is stated before it is taken, for the watchdog.
pub(super) fn fetch(
    tenancy: Arc<Tenancy>,
    mut reader: Box<dyn ShardReader>,
    budget: ShardBudget,
) -> BoxFuture<'static, IoDone> {
    let states = move |wait| {
        let now = tenancy.context.clock.now();
        tenancy.watch.reading(wait, now);
        now
    };
    async move {
        reader.ready().await;
        let demand = reader.demand();
        let permit = match budget.try_acquire(demand) {
            Some(permit) => permit,
            None => {
                states(Wait::Budget);
                tokio::select! {
                    biased;
                    permit = budget.acquire(demand) => permit,
                    never = reader.rest() => match never {},
                }
            }
        };
        let asked = states(Wait::Fetch);
        let result = reader.next(permit).await;
        IoDone::Fetched { reader, budget, asked, result }
    }
    .boxed()
}

/// Whether all parents are over.
pub(super) fn check_parents(tenancy: Arc<Tenancy>) -> BoxFuture<'static, IoDone> {
    async move { IoDone::Parents(parents(&tenancy).await) }.boxed()
}

/// A parent is over if its row says so. One without a row was read long ago, or never will be; or its row is still to be
/// made, by the finisher of its own parent. So it counts as over only if no row of its listed ancestors is open.
///
/// Rows of parents stay until their children have begun. So where a child that has not begun, and does not begin in the
/// middle of things, has a parent that the stream lists but the table does not, and nothing else that came from the parent
/// has begun, somebody deleted the parent's row: perhaps its holder lives, and makes it again.
async fn parents(tenancy: &Tenancy) -> Result<Parents, String> {
    let Tenancy { context, stream, shared, .. } = tenancy;
    let row = &*shared.row();
    let mut level = Vec::new();
    for parent in &row.parents {
        match standing(context, row, parent).await? {
            Standing::Open => return Ok(Parents::Open),
            Standing::Ended => {}
            Standing::NoRow => level.push(parent.clone()),
        }
    }
    if level.is_empty() {
        return Ok(Parents::Over);
    }
    let listed = stream.source.list_shards(&stream.id).await.map_err(|error| error.to_string())?;
    let shards = listed.shards;
    let listed: BTreeMap<&ShardId, &Shard> = shards.iter().map(|shard| (&shard.id, shard)).collect();
    let lost: BTreeSet<ShardId> = level.iter().filter(|id| listed.contains_key(id)).cloned().collect();
    let mut seen: BTreeSet<ShardId> = level.iter().cloned().collect();
    while let Some(id) = level.pop() {
        for ancestor in listed.get(&id).into_iter().flat_map(|shard| shard.parents()) {
            if !seen.insert(ancestor.clone()) {
                continue;
            }
            match standing(context, row, ancestor).await? {
                Standing::Open => return Ok(Parents::Open),
                Standing::Ended => {}
                Standing::NoRow => level.push(ancestor.clone()),
            }
        }
    }
    if row.checkpoint != Checkpoint::TrimHorizon || lost.is_empty() {
        return Ok(Parents::Over);
    }
    let (rows, _problems) = scan(context, Projection::Planning).await.map_err(|error| error.to_string())?;
    let leases = rows.iter().filter_map(|row| match row {
        Row::Lease(lease) => Some(&**lease),
        _ => None,
    });
    let rows = rows_of(row.stream(), leases);
    Ok(if are_over(&lost, &shards, &rows) { Parents::Over } else { Parents::Missing })
}

enum Standing {
    Open,
    Ended,
    NoRow,
}

/// How another shard of the stream stands, as its row says now.
async fn standing(context: &Context, row: &Lease, shard: &ShardId) -> Result<Standing, String> {
    let answer = context.within_attempt(context.leases.get(&row.sibling_key(shard))).await;
    match answer.unwrap_or_else(|| Err(context.no_answer())) {
        Ok(None) => Ok(Standing::NoRow),
        Ok(Some(Ok(row))) if row.is_ended() => Ok(Standing::Ended),
        Ok(Some(Ok(_))) => Ok(Standing::Open),
        Ok(Some(Err(problem))) => Err(problem.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks for the closed shard in a fresh listing.
pub(super) fn prove_end(tenancy: Arc<Tenancy>) -> BoxFuture<'static, IoDone> {
    async move {
        let Stream { id, source, .. } = &*tenancy.stream;
        let proof = match source.list_shards(id).await {
            Ok(listed) => Ok(proof_in(&listed.shards, tenancy.shard())),
            Err(error) => Err(error.to_string()),
        };
        IoDone::Proof(proof)
    }
    .boxed()
}

fn proof_in(shards: &[Shard], shard: &ShardRef) -> Proof {
    match shards.iter().find(|listed| listed.id == *shard.id()) {
        Some(listed) if listed.is_closed() => {
            let children = shards.iter().filter(|child| child.parents().any(|parent| parent == shard.id()));
            Proof::Closed(
                children
                    .map(|child| {
                        ChildShard::new(child.id.clone(), child.parents().cloned().collect(), child.hash_range)
                    })
                    .collect(),
            )
        }
        Some(_) => Proof::NotClosed("the reader says the shard has ended, but the listing says it is open".into()),
        None => Proof::NotClosed("the reader says the shard has ended, but it is not in the listing".into()),
    }
}

/// Gives the lease back, or to a successor.
pub(super) fn release(tenancy: Arc<Tenancy>) -> BoxFuture<'static, FarewellDone> {
    async move {
        let farewell = tenancy.shared.orders.successor().map_or(Farewell::Release, |to| Farewell::HandOver { to });
        match tenancy.keeper.farewell(&tenancy.shared, farewell).await {
            Ok(parted) => FarewellDone::Written(parted),
            Err(reason) => FarewellDone::Lost(reason),
        }
    }
    .boxed()
}

/// Writes the end together with the rows of the children.
pub(super) fn write_end(tenancy: Arc<Tenancy>, children: Vec<ChildShard>) -> BoxFuture<'static, FarewellDone> {
    async move {
        let ending = match prepare_end(&tenancy.context, &tenancy.shared.row(), &children).await {
            Ok(ending) => ending,
            Err(error) => return FarewellDone::NotPrepared(error.to_string()),
        };
        let parted = match tenancy.keeper.farewell(&tenancy.shared, Farewell::ShardEnd(ending)).await {
            Ok(parted) => parted,
            Err(reason) => return FarewellDone::Lost(reason),
        };
        FarewellDone::Written(parted)
    }
    .boxed()
}

async fn prepare_end(context: &Context, row: &Lease, children: &[ChildShard]) -> Result<ShardEnding, StoreError> {
    // Those that wait for another parent are made by its finisher, or by the leader if nobody finishes it.
    let what = shard_sync::rows_of_children(context, row, children).await?;
    let (ending, surplus) = ShardEnding::new(row, children, what);
    // Before the end, since nobody reads a child before its parent has ended, and nobody would miss one afterwards.
    shard_sync::create_all(context, &surplus).await?;
    Ok(ending)
}
