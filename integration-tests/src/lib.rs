//! What the programs, benchmarks and tests of this folder share: the models of the protocol, the simulation of whole fleets,
//! and what coordination takes.

pub mod budgets;
pub mod protocol;
pub mod sim;
