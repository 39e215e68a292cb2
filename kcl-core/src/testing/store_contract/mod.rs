//! Conformance suites for stores: what every [`LeaseStore`] and [`FleetStore`] must do, as cases that any of them can run.

mod fixture;
mod fleet;
mod leader;
mod leases;
mod races;
mod reference;
mod scans;
mod support;
mod transactions;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

pub use fixture::{MemoryFixture, StoreFixture};

#[cfg(doc)]
use crate::ports::{FleetStore, LeaseStore};

/// One thing that a store must do. Its name is a sentence.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// What holds of a store that passes.
    pub name: &'static str,
    run: for<'a> fn(&'a dyn StoreFixture) -> BoxFuture<'a, Verdict>,
}

/// What came of a case that did not fail; a failure is a panic.
pub type Verdict = Result<(), Skipped>;

/// A case was not run, because the fixture lacks what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("skipped: the fixture has no {0}")]
pub struct Skipped(pub &'static str);

impl Case {
    /// Starts the store and runs the case on it. The store must be empty and belong to this case alone.
    ///
    /// # Errors
    /// [`Skipped`] if the fixture lacks what the case needs.
    ///
    /// # Panics
    /// If the store does not do what the case says.
    pub async fn run(&self, fixture: &dyn StoreFixture) -> Verdict {
        if let Some(store) = fixture.leases() {
            store.start().await.expect("an empty store starts");
        }
        (self.run)(fixture).await
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({})", self.name)
    }
}

/// What every [`LeaseStore`] must do.
pub fn lease_store_cases() -> Vec<Case> {
    [leases::CASES, transactions::CASES, scans::CASES, races::CASES, reference::CASES].concat()
}

/// What every [`FleetStore`] must do.
pub fn fleet_store_cases() -> Vec<Case> {
    [fleet::CASES, leader::CASES].concat()
}

/// Runs all [`lease_store_cases`], each on a fixture of its own that `make` makes, one after the other. Returns the cases
/// that were skipped; a store that can do everything should assert that there are none.
///
/// ```
/// use kcl_core::testing::{MemoryFixture, lease_store_contract};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let skipped = lease_store_contract(async || MemoryFixture::new()).await;
/// assert!(skipped.is_empty());
/// # });
/// ```
///
/// # Panics
/// If the store fails a case; the message begins with the case's name. Also if the fixture has no lease store.
pub async fn lease_store_contract<M, Made, F>(make: M) -> Vec<(Case, Skipped)>
where
    M: Fn() -> Made,
    Made: Future<Output = F>,
    F: StoreFixture,
{
    assert!(make().await.leases().is_some(), "the fixture has no lease store to test");
    run_all(&lease_store_cases(), make).await
}

/// Runs all [`fleet_store_cases`], as [`lease_store_contract`] does.
///
/// # Panics
/// If the store fails a case; the message begins with the case's name. Also if the fixture has no fleet store.
pub async fn fleet_store_contract<M, Made, F>(make: M) -> Vec<(Case, Skipped)>
where
    M: Fn() -> Made,
    Made: Future<Output = F>,
    F: StoreFixture,
{
    assert!(make().await.fleet().is_some(), "the fixture has no fleet store to test");
    run_all(&fleet_store_cases(), make).await
}

async fn run_all<M, Made, F>(cases: &[Case], make: M) -> Vec<(Case, Skipped)>
where
    M: Fn() -> Made,
    Made: Future<Output = F>,
    F: StoreFixture,
{
    let mut skipped = Vec::new();
    for case in cases {
        let fixture = make().await;
        // Caught only to say which case it was: the assertion's place is printed by the panic hook already.
        match AssertUnwindSafe(case.run(&fixture)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => skipped.push((*case, reason)),
            Err(panic) => {
                let message = panic.downcast_ref::<String>().map(String::as_str);
                let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
                panic!("{}: {message}", case.name);
            }
        }
    }
    skipped
}

/// The cases of a file: its functions by name.
macro_rules! cases {
    ($($case:ident,)*) => {
        &[$(crate::testing::store_contract::Case { name: stringify!($case), run: |fixture| Box::pin($case(fixture)) }),*]
    };
}
use cases;

#[cfg(test)]
mod tests;
