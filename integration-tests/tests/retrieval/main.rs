//! Reading from Kinesis over the wire of `kcl-local`, as far as it is the same for both readers: decoders of one's own, and
//! what metrics say.

#![expect(clippy::unwrap_used, reason = "helpers of tests, in which a panic is a failure")]

#[path = "../fan_out/reading.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod reading;
#[path = "../fan_out/scene.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod scene;
#[path = "../support/waiting.rs"]
#[allow(dead_code, reason = "others need more of it")]
mod waiting;

mod applications;
mod breaking;
mod codec;
mod faults;
mod matrix;
mod metrics;
mod positions;
mod proxies;
mod workers;
