//! The calls of the lease keeper: each a future that owns what it needs and yields what came of it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::super::context::Context;
use crate::plan::holding::{EndOutcome, Write};
use crate::plan::transition::{self, LeaseWrite};
use crate::types::{
    Backoff, CreateOutcome, Lease, LeaseKey, Moment, StepResult, StoreError, Tenure, TransactionOutcome,
    TransactionStep, WorkerId, WriteOutcome,
};

pub(super) enum Answer {
    Begun { key: LeaseKey, sent: Moment, outcome: WriteOutcome },
    Written { tenure: Tenure, sent: Moment, outcome: WriteOutcome },
    Ended { tenure: Tenure, sent: Moment, outcome: EndOutcome },
    Restored { last: Lease, failures: u32, outcome: CreateOutcome },
    Noticed,
}

impl Answer {
    /// When the write was sent that this answers, and whether the table asked for fewer; `None` for calls that do not go
    /// through the outbox.
    pub(super) fn to_outbox(&self) -> Option<(Moment, bool)> {
        let throttled = |outcome: &WriteOutcome| matches!(outcome, WriteOutcome::Refused(StoreError::Throttled(_)));
        match self {
            Answer::Begun { sent, outcome, .. } | Answer::Written { sent, outcome, .. } => {
                Some((*sent, throttled(outcome)))
            }
            Answer::Ended { sent, outcome: EndOutcome::Settled(outcome), .. } => Some((*sent, throttled(outcome))),
            Answer::Ended { sent, .. } => Some((*sent, false)),
            Answer::Restored { .. } | Answer::Noticed => None,
        }
    }
}

/// Begins a tenure with a write that is sent now.
pub(super) fn begin(
    context: Arc<Context>,
    key: LeaseKey,
    write: Box<LeaseWrite>,
    sent: Moment,
) -> BoxFuture<'static, Answer> {
    async move {
        let outcome = context.attempt(context.leases.update(&key, &write.condition, &write.change)).await;
        Answer::Begun { key, sent, outcome }
    }
    .boxed()
}

/// Writes what is due for a tenure, now.
pub(super) fn write(context: Arc<Context>, tenure: Tenure, write: Write, sent: Moment) -> BoxFuture<'static, Answer> {
    async move {
        match write {
            Write::Row(write) => {
                let update = context.leases.update(&tenure.lease, &write.condition, &write.change);
                let outcome = context.attempt(update).await;
                Answer::Written { tenure, sent, outcome }
            }
            Write::End(steps) => {
                let outcome = end(&context, &tenure.lease, &steps).await;
                Answer::Ended { tenure, sent, outcome }
            }
        }
    }
    .boxed()
}

/// A transaction answers without rows, so where its answer leaves open how the shard stands, the row is read.
async fn end(context: &Context, key: &LeaseKey, steps: &[TransactionStep]) -> EndOutcome {
    let outcome = context.within_attempt(context.leases.transact(steps)).await;
    match outcome.unwrap_or_else(|| TransactionOutcome::Unknown(context.no_answer())) {
        TransactionOutcome::Applied => EndOutcome::Applied,
        TransactionOutcome::Cancelled(results) if results.first() == Some(&StepResult::Failed) => {
            EndOutcome::Settled(Box::new(read(context, key).await))
        }
        TransactionOutcome::Cancelled(results) => EndOutcome::Blocked(results),
        TransactionOutcome::Refused(error) => EndOutcome::Settled(Box::new(WriteOutcome::Refused(error))),
        // Only a row that has ended settles it: what was sent may still land.
        TransactionOutcome::Unknown(error) => EndOutcome::Settled(Box::new(match read(context, key).await {
            WriteOutcome::Conflict(row) if row.is_ended() => WriteOutcome::Conflict(row),
            _ => WriteOutcome::Unknown(error),
        })),
    }
}

/// The row as it is, as the answer to a write whose condition did not hold.
async fn read(context: &Context, key: &LeaseKey) -> WriteOutcome {
    match context.within_attempt(context.leases.get(key)).await {
        Some(Ok(Some(Ok(row)))) => WriteOutcome::Conflict(row),
        Some(Ok(Some(Err(problem)))) => WriteOutcome::Unreadable(problem),
        Some(Ok(None)) => WriteOutcome::Missing,
        Some(Err(error)) => WriteOutcome::Refused(error),
        None => WriteOutcome::Refused(context.no_answer()),
    }
}

/// Makes a row that was deleted again, where its holder stood.
pub(super) fn restore(context: Arc<Context>, last: Lease, failures: u32) -> BoxFuture<'static, Answer> {
    let attempt = context.settings.timings.attempt;
    let backoff = Backoff { first: attempt, most: 10 * attempt };
    let delay = if failures == 0 { Duration::ZERO } else { backoff.delay(failures, context.random()) };
    async move {
        context.clock.sleep_until(context.clock.now() + delay).await;
        let row = transition::restored(&last, context.creation_counter());
        tracing::warn!(lease_key = %row.key, checkpoint = %row.checkpoint, "a lease row was deleted; it is made again");
        let outcome = context.within_attempt(context.leases.create(&row)).await;
        let outcome = outcome.unwrap_or_else(|| CreateOutcome::Unknown(context.no_answer()));
        Answer::Restored { last, failures, outcome }
    }
    .boxed()
}

/// Puts a lease into the inbox of the worker that its row names now, so that it begins at once. Only a hint: whoever misses
/// it finds the row in the index, or the leader does.
pub(super) fn notice(context: Arc<Context>, to: WorkerId, key: LeaseKey) -> BoxFuture<'static, Answer> {
    async move {
        let backoff = Backoff { first: context.settings.timings.attempt / 5, most: context.settings.timings.attempt };
        for failures in 1..=NOTICES {
            match context.attempt(context.fleet.notify(&to, &key)).await {
                WriteOutcome::Applied(_) => break,
                WriteOutcome::Refused(error) | WriteOutcome::Unknown(error) if error.is_retryable() => {
                    tracing::debug!(lease_key = %key, worker_id = %to, %error, "the successor was not told yet");
                    let pause = backoff.delay(failures, context.random());
                    context.clock.sleep_until(context.clock.now() + pause).await;
                }
                WriteOutcome::Missing => {
                    free(&context, &to, &key).await;
                    break;
                }
                other => {
                    tracing::debug!(lease_key = %key, worker_id = %to, outcome = ?other, "the successor has no inbox");
                    break;
                }
            }
        }
        Answer::Noticed
    }
    .boxed()
}

/// The successor has left in the same moment: nobody would begin before the row counts as expired. If it still names the
/// one who is gone, it names nobody from now on, and the leader gives it to another one at once.
async fn free(context: &Context, gone: &WorkerId, key: &LeaseKey) {
    let Some(Ok(Some(Ok(row)))) = context.within_attempt(context.leases.get(key)).await else { return };
    if row.owner.as_ref() != Some(gone) || row.checkpoint_owner.is_some() {
        return;
    }
    let LeaseWrite { condition, change } = transition::free(&row);
    let outcome = context.attempt(context.leases.update(key, &condition, &change)).await;
    tracing::info!(lease_key = %key, worker_id = %gone, ?outcome, "the successor is gone; the lease is given to nobody");
}

/// How often a notice is tried.
const NOTICES: u32 = 3;
