//! The `vigia` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    vigia::cli::main()
}
