//! From SQLite's errors to the store's, and whether a call that met one may have had its effect.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::types::{CreateOutcome, StoreError, TransactionOutcome, WriteOutcome};

/// Why a write has no outcome of its own.
#[derive(Debug)]
pub(super) enum Failed {
    /// It certainly had no effect.
    Refused(StoreError),
    /// It may have had its effect.
    Unknown(StoreError),
}

impl<R> From<Failed> for WriteOutcome<R> {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) => WriteOutcome::Refused(error),
            Failed::Unknown(error) => WriteOutcome::Unknown(error),
        }
    }
}

impl From<Failed> for CreateOutcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) => CreateOutcome::Refused(error),
            Failed::Unknown(error) => CreateOutcome::Unknown(error),
        }
    }
}

impl From<Failed> for TransactionOutcome {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) => TransactionOutcome::Refused(error),
            Failed::Unknown(error) => TransactionOutcome::Unknown(error),
        }
    }
}

/// For a read nothing depends on whether it happened.
impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) | Failed::Unknown(error) => error,
        }
    }
}

pub(super) fn store_error(path: &Path, error: &rusqlite::Error) -> StoreError {
    let text = format!("{}: {error}", path.display());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Throttled(text),
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::AuthorizationForStatementDenied) => {
            StoreError::Denied(text)
        }
        // The disk and the memory may recover.
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::DiskFull
            | ErrorCode::OutOfMemory
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted
            | ErrorCode::OperationAborted,
        ) => StoreError::Unavailable(text),
        // A damaged file, a table that is not as it was made, a defect here: no repetition mends it.
        _ => StoreError::Invalid(text),
    }
}
