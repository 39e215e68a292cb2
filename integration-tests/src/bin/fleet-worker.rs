//! The program `consume`, built with the tests: so they find it whatever was built before.

use std::process::ExitCode;

fn main() -> ExitCode {
    kcl_examples::consume::main()
}
