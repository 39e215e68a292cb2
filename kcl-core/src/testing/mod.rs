//! Conformance suites and doubles for tests of your own stores, sources and processors.

mod manual_clock;
mod scripted_source;

pub use manual_clock::ManualClock;
pub use scripted_source::ScriptedSource;
