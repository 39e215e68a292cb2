//! `consume`: one worker of an application, which prints what it is given as JSON lines.
//!
//! | file | knows |
//! |---|---|
//! | `arguments` | the flags, and how they, the environment and a file become settings |
//! | `lines` | how each line is spelled |
//! | `output` | writing lines to standard output, and what it means if nobody reads them |
//! | `count` | the total, and how often it is told |
//! | `printer` | the processor: a batch is completed once its line is written |
//! | `streams` | the streams that a file names |
//! | `run` | start, signals and end |

mod arguments;
mod count;
mod lines;
mod output;
mod printer;
mod run;
mod streams;

use std::process::ExitCode;

use clap::Parser;

use crate::common::{logging, program};

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    program::run("consume", async {
        logging::start(arguments.log(), "warn,kcl_core=info,aws_config=error")?;
        run::run(arguments).await
    })
}
