//! Creates the leases that are missing.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::context::Context;
use super::scan::{RowReporter, scan};
use crate::plan::shard_sync::{Creation, children_of, missing_leases};
use crate::ports::SourceError;
use crate::types::{ChildShard, CreateOutcome, Lease, LeaseKey, Projection, Row, ShardId, StoreError, Timestamp};

/// Why leases could not be created.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum SyncError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many creations are under way at a time.
const CREATIONS: usize = 32;

/// Lists the shards, compares them with the rows, and creates what is missing. Any number of workers may do it at once.
pub(crate) async fn create_missing(context: &Context, rows: &mut RowReporter) -> Result<usize, SyncError> {
    let asked = context.wall();
    let listed = context.source.list_shards(&context.settings.stream).await?;
    // LATEST is pinned to the service's clock; without one, to ours from before it was asked, so that nothing is missed.
    let listed_at = listed.service_time.unwrap_or(asked);
    let (found, problems) = scan(context, Projection::All).await?;
    let leases: Vec<Lease> = rows
        .sift(found, problems)
        .into_iter()
        .filter_map(|row| match row {
            Row::Lease(lease) => Some(*lease),
            _ => None,
        })
        .collect();
    let by_key: BTreeMap<LeaseKey, &Lease> = leases.iter().map(|lease| (lease.key.clone(), lease)).collect();
    let missing = missing_leases(&listed.shards, &by_key, &creation(context, listed_at));
    create_all(context, &missing).await?;
    if !missing.is_empty() {
        tracing::info!(shards = listed.shards.len(), created = missing.len(), "leases created");
    }
    Ok(missing.len())
}

fn creation(context: &Context, listed_at: Timestamp) -> Creation {
    Creation {
        start: context.settings.start,
        listed_at,
        creator: context.worker.clone(),
        counter: context.creation_counter(),
    }
}

/// The rows of the children that were named at the end of `parent`, as they are to be created, and the children that have
/// to wait for another parent.
pub(crate) async fn rows_of_children(
    context: &Context,
    parent: &Lease,
    children: &[ChildShard],
) -> Result<(Vec<Lease>, Vec<ShardId>), StoreError> {
    let mut others = BTreeMap::new();
    for other in children.iter().flat_map(|child| &child.parents) {
        let key = parent.sibling_key(other);
        if key == parent.key || others.contains_key(&key) {
            continue;
        }
        let row = context.within_attempt(context.leases.get(&key)).await;
        match row.unwrap_or_else(|| Err(context.no_answer()))? {
            Some(Ok(row)) => drop(others.insert(key, row)),
            Some(Err(problem)) => return Err(StoreError::Invalid(problem.to_string())),
            None => {}
        }
    }
    Ok(children_of(parent, children, &others, &creation(context, context.wall())))
}

/// Creates rows; those that exist already stay as they are.
pub(crate) async fn create_all(context: &Context, leases: &[Lease]) -> Result<(), StoreError> {
    for some in leases.chunks(CREATIONS) {
        let creations = some.iter().map(|lease| create(context, lease).boxed());
        for outcome in join_all(creations).await {
            outcome?;
        }
    }
    Ok(())
}

async fn create(context: &Context, lease: &Lease) -> Result<(), StoreError> {
    let outcome = context.within_attempt(context.leases.create(lease)).await;
    match outcome.unwrap_or_else(|| CreateOutcome::Unknown(context.no_answer())) {
        CreateOutcome::Created | CreateOutcome::Exists => Ok(()),
        // Perhaps created, perhaps not: a repetition by the caller finds out.
        CreateOutcome::Refused(error) | CreateOutcome::Unknown(error) => Err(error),
    }
}
