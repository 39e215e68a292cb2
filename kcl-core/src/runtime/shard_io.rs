//! What a shard task asks of the world: each a future that owns what it needs and yields what happened.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::budget::ShardBudget;
use super::context::Context;
use super::lease_keeper::LeaseKeeper;
use super::scan::RowReporter;
use super::shard_sync;
use super::tenure::SharedTenure;
use crate::plan::holding::Farewell;
use crate::ports::{Fetched, LeaseLostReason, ReadError, ShardReader};
use crate::shard::machine::Proof;
use crate::types::{ChildShard, Lease, Shard, ShardRef, WorkerId};

/// What came of a question.
pub(crate) enum IoDone {
    Parents(Result<bool, String>),
    Fetched { reader: Box<dyn ShardReader>, budget: ShardBudget, result: Result<Fetched, ReadError> },
    Proof(Result<Proof, String>),
}

/// What came of ending the tenure.
pub(crate) enum FarewellDone {
    Written,
    Lost(LeaseLostReason),
    /// The children could not be created; the end was not written.
    NotPrepared(String),
}

/// Fetches what comes next. The byte permit is taken only once a call is worth making.
pub(crate) fn fetch(mut reader: Box<dyn ShardReader>, budget: ShardBudget) -> BoxFuture<'static, IoDone> {
    async move {
        reader.ready().await;
        let demand = reader.demand();
        let permit = tokio::select! {
            biased;
            permit = budget.acquire(demand) => permit,
            never = reader.rest() => match never {},
        };
        let result = reader.next(permit).await;
        IoDone::Fetched { reader, budget, result }
    }
    .boxed()
}

/// Whether all parents are over: their rows say so, or are gone.
pub(crate) fn check_parents(context: Arc<Context>, row: Lease) -> BoxFuture<'static, IoDone> {
    async move {
        for parent in &row.parents {
            let key = row.sibling_key(parent);
            let answer = context.within_attempt(context.leases.get(&key)).await;
            match answer.unwrap_or_else(|| Err(context.no_answer())) {
                Ok(None) => {}
                Ok(Some(Ok(parent))) if parent.is_ended() => {}
                Ok(Some(Ok(_))) => return IoDone::Parents(Ok(false)),
                Ok(Some(Err(problem))) => return IoDone::Parents(Err(problem.to_string())),
                Err(error) => return IoDone::Parents(Err(error.to_string())),
            }
        }
        IoDone::Parents(Ok(true))
    }
    .boxed()
}

/// Looks for the closed shard in a fresh listing.
pub(crate) fn prove_end(context: Arc<Context>, shard: ShardRef) -> BoxFuture<'static, IoDone> {
    async move {
        let proof = match context.source.list_shards(shard.stream()).await {
            Ok(listed) => Ok(proof_in(&listed.shards, &shard)),
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
pub(crate) fn release(
    keeper: LeaseKeeper,
    tenure: Arc<SharedTenure>,
    successor: Option<WorkerId>,
) -> BoxFuture<'static, FarewellDone> {
    async move {
        let farewell = successor.map_or(Farewell::Release, |to| Farewell::HandOver { to });
        match keeper.farewell(&tenure, farewell).await {
            Ok(()) => FarewellDone::Written,
            Err(reason) => FarewellDone::Lost(reason),
        }
    }
    .boxed()
}

/// Creates the children, then writes the end.
///
/// In this order: a worker that dies in between leaves a parent that is not ended, so its next owner does both again. The
/// other way round the children would have no rows until somebody compared the table with the stream. Nobody reads a child
/// before its parent has ended, since its row names the parent.
pub(crate) fn write_end(
    context: Arc<Context>,
    keeper: LeaseKeeper,
    tenure: Arc<SharedTenure>,
    row: Lease,
    children: Vec<ChildShard>,
) -> BoxFuture<'static, FarewellDone> {
    async move {
        let waiting = match shard_sync::create_children(&context, &row, &children).await {
            Ok(waiting) => waiting,
            Err(error) => return FarewellDone::NotPrepared(error.to_string()),
        };
        let ids = children.into_iter().map(|child| child.id).collect();
        if let Err(reason) = keeper.farewell(&tenure, Farewell::ShardEnd(ids)).await {
            return FarewellDone::Lost(reason);
        }
        if !waiting.is_empty() {
            // The child of a merge whose other parent has no row: usually the finisher of that one makes it. If the other
            // parent was trimmed long ago nobody finishes it; the whole listing tells.
            if let Err(error) = shard_sync::create_missing(&context, &mut RowReporter::default()).await {
                tracing::warn!(lease_key = %row.key, %error, "children of a merge were not checked; a later start does");
            }
        }
        FarewellDone::Written
    }
    .boxed()
}
