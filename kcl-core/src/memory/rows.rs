//! The rows and what each call does to them: the semantics that every store has to show.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::ops::Bound;

use super::request::Request;
use crate::row_names;
use crate::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, Row, RowPage, RowProblem, StepResult, StoreError, TRANSACTION_LIMIT, TransactionOutcome,
    TransactionStep, WorkerId, WorkerRow, WriteOutcome,
};

pub(super) struct Rows {
    rows: BTreeMap<String, Stored>,
    pub(super) page_size: NonZeroUsize,
}

struct Stored {
    content: Result<Row, RowProblem>,
    /// Attributes that nobody here knows: every write leaves them alone.
    extra: BTreeMap<String, String>,
}

impl Default for Rows {
    fn default() -> Self {
        Rows { rows: BTreeMap::new(), page_size: PAGE_SIZE }
    }
}

impl Rows {
    /// Runs a write whose answer nobody waits for any more.
    pub(super) fn run(&mut self, request: &Request) {
        match request {
            Request::Create(lease) => drop(self.create(lease)),
            Request::Update { key, condition, change } => drop(self.update(key, condition, change)),
            Request::Delete { key, condition } => drop(self.delete(key, condition)),
            Request::Transact(steps) => drop(self.transact(steps)),
            Request::Join { heartbeat, seen } => drop(self.join(heartbeat, seen.as_deref())),
            Request::Heartbeat(heartbeat) => drop(self.heartbeat(heartbeat)),
            Request::Leave { worker, incarnation } => drop(self.leave(worker, incarnation)),
            Request::Notify { worker, lease } => drop(self.notify(worker, lease)),
            Request::RemoveWorker(seen) => drop(self.remove_worker(seen)),
            Request::WriteLeader { expected, row } => drop(self.write_leader(expected, row)),
            Request::Start
            | Request::Scan { .. }
            | Request::OwnedBy { .. }
            | Request::Get(_)
            | Request::Worker(_)
            | Request::Leader => {}
        }
    }

    pub(super) fn scan(&self, projection: Projection, page: Option<&PageToken>) -> RowPage {
        let mut answer = RowPage::new(Vec::new(), Vec::new(), None);
        let mut rows = self.after(page);
        for (key, stored) in rows.by_ref().take(self.page_size.get()) {
            match &stored.content {
                Ok(row) => answer.rows.push(projected(row, projection)),
                Err(problem) => answer.unreadable.push(problem.clone()),
            }
            answer.next = Some(PageToken(key.clone()));
        }
        if rows.next().is_none() {
            answer.next = None;
        }
        answer
    }

    pub(super) fn owned_by(&self, owner: &WorkerId, page: Option<&PageToken>) -> KeyPage {
        let owned = |content: &Result<Row, RowProblem>| match content {
            Ok(Row::Lease(lease)) if lease.owner.as_ref() == Some(owner) => Some(lease.key.clone()),
            _ => None,
        };
        let mut keys = self.after(page).filter_map(|(_, stored)| owned(&stored.content));
        let mut answer = KeyPage::new(keys.by_ref().take(self.page_size.get()).collect(), None);
        if keys.next().is_some() {
            answer.next = answer.keys.last().map(|key| PageToken(key.as_str().to_owned()));
        }
        answer
    }

    /// The rows behind the one that the page before ended with.
    fn after(&self, page: Option<&PageToken>) -> impl Iterator<Item = (&String, &Stored)> {
        let start = page.map_or(Bound::Unbounded, |token| Bound::Excluded(token.0.as_str()));
        self.rows.range::<str, _>((start, Bound::Unbounded))
    }

    pub(super) fn lease(&self, key: &LeaseKey) -> Option<Result<Lease, RowProblem>> {
        Some(match &self.rows.get(key.as_str())?.content {
            Ok(Row::Lease(lease)) => Ok((**lease).clone()),
            Ok(other) => Err(not_a(other, "lease")),
            Err(problem) => Err(problem.clone()),
        })
    }

    pub(super) fn create(&mut self, lease: &Lease) -> CreateOutcome {
        if self.rows.contains_key(lease.key.as_str()) {
            return CreateOutcome::Exists;
        }
        self.put(Row::Lease(Box::new(lease.clone())));
        CreateOutcome::Created
    }

    pub(super) fn update(&mut self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> WriteOutcome {
        match self.lease(key) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !condition.holds(&row) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let changed = change.apply(&row);
                self.put(Row::Lease(Box::new(changed.clone())));
                WriteOutcome::Applied(changed)
            }
        }
    }

    pub(super) fn delete(&mut self, key: &LeaseKey, condition: &Condition) -> WriteOutcome {
        match self.lease(key) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !condition.holds(&row) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.rows.remove(key.as_str());
                WriteOutcome::Applied(row)
            }
        }
    }

    pub(super) fn transact(&mut self, steps: &[TransactionStep]) -> TransactionOutcome {
        let named: BTreeSet<&LeaseKey> = steps.iter().map(TransactionStep::key).collect();
        if steps.is_empty() || steps.len() > TRANSACTION_LIMIT || named.len() < steps.len() {
            let problem = format!("a transaction names 1 to {TRANSACTION_LIMIT} rows, each once");
            return TransactionOutcome::Refused(StoreError::Invalid(problem));
        }
        let results: Vec<StepResult> = steps.iter().map(|step| self.check(step)).collect();
        if results.contains(&StepResult::Failed) {
            return TransactionOutcome::Cancelled(results);
        }
        for step in steps {
            match step {
                TransactionStep::Update { key, condition, change } => drop(self.update(key, condition, change)),
                TransactionStep::Create(lease) => drop(self.create(lease)),
                TransactionStep::Exists(_) => {}
            }
        }
        TransactionOutcome::Applied
    }

    fn check(&self, step: &TransactionStep) -> StepResult {
        let held = match step {
            TransactionStep::Update { key, condition, .. } => {
                matches!(self.lease(key), Some(Ok(row)) if condition.holds(&row))
            }
            TransactionStep::Create(lease) => !self.rows.contains_key(lease.key.as_str()),
            TransactionStep::Exists(key) => self.rows.contains_key(key.as_str()),
        };
        if held { StepResult::Held } else { StepResult::Failed }
    }

    pub(super) fn worker(&self, worker: &WorkerId) -> Option<Result<WorkerRow, RowProblem>> {
        Some(match &self.rows.get(worker.as_str())?.content {
            Ok(Row::Worker(row)) => Ok((**row).clone()),
            Ok(other) => Err(not_a(other, "worker")),
            Err(problem) => Err(problem.clone()),
        })
    }

    pub(super) fn join(&mut self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        match self.worker(&heartbeat.worker) {
            // A lease or a row nobody understands must not become a worker's row.
            Some(Err(problem)) => WriteOutcome::Refused(StoreError::Invalid(problem.to_string())),
            Some(Ok(row)) if !heartbeat.may_join_over(&row, seen) => WriteOutcome::Conflict(row),
            row => {
                let inbox = row.and_then(Result::ok).map(|row| row.inbox).unwrap_or_default();
                WriteOutcome::Applied(self.put_worker(heartbeat.row(inbox)))
            }
        }
    }

    pub(super) fn heartbeat(&mut self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        match self.worker(&heartbeat.worker) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.incarnation.as_ref() != Some(&heartbeat.incarnation) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let inbox = row.inbox.difference(&heartbeat.handled).cloned().collect();
                WriteOutcome::Applied(self.put_worker(heartbeat.row(inbox)))
            }
        }
    }

    pub(super) fn leave(&mut self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        match self.worker(worker) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.incarnation.as_ref() != Some(incarnation) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.rows.remove(worker.as_str());
                WriteOutcome::Applied(row)
            }
        }
    }

    pub(super) fn notify(&mut self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        match self.worker(worker) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !row.is_ours() => WriteOutcome::Conflict(row),
            Some(Ok(mut row)) => {
                row.inbox.insert(lease.clone());
                WriteOutcome::Applied(self.put_worker(row))
            }
        }
    }

    pub(super) fn remove_worker(&mut self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        match self.worker(&seen.worker) {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.moved_since(seen) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.rows.remove(seen.worker.as_str());
                WriteOutcome::Applied(row)
            }
        }
    }

    pub(super) fn leader(&self) -> Option<Result<LeaderRow, RowProblem>> {
        Some(match &self.rows.get(row_names::KEY_LEADER)?.content {
            Ok(Row::Leader(row)) => Ok(row.clone()),
            Ok(other) => Err(not_a(other, "leader lock")),
            Err(problem) => Err(problem.clone()),
        })
    }

    pub(super) fn write_leader(&mut self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        match (self.leader(), expected) {
            (None, Expect::Is(_)) => return WriteOutcome::Missing,
            (Some(Err(problem)), _) => return WriteOutcome::Unreadable(problem),
            (Some(Ok(found)), Expect::Absent) => return WriteOutcome::Conflict(found),
            (Some(Ok(found)), Expect::Is(version)) if found.version != *version => {
                return WriteOutcome::Conflict(found);
            }
            (None, Expect::Absent) | (Some(Ok(_)), Expect::Is(_)) => {}
        }
        self.put(Row::Leader(row.clone()));
        WriteOutcome::Applied(row.clone())
    }

    pub(super) fn put(&mut self, row: Row) {
        let key = key_of(&row).to_owned();
        self.store(key, Ok(row));
    }

    fn put_worker(&mut self, row: WorkerRow) -> WorkerRow {
        self.put(Row::Worker(Box::new(row.clone())));
        row
    }

    pub(super) fn put_unreadable(&mut self, problem: RowProblem) {
        self.store(problem.key.clone(), Err(problem));
    }

    fn store(&mut self, key: String, content: Result<Row, RowProblem>) {
        let extra = self.rows.remove(&key).map(|stored| stored.extra).unwrap_or_default();
        self.rows.insert(key, Stored { content, extra });
    }

    pub(super) fn remove(&mut self, key: &str) -> bool {
        self.rows.remove(key).is_some()
    }

    pub(super) fn set_extra(&mut self, key: &str, attribute: String, value: String) -> bool {
        let Some(stored) = self.rows.get_mut(key) else { return false };
        stored.extra.insert(attribute, value);
        true
    }

    pub(super) fn extra(&self, key: &str) -> BTreeMap<String, String> {
        self.rows.get(key).map(|stored| stored.extra.clone()).unwrap_or_default()
    }

    pub(super) fn all(&self) -> Vec<Row> {
        self.rows.values().filter_map(|stored| stored.content.clone().ok()).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}

fn projected(row: &Row, projection: Projection) -> Row {
    let mut row = row.clone();
    if let (Row::Lease(lease), Projection::Planning) = (&mut row, projection) {
        lease.pending = None;
        lease.hash_range = None;
        lease.tip = None;
    }
    row
}

fn not_a(row: &Row, expected: &str) -> RowProblem {
    let kind = match row {
        Row::Lease(_) => row_names::TYPE_LEASE,
        Row::Worker(_) => row_names::TYPE_WORKER,
        Row::Leader(_) => row_names::TYPE_LEADER,
        Row::Other { entity_type, .. } => entity_type,
    };
    RowProblem::new(key_of(row), row_names::ENTITY_TYPE, format!("{kind:?} where a {expected} was expected"))
}

fn key_of(row: &Row) -> &str {
    match row {
        Row::Lease(lease) => lease.key.as_str(),
        Row::Worker(worker) => worker.worker.as_str(),
        Row::Leader(_) => row_names::KEY_LEADER,
        Row::Other { key, .. } => key,
    }
}

/// Large enough that a test sees one page unless it asks for more.
const PAGE_SIZE: NonZeroUsize = NonZeroUsize::new(1_000).expect("is not zero");
