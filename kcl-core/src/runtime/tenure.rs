//! One tenure as shared by the lease keeper, which writes it, and the shard task, which works under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::orders::Orders;
use crate::types::{Checkpoint, FencingToken, Lease, Moment, RecordPosition, Tenure};

/// What the lease keeper and the shard task tell each other without messages.
#[derive(Debug)]
pub(crate) struct SharedTenure {
    pub(crate) tenure: Tenure,
    pub(crate) token: FencingToken,
    /// Microseconds since the clock's origin.
    deadline: AtomicU64,
    /// When the shard last had nothing beyond what was completed then; as the deadline, and 0 for never.
    tip: AtomicU64,
    standing: Mutex<Standing>,
    pub(crate) orders: Orders,
}

/// How far the tenure is.
#[derive(Debug)]
struct Standing {
    /// As the store confirmed it last.
    row: Arc<Lease>,
    /// Up to where everything is completed in this tenure.
    reached: Option<RecordPosition>,
    /// The bytes that were completed and that the lease keeper has not heard of.
    untold: Option<u64>,
}

/// What was completed.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Everything up to here.
    pub(crate) position: RecordPosition,
    /// Bytes of user data that came with it.
    pub(crate) bytes: u64,
}

impl SharedTenure {
    /// A tenure that began with this row.
    pub(crate) fn new(tenure: Tenure, token: FencingToken, row: Arc<Lease>, deadline: Moment) -> Arc<Self> {
        Arc::new(SharedTenure {
            tenure,
            token,
            deadline: AtomicU64::new(micros(deadline)),
            tip: AtomicU64::new(0),
            standing: Mutex::new(Standing { row, reached: None, untold: None }),
            orders: Orders::default(),
        })
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when the worker may act as holder. Looked at before every delivery, also when the lease keeper is late.
    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_origin(Duration::from_micros(self.deadline.load(Ordering::Acquire)))
    }

    /// What an answer of the store changed.
    pub(crate) fn confirm(&self, row: &Arc<Lease>, deadline: Moment) {
        self.standing().row = Arc::clone(row);
        self.deadline.store(micros(deadline), Ordering::Release);
    }

    /// The row as the store confirmed it last.
    pub(crate) fn row(&self) -> Arc<Lease> {
        Arc::clone(&self.standing().row)
    }

    /// Everything up to here is completed, with so many bytes more; the next write stores it.
    pub(crate) fn complete(&self, position: RecordPosition, bytes: u64) {
        let mut standing = self.standing();
        standing.reached = Some(position);
        standing.untold = Some(standing.untold.unwrap_or(0).saturating_add(bytes));
    }

    /// Where a run that begins now goes on: behind what was completed in this tenure, or where the tenure began.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let standing = self.standing();
        standing.reached.clone().map_or_else(|| standing.row.checkpoint.clone(), Checkpoint::At)
    }

    /// At this time the shard had nothing beyond what is completed by now.
    pub(crate) fn at_tip(&self, asked: Moment) {
        self.tip.store(micros(asked), Ordering::Release);
    }

    /// When the shard last had nothing beyond what was completed then. Whoever wants to know what that was asks for it
    /// afterwards: what is completed only grows, so it covers what the tip was noted with. The other way round a tip could
    /// come with what was completed before.
    pub(crate) fn tip(&self) -> Option<Moment> {
        let micros = self.tip.load(Ordering::Acquire);
        (micros > 0).then(|| Moment::from_origin(Duration::from_micros(micros)))
    }

    /// What was completed since the last call.
    pub(crate) fn take_completed(&self) -> Option<Completed> {
        let mut standing = self.standing();
        let bytes = standing.untold.take()?;
        let position = standing.reached.clone()?;
        Some(Completed { position, bytes })
    }
}

/// Rounded down: the deadline is never later than it was computed.
fn micros(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_micros()).unwrap_or(u64::MAX)
}
