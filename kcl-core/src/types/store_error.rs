//! Why a store did not answer as asked.

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store asks for fewer calls.
    #[error("the lease store throttles: {0}")]
    Throttled(String),
    /// The store cannot be reached, did not answer in time, or failed inside.
    #[error("the lease store is not available: {0}")]
    Unavailable(String),
    /// The table is not there.
    #[error("the lease table is missing: {0}")]
    TableMissing(String),
    /// The credentials do not allow the call.
    #[error("the lease store refuses access: {0}")]
    Denied(String),
    /// The store refuses the request itself; repeating it is of no use.
    #[error("the lease store refuses the request: {0}")]
    Invalid(String),
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_retryable(&self) -> bool {
        match self {
            StoreError::Throttled(_) | StoreError::Unavailable(_) => true,
            // Credentials expire and come back (a role that rotates), so a running worker asks again.
            StoreError::Denied(_) => true,
            StoreError::TableMissing(_) | StoreError::Invalid(_) => false,
        }
    }
}
