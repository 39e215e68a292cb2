//! From `main` to an exit code: a runtime, one clear message if something fails, and nothing that holds up the end.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

/// The command line asks for something that cannot be. Exit code 2, as for a flag that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Runs a program to its end. Success is code 0, a wrong command line or wrong settings 2, any other failure 1.
pub fn run(name: &str, program: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(name, format_args!("cannot start its threads: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(program);
    // Not dropped: that would wait for a read of standard input that may never return.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(name, format_args!("{error:#}"));
            exit_code(&error)
        }
    }
}

/// One line on standard error, which may be closed.
pub fn say(name: &str, message: impl Display) {
    let _nobody_reads = writeln!(std::io::stderr(), "{name}: {message}");
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
