//! Enhanced fan-out against `kcl-local`: through its connector in virtual time, where five minutes take no time; and over
//! TLS, where connections and their windows are real.
//!
//! | file | knows |
//! |---|---|
//! | `scene` | Kinesis in virtual time, its calls counted, and readers on it |
//! | `secure` | Kinesis behind TLS on a port, and sources over connections of one's own |
//! | `reading` | what a reader brought, and what a stream has |

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod reading;
mod scene;
mod secure;
#[path = "../support/waiting.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod waiting;

mod changing;
mod connections;
mod consumers;
mod faults;
mod going_away;
mod silence;
mod subscribing;
mod workers;
