//! The coordination protocol as models that are explored exhaustively within bounds. `docs/protocol.md` has the same
//! rules in words.
//!
//! Each rule is a switch ([`rule::Rule`]). With all of them a model breaks no promise; without one of them it shows how a
//! promise is broken, step by step. The switches bend what the library's functions return, here and nowhere else.

pub mod check;
pub mod inbox;
pub mod lease;
pub mod lineage;
pub mod lock;
pub mod row;
pub mod rule;
pub mod run;
