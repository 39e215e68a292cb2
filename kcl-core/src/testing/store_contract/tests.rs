use std::sync::Arc;

use super::*;
use crate::memory::{Fault, FaultRule, Operation};

#[tokio::test]
async fn the_store_in_memory_keeps_the_whole_contract() {
    assert!(lease_store_contract(async || MemoryFixture::new()).await.is_empty());
    assert!(fleet_store_contract(async || MemoryFixture::new()).await.is_empty());
}

#[test]
fn every_case_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> =
        lease_store_cases().iter().chain(&fleet_store_cases()).map(|case| case.name).collect();
    assert_eq!(names.len(), lease_store_cases().len() + fleet_store_cases().len());
}

/// Runs a suite on a store with a fault and says which case found it.
async fn caught_by(rule: FaultRule) -> String {
    let broken = async || {
        let fixture = MemoryFixture::new();
        fixture.store().script(rule.clone());
        fixture
    };
    let panic = AssertUnwindSafe(lease_store_contract(broken)).catch_unwind().await.unwrap_err();
    panic.downcast_ref::<String>().unwrap().clone()
}

#[tokio::test]
async fn a_store_that_breaks_the_contract_fails_and_the_case_is_named() {
    let lost = Fault::LoseRequest;
    for (rule, case) in [
        (FaultRule::new(lost.clone()).on(Operation::Create), "starting_again_keeps_the_rows: "),
        (FaultRule::new(lost.clone()).on(Operation::Update).after(1), "keys_may_hold_any_character: "),
        (FaultRule::new(lost.clone()).on(Operation::Delete), "a_row_that_is_not_there_is_missing: "),
        (FaultRule::new(lost.clone()).on(Operation::Transact), "a_shard_end_writes_parent"),
        (FaultRule::new(lost).on(Operation::OwnedBy), "an_empty_table_has_one_empty_page: "),
    ] {
        let message = caught_by(rule).await;
        assert!(message.starts_with(case), "{message}");
    }
}

#[tokio::test]
async fn cases_that_cannot_run_are_reported() {
    struct LeasesOnly(MemoryFixture);
    impl StoreFixture for LeasesOnly {
        fn leases(&self) -> Option<Arc<dyn crate::ports::LeaseStore>> {
            self.0.leases()
        }
    }
    let skipped = lease_store_contract(async || LeasesOnly(MemoryFixture::new())).await;
    let lacking: std::collections::BTreeSet<_> = skipped.iter().map(|(_, reason)| reason.0).collect();
    assert!(lacking.contains("second handle") && lacking.contains("fleet store"), "{lacking:?}");
    assert!(skipped.len() < lease_store_cases().len() / 2, "most cases need the store alone: {skipped:?}");
}
