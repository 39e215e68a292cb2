//! Puts the lines of a file or of standard input to a stream: `produce --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcl_examples::produce::main()
}
