//! The right to hold a number of bytes in memory, as a value that travels with the data.

use std::fmt;
use std::sync::Arc;

/// Takes back bytes that a [`BytePermit`] no longer needs.
pub trait ByteAccount: Send + Sync {
    /// `bytes` are free again.
    fn give_back(&self, bytes: usize);
    /// `bytes` more are in use than were asked for: a response was larger than foreseen.
    fn overdraw(&self, bytes: usize);
    /// Takes `bytes` more if there is room for them; otherwise nothing changes. An account that cannot say has no room.
    fn try_take(&self, bytes: usize) -> bool {
        let _cannot_say = bytes;
        false
    }
}

/// The right to hold up to [`bytes`](BytePermit::bytes) in memory. Dropping it gives them back.
///
/// A fetch starts only with a permit; the permit then belongs to the buffer of the batch and comes back when the last
/// record of it is dropped or detached.
pub struct BytePermit {
    bytes: usize,
    account: Option<Arc<dyn ByteAccount>>,
}

impl BytePermit {
    /// A permit over bytes that were taken from `account`.
    pub fn new(bytes: usize, account: Arc<dyn ByteAccount>) -> Self {
        BytePermit { bytes, account: Some(account) }
    }

    /// A permit that nobody counts, for tests and for code without a budget.
    pub fn unlimited() -> Self {
        BytePermit { bytes: usize::MAX, account: None }
    }

    /// How many bytes may be held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Raises the permit to `bytes` if it is not there yet and its account has room. Whether it is there now.
    pub(crate) fn grow(&mut self, bytes: usize) -> bool {
        if self.bytes >= bytes {
            return true;
        }
        let granted = self.account.as_ref().is_none_or(|account| account.try_take(bytes - self.bytes));
        if granted {
            self.bytes = bytes;
        }
        granted
    }

    /// A permit over `bytes` more of the same account, which may overdraw it.
    pub(crate) fn more(&self, bytes: usize) -> BytePermit {
        if let Some(account) = &self.account {
            account.overdraw(bytes);
        }
        BytePermit { bytes, account: self.account.clone() }
    }

    /// Makes the permit fit what really arrived: gives back what was not needed, or overdraws the account by what came
    /// on top.
    pub fn resize(&mut self, actual: usize) {
        let Some(account) = &self.account else { return };
        match actual.cmp(&self.bytes) {
            std::cmp::Ordering::Less => account.give_back(self.bytes - actual),
            std::cmp::Ordering::Greater => account.overdraw(actual - self.bytes),
            std::cmp::Ordering::Equal => {}
        }
        self.bytes = actual;
    }
}

impl Drop for BytePermit {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give_back(self.bytes);
        }
    }
}

impl fmt::Debug for BytePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BytePermit({})", self.bytes)
    }
}
