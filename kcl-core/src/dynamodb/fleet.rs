//! Worker rows and the leader lock, beside the leases.

use async_trait::async_trait;

use super::store::DynamoDbStore;
use super::{leader_expression, read, worker_expression};
use crate::ports::FleetStore;
use crate::row_names as a;
use crate::types::{
    Expect, Heartbeat, Incarnation, LeaderRow, LeaseKey, RowProblem, StoreError, WorkerId, WorkerRow, WriteOutcome,
};

#[async_trait]
impl FleetStore for DynamoDbStore {
    async fn join(&self, heartbeat: &Heartbeat, seen: Option<&WorkerRow>) -> WriteOutcome<WorkerRow> {
        let key = heartbeat.worker.as_str();
        match self.send_update(key, worker_expression::join(heartbeat, seen), read::worker).await {
            // A row that is no worker's, or none that anybody understands. Choosing another id helps, repeating does not.
            WriteOutcome::Unreadable(problem) => WriteOutcome::Refused(StoreError::Invalid(format!(
                "worker id {key:?} is the key of another row; choose another id: {problem}"
            ))),
            outcome => outcome,
        }
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> WriteOutcome<WorkerRow> {
        let expression = worker_expression::heartbeat(heartbeat);
        self.send_update(heartbeat.worker.as_str(), expression, read::worker).await
    }

    async fn leave(&self, worker: &WorkerId, incarnation: &Incarnation) -> WriteOutcome<WorkerRow> {
        self.send_delete(worker.as_str(), worker_expression::of_incarnation(incarnation), read::worker).await
    }

    async fn worker(&self, worker: &WorkerId) -> Result<Option<Result<WorkerRow, RowProblem>>, StoreError> {
        Ok(self.item(worker.as_str()).await?.map(|item| read::worker(&item)))
    }

    async fn notify(&self, worker: &WorkerId, lease: &LeaseKey) -> WriteOutcome<WorkerRow> {
        self.send_update(worker.as_str(), worker_expression::notify(lease), read::worker).await
    }

    async fn remove_worker(&self, seen: &WorkerRow) -> WriteOutcome<WorkerRow> {
        self.send_delete(seen.worker.as_str(), worker_expression::as_silent_as(seen), read::worker).await
    }

    async fn leader(&self) -> Result<Option<Result<LeaderRow, RowProblem>>, StoreError> {
        Ok(self.item(a::KEY_LEADER).await?.map(|item| read::leader(&item)))
    }

    async fn write_leader(&self, expected: &Expect<String>, row: &LeaderRow) -> WriteOutcome<LeaderRow> {
        self.send_update(a::KEY_LEADER, leader_expression::write(expected, row), read::leader).await
    }
}
