//! Telling how long things took.

use kcl_core::ports::{Clock, SystemClock};
use kcl_core::types::Moment;

/// Tells how long things took, for whoever reads along.
pub(crate) struct Stopwatch {
    pub(crate) begun: Moment,
}

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Stopwatch { begun: SystemClock::new().now() }
    }

    pub(crate) fn tell(&self, what: impl std::fmt::Display) {
        println!("{:6.2} s  {what}", SystemClock::new().now().since(self.begun).as_secs_f64());
    }
}
