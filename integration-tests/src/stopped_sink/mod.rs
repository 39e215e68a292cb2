//! How much memory a worker takes whose sink has stopped, and whether its other shards notice.
//!
//! Two processes: one has the stream and fills it, the other is a worker with a sink that stops at some of the shards. The
//! memory of the second is what is looked at. Bytes are no times: the figures are the same on a slow machine.
//!
//! | file | knows |
//! |---|---|
//! | `course` | what happens, step by step, and what came of it |
//! | `scene` | the servers and the stream, and what is put into it |
//! | `process` | the process of the worker: its memory, its lines |
//! | `sink` | the worker in that process |
//! | `line` | what it prints |

mod course;
mod line;
mod process;
mod scene;
mod sink;

pub use self::course::{Course, Outcome, run};
pub use self::sink::run as run_sink;

/// How the program is asked to be the worker: the number of shards at which its sink stops.
pub const SINK: &str = "KCL_TEST_STOPPED_SHARDS";
