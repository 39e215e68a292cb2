//! What each call does to the rows, within one transaction of the database.

use std::collections::BTreeSet;

use rusqlite::{Connection, OptionalExtension, params};

use super::decode;
use super::document::Document;
use super::encode::{self, Members};
use crate::row_names as a;
use crate::types::{
    Condition, CreateOutcome, Expect, Heartbeat, Incarnation, KeyPage, LeaderRow, Lease, LeaseChange, LeaseKey,
    PageToken, Projection, RowPage, RowProblem, StepResult, StoreError, TRANSACTION_LIMIT, TransactionOutcome,
    TransactionStep, WorkerId, WorkerRow, WriteOutcome,
};

/// The rows as one transaction sees them. A write runs in an immediate transaction: between its read and its write nobody
/// else writes.
pub(super) struct Rows<'a> {
    pub(super) connection: &'a Connection,
}

type Sqlite<T> = rusqlite::Result<T>;

impl Rows<'_> {
    pub(super) fn scan(&self, projection: Projection, page: Option<&PageToken>, size: usize) -> Sqlite<RowPage> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, CAST(document AS BLOB) FROM rows WHERE key > ?1 ORDER BY key LIMIT ?2")?;
        let mut answer = RowPage::new(Vec::new(), Vec::new(), None);
        let mut rows = statement.query(params![start_of(page), limit(size)])?;
        let mut read = 0;
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            let document = Document::parse(&key, row.get_ref(1)?.as_blob()?).and_then(|mut document| {
                document.project(projection);
                decode::row(&document)
            });
            match document {
                Ok(row) => answer.rows.push(row),
                Err(problem) => answer.unreadable.push(problem),
            }
            read += 1;
            if read == size {
                answer.next = Some(PageToken(key));
            }
        }
        Ok(answer)
    }

    pub(super) fn owned_by(&self, owner: &WorkerId, page: Option<&PageToken>, size: usize) -> Sqlite<KeyPage> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key FROM rows WHERE owner = ?1 AND key > ?2 ORDER BY key LIMIT ?3")?;
        let keys: Vec<String> = statement
            .query_map(params![owner.as_str(), start_of(page), limit(size)], |row| row.get(0))?
            .collect::<Sqlite<_>>()?;
        let next = keys.last().filter(|_| keys.len() == size).cloned().map(PageToken);
        // What is no lease key cannot be asked for; a scan reports it.
        Ok(KeyPage::new(keys.into_iter().filter_map(|key| LeaseKey::new(key).ok()).collect(), next))
    }

    pub(super) fn lease(&self, key: &LeaseKey) -> Sqlite<Option<Result<Lease, RowProblem>>> {
        self.read(key.as_str(), decode::lease)
    }

    pub(super) fn worker(&self, worker: &WorkerId) -> Sqlite<Option<Result<WorkerRow, RowProblem>>> {
        self.read(worker.as_str(), decode::worker)
    }

    pub(super) fn leader(&self) -> Sqlite<Option<Result<LeaderRow, RowProblem>>> {
        self.read(a::KEY_LEADER, decode::leader)
    }

    /// The document is read as bytes: a text that is no UTF-8 is a problem of that row alone.
    fn read<T>(
        &self,
        key: &str,
        decode: impl Fn(&Document<'_>) -> Result<T, RowProblem>,
    ) -> Sqlite<Option<Result<T, RowProblem>>> {
        let mut statement = self.connection.prepare_cached("SELECT CAST(document AS BLOB) FROM rows WHERE key = ?1")?;
        let document = |row: &rusqlite::Row<'_>| {
            Ok(Document::parse(key, row.get_ref(0)?.as_blob()?).and_then(|document| decode(&document)))
        };
        statement.query_row([key], document).optional()
    }

    pub(super) fn create(&self, lease: &Lease) -> Sqlite<CreateOutcome> {
        let created = self.insert(lease.key.as_str(), &encode::lease(lease))?;
        Ok(if created { CreateOutcome::Created } else { CreateOutcome::Exists })
    }

    pub(super) fn update(&self, key: &LeaseKey, condition: &Condition, change: &LeaseChange) -> Sqlite<WriteOutcome> {
        Ok(match self.lease(key)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !condition.holds(&row) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let changed = change.apply(&row);
                self.merge(key.as_str(), &encode::patch(&encode::lease(&row), &encode::lease(&changed)))?;
                WriteOutcome::Applied(changed)
            }
        })
    }

    pub(super) fn delete(&self, key: &LeaseKey, condition: &Condition) -> Sqlite<WriteOutcome> {
        Ok(match self.lease(key)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !condition.holds(&row) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.remove(key.as_str())?;
                WriteOutcome::Applied(row)
            }
        })
    }

    pub(super) fn transact(&self, steps: &[TransactionStep]) -> Sqlite<TransactionOutcome> {
        let named: BTreeSet<&LeaseKey> = steps.iter().map(TransactionStep::key).collect();
        if steps.is_empty() || steps.len() > TRANSACTION_LIMIT || named.len() < steps.len() {
            let problem = format!("a transaction names 1 to {TRANSACTION_LIMIT} rows, each once");
            return Ok(TransactionOutcome::Refused(StoreError::Invalid(problem)));
        }
        // All are checked before any is written: a failed step then leaves nothing to take back.
        let results: Vec<StepResult> = steps.iter().map(|step| self.check(step)).collect::<Sqlite<_>>()?;
        if results.contains(&StepResult::Failed) {
            return Ok(TransactionOutcome::Cancelled(results));
        }
        for step in steps {
            match step {
                TransactionStep::Update { key, condition, change } => drop(self.update(key, condition, change)?),
                TransactionStep::Create(lease) => drop(self.create(lease)?),
                TransactionStep::Exists(_) => {}
            }
        }
        Ok(TransactionOutcome::Applied)
    }

    fn check(&self, step: &TransactionStep) -> Sqlite<StepResult> {
        let held = match step {
            TransactionStep::Update { key, condition, .. } => {
                matches!(self.lease(key)?, Some(Ok(row)) if condition.holds(&row))
            }
            TransactionStep::Create(lease) => !self.exists(&lease.key)?,
            TransactionStep::Exists(key) => self.exists(key)?,
        };
        Ok(if held { StepResult::Held } else { StepResult::Failed })
    }

    pub(super) fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> Sqlite<WriteOutcome<WorkerRow>> {
        let key = heartbeat.worker.as_str();
        Ok(match self.worker(&heartbeat.worker)? {
            None => {
                let row = heartbeat.row(BTreeSet::new());
                self.insert(key, &encode::worker(&row))?;
                WriteOutcome::Applied(row)
            }
            // A lease or a row nobody understands must not become a worker's row.
            Some(Err(problem)) => WriteOutcome::Refused(StoreError::Invalid(format!(
                "worker id {key:?} is the key of another row; choose another id: {problem}"
            ))),
            Some(Ok(row)) if !heartbeat.may_join_over(&row, seen) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let inbox = row.inbox.clone();
                self.replace_worker(&row, heartbeat.row(inbox))?
            }
        })
    }

    pub(super) fn heartbeat(&self, heartbeat: &Heartbeat) -> Sqlite<WriteOutcome<WorkerRow>> {
        Ok(match self.worker(&heartbeat.worker)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.incarnation.as_ref() != Some(&heartbeat.incarnation) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let inbox = row.inbox.difference(&heartbeat.handled).cloned().collect();
                self.replace_worker(&row, heartbeat.row(inbox))?
            }
        })
    }

    pub(super) fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> Sqlite<WriteOutcome<WorkerRow>> {
        Ok(match self.worker(worker)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.incarnation.as_ref() != Some(incarnation) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.remove(worker.as_str())?;
                WriteOutcome::Applied(row)
            }
        })
    }

    pub(super) fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> Sqlite<WriteOutcome<WorkerRow>> {
        Ok(match self.worker(worker)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if !row.is_ours() => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                let mut changed = row.clone();
                changed.inbox.insert(lease.clone());
                self.replace_worker(&row, changed)?
            }
        })
    }

    pub(super) fn remove_worker(&self, seen: &WorkerRow) -> Sqlite<WriteOutcome<WorkerRow>> {
        Ok(match self.worker(&seen.worker)? {
            None => WriteOutcome::Missing,
            Some(Err(problem)) => WriteOutcome::Unreadable(problem),
            Some(Ok(row)) if row.moved_since(seen) => WriteOutcome::Conflict(row),
            Some(Ok(row)) => {
                self.remove(seen.worker.as_str())?;
                WriteOutcome::Applied(row)
            }
        })
    }

    pub(super) fn write_leader(&self, expected: &Expect<String>, row: LeaderRow) -> Sqlite<WriteOutcome<LeaderRow>> {
        let members = encode::leader(&row);
        match (self.leader()?, expected) {
            (None, Expect::Is(_)) => return Ok(WriteOutcome::Missing),
            (Some(Err(problem)), _) => return Ok(WriteOutcome::Unreadable(problem)),
            (Some(Ok(found)), Expect::Absent) => return Ok(WriteOutcome::Conflict(found)),
            (Some(Ok(found)), Expect::Is(version)) if found.version != *version => {
                return Ok(WriteOutcome::Conflict(found));
            }
            (None, Expect::Absent) => drop(self.insert(a::KEY_LEADER, &members)?),
            (Some(Ok(found)), Expect::Is(_)) => {
                self.merge(a::KEY_LEADER, &encode::patch(&encode::leader(&found), &members))?;
            }
        }
        Ok(WriteOutcome::Applied(row))
    }

    fn replace_worker(&self, before: &WorkerRow, after: WorkerRow) -> Sqlite<WriteOutcome<WorkerRow>> {
        self.merge(after.worker.as_str(), &encode::patch(&encode::worker(before), &encode::worker(&after)))?;
        Ok(WriteOutcome::Applied(after))
    }

    fn exists(&self, key: &LeaseKey) -> Sqlite<bool> {
        self.connection.prepare_cached("SELECT 1 FROM rows WHERE key = ?1")?.exists([key.as_str()])
    }

    fn insert(&self, key: &str, members: &Members) -> Sqlite<bool> {
        // A patch of the empty document leaves out what is null.
        let sql = "INSERT INTO rows (key, document) VALUES (?1, json_patch('{}', ?2)) ON CONFLICT DO NOTHING";
        Ok(self.connection.prepare_cached(sql)?.execute(params![key, text(members)])? == 1)
    }

    fn merge(&self, key: &str, patch: &Members) -> Sqlite<()> {
        if patch.is_empty() {
            return Ok(());
        }
        let sql = "UPDATE rows SET document = json_patch(document, ?2) WHERE key = ?1";
        self.connection.prepare_cached(sql)?.execute(params![key, text(patch)])?;
        Ok(())
    }

    fn remove(&self, key: &str) -> Sqlite<()> {
        self.connection.prepare_cached("DELETE FROM rows WHERE key = ?1")?.execute([key])?;
        Ok(())
    }
}

fn text(members: &Members) -> String {
    serde_json::Value::Object(members.clone()).to_string()
}

/// Keys are never empty, so all lie behind the empty text.
fn start_of(page: Option<&PageToken>) -> &str {
    page.map_or("", |token| token.0.as_str())
}

fn limit(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
