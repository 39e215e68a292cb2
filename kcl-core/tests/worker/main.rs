//! Whole workers in virtual time, over the store in memory and a scripted stream.

#![expect(clippy::disallowed_methods, reason = "tests start the tasks of a worker that they kill")]

mod fleet;
mod lifecycle;
mod processing;
mod sharing;
