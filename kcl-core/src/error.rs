//! Why a worker cannot start, or ended.

use crate::ports::{SourceError, StoreStartError};
use crate::settings::InvalidSettings;
use crate::types::{StoreError, Timestamp};

/// Why a worker could not be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Settings are wrong; every problem is listed.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// A component is missing.
    #[error("{missing} is missing: {cure}")]
    Missing {
        /// What is missing.
        missing: &'static str,
        /// How to provide it.
        cure: &'static str,
    },
}

/// Why a worker could not start, or ended without being asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The lease table cannot be used as it is.
    #[error(transparent)]
    LeaseTable(StoreStartError),
    /// The lease table cannot be reached, or it went away while the worker ran.
    #[error("{action}: {error}; {cure}")]
    Store {
        /// What the worker was doing.
        action: &'static str,
        /// What the store said.
        error: StoreError,
        /// What to do about it.
        cure: &'static str,
    },
    /// The stream cannot be listed, or not be made ready for reading.
    #[error("{action}: {error}; {cure}")]
    Stream {
        /// What the worker was doing.
        action: &'static str,
        /// What the source said.
        error: SourceError,
        /// What to do about it.
        cure: &'static str,
    },
    /// The provider of streams did not say which are wanted, so there is nothing to begin with.
    #[error("the provider of streams does not say which are wanted: {0}")]
    StreamSet(String),
    /// Another process uses the same worker id.
    #[error("another process took over the worker id {worker}; give every worker an id of its own, or leave it out")]
    WorkerIdTaken {
        /// The id in question.
        worker: String,
    },
    /// The stream was deleted and created again under the same name: the positions in the lease table are of the old one.
    #[error(
        "the lease {lease} is of a stream {stream} that was created at {then} and is gone; the one there is now was created at {now}. Its positions mean nothing there: delete the lease table, or use another application name, to read the new stream from its start position"
    )]
    StreamRecreated {
        /// The stream, by name or ARN.
        stream: String,
        /// The key of a row of the old stream.
        lease: String,
        /// When the old stream was created.
        then: Timestamp,
        /// When the new stream was created.
        now: Timestamp,
    },
    /// A part of the worker ended in a defect of this library. Leases were given up.
    #[error("the worker's {task} ended in a defect of this library: {message}; please report it")]
    Internal {
        /// Which part.
        task: &'static str,
        /// What it said.
        message: String,
    },
    /// Signals cannot be waited for.
    #[error("waiting for signals is not possible here: {0}; use start() and stop() instead")]
    Signals(String),
    /// The worker was aborted before it had drained.
    #[error("the worker was aborted before its leases were given back; others take them after the failover time")]
    Aborted,
}

impl WorkerError {
    pub(crate) fn store(action: &'static str, error: StoreError) -> Self {
        let cure = match &error {
            StoreError::Throttled(_) => "raise the capacity of the table, or failover_time",
            StoreError::Unavailable(_) => "check the endpoint, the region and the network",
            StoreError::TableMissing(_) => {
                "the table was deleted; a new start creates it, and begins at the start position"
            }
            StoreError::Denied(_) => "check the credentials and the policy for the lease table",
            StoreError::Invalid(_) => "check that the table is a lease table of KCL 3.5 and the endpoint a DynamoDB",
        };
        WorkerError::Store { action, error, cure }
    }

    pub(crate) fn stream(action: &'static str, error: SourceError) -> Self {
        let cure = match &error {
            SourceError::NotFound { .. } => "check its name, the region and the account, or create it",
            SourceError::Throttled(_) => "other programs call it as well; try again later",
            SourceError::Unavailable(_) => "check the endpoint, the region and the network",
            SourceError::Denied(_) => "check the credentials and the policy for the stream",
            SourceError::Invalid(_) => "check the stream and that the endpoint is a Kinesis",
            SourceError::ConsumerLimit(_) => "deregister one that is not used, or choose the reader polling or auto",
        };
        WorkerError::Stream { action, error, cure }
    }
}
