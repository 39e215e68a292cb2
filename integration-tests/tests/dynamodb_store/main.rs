//! The DynamoDB store over the wire, against an embedded emulator of its own for each test, or against the server that
//! `KCL_TEST_DYNAMODB_ENDPOINT` names (DynamoDB Local, say).

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

mod backend;
mod clock;
mod faults;
#[path = "../support/items.rs"]
mod items;

mod contract;
mod java_rows;
mod leader;
mod leases;
mod lost_answers;
mod start;
mod workers;
