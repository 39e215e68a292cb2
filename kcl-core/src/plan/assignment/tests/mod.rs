//! Plans as text, and what holds for all of them.

mod count;
mod fixture;
