//! `quickstart`: a stream, its records and a fleet of workers in one process, without an account.
//!
//! | file | knows |
//! |---|---|
//! | `arguments` | the flags |
//! | `cloud` | Kinesis and DynamoDB inside the process |
//! | `source` | where records come from: lines of an input, or made up |
//! | `tally` | what was put and what was read, record by record |
//! | `fleet` | the workers, and killing one |
//! | `mortal` | how a worker inside a process dies as if by SIGKILL |
//! | `course` | when a worker is killed, and when the run is over |
//! | `look` | who owns what and how far it is, from the lease table |
//! | `table` | how a look is shown |
//! | `run` | from the start to the summary |

mod arguments;
mod cloud;
mod course;
mod fleet;
mod look;
mod mortal;
mod run;
mod source;
mod table;
mod tally;

use std::process::ExitCode;

use clap::Parser;

use crate::common::display::Display;
use crate::common::{logging, program};

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    program::run("quickstart", async {
        let display = Display::new();
        logging::start_on(arguments.log.as_deref(), "warn", display.clone())?;
        run::run(arguments, display).await
    })
}
