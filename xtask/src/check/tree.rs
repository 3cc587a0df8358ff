//! The files of the repository, read once: what is ignored, built or fetched is left out.

use std::fs;
use std::io;
use std::path::Path;

use super::rust::Rust;

/// Folders that hold what was built or fetched, wherever they are.
const SKIPPED: &[&str] = &[".git", ".vigia", "target", "node_modules", "__pycache__"];

/// Larger files are not read as text, in bytes.
const TEXT_LIMIT: u64 = 4 << 20;

/// All files of the repository, sorted by path.
pub(super) struct Tree {
    pub(super) files: Vec<File>,
}

/// One file.
pub(super) struct File {
    /// Relative to the root, with forward slashes.
    pub(super) path: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) executable: bool,
    /// `None` for what is not UTF-8, holds a NUL, or is larger than any text here should be.
    pub(super) text: Option<String>,
    /// `Some` for a Rust source.
    pub(super) rust: Option<Rust>,
}

impl Tree {
    /// Reads the repository at `root`. Links are not followed.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut files = Vec::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.join(&folder))? {
                let entry = entry?;
                let Ok(name) = entry.file_name().into_string() else { continue };
                let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
                let kind = entry.file_type()?;
                if SKIPPED.contains(&name.as_str()) || ignores(&ignored, &path) {
                    continue;
                }
                if kind.is_dir() {
                    folders.push(path);
                } else if kind.is_file() {
                    let about = entry.metadata()?;
                    let bytes = if about.len() <= TEXT_LIMIT { fs::read(entry.path())? } else { vec![0] };
                    files.push(File::new(path, about.len(), executable(&about), bytes));
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Self { files })
    }

    /// A tree of samples: paths and what the files hold.
    #[cfg(test)]
    pub(super) fn of(samples: &[(&str, &str)]) -> Self {
        let file = |&(path, text): &(&str, &str)| File::new(path.to_owned(), text.len() as u64, false, text.into());
        Self { files: samples.iter().map(file).collect() }
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder of the repository has this path.
    pub(super) fn holds(&self, path: &str) -> bool {
        path.is_empty()
            || self
                .files
                .iter()
                .any(|file| file.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// The Rust sources.
    pub(super) fn rust(&self) -> impl Iterator<Item = (&File, &Rust)> {
        self.files.iter().filter_map(|file| file.rust.as_ref().map(|rust| (file, rust)))
    }

    /// The Rust sources of the product: neither tests, benches and examples nor the crates that only they use.
    pub(super) fn product(&self) -> impl Iterator<Item = (&File, &Rust)> {
        self.rust().filter(|(file, _)| !file.is_test() && file.top() != "vigia-testkit")
    }
}

impl File {
    fn new(path: String, size: u64, executable: bool, bytes: Vec<u8>) -> Self {
        let text = if bytes.contains(&0) { None } else { String::from_utf8(bytes).ok() };
        let rust = text.as_deref().filter(|_| suffix(&path) == "rs").map(Rust::new);
        Self { path, size, executable, text, rust }
    }

    /// The folder of the root that the file is in: the crate, for a source.
    pub(super) fn top(&self) -> &str {
        self.path.split_once('/').map_or("", |(top, _)| top)
    }

    /// What follows the last dot of the name, or nothing.
    pub(super) fn suffix(&self) -> &str {
        suffix(&self.path)
    }

    /// Whether all of the file is a test, a bench or an example.
    pub(super) fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.split('/').any(|folder| matches!(folder, "tests" | "benches" | "examples" | "fuzz"))
    }
}

fn suffix(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, suffix)| suffix)
}

/// Whether `.gitignore` names the path. Only `/path` and `*.suffix` are understood.
fn ignores(ignored: &str, path: &str) -> bool {
    ignored.lines().map(str::trim).any(|rule| {
        let rule = rule.trim_end_matches('/');
        rule.strip_prefix('/').is_some_and(|rule| rule == path)
            || rule.strip_prefix("*.").is_some_and(|rule| suffix(path) == rule)
    })
}

#[cfg(unix)]
fn executable(about: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    about.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn executable(_: &fs::Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_files_are_recognised() {
        assert!(ignores("/target\n*.profraw\n", "target") && ignores("/out/\n", "out"));
        assert!(ignores("*.profraw", "a/b.profraw") && !ignores("/target", "a/target"));
    }

    #[test]
    fn tests_are_told_from_the_product() {
        let tree = Tree::of(&[("a/src/b/tests.rs", ""), ("a/tests/b.rs", ""), ("a/src/b.rs", ""), ("a/b.yaml", "")]);
        assert_eq!(tree.product().map(|(file, _)| file.path.as_str()).collect::<Vec<_>>(), ["a/src/b.rs"]);
        assert!(tree.holds("a/src") && tree.holds("a/b.yaml") && !tree.holds("a/b"));
    }
}
