//! What the programs, benchmarks and tests of this folder share: the models of the protocol, the simulation of whole fleets,
//! what coordination takes, and the memory of a worker whose sink has stopped.

pub mod budgets;
pub mod protocol;
pub mod sim;
pub mod stopped_sink;
pub mod virtual_sleep;
