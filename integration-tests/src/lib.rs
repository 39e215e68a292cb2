//! What the programs, benchmarks and tests of this folder share: the models of the protocol, the simulation of whole fleets,
//! what coordination takes, the memory of a worker whose sink has stopped, readers of any bytes, and a way to a
//! server on which no connection lives long.

pub mod breaking;
pub mod budgets;
pub mod fuzzing;
pub mod protocol;
pub mod sim;
pub mod stopped_sink;
pub mod virtual_sleep;
