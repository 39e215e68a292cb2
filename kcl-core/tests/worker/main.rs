//! Whole workers in virtual time, over the store in memory and a scripted stream.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

mod assignment;
mod fleet;
mod hand_over;
mod leading;
mod lifecycle;
mod one_id;
mod processing;
mod recreated;
mod resting;
mod retention;
mod shard_end;
mod sharing;
mod slow_store;
mod streams;
mod throttling;
mod tidying;
mod watchdog;
mod wire;
