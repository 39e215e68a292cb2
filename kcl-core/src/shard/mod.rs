//! The life of one shard on one worker, as pure state:
//!
//! ```text
//! WaitingForParents -> Initializing -> Reading <-> Retrying -> Draining -> Released
//!                                         |                        \-> (lease lost from any state) Lost
//!                                         \-> Ending -> Ended
//! ```
//!
//! [`machine`] takes in what happened and says what to do next; [`progress`] keeps the ledger of what was delivered and
//! completed. [`kept`] knows whether what is to come is all there. [`watchdog`] judges from outside whether the task gets on.
//! None of them does IO, reads a clock or draws random numbers.

pub(crate) mod kept;
pub(crate) mod machine;
pub(crate) mod progress;
pub(crate) mod watchdog;
