//! What the programs of this folder are made of; each `src/bin/` file only starts one of them.
//!
//! | module | program |
//! |---|---|
//! | [`consume`] | `consume`: prints what a worker of any application is given, as JSON lines |
//! | [`produce`] | `produce`: puts lines to a stream |
//! | [`quickstart`] | `quickstart`: a stream, its records and a fleet of workers in one process |

pub mod common;
pub mod consume;
pub mod produce;
pub mod quickstart;
