//! What was asked of a table, and what DynamoDB bills for it.

use kcl_core::types::{
    Change, Condition, CreateOutcome, KeyPage, LeaderRow, Lease, LeaseChange, Row, RowPage, RowProblem, StoreError,
    TransactionOutcome, WorkerRow, WriteOutcome,
};

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Call {
    /// A holder shows life, and stores nothing else.
    Renewal,
    /// A holder stores a position; that shows life, too.
    Checkpoint,
    /// A lease is made, changes hands, or ends.
    LeaseChange,
    /// A worker shows life, comes or goes.
    WorkerRow,
    /// A worker is told of a lease.
    Notice,
    LeaderRow,
    GetLease,
    GetWorker,
    GetLeader,
    ScanPage,
    IndexPage,
}

const CALLS: usize = 11;

/// How often each call was made, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Traffic {
    counts: [Counts; CALLS],
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Counts {
    /// All that were sent.
    pub(super) calls: u64,
    /// Those whose condition did not hold.
    pub(super) failed: u64,
    /// Those that got no answer.
    pub(super) unanswered: u64,
    /// Capacity units.
    pub(super) units: f64,
}

impl Traffic {
    pub(super) fn of(&mut self, call: Call) -> &mut Counts {
        &mut self.counts[call as usize]
    }

    /// The sum over some calls.
    pub(super) fn sum(&self, calls: &[Call]) -> Counts {
        let counts = calls.iter().map(|call| &self.counts[*call as usize]);
        counts.fold(Counts::default(), |sum, counts| Counts {
            calls: sum.calls + counts.calls,
            failed: sum.failed + counts.failed,
            unanswered: sum.unanswered + counts.unanswered,
            units: sum.units + counts.units,
        })
    }

    /// What came since.
    pub(super) fn since(&self, before: &Traffic) -> Traffic {
        let mut since = *self;
        for (now, before) in since.counts.iter_mut().zip(&before.counts) {
            now.calls -= before.calls;
            now.failed -= before.failed;
            now.unanswered -= before.unanswered;
            now.units -= before.units;
        }
        since
    }
}

/// What a write to a lease row is for.
pub(super) fn lease_call(condition: &Condition, change: &LeaseChange) -> Call {
    let stays = change.owner == Change::Keep && change.checkpoint_owner == Change::Keep && !change.raise_epoch;
    match (stays && condition.epoch.is_some(), change.checkpoint.is_some()) {
        (true, true) => Call::Checkpoint,
        (true, false) => Call::Renewal,
        (false, _) => Call::LeaseChange,
    }
}

/// What the table answers.
pub(super) trait Answer: Send + 'static {
    /// A condition did not hold.
    fn failed(&self) -> bool {
        false
    }

    /// Capacity units: a write of up to 1 KiB is one, as is a consistent read of up to 4 KiB.
    fn units(&self) -> f64 {
        1.0
    }
}

impl<R: Send + 'static> Answer for WriteOutcome<R> {
    fn failed(&self) -> bool {
        matches!(self, WriteOutcome::Conflict(_) | WriteOutcome::Missing)
    }
}

impl Answer for CreateOutcome {
    fn failed(&self) -> bool {
        matches!(self, CreateOutcome::Exists)
    }
}

impl Answer for TransactionOutcome {
    fn failed(&self) -> bool {
        matches!(self, TransactionOutcome::Cancelled(_))
    }

    /// Two for each row; shards do not end here.
    fn units(&self) -> f64 {
        2.0
    }
}

type Got<R> = Result<Option<Result<R, RowProblem>>, StoreError>;

impl Answer for Got<Lease> {}
impl Answer for Got<WorkerRow> {}
impl Answer for Got<LeaderRow> {}

impl Answer for Result<RowPage, StoreError> {
    /// Half a unit for each 4 KiB of the page: scans read what may be a moment old. A projection saves nothing.
    fn units(&self) -> f64 {
        let bytes: usize = self.iter().flat_map(|page| &page.rows).map(item_size).sum();
        0.5 * bytes.div_ceil(4096).max(1) as f64
    }
}

impl Answer for Result<KeyPage, StoreError> {
    fn units(&self) -> f64 {
        let bytes: usize = self.iter().flat_map(|page| &page.keys).map(|key| key.as_str().len() + INDEX_ENTRY).sum();
        0.5 * bytes.div_ceil(4096).max(1) as f64
    }
}

/// An entry of the index beside its key: names of attributes, and the owner.
const INDEX_ENTRY: usize = 45;

/// About how large an item is: names and values of its attributes, as DynamoDB counts them.
fn item_size(row: &Row) -> usize {
    match row {
        Row::Lease(lease) => lease_size(lease),
        // Id, times, inbox, version: written once in a while per worker, and small beside the leases.
        _ => 300,
    }
}

fn lease_size(lease: &Lease) -> usize {
    let text = |name: usize, value: Option<usize>| value.map_or(0, |value| name + value);
    let names = lease.key.as_str().len() + "leaseKey".len();
    let owner = text("leaseOwner".len(), lease.owner.as_ref().map(|owner| owner.as_str().len()));
    let last = text("k_by".len(), lease.last_owner.as_ref().map(|owner| owner.as_str().len()));
    // A number takes a byte for two digits, and one more.
    let counters = "leaseCounter".len() + "k_c".len() + "k_epoch".len() + 6 + 6 + 2;
    let checkpoint = "checkpoint".len() + "checkpointSubSequenceNumber".len() + 56 + 2;
    let switches = "ownerSwitchesSinceCheckpoint".len() + 2;
    let hashes = text("startingHashKeyendingHashKey".len(), lease.hash_range.map(|_| 2 * 38));
    let rest = "entityTypeLEASEthroughputKBpsk_start".len() + 10 + 8;
    let rest = rest + text("k_tip".len(), lease.tip.map(|_| 8));
    names + owner + last + counters + checkpoint + switches + hashes + rest
}
