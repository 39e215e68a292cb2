//! Writes of a holder that ask for less than they must.

use async_trait::async_trait;
use kcl_core::ports::LeaseStore;
use kcl_core::types::{Condition, LeaseChange, LeaseKey, TransactionOutcome, TransactionStep, WriteOutcome};

use super::twist::Twist;
use crate::sim::store::SimStore;

/// What they leave out.
#[derive(Debug)]
pub(super) enum Without {
    /// Only the owner is asked for.
    EpochAndCounter,
    /// Owner and epoch are.
    Counter,
}

impl Without {
    /// The condition as it is sent. Only writes of a holder name an epoch.
    fn weaken(&self, condition: &Condition) -> Condition {
        let mut condition = condition.clone();
        match (condition.epoch, self) {
            (None, _) => {}
            (Some(_), Without::EpochAndCounter) => (condition.epoch, condition.counter) = (None, None),
            (Some(_), Without::Counter) => condition.counter = None,
        }
        condition
    }
}

#[async_trait]
impl Twist for Without {
    async fn update(
        &self,
        store: &SimStore,
        key: &LeaseKey,
        condition: &Condition,
        change: &LeaseChange,
    ) -> WriteOutcome {
        store.update(key, &self.weaken(condition), change).await
    }

    async fn transact(&self, store: &SimStore, steps: &[TransactionStep]) -> TransactionOutcome {
        let weakened = steps.iter().map(|step| match step {
            TransactionStep::Update { key, condition, change } => {
                let (key, condition, change) = (key.clone(), self.weaken(condition), change.clone());
                TransactionStep::Update { key, condition, change }
            }
            other => other.clone(),
        });
        store.transact(&weakened.collect::<Vec<_>>()).await
    }
}
