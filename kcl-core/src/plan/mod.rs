//! Pure decisions: snapshots in, plans with reasons out. No IO, no clock, no randomness, no logging.

pub mod assignment;
pub(crate) mod departed;
pub(crate) mod fleet_view;
pub(crate) mod holding;
pub(crate) mod leadership;
pub(crate) mod look;
pub(crate) mod outbox;
pub(crate) mod parking;
pub(crate) mod shard_end;
pub(crate) mod shard_sync;
pub(crate) mod steady;
pub(crate) mod streams;
pub(crate) mod transition;
