//! Waiting for events, and failing loudly when they do not come.

use std::time::Duration;

use kcl_core::ports::{Clock, SystemClock};

/// Far above what anything here takes; only a test that fails waits for so long.
const DEADLINE: Duration = Duration::from_secs(90);

/// What the future yields.
///
/// # Panics
/// If it takes longer than anything here may take, saying `what` did not happen.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let clock = SystemClock::new();
    tokio::select! {
        biased;
        value = future => value,
        () = clock.sleep_until(clock.now() + DEADLINE) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// A little later, for looking at what tells nobody when it changes.
pub(crate) async fn a_little_later() {
    let clock = SystemClock::new();
    clock.sleep_until(clock.now() + Duration::from_millis(50)).await;
}
