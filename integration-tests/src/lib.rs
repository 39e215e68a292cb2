//! What the tests of this folder share: the models of the protocol, and the worker program in `bin/`.

pub mod protocol;
