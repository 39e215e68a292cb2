//! `produce`: puts the lines of a file or of standard input to a stream.

mod arguments;
mod create;
mod run;

use std::process::ExitCode;

use clap::Parser;

use crate::common::display::Display;
use crate::common::{logging, program};

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    program::run("produce", async {
        let display = Display::new();
        logging::start_on(arguments.log.as_deref(), "warn,aws_config=error", display.clone())?;
        run::run(arguments, display).await
    })
}
