//! What the programs and tests of this folder share: the models of the protocol, and the simulation of whole fleets.

pub mod protocol;
pub mod sim;
