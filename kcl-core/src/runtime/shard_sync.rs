//! Creates rows of leases.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::context::Context;
use crate::plan::shard_sync::{Children, Creation, children_of};
use crate::settings::InitialPosition;
use crate::types::{ChildShard, CreateOutcome, Lease, StoreError, Timestamp};

/// How many creations are under way at a time.
const CREATIONS: usize = 32;

/// What new rows of this worker have in common. `start`: where shards begin that no row leads to; `listed_at`: the instant to
/// which LATEST is pinned; `stream`: as it stands in keys.
pub(super) fn creation(
    context: &Context,
    (start, listed_at): (InitialPosition, Timestamp),
    stream: Option<&str>,
    stream_created: Option<Timestamp>,
) -> Creation {
    Creation {
        start,
        listed_at,
        creator: context.worker.clone(),
        counter: context.creation_counter(),
        stream_created,
        stream: stream.map(str::to_owned),
    }
}

/// What is to be done for the children that were named at the end of `parent`.
pub(crate) async fn rows_of_children(
    context: &Context,
    parent: &Lease,
    children: &[ChildShard],
) -> Result<Children, StoreError> {
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
    // A row leads to all of them, so nothing begins at the start position.
    let start = (InitialPosition::TrimHorizon, context.wall());
    let creation = creation(context, start, parent.stream(), parent.stream_created);
    Ok(children_of(parent, children, &others, &creation))
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

/// Creates one row. One that exists already stays as it is.
pub(super) async fn create(context: &Context, lease: &Lease) -> Result<(), StoreError> {
    let outcome = context.within_attempt(context.leases.create(lease)).await;
    match outcome.unwrap_or_else(|| CreateOutcome::Unknown(context.no_answer())) {
        CreateOutcome::Created | CreateOutcome::Exists => Ok(()),
        // Perhaps created, perhaps not: a repetition by the caller finds out.
        CreateOutcome::Refused(error) | CreateOutcome::Unknown(error) => Err(error),
    }
}
