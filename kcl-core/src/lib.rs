//! A Kinesis consumer framework.

pub mod dynamodb;
pub mod kinesis;
pub mod memory;
mod plan;
pub mod ports;
mod runtime;
pub mod settings;
mod shard;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "testing")]
pub mod testing;
pub mod types;

pub use async_trait::async_trait;
