//! What the programs share.

pub mod aggregate;
pub mod aws;
pub mod display;
pub mod input;
pub mod key;
pub mod logging;
pub mod pace;
pub mod program;
pub mod put;
pub mod signals;
pub mod trust;
