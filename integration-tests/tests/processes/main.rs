//! Fleets of whole processes: the program `consume` over real ports and files, killed and stopped on the way.
//!
//! | file | knows |
//! |---|---|
//! | `input` | the lines that are put |
//! | `feed` | putting them through the AWS SDK, and what was put where |
//! | `worker` | one process: its flags, its end, what it says on standard error |
//! | `observed` | what all processes printed, and what must hold of it |
//! | `table` | the lease table while they run, and what must hold of it |
//! | `stopwatch` | telling how long things took |
//! | `waiting` | waiting for events, and failing loudly when they do not come |

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod feed;
mod input;
mod observed;
mod stopwatch;
mod table;
#[path = "../support/waiting.rs"]
mod waiting;
mod worker;

mod fleet;
mod sqlite_fleet;
