//! Where workers tell each other about themselves.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::types::{
    Expect, Heartbeat, Incarnation, LeaderRow, LeaseKey, RowProblem, StoreError, WorkerId, WorkerRow, WriteOutcome,
};

/// Worker rows and the leader row. In KCL 3.5's single table they stand beside the leases, and a scan of the
/// [`LeaseStore`](super::LeaseStore) yields them all together; the trait is separate because another team may keep them
/// elsewhere, and because lease logic need not know of it.
///
/// # Contract
/// The outcomes mean what they mean for leases. Inboxes are sets: adding a key twice is adding it once. `lut`, the time of the
/// last update, has whole seconds, as the KCL has it. A heartbeat without a zone removes the zone. Attributes that the store
/// does not know survive every write, those of the leader row too; a Java leader that takes the lock replaces the whole row,
/// and with it goes what this library adds.
#[async_trait]
pub trait FleetStore: Debug + Send + Sync + 'static {
    /// Writes the first heartbeat of a process over the row that it has `seen` under its id, whoever's that is: a restarted
    /// worker takes over its own id, and the process that had it learns so from its next heartbeat. The inbox is kept,
    /// whatever the heartbeat says was handled.
    ///
    /// Applied if there is no row, or one with the incarnation that was seen (with none, if none was seen in it), or with
    /// that of the heartbeat ([`Heartbeat::may_join_over`] is the reference). Else `Conflict` with the row: another process
    /// joined in between. So a copy of the request that lands when a newer process has the id changes nothing. A row of
    /// another kind under the worker's key is `Refused(Invalid)`.
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow>;

    /// Writes a heartbeat if the row still carries this incarnation, removing the handled keys from the inbox.
    /// `Conflict` means that another process took the worker id over; `Missing` that the row was removed.
    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow>;

    /// Removes the worker's own row if it still carries this incarnation.
    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow>;

    /// One worker's row, read consistently. `Ok(None)` if there is none; unreadable rows are `Ok(Some(Err(..)))`.
    ///
    /// # Errors
    /// [`StoreError`] if the row could not be fetched.
    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError>;

    /// Puts a lease key into a worker's inbox, if the row is there and a worker of this library wrote it (otherwise the
    /// write would make a row that KCL reads as a lease): else `Missing`, or `Conflict` for a foreign row.
    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow>;

    /// Removes the row of another worker that died, if it gave no sign of life since it was `seen`
    /// ([`WorkerRow::moved_since`] is the reference): else `Conflict` with the row, and the worker is not dead. Never
    /// removes a row of another kind, which is `Unreadable`.
    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow>;

    /// The leader lock, read consistently. `Ok(None)` if there is none; an unreadable row is `Ok(Some(Err(..)))`.
    ///
    /// # Errors
    /// [`StoreError`] if the row could not be fetched.
    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError>;

    /// Writes the leader lock, all of it, if its `recordVersionNumber` is the expected one, or if there is no row and none is
    /// expected: takes, renews and releases are one call. Of n writers that expect the same exactly one wins, as long as
    /// each brings a version that nobody had before.
    ///
    /// `Conflict` carries the row as it was. `Missing` means that a version was expected and there is no row. A row that
    /// cannot be read stays as it is (`Unreadable`), whatever was expected. A release is a row with
    /// [`released`](LeaderRow::released): the lock is then free at once, to the KCL's workers as well.
    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow>;
}
