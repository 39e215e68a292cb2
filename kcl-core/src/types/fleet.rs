//! What workers tell each other: worker rows, the leader row, and the rows of a scan.

use std::collections::BTreeSet;

use super::{Incarnation, Lease, LeaseKey, Timestamp, WorkerId};

/// The row of one worker, as KCL's worker metrics with our additions.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WorkerRow {
    /// The key of the row.
    pub worker: WorkerId,
    /// `lut`: last update by the writer's wall clock. Compared with nothing, only its movement counts.
    pub updated: Option<Timestamp>,
    /// `k_impl`: the library and version; absent for Java workers.
    pub implementation: Option<String>,
    /// `k_hb`: counts heartbeats.
    pub heartbeat: Option<u64>,
    /// `k_inc`: differs between two processes with one worker id.
    pub incarnation: Option<Incarnation>,
    /// `k_inbox`: leases that this worker should look at at once.
    pub inbox: BTreeSet<LeaseKey>,
    /// `k_cap`: capacity weight, 1 if absent. A worker that is stopping says 0.
    pub capacity: Option<f64>,
    /// `k_max`: how many leases it may hold; absent: any number.
    pub max_leases: Option<u64>,
    /// `k_zone`: availability zone.
    pub zone: Option<String>,
}

impl WorkerRow {
    /// A row with nothing but its key.
    pub fn new(worker: WorkerId) -> Self {
        WorkerRow {
            worker,
            updated: None,
            implementation: None,
            heartbeat: None,
            incarnation: None,
            inbox: BTreeSet::new(),
            capacity: None,
            max_leases: None,
            zone: None,
        }
    }

    /// What moves while the worker lives: our heartbeat counter, or the time that Java workers write.
    pub fn sign_of_life(&self) -> (Option<u64>, Option<Timestamp>) {
        (self.heartbeat, self.updated)
    }

    /// Whether the worker gave a sign of life after its row was `seen`: another process, heartbeat or time of update. The
    /// reference for every store. Times count in whole seconds, as rows have them.
    pub fn moved_since(&self, seen: &WorkerRow) -> bool {
        let seconds = |row: &WorkerRow| row.updated.map(Timestamp::as_seconds);
        self.incarnation != seen.incarnation || self.heartbeat != seen.heartbeat || seconds(self) != seconds(seen)
    }

    /// Whether a worker of this library wrote the row.
    pub fn is_ours(&self) -> bool {
        self.implementation.is_some()
    }

    /// Whether it wants leases.
    pub fn takes_leases(&self) -> bool {
        self.capacity.is_none_or(|capacity| capacity > 0.0)
    }
}

/// One heartbeat: what a worker says of itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Heartbeat {
    /// The worker.
    pub worker: WorkerId,
    /// This process; if the row carries another one, the heartbeat is refused unless it is the first.
    pub incarnation: Incarnation,
    /// `kcl-core/VERSION`.
    pub implementation: String,
    /// The count of heartbeats of this process.
    pub count: u64,
    /// The wall clock, for KCL readers.
    pub now: Timestamp,
    /// Capacity weight.
    pub capacity: f64,
    /// How many leases it may hold, if there is a limit.
    pub max_leases: Option<u64>,
    /// Availability zone, if known.
    pub zone: Option<String>,
    /// Inbox entries that were looked at and can go.
    pub handled: BTreeSet<LeaseKey>,
}

impl Heartbeat {
    /// A heartbeat with capacity 1, no limit of leases and nothing handled.
    pub fn new(
        worker: WorkerId,
        incarnation: Incarnation,
        implementation: impl Into<String>,
        count: u64,
        now: Timestamp,
    ) -> Self {
        Heartbeat {
            worker,
            incarnation,
            implementation: implementation.into(),
            count,
            now,
            capacity: 1.0,
            max_leases: None,
            zone: None,
            handled: BTreeSet::new(),
        }
    }
}

impl Heartbeat {
    /// The row after this heartbeat: all that the worker says of itself, and the inbox as others left it. The reference for
    /// every store.
    pub fn row(&self, inbox: BTreeSet<LeaseKey>) -> WorkerRow {
        let mut row = WorkerRow::new(self.worker.clone());
        row.updated = Some(self.now);
        row.implementation = Some(self.implementation.clone());
        row.heartbeat = Some(self.count);
        row.incarnation = Some(self.incarnation.clone());
        row.inbox = inbox;
        row.capacity = Some(self.capacity);
        row.max_leases = self.max_leases;
        row.zone = self.zone.clone();
        row
    }

    /// Whether this, as the first heartbeat of a process that has `seen` that row under its id, may be written over the row
    /// `found` there now: nobody else joined in between, or this very heartbeat is there already. The reference for every
    /// store.
    pub fn may_join_over(&self, found: &WorkerRow, seen: Option<&WorkerRow>) -> bool {
        let joined = found.incarnation.as_ref() == Some(&self.incarnation);
        joined || seen.is_some_and(|seen| seen.incarnation == found.incarnation)
    }
}

/// The leader lock, as the KCL stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaderRow {
    /// `ownerName`.
    pub owner: WorkerId,
    /// `leaseDuration`, stored in whole milliseconds.
    pub lease_duration: std::time::Duration,
    /// `recordVersionNumber`: changes with every renewal. Not empty.
    pub version: String,
    /// `isReleased`.
    pub released: bool,
    /// `k_cycle`: completed planning cycles; absent under a Java leader.
    pub cycle: Option<u64>,
    /// `k_standby`.
    pub standby: Option<WorkerId>,
}

impl LeaderRow {
    /// A held lock.
    pub fn new(owner: WorkerId, lease_duration: std::time::Duration, version: impl Into<String>) -> Self {
        LeaderRow { owner, lease_duration, version: version.into(), released: false, cycle: None, standby: None }
    }
}

/// A row of the lease table.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Row {
    /// A lease.
    Lease(Box<Lease>),
    /// A worker.
    Worker(Box<WorkerRow>),
    /// The leader lock.
    Leader(LeaderRow),
    /// A row of another kind that is none of our business, such as KCL's migration states.
    Other {
        /// Its key.
        key: String,
        /// Its `entityType`.
        entity_type: String,
    },
}

/// A row that cannot be read: it is reported once, left untouched, and never stops a loop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[error("row {key:?} cannot be read: attribute {attribute:?}: {problem}")]
pub struct RowProblem {
    /// The key of the row.
    pub key: String,
    /// The attribute that is wrong.
    pub attribute: String,
    /// What is wrong with it, with its value.
    pub problem: String,
}

impl RowProblem {
    /// Names a row, its attribute and what is wrong with it.
    pub fn new(key: impl Into<String>, attribute: impl Into<String>, problem: impl Into<String>) -> Self {
        RowProblem { key: key.into(), attribute: attribute.into(), problem: problem.into() }
    }
}

/// Which attributes a scan brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Projection {
    /// Everything.
    All,
    /// What planning needs: owners, counters, epochs, checkpoints, parents and children, throughput, signs of life.
    /// Pending checkpoints, hash ranges and when shards were at their tip are left out.
    Planning,
}

/// Where the next page of a scan or query starts; opaque.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

/// One page of a scan.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RowPage {
    /// Rows that could be read.
    pub rows: Vec<Row>,
    /// Rows that could not.
    pub unreadable: Vec<RowProblem>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<PageToken>,
}

impl RowPage {
    /// A page.
    pub fn new(rows: Vec<Row>, unreadable: Vec<RowProblem>, next: Option<PageToken>) -> Self {
        RowPage { rows, unreadable, next }
    }
}

/// One page of a query by owner.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyPage {
    /// Leases whose `leaseOwner` is the one asked for, as the index has it: perhaps a moment late.
    pub keys: Vec<LeaseKey>,
    /// Where the next page starts; absent on the last one.
    pub next: Option<PageToken>,
}

impl KeyPage {
    /// A page.
    pub fn new(keys: Vec<LeaseKey>, next: Option<PageToken>) -> Self {
        KeyPage { keys, next }
    }
}
