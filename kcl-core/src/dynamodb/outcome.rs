//! What the answer to a conditional write says of the row.

use super::errors::Failure;
use super::fields::Item;
use crate::types::{RowProblem, StoreError, WriteOutcome};

/// How an item is read as the row it must be.
pub(super) type Reader<R> = fn(&Item) -> Result<R, RowProblem>;

/// The write was done, and this is the row after it (or the removed one).
pub(super) fn applied<R>(item: Option<&Item>, read: Reader<R>) -> WriteOutcome<R> {
    // Without a readable row the caller cannot be told `Applied`, and to say that nothing was written would be untrue.
    // A repetition with the same condition settles it.
    match item.map(read) {
        Some(Ok(row)) => WriteOutcome::Applied(row),
        Some(Err(problem)) => WriteOutcome::Unknown(StoreError::Invalid(format!("written, but then {problem}"))),
        None => WriteOutcome::Unknown(StoreError::Unavailable("written, but answered without the row".to_owned())),
    }
}

/// The condition did not hold, and this was the row.
pub(super) fn conflicting<R>(item: Option<&Item>, read: Reader<R>) -> WriteOutcome<R> {
    match item.filter(|item| !item.is_empty()).map(read) {
        Some(Ok(row)) => WriteOutcome::Conflict(row),
        Some(Err(problem)) => WriteOutcome::Unreadable(problem),
        None => WriteOutcome::Missing,
    }
}

impl<R> From<Failure> for WriteOutcome<R> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => WriteOutcome::Refused(error),
            Failure::Unknown(error) => WriteOutcome::Unknown(error),
        }
    }
}
