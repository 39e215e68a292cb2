//! Prints what a worker is given, as JSON lines: `consume --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcl_examples::consume::main()
}
