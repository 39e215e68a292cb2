//! A request to give a shard back.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::shard::machine::StopReason;
use crate::types::{Moment, WorkerId};

/// A request to give the shard back, from the assigner.
#[derive(Debug, Clone, Default)]
pub(crate) struct StopRequest {
    token: CancellationToken,
    asked: Arc<Mutex<Option<Asked>>>,
}

#[derive(Debug)]
struct Asked {
    reason: StopReason,
    deadline: Moment,
    successor: Option<WorkerId>,
}

impl StopRequest {
    /// Asks; the first reason and deadline count. A successor may be named, or named anew, until the lease is given back;
    /// without one it is given to nobody.
    pub(crate) fn ask(&self, reason: StopReason, deadline: Moment, successor: Option<WorkerId>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *asked {
            Some(asked) => asked.successor = successor.or(asked.successor.take()),
            None => *asked = Some(Asked { reason, deadline, successor }),
        }
        drop(asked);
        self.token.cancel();
    }

    pub(super) fn successor(&self) -> Option<WorkerId> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.successor.clone()
    }

    pub(super) async fn asked(&self) -> (StopReason, Moment) {
        self.token.cancelled().await;
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.as_ref().map_or((StopReason::Shutdown, Moment::default()), |asked| (asked.reason, asked.deadline))
    }
}
