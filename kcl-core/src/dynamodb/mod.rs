//! Lease and fleet store in a DynamoDB table, in the format of KCL 3.5.
//!
//! One table holds leases, worker rows and the leader lock, so that Java workers of KCL 3.5 can share it and take it
//! back. What this library adds to their rows are extra attributes with the prefix `k_`, which the KCL ignores and keeps.
//!
//! | file | knows |
//! |---|---|
//! | `fields`, `read`, `write` | how an item becomes a value and back |
//! | `expression`, `lease_expression`, `worker_expression`, `leader_expression` | how a condition and a change become one request |
//! | `errors`, `outcome` | whether a failed call may have had an effect |
//! | `store`, `transaction`, `fleet` | the calls |
//! | `start`, `table`, `old_fleet` | making the table ready, and refusing one that must not be touched |

mod errors;
mod expression;
mod fields;
mod fleet;
mod leader_expression;
mod lease_expression;
mod old_fleet;
mod outcome;
mod read;
mod start;
mod store;
mod table;
mod transaction;
mod worker_expression;
mod write;

#[cfg(test)]
mod tests;

pub use store::{DynamoDbStore, TableSettings};
