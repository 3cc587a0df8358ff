//! The project's own checks: what the compiler, clippy and rustfmt do not look at.
//!
//! `cargo run -p xtask -- check` runs from any folder of the repository, needs neither git nor a network, prints one line
//! per check and exits with 1 after naming every violation. Start reading at [`check`]; each rule stands in the file of
//! `check/` that is named after it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool: what it prints is its result")]

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod check;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments != ["check"] {
        eprintln!("usage: cargo run -p xtask -- check");
        return ExitCode::from(2);
    }
    let Some(root) = env::current_dir().ok().and_then(|here| root_above(&here)) else {
        eprintln!("xtask: run this inside the repository");
        return ExitCode::from(2);
    };
    match check::run(&root) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("xtask: the tree cannot be read: {error}");
            ExitCode::from(2)
        }
    }
}

/// The repository's root: the folder at or above `here` that holds this tool.
fn root_above(here: &Path) -> Option<PathBuf> {
    here.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()).map(Path::to_owned)
}
