//! Plans as text, and what holds for all of them.

mod count;
mod fixture;
mod helpers;
mod laws;
mod load;
mod model;
mod review;
