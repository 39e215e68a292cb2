//! Calls as data: what the log shows, what rules match, and what can land late.

use crate::types::{
    Condition, Expect, Heartbeat, Incarnation, LeaderRow, Lease, LeaseChange, LeaseKey, PageToken, Projection,
    TransactionStep, WorkerId, WorkerRow,
};

use super::Fault;
use crate::row_names;

/// One logged call.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Call {
    /// What was asked.
    pub request: Request,
    /// The scripted fault that it met.
    pub fault: Option<Fault>,
}

/// One call of a store with its arguments.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// `LeaseStore::start`.
    Start,
    /// `LeaseStore::scan`.
    Scan {
        /// Which attributes.
        projection: Projection,
        /// The page asked for.
        page: Option<PageToken>,
    },
    /// `LeaseStore::owned_by`.
    OwnedBy {
        /// The owner.
        owner: WorkerId,
        /// The page asked for.
        page: Option<PageToken>,
    },
    /// `LeaseStore::get`.
    Get(LeaseKey),
    /// `LeaseStore::create`.
    Create(Box<Lease>),
    /// `LeaseStore::update`.
    Update {
        /// The row.
        key: LeaseKey,
        /// What must hold.
        condition: Condition,
        /// What changes.
        change: Box<LeaseChange>,
    },
    /// `LeaseStore::delete`.
    Delete {
        /// The row.
        key: LeaseKey,
        /// What must hold.
        condition: Condition,
    },
    /// `LeaseStore::transact`.
    Transact(Vec<TransactionStep>),
    /// `FleetStore::join`.
    Join {
        /// The first heartbeat.
        heartbeat: Box<Heartbeat>,
        /// The row as it was seen.
        seen: Option<Box<WorkerRow>>,
    },
    /// `FleetStore::heartbeat`.
    Heartbeat(Box<Heartbeat>),
    /// `FleetStore::leave`.
    Leave {
        /// The worker.
        worker: WorkerId,
        /// Its process.
        incarnation: Incarnation,
    },
    /// `FleetStore::worker`.
    Worker(WorkerId),
    /// `FleetStore::notify`.
    Notify {
        /// Whose inbox.
        worker: WorkerId,
        /// The lease to look at.
        lease: LeaseKey,
    },
    /// `FleetStore::remove_worker`, with the row as it was seen.
    RemoveWorker(Box<WorkerRow>),
    /// `FleetStore::leader`.
    Leader,
    /// `FleetStore::write_leader`.
    WriteLeader {
        /// The version that the row must have.
        expected: Expect<String>,
        /// The row to be.
        row: Box<LeaderRow>,
    },
}

impl Request {
    /// Which method was called.
    pub fn operation(&self) -> Operation {
        match self {
            Request::Start => Operation::Start,
            Request::Scan { .. } => Operation::Scan,
            Request::OwnedBy { .. } => Operation::OwnedBy,
            Request::Get(_) => Operation::Get,
            Request::Create(_) => Operation::Create,
            Request::Update { .. } => Operation::Update,
            Request::Delete { .. } => Operation::Delete,
            Request::Transact(_) => Operation::Transact,
            Request::Join { .. } => Operation::Join,
            Request::Heartbeat(_) => Operation::Heartbeat,
            Request::Leave { .. } => Operation::Leave,
            Request::Worker(_) => Operation::Worker,
            Request::Notify { .. } => Operation::Notify,
            Request::RemoveWorker(_) => Operation::RemoveWorker,
            Request::Leader => Operation::Leader,
            Request::WriteLeader { .. } => Operation::WriteLeader,
        }
    }

    /// Whether the call reads or writes the row with this key; the leader lock's is `Leader`. Scans and queries name no row.
    pub fn names(&self, key: &str) -> bool {
        match self {
            Request::Start | Request::Scan { .. } | Request::OwnedBy { .. } => false,
            Request::Leader | Request::WriteLeader { .. } => key == row_names::KEY_LEADER,
            Request::Get(row) | Request::Update { key: row, .. } | Request::Delete { key: row, .. } => {
                row.as_str() == key
            }
            Request::Create(lease) => lease.key.as_str() == key,
            Request::Transact(steps) => steps.iter().any(|step| step.key().as_str() == key),
            Request::Join { heartbeat, .. } | Request::Heartbeat(heartbeat) => heartbeat.worker.as_str() == key,
            Request::Leave { worker, .. } | Request::Worker(worker) | Request::Notify { worker, .. } => {
                worker.as_str() == key
            }
            Request::RemoveWorker(seen) => seen.worker.as_str() == key,
        }
    }
}

/// The methods of the two stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Operation {
    /// `LeaseStore::start`.
    Start,
    /// `LeaseStore::scan`.
    Scan,
    /// `LeaseStore::owned_by`.
    OwnedBy,
    /// `LeaseStore::get`.
    Get,
    /// `LeaseStore::create`.
    Create,
    /// `LeaseStore::update`.
    Update,
    /// `LeaseStore::delete`.
    Delete,
    /// `LeaseStore::transact`.
    Transact,
    /// `FleetStore::join`.
    Join,
    /// `FleetStore::heartbeat`.
    Heartbeat,
    /// `FleetStore::leave`.
    Leave,
    /// `FleetStore::worker`.
    Worker,
    /// `FleetStore::notify`.
    Notify,
    /// `FleetStore::remove_worker`.
    RemoveWorker,
    /// `FleetStore::leader`.
    Leader,
    /// `FleetStore::write_leader`.
    WriteLeader,
}
