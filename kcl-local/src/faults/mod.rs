//! Faults and delays that a service meets its callers with, by rule and by seed.
//!
//! A [`FaultPlan`] is a list of [`FaultRule`]s. [`Faults`] is the switch on a service: set a plan, change it, clear it,
//! at any time, also while the service is under load. Faults befall SDK clients and HTTP; the methods of the handles
//! stay as they are, so that a test can set its scene and look behind it.
//!
//! ```
//! use kcl_local::{Fault, FaultPlan, FaultRule, LocalKinesis};
//!
//! let kinesis = LocalKinesis::new();
//! let lost = FaultRule::new(Fault::LostAnswer).operation("PutRecords").calls(2..=2);
//! let slow = FaultRule::new(Fault::Throttle).operation("GetRecords").probability(0.1);
//! kinesis.faults().set(FaultPlan { seed: 7, rules: vec![lost, slow] });
//! // ... the test ...
//! kinesis.faults().clear();
//! ```

mod file;
mod inject;
mod rule;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use file::{FaultFileError, parse_faults};
pub(crate) use inject::{Refused, inject};
use rule::Progress;
pub(crate) use rule::{CallFacts, Strike};
pub use rule::{Fault, FaultPlan, FaultRule, FaultService};

/// The faults of one service. Cheap to clone; all clones are the same switch.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Whether there is any rule, so that a service without faults takes no lock for them.
    active: AtomicBool,
    progress: Mutex<Progress>,
}

impl Faults {
    /// Puts this plan in the place of the one before. Counting begins anew.
    pub fn set(&self, plan: FaultPlan) {
        let mut progress = self.progress();
        self.shared.active.store(!plan.rules.is_empty(), Ordering::Release);
        *progress = Progress::new(plan);
    }

    /// Ends all faults.
    pub fn clear(&self) {
        self.set(FaultPlan::default());
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> FaultPlan {
        self.progress().plan().clone()
    }

    /// How many calls each rule of the plan has struck: for a test that wants to know whether its fault happened.
    #[must_use]
    pub fn strikes(&self) -> Vec<u64> {
        self.progress().strikes().to_vec()
    }

    pub(crate) fn is_active(&self) -> bool {
        self.shared.active.load(Ordering::Acquire)
    }

    pub(crate) fn decide(&self, call: &CallFacts<'_>) -> Option<Strike> {
        let strike = self.progress().decide(call)?;
        tracing::debug!(operation = call.operation, fault = ?strike.fault, "fault");
        Some(strike)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.shared.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
