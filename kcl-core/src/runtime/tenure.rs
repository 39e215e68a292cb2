//! One tenure as shared by the lease keeper, which writes it, and the shard task, which works under it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::ports::LeaseLostReason;
use crate::types::{FencingToken, Moment, RecordPosition, Tenure};

/// What the lease keeper and the shard task tell each other without messages.
#[derive(Debug)]
pub(crate) struct SharedTenure {
    pub(crate) tenure: Tenure,
    pub(crate) token: FencingToken,
    /// Microseconds since the clock's origin.
    deadline: AtomicU64,
    completed: Mutex<Option<Completed>>,
    /// Up to where everything is completed in this tenure.
    reached: Mutex<Option<RecordPosition>>,
    ended: CancellationToken,
    reason: OnceLock<LeaseLostReason>,
    hand_over: CancellationToken,
    hand_over_asked: OnceLock<Moment>,
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
    pub(crate) fn new(tenure: Tenure, token: FencingToken, deadline: Moment) -> Arc<Self> {
        Arc::new(SharedTenure {
            tenure,
            token,
            deadline: AtomicU64::new(micros(deadline)),
            completed: Mutex::default(),
            reached: Mutex::default(),
            ended: CancellationToken::new(),
            reason: OnceLock::new(),
            hand_over: CancellationToken::new(),
            hand_over_asked: OnceLock::new(),
        })
    }

    /// Until when the worker may act as holder. Looked at before every delivery, also when the lease keeper is late.
    pub(crate) fn deadline(&self) -> Moment {
        Moment::from_origin(Duration::from_micros(self.deadline.load(Ordering::Acquire)))
    }

    pub(crate) fn set_deadline(&self, deadline: Moment) {
        self.deadline.store(micros(deadline), Ordering::Release);
    }

    /// Everything up to here is completed, with so many bytes more; the next write stores it.
    pub(crate) fn complete(&self, position: RecordPosition, bytes: u64) {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = Some(position.clone());
        let mut completed = self.completed.lock().unwrap_or_else(PoisonError::into_inner);
        let before = completed.take().map_or(0, |completed| completed.bytes);
        *completed = Some(Completed { position, bytes: before.saturating_add(bytes) });
    }

    /// Up to where everything is completed in this tenure; `None` if nothing was.
    pub(crate) fn reached(&self) -> Option<RecordPosition> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was completed since the last call.
    pub(crate) fn take_completed(&self) -> Option<Completed> {
        self.completed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The tenure is over; the first reason counts.
    pub(crate) fn end(&self, reason: LeaseLostReason) {
        let _kept_the_first = self.reason.set(reason);
        self.ended.cancel();
    }

    /// The tenure is over as we wished.
    pub(crate) fn close(&self) {
        self.ended.cancel();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Why it ended; of a tenure that ended as we wished, the reason that later calls are given.
    pub(crate) fn reason(&self) -> LeaseLostReason {
        self.reason.get().copied().unwrap_or(LeaseLostReason::Taken)
    }

    /// A leader asked for the lease, as this worker learned now.
    pub(crate) fn ask_to_hand_over(&self, now: Moment) {
        let _the_first_time_counts = self.hand_over_asked.set(now);
        self.hand_over.cancel();
    }

    /// When this worker learned that it should hand over.
    pub(crate) async fn asked_to_hand_over(&self) -> Moment {
        self.hand_over.cancelled().await;
        self.hand_over_asked.get().copied().unwrap_or_default()
    }
}

/// Rounded down: the deadline is never later than it was computed.
fn micros(moment: Moment) -> u64 {
    u64::try_from(moment.since_origin().as_micros()).unwrap_or(u64::MAX)
}
