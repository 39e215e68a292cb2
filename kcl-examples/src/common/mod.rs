//! What the programs share.

pub mod aws;
pub mod logging;
pub mod program;
pub mod signals;
