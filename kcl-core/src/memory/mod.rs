//! Lease and fleet store in memory: the reference of the semantics, with scripted faults.

mod fault;
mod request;
mod rows;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

pub use fault::{Fault, FaultRule};
pub use request::{Call, Operation, Request};

use crate::ports::{FleetStore, LeaseStore, StoreStartError};
use crate::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, Row, RowPage, RowProblem, StoreError, TransactionOutcome, TransactionStep, WorkerId,
    WorkerRow, WriteOutcome,
};
use fault::Script;
use rows::Rows;

/// A lease table in memory. Clones share it, so each worker of a test or a simulation gets a clone.
///
/// It is the reference for every other store: conditions are [`Condition::holds`], changes [`LeaseChange::apply`], rows
/// come in the order of their keys, and a call takes effect in the instant in which its future is first polled. Its
/// futures never wait, so they are cancel safe: each has its effect or was never polled.
///
/// # Faults
/// [`script`](MemoryStore::script) adds [`FaultRule`]s: calls that are refused, whose answer or request is lost, or that
/// land late. [`log_calls`](MemoryStore::log_calls) keeps a log of what was asked, for tests.
///
/// # Foreign writers
/// `put_*` and [`set_extra`](MemoryStore::set_extra) write as another library, an operator or a newer version would: no
/// condition, no fault and no line in the log.
#[derive(Clone, Default)]
pub struct MemoryStore {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    rows: Rows,
    script: Script,
    /// `None` while nobody asked for a log: a long simulation must not grow by its calls.
    log: Option<Vec<Call>>,
}

impl MemoryStore {
    /// An empty table.
    pub fn new() -> Self {
        MemoryStore::default()
    }

    /// Sets how many rows a page of a scan or a query has; 1,000 at first. Holds for pages asked for from now on.
    pub fn set_page_size(&self, rows: NonZeroUsize) {
        self.lock().rows.page_size = rows;
    }

    /// Adds a rule at the end of the script.
    pub fn script(&self, rule: FaultRule) {
        self.lock().script.add(rule);
    }

    /// Removes all rules. Requests that wait to land late stay.
    pub fn clear_script(&self) {
        self.lock().script.clear();
    }

    /// Lets every request land that is held back by [`Fault::Late`], in the order in which they were made. Says how many.
    pub fn land_late(&self) -> usize {
        let table = &mut *self.lock();
        let late = table.script.take_late();
        late.iter().for_each(|request| table.rows.run(request));
        late.len()
    }

    /// Begins to log calls, with an empty log.
    pub fn log_calls(&self) {
        self.lock().log = Some(Vec::new());
    }

    /// Takes the calls logged so far; the log goes on empty. Nothing unless [`log_calls`](MemoryStore::log_calls) was
    /// called.
    pub fn take_calls(&self) -> Vec<Call> {
        self.lock().log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Writes a row as another library would, whatever stood under its key before; unknown attributes stay.
    pub fn put_row(&self, row: Row) {
        self.lock().rows.put(row);
    }

    /// Writes a row that cannot be read. Its key is the one that the problem names.
    pub fn put_unreadable(&self, problem: RowProblem) {
        self.lock().rows.put_unreadable(problem);
    }

    /// Gives a row an attribute that this library does not know. `false` if there is no such row.
    pub fn set_extra(&self, key: &str, attribute: impl Into<String>, value: impl Into<String>) -> bool {
        self.lock().rows.set_extra(key, attribute.into(), value.into())
    }

    /// The unknown attributes of a row; empty also if there is no such row.
    pub fn extra(&self, key: &str) -> BTreeMap<String, String> {
        self.lock().rows.extra(key)
    }

    /// Removes a row, whatever it is. `false` if there is none.
    pub fn remove_row(&self, key: &str) -> bool {
        self.lock().rows.remove(key)
    }

    /// All readable rows in the order of their keys, for assertions.
    pub fn rows(&self) -> Vec<Row> {
        self.lock().rows.all()
    }

    /// One lease, for assertions; `None` if there is none or it cannot be read.
    pub fn lease(&self, key: &LeaseKey) -> Option<Lease> {
        self.lock().rows.lease(key)?.ok()
    }

    /// A panic of one test's thread must not hide behind a poisoned lock in another: no method leaves the table half
    /// changed.
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<R>(&self, request: Request, answer: impl FnOnce(&Rows) -> R) -> Result<R, StoreError> {
        let table = &mut *self.lock();
        match table.admit(request) {
            None => Ok(answer(&table.rows)),
            Some(Fault::Refuse(error)) => Err(error),
            Some(Fault::LoseAnswer | Fault::LoseRequest | Fault::Late { .. }) => Err(lost()),
        }
    }

    fn write<R: Outcome>(&self, request: Request, effect: impl FnOnce(&mut Rows) -> R) -> R {
        let table = &mut *self.lock();
        match table.admit(request) {
            None => effect(&mut table.rows),
            Some(Fault::Refuse(error)) => R::refused(error),
            Some(Fault::LoseAnswer) => {
                effect(&mut table.rows);
                R::unknown(lost())
            }
            // A late request was kept by the script and has its effect there.
            Some(Fault::LoseRequest | Fault::Late { .. }) => R::unknown(lost()),
        }
    }
}

impl Table {
    /// Counts and logs the call, lets land what was due before it, and asks the script about it.
    fn admit(&mut self, request: Request) -> Option<Fault> {
        for late in self.script.due_before_next_call() {
            self.rows.run(&late);
        }
        let fault = self.script.fault_for(&request);
        if let Some(log) = &mut self.log {
            log.push(Call { request, fault: fault.clone() });
        }
        fault
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("no answer came (scripted)".into())
}

/// What all outcomes of writes have in common.
trait Outcome {
    fn refused(error: StoreError) -> Self;
    fn unknown(error: StoreError) -> Self;
}

macro_rules! outcome {
    ($name:ident $(<$row:ident>)?) => {
        impl $(<$row>)? Outcome for $name $(<$row>)? {
            fn refused(error: StoreError) -> Self {
                $name::Refused(error)
            }
            fn unknown(error: StoreError) -> Self {
                $name::Unknown(error)
            }
        }
    };
}

outcome!(CreateOutcome);
outcome!(TransactionOutcome);
outcome!(WriteOutcome<R>);

#[async_trait]
impl LeaseStore for MemoryStore {
    async fn start(&self) -> Result<(), StoreStartError> {
        Ok(self.read(Request::Start, |_| ())?)
    }

    async fn scan(&self, projection: Projection, page: Option<PageToken>) -> Result<RowPage, StoreError> {
        let request = Request::Scan { projection, page: page.clone() };
        self.read(request, |rows| rows.scan(projection, page.as_ref()))
    }

    async fn owned_by(&self, owner: &WorkerId, page: Option<PageToken>) -> Result<KeyPage, StoreError> {
        let request = Request::OwnedBy { owner: owner.clone(), page: page.clone() };
        self.read(request, |rows| rows.owned_by(owner, page.as_ref()))
    }

    async fn get(&self, key: &LeaseKey) -> Result<Option<Result<Lease, RowProblem>>, StoreError> {
        self.read(Request::Get(key.clone()), |rows| rows.lease(key))
    }

    async fn create(&self, lease: &Lease) -> CreateOutcome {
        self.write(Request::Create(Box::new(lease.clone())), |rows| rows.create(lease))
    }

    async fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        let request =
            Request::Update { key: key.clone(), condition: condition.clone(), change: Box::new(change.clone()) };
        self.write(request, |rows| rows.update(key, condition, change))
    }

    async fn delete(&self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        let request = Request::Delete { key: key.clone(), condition: condition.clone() };
        self.write(request, |rows| rows.delete(key, condition))
    }

    async fn transact(&self, steps: &[TransactionStep]) -> TransactionOutcome {
        self.write(Request::Transact(steps.to_vec()), |rows| rows.transact(steps))
    }
}

#[async_trait]
impl FleetStore for MemoryStore {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        let request = Request::Join { heartbeat: Box::new(heartbeat.clone()), seen: seen.cloned().map(Box::new) };
        self.write(request, |rows| rows.join(heartbeat, seen))
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        self.write(Request::Heartbeat(Box::new(heartbeat.clone())), |rows| rows.heartbeat(heartbeat))
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        let request = Request::Leave { worker: worker.clone(), incarnation: incarnation.clone() };
        self.write(request, |rows| rows.leave(worker, incarnation))
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        self.read(Request::Worker(worker.clone()), |rows| rows.worker(worker))
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        let request = Request::Notify { worker: worker.clone(), lease: lease.clone() };
        self.write(request, |rows| rows.notify(worker, lease))
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        self.write(Request::RemoveWorker(Box::new(seen.clone())), |rows| rows.remove_worker(seen))
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        self.read(Request::Leader, Rows::leader)
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        let request = Request::WriteLeader { expected: expected.clone(), row: Box::new(row.clone()) };
        self.write(request, |rows| rows.write_leader(expected, row))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("rows", &self.lock().rows.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
