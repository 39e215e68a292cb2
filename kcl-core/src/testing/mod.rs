//! Conformance suites and doubles for tests of your own stores, sources and processors.

mod manual_clock;
pub mod protocol;
mod scripted_source;
mod store_contract;

pub use manual_clock::ManualClock;
pub use scripted_source::ScriptedSource;
pub use store_contract::{
    Case, MemoryFixture, Skipped, StoreFixture, Verdict, fleet_store_cases, fleet_store_contract, lease_store_cases,
    lease_store_contract,
};
