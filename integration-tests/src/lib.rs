//! What the programs, benchmarks and tests of this folder share: the models of the protocol, the simulation of whole fleets,
//! what coordination takes, the memory of a worker whose sink has stopped, and readers of any bytes.

pub mod budgets;
pub mod fuzzing;
pub mod protocol;
pub mod sim;
pub mod stopped_sink;
pub mod virtual_sleep;
