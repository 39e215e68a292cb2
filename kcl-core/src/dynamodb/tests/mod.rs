//! Unit tests of the adapter: rows that the Java library wrote, expressions as texts, and canned answers of the service.

mod errors;
mod expressions;
mod fixtures;
mod row_by_row;
mod rows;
mod start;
mod transport;
mod unreadable;
