//! Settings: numbers, durations and names, apart from components (clients, stores, clocks).

mod polling;

pub use polling::{PollingSettings, ReadLimit};
