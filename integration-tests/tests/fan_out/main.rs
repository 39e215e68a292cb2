//! Enhanced fan-out against `kcl-local` through its connector, in virtual time, where five minutes take no time.
//!
//! | file | knows |
//! |---|---|
//! | `scene` | Kinesis in virtual time, its calls counted, and readers on it |
//! | `reading` | what a reader brought, and what a stream has |

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod reading;
mod scene;
#[path = "../support/virtual_sleep.rs"]
mod virtual_sleep;

mod changing;
mod consumers;
mod faults;
mod subscribing;
