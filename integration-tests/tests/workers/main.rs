//! Workers in this process against `kcl-local`: over its connector without a socket, and over ports.
//!
//! | file | knows |
//! |---|---|
//! | `services` | Kinesis and DynamoDB in this process, and workers on them |
//! | `log` | what workers were given, in the order in which it happened |
//! | `virtual_time` | DynamoDB in virtual time, where hours take no time |

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

#[path = "../support/items.rs"]
mod items;
mod log;
mod services;
mod virtual_time;
#[path = "../support/waiting.rs"]
mod waiting;

mod java_refusals;
mod java_table;
mod modes;
mod resharding;
mod streams;
mod telling;
