//! The steps of a transaction without one.

use super::LeaseStore;
use crate::types::{CreateOutcome, StepResult, TransactionOutcome, TransactionStep, WriteOutcome};

/// Applies the steps of a transaction one after the other, for a [`LeaseStore`] over a table that has no transactions, which
/// is what some implementations of DynamoDB's API are. First all checks, then the rows to create, the changes last.
///
/// It falls short of the contract of [`transact`](LeaseStore::transact) in one thing: rows that were created stay, whatever
/// becomes of the steps after them. The runtime lives with that, as it only ends shards by transactions. Whoever stops
/// between two steps of an end leaves rows of children whose parent has not ended. They are read by nobody, whoever they
/// name, before the parent's row says that it has; and the parent is read and ended by whoever has it next, who finds the
/// rows and leaves them alone. In the other order children could be missing behind an ended parent, until the leader looks.
///
/// # Cancel safety
/// Dropping the future leaves open which steps were applied, as with every write.
pub async fn transact_row_by_row<S>(store: &S, steps: &[TransactionStep]) -> TransactionOutcome
where
    S: LeaseStore + ?Sized,
{
    let mut results = vec![StepResult::Held; steps.len()];
    for (step, result) in steps.iter().zip(&mut results) {
        let TransactionStep::Exists(key) = step else { continue };
        match store.get(key).await {
            Ok(Some(_)) => {}
            Ok(None) => *result = StepResult::Failed,
            Err(error) => return TransactionOutcome::Refused(error),
        }
    }
    if results.contains(&StepResult::Failed) {
        return TransactionOutcome::Cancelled(results);
    }
    for (step, result) in steps.iter().zip(&mut results) {
        let TransactionStep::Create(lease) = step else { continue };
        match store.create(lease).await {
            CreateOutcome::Created => {}
            CreateOutcome::Exists => *result = StepResult::Failed,
            CreateOutcome::Refused(error) => return TransactionOutcome::Refused(error),
            CreateOutcome::Unknown(error) => return TransactionOutcome::Unknown(error),
        }
    }
    if results.contains(&StepResult::Failed) {
        return TransactionOutcome::Cancelled(results);
    }
    for (step, result) in steps.iter().zip(&mut results) {
        let TransactionStep::Update { key, condition, change } = step else { continue };
        match store.update(key, condition, change).await {
            WriteOutcome::Applied(_) => {}
            WriteOutcome::Conflict(_) | WriteOutcome::Missing | WriteOutcome::Unreadable(_) => {
                *result = StepResult::Failed;
                return TransactionOutcome::Cancelled(results);
            }
            WriteOutcome::Refused(error) => return TransactionOutcome::Refused(error),
            WriteOutcome::Unknown(error) => return TransactionOutcome::Unknown(error),
        }
    }
    TransactionOutcome::Applied
}
