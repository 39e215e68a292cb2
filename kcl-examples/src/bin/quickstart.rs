//! The whole thing in one process, without an account: `quickstart --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcl_examples::quickstart::main()
}
