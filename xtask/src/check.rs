//! Every check, in the order they are printed, and how an outcome is reported.
//!
//! A check is a function from the [`Tree`] (or from cargo's [`Metadata`]) to a [`Report`]. It opens no file itself, so its
//! unit tests hand it a tree of bad samples. [`tree`] reads the files, [`rust`] tells code from comments, texts and tests.

use std::fmt;
use std::io;
use std::path::Path;

use self::metadata::{Metadata, MetadataError};
use self::tree::Tree;

mod clock;
mod debts;
mod dependencies;
mod documents;
mod environment;
mod layout;
mod length;
mod licences;
mod metadata;
mod portable;
mod rust;
mod size;
mod threads;
mod tree;

/// What one check found.
#[derive(Debug, Default)]
struct Report {
    /// What was looked at, for the line that says "ok".
    looked_at: String,
    violations: Vec<Violation>,
}

/// One breach of a rule: where it is, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    /// Relative to the root, with forward slashes.
    file: String,
    /// From 1.
    line: usize,
    what: String,
}

impl Violation {
    fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// Runs every check on the repository at `root`, prints the outcomes, and returns the number of violations.
pub(crate) fn run(root: &Path) -> io::Result<usize> {
    let tree = Tree::read(root)?;
    let metadata = Metadata::load(root);
    let reports = [
        ("dependencies", with(&metadata, |metadata| dependencies::check(&tree, metadata))),
        ("licences", with(&metadata, |metadata| licences::check(&tree, metadata))),
        ("length", length::check(&tree)),
        ("layout", layout::check(&tree)),
        ("clock", clock::check(&tree)),
        ("threads", threads::check(&tree, threads::ALLOWED)),
        ("environment", environment::check(&tree)),
        ("debts", debts::check(&tree)),
        ("size", size::check(&tree)),
        ("portable", portable::check(&tree)),
        ("documents", documents::check(&tree)),
    ];
    let mut total = 0;
    for (name, report) in &reports {
        match report.violations.len() {
            0 => println!("check: {name}: ok ({})", report.looked_at),
            n => println!("check: {name}: {n} to fix"),
        }
        for violation in &report.violations {
            println!("    {violation}");
        }
        total += report.violations.len();
    }
    if total > 0 {
        println!("check: {total} to fix in all");
    }
    Ok(total)
}

/// Runs a check that needs cargo's view; without that view the check has failed.
fn with(metadata: &Result<Metadata, MetadataError>, check: impl FnOnce(&Metadata) -> Report) -> Report {
    match metadata {
        Ok(metadata) => check(metadata),
        Err(error) => {
            Report { violations: vec![Violation::new("Cargo.toml", 1, error.to_string())], ..Report::default() }
        }
    }
}
