//! Fleets of whole processes: real programs over real ports and files, killed, stopped and paused on the way. What is asserted
//! is the order of events; times are only printed.
//!
//! | file | knows |
//! |---|---|
//! | `input` | the lines that are put |
//! | `feed` | putting them through the AWS SDK, and what was put where |
//! | `worker` | one process: its environment, its end, what it says on standard error |
//! | `observed` | what all processes printed, and what must hold of it |
//! | `table`, `table_rows` | the lease table while they run, and what must hold of it |
//! | `proxy` | a server between the workers and a service |
//! | `world` | one scenario's stream, table and fleet, from start to end |
//! | `stopwatch` | telling how long things took |
//! | `waiting` | waiting for events, and failing loudly when they do not come |
//!
//! `KCL_TEST_DYNAMODB_ENDPOINT` names another DynamoDB than the one in this process. `KCL_TEST_FAILOVER_SECONDS` (2),
//! `KCL_TEST_PAUSE_SECONDS`, `KCL_TEST_SILENCE_SECONDS` and `KCL_TEST_DENIAL_SECONDS` (a few times the first) make everything
//! longer.

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod feed;
mod input;
mod observed;
mod proxy;
mod stopwatch;
mod table;
mod table_rows;
#[path = "../support/waiting.rs"]
mod waiting;
mod worker;
mod world;

mod fleet;
mod leaders;
mod network;
mod pause;
mod resharding;
mod rows;
mod sqlite_fleet;
